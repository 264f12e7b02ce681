"""ARCHITECTURE.md is true: who may import whom, who owns which dependency, what each folder is for, how long functions may be."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from .processes import run_process

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
TOOLS = ("emulator", "conformance", "loadtests", "reports")
SOURCES = [path for folder in ("chainproof", *TOOLS) for path in sorted((ROOT / folder).rglob("*.py"))]

MAX_FILES = 21
"""Python files in one folder, `__init__.py` included."""
MAX_FUNCTION_LINES = 50
"""Longer functions need a comment `# long: reason` on the line of their `def`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A module or package directly inside `chainproof/` or a tool's folder, with its place in the layers."""

    layer: int
    group: str
    """The text between two `|`: parts of one group may import each other."""


def layers() -> dict[str, dict[str, Part]]:
    """The block `layers` of ARCHITECTURE.md: for each top-level folder, its parts by name."""
    block = re.search(r"```layers\n(.+?)\n```", PAGE, re.DOTALL)
    assert block is not None
    found = {}
    for line in block[1].splitlines():
        folder, _, rest = line.partition(" ")
        found[folder] = {
            part.strip(): Part(layer=layer, group=group.strip())
            for layer, groups in enumerate(rest.split("<"))
            for group in groups.split("|")
            for part in group.split("+")
        }
    return found


LAYERS = layers()

MAY_USE_NETWORK = {"command", "processes", "endpoint", "demo", "doctor", "__main__"}
NETWORK = {"socket", "ssl", "subprocess", "asyncio", "selectors", "http", "urllib.request", "multiprocessing"}

SHARED_DEPENDENCIES = {
    "httptools": ("emulator", "loadtests"),
    "numpy": ("chainproof", "loadtests"),
    "orjson": ("chainproof", *TOOLS),
}
"""Dependencies of more than one folder, as the sentence below the table of dependencies says."""

MAY_USE_PYTEST = {"runner", "plugin", "suite", "session", "test_checks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported name."""

    path: Path
    line: int
    name: str
    """In full: `chainproof.contract.clauses`, for `from chainproof.contract import clauses`."""
    inside: bool
    """True if the import is inside a function."""
    excused: bool
    """True if its line has a comment."""

    @property
    def folder(self) -> str:
        """The top-level folder of the importing file."""
        return self.path.relative_to(ROOT).parts[0]

    @property
    def part(self) -> str:
        """The module or package of that folder which contains the importing file."""
        return self.path.relative_to(ROOT / self.folder).parts[0].removesuffix(".py")

    @property
    def package(self) -> str:
        """The first component of the imported name."""
        return self.name.partition(".")[0]

    def of(self, name: str) -> bool:
        """True if the imported name is *name* or inside it."""
        return f"{self.name}.".startswith(f"{name}.")

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.name}"


