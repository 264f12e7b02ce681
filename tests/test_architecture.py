"""
The arrows of ARCHITECTURE.md, executed: who may import whom, and who owns which dependency.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("emulator", "conformance", "loadtests", "reports")

# Lowest first; an arrow points from a later line to an earlier one, or stays within one part.
LAYERS = (
    {"__init__", "clock", "durations", "errors", "json_text"},
    {"contract", "statistics", "workload"},
    {"results"},
    {"judgement"},
    {"command"},
    {"processes", "endpoint"},
    {"demo", "__main__"},
)
# Parts that may import a part of their own line.
FREE = {"__init__", "clock", "durations", "errors", "json_text", "processes", "endpoint", "demo", "__main__"}
LAYER = {part: height for height, parts in enumerate(LAYERS) for part in parts}
DOORS = {"command", "endpoint", "processes", "demo", "__main__"}

NETWORK = {"socket", "ssl", "subprocess", "asyncio", "selectors", "http", "urllib.request", "multiprocessing"}

# orjson is everyone's: the language needs it to read and write the run folder, and every tool installs the language.
OWNERS = {
    "orjson": {"chainproof", *TOOLS},
    "jsonschema_rs": {"chainproof"},
    "pydantic": {"chainproof"},
    "yaml": {"chainproof"},
    "scipy": {"chainproof"},
    "uvloop": {"emulator"},
    "httptools": {"emulator", "loadtests"},
    "h11": {"conformance"},
    "hypothesis": {"conformance"},
    "requests": {"conformance"},
    "pytest": {"conformance"},
    "schemathesis": {"conformance"},
    "certifi": {"loadtests"},
    "gevent": {"loadtests"},
    "locust": {"loadtests"},
    "altair": {"reports"},
    "jinja2": {"reports"},
    "markupsafe": {"reports"},
    "vl_convert": {"reports"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """
    One name that a line of the source imports.
    """

    path: Path
    line: int
    name: str
    """In full: `chainproof.contract.clauses`, for `from chainproof.contract import clauses`."""
    inside: bool
    """Whether it stands inside a function."""
    excused: bool
    """Whether its line says why."""

    @property
    def folder(self) -> str:
        """The top-level folder that it stands in."""
        return self.path.relative_to(ROOT).parts[0]

    @property
    def part(self) -> str:
        """The part of its folder that it stands in: a file's or a package's name."""
        return self.path.relative_to(ROOT / self.folder).parts[0].removesuffix(".py")

    @property
    def package(self) -> str:
        """The first word of what is imported."""
        return self.name.partition(".")[0]

    def of(self, name: str) -> bool:
        """Whether what is imported is *name* or something in it."""
        return f"{self.name}.".startswith(f"{name}.")

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.name}"


def imports_of(path: Path) -> Iterator[Import]:
    """
    Every import of a file, relative ones in full.
    """
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


IMPORTS = [
    found
    for folder in ("chainproof", *TOOLS)
    for path in sorted((ROOT / folder).rglob("*.py"))
    for found in imports_of(path)
]
FOREIGN = [f for f in IMPORTS if f.package not in sys.stdlib_module_names and f.package != "chainproof"]
LANGUAGE = [found for found in IMPORTS if found.folder == "chainproof"]


def told(wrong: Iterator[Import]) -> list[str]:
    """
    Imports in words, for whoever reads a failure.
    """
    return [str(found) for found in wrong]


def test_imports_are_seen() -> None:
    """
    The tests below would all pass on nothing.
    """
    assert {found.folder for found in IMPORTS} >= {"chainproof"}
    assert any(found.name == "chainproof.contract.clauses" for found in LANGUAGE)


@pytest.mark.parametrize("tool", TOOLS)
def test_no_tool_imports_another(tool: str) -> None:
    """
    Tools meet on the network and in the run folder, and nowhere else.
    """
    others = [f"chainproof.{other}" for other in TOOLS if other != tool] + list(TOOLS)

    assert told(found for found in IMPORTS if found.folder == tool and any(map(found.of, others))) == []


def test_the_language_imports_no_tool() -> None:
    """
    The language is what the tools speak; it knows none of them.
    """
    tools = [*TOOLS, *(f"chainproof.{tool}" for tool in TOOLS)]

    assert told(found for found in LANGUAGE if any(map(found.of, tools))) == []


def test_the_language_opens_no_connection_and_starts_no_process() -> None:
    """
    Nouns and judgement need no network; the doors do.
    """
    assert told(f for f in LANGUAGE if any(map(f.of, NETWORK)) and f.part not in DOORS) == []


def test_every_part_of_the_language_has_its_place() -> None:
    """
    A new part makes this fail until somebody draws it.
    """
    parts = {path.name.removesuffix(".py") for path in (ROOT / "chainproof").iterdir()} - {"__pycache__", "py.typed"}

    assert parts == set(LAYER)


def test_the_layers_of_the_language_hold() -> None:
    """
    All arrows point down, and siblings on one line never import each other.
    """
    wrong = []
    for found in LANGUAGE:
        if found.package == "chainproof":
            part = (found.name.split(".")[1:] or ["__init__"])[0]
            part = part if part in LAYER else "__init__"
            downward = LAYER[part] < LAYER[found.part] or part == found.part
            sideways = LAYER[part] == LAYER[found.part] and found.part in FREE
            if not (downward or sideways):
                wrong.append(found)

    assert told(iter(wrong)) == []


def test_every_dependency_is_imported_by_its_owner_alone() -> None:
    """
    What an extra installs, its tool alone imports; a package that nobody owns is imported by nobody.
    """
    assert told(found for found in FOREIGN if found.folder not in OWNERS.get(found.package, ())) == []


def normal(name: str) -> str:
    """
    A distribution's name as indexes compare it: https://packaging.python.org/en/latest/specifications/name-normalization/
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_declared_where_it_is_imported() -> None:
    """
    A package that only comes along with another may stay away one day.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {"chainproof": [], **project["optional-dependencies"]}
    names = packages_distributions()
    wrong = []
    for found in FOREIGN:
        lines = [*project["dependencies"], *extras[found.folder]]
        declared = {normal(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in lines}
        if not declared & {normal(name) for name in names.get(found.package, ())}:
            wrong.append(found)

    assert told(iter(wrong)) == []


def test_no_import_hides_inside_a_function() -> None:
    """
    A cycle is dissolved, not dodged. One that is late for a better reason says so on its line.
    """
    assert told(found for found in IMPORTS if found.inside and not found.excused) == []


def test_inside_a_tool_its_own_files_are_imported_relatively() -> None:
    """
    So that editors and type checkers follow them by path, wherever the folder is mapped. What pytest or
    Locust loads by its path alone has no package to be relative to.
    """
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
    """
    Locust puts the locustfile's folder first on the import path while it loads it.
    """
    names = {path.stem for path in (ROOT / "loadtests").iterdir() if path.suffix in ("", ".py")}

    assert {name for name in names & sys.stdlib_module_names if not name.startswith("__")} == set()


def test_every_folder_of_python_is_installed() -> None:
    """
    A package that the build does not list is there in a checkout and missing once installed.
    """
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    found = [path.parent.relative_to(ROOT) for f in ("chainproof", *TOOLS) for path in (ROOT / f).rglob("__init__.py")]

    assert sorted(listed) == sorted(
        ".".join(folder.parts if folder.parts[0] == "chainproof" else ("chainproof", *folder.parts)) for folder in found
    )


@pytest.mark.parametrize("name", ["__main__", "demo", "emulator", "conformance", "reports"])
def test_nobody_but_the_load_tests_runs_under_gevent(name: str) -> None:
    """
    Everything in it imported, neither locust nor gevent is there: importing them would patch the process.
    """
    script = f"""
import importlib, pkgutil, sys
package = importlib.import_module("chainproof.{name}")
for found in pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + "."):
    if not found.name.rpartition(".")[2].startswith(("test_", "conftest")):
        importlib.import_module(found.name)
print([name for name in ("locust", "gevent") if name in sys.modules])
"""
    child = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)

    assert (child.stdout, child.stderr) == ("[]\n", "")