def imports_of(path: Path) -> Iterator[Import]:
    """Every import of a file, relative ones in full."""
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    deep = {id(inner) for function in functions for inner in ast.walk(function)}
    package = [
        *(() if path.is_relative_to(ROOT / "chainproof") else ("chainproof",)),
        *path.relative_to(ROOT).parts[:-1],
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(
                path=path,
                line=node.lineno,
                name=name,
                inside=id(node) in deep,
                excused="#" in lines[node.lineno - 1],
            )


@cache
def all_imports() -> list[Import]:
    """Every import of the product. Not when this file is imported, because every worker of pytest-xdist imports it."""
    return [found for path in SOURCES for found in imports_of(path)]


def third_party_imports() -> list[Import]:
    """Those of other packages than Python's and ours."""
    return [f for f in all_imports() if f.package not in sys.stdlib_module_names and f.package != "chainproof"]


def shared_imports() -> list[Import]:
    """Those of the shared package."""
    return [found for found in all_imports() if found.folder == "chainproof"]


def described(wrong: Iterator[Import]) -> list[str]:
    """Imports as text, for the failure message."""
    return [str(found) for found in wrong]


def test_imports_are_found() -> None:
    """The imports that the other tests check are found; without them those tests would pass on nothing."""
    assert {found.folder for found in all_imports()} == {"chainproof", *TOOLS}
    assert any(found.name == "chainproof.contract.clauses" for found in shared_imports())


@pytest.mark.parametrize("tool", TOOLS)
def test_no_tool_imports_another(tool: str) -> None:
    """No tool imports another."""
    others = [f"chainproof.{other}" for other in TOOLS if other != tool] + list(TOOLS)

    assert described(found for found in all_imports() if found.folder == tool and any(map(found.of, others))) == []


def test_the_shared_package_imports_no_tool() -> None:
    """The shared package imports no tool."""
    tools = [*TOOLS, *(f"chainproof.{tool}" for tool in TOOLS)]

    assert described(found for found in shared_imports() if any(map(found.of, tools))) == []


def test_only_some_shared_modules_use_the_network_or_processes() -> None:
    """Contract, results, statistics and judgement open no socket and start no process."""
    assert described(f for f in shared_imports() if any(map(f.of, NETWORK)) and f.part not in MAY_USE_NETWORK) == []


def test_only_the_edges_of_conformance_import_pytest() -> None:
    """Checks, judging and transport do not depend on pytest."""
    own = (found for found in all_imports() if found.folder == "conformance" and found.of("pytest"))

    assert described(found for found in own if found.part not in MAY_USE_PYTEST) == []


@pytest.mark.parametrize("folder", ["chainproof", *TOOLS])
def test_every_part_has_a_layer(folder: str) -> None:
    """ARCHITECTURE.md places every module and package of each top-level folder in a layer, and no other."""
    parts = {
        path.relative_to(ROOT / folder).parts[0].removesuffix(".py")
        for path in SOURCES
        if path.is_relative_to(ROOT / folder)
    }

    assert parts - {"__init__"} == set(LAYERS[folder])


@pytest.mark.parametrize("folder", ["chainproof", *TOOLS])
def test_no_part_imports_a_higher_layer(folder: str) -> None:
    """A part imports only parts of lower layers, of its own group, or itself."""
    parts, prefix = LAYERS[folder], "chainproof" if folder == "chainproof" else f"chainproof.{folder}"
    wrong = []
    for found in all_imports():
        if found.folder != folder or found.part == "__init__" or not found.of(prefix):
            continue
        name = found.name.removeprefix(prefix).removeprefix(".").partition(".")[0]
        if name not in parts:
            continue  # a name of the package itself, such as __version__
        here, there = parts[found.part], parts[name]
        if name != found.part and there.layer >= here.layer and there != here:
            wrong.append(found)

    assert described(iter(wrong)) == []


def folder_questions() -> dict[str, str]:
    """The table of folders in ARCHITECTURE.md: the question that each one answers."""
    return dict(
        re.findall(
            r"^\| `([a-z_/]+)/` \| (.+) \|$", PAGE.partition("## Folders")[2].partition("| tool |")[0], re.MULTILINE
        )
    )


def test_the_table_of_folders_matches_the_packages() -> None:
    """The first sentence of each package is its row in ARCHITECTURE.md."""
    found = {}
    for path in SOURCES:
        if path.name == "__init__.py":
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[str(path.parent.relative_to(ROOT))] = text.partition("\n")[0]

    assert found == folder_questions()


def test_no_folder_has_too_many_files() -> None:
    """A folder with more files than a reader can take in is split."""
    tests = (ROOT / "tests").rglob("*.py")
    counts = Counter(str(path.parent.relative_to(ROOT)) for path in (*SOURCES, *tests))

    assert {folder: count for folder, count in counts.items() if count > MAX_FILES} == {}


def test_a_class_name_has_one_meaning() -> None:
    """Two classes share a name only if they are the same thing in two tools."""
    same = {"ResponseMemory", "RetryPolicy", "Client"}
    names = (
        name for path in SOURCES for name in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    )

    assert {name for name, count in Counter(names).items() if count > 1 and not name.startswith("_")} == same


def test_the_table_of_changes_names_files_that_exist() -> None:
    """Every path in ARCHITECTURE.md is there."""
    paths = re.findall(r"`([\w./-]+/[\w./-]*)`", PAGE.partition("## How changes land")[2])

    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_long_functions_give_a_reason() -> None:
    """A function of more than 50 lines says why on the line of its `def`."""
    wrong = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION_LINES and "# long: " not in lines[node.lineno - 1]:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {length} lines")

    assert wrong == []


def normal(name: str) -> str:
    """A distribution name, normalised: https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()


def owners() -> dict[str, set[str]]:
    """The table of dependencies in ARCHITECTURE.md and the sentence below it: the folders that import each distribution."""
    found = {name: set(folders) for name, folders in SHARED_DEPENDENCIES.items()}
    table = PAGE.partition("| tool |")[2].partition("\n\n")[0]
    for folder, names in re.findall(r"^\| `(\w+)/` \| (.+) \|$", table, re.MULTILINE):
        for name in names.split(", "):
            found.setdefault(normal(name), set()).add(folder)
    return found


def test_every_dependency_is_imported_by_its_owner_alone() -> None:
    """A third-party package is imported by the folders that own it, and by no others."""
    names = packages_distributions()
    imported: dict[str, set[str]] = {}
    for found in third_party_imports():
        imported.setdefault(normal(names[found.package][0]), set()).add(found.folder)

    assert owners() == imported


def test_only_the_drawing_imports_the_chart_library() -> None:
    """Another chart library changes one module."""
    users = {
        found.path.name for found in third_party_imports() if found.path.is_relative_to(ROOT / "reports" / "charts")
    }

    assert users <= {"drawing.py"}


def test_every_dependency_is_declared_where_it_is_imported() -> None:
    """Every imported package is declared in the extra of its tool, not only installed as a dependency of another."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {"chainproof": [], **project["optional-dependencies"]}
    names = packages_distributions()
    wrong = []
    for found in third_party_imports():
        lines = [*project["dependencies"], *extras[found.folder]]
        declared = {normal(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in lines}
        if not declared & {normal(name) for name in names.get(found.package, ())}:
            wrong.append(found)

    assert described(iter(wrong)) == []


def test_imports_inside_functions_give_a_reason() -> None:
    """An import inside a function says why on its line; it is not there to avoid a cycle."""
    assert described(found for found in all_imports() if found.inside and not found.excused) == []


def test_inside_a_tool_its_own_files_are_imported_relatively() -> None:
    """Relative imports let editors and type checkers follow them by path. Files that pytest or Locust loads by path are exempt."""
    wrong = []
    files = (path for tool in TOOLS for path in (ROOT / tool).rglob("*.py"))
    for path in (path for path in files if not path.name.startswith(("test_", "conftest", "locustfile"))):
        own = f"chainproof.{path.relative_to(ROOT).parts[0]}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            absolute = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            absolute += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            wrong += [f"{path.relative_to(ROOT)}: {name}" for name in absolute if f"{name}.".startswith(f"{own}.")]

    assert wrong == []


def test_no_file_of_the_load_tests_shadows_the_standard_library() -> None:
    """No module name hides one of the standard library: Locust puts the locustfile's folder first on the import path."""
    names = {path.stem for path in (ROOT / "loadtests").iterdir() if path.suffix in ("", ".py")}

    assert {name for name in names & sys.stdlib_module_names if not name.startswith("__")} == set()


def test_every_folder_of_python_is_installed() -> None:
    """Every package is listed for the build; otherwise it would be missing once installed."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    found = [path.parent.relative_to(ROOT) for f in ("chainproof", *TOOLS) for path in (ROOT / f).rglob("__init__.py")]

    assert sorted(listed) == sorted(
        ".".join(folder.parts if folder.parts[0] == "chainproof" else ("chainproof", *folder.parts)) for folder in found
    )


@pytest.mark.parametrize("name", ["__main__", "demo", "emulator", "conformance", "reports"])
def test_only_the_load_tests_import_gevent(name: str) -> None:
    """Importing everything in a tool imports neither locust nor gevent, which would patch the process."""
    script = f"""
import importlib, pkgutil, sys
package = importlib.import_module("chainproof.{name}")
for found in pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + "."):
    if not found.name.rpartition(".")[2].startswith(("test_", "conftest")):
        importlib.import_module(found.name)
print([name for name in ("locust", "gevent") if name in sys.modules])
"""
    child = run_process([sys.executable, "-P", "-c", script])

    assert (child.stdout, child.stderr) == ("[]\n", "")
