"""
The table "How changes land" of ARCHITECTURE.md is true.

One existing thing of each kind is searched for: the files that mention it are those of its row. So a list, a name or a
special case elsewhere in the product, which the next change of that kind would miss, fails here.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from chainproof.contract.addresses import ADDRESSES, OperationAddress
from chainproof.judgement import generator_caveats
from chainproof.loadtests.catalogue import workload_names
from chainproof.reports.command import FORMATS
from chainproof.workload.arrivals import ARRIVAL_PROCESSES

from .test_docs import GENERATE

ROOT = Path(__file__).parents[1]
GENERATOR_CODES = re.findall(r"CaveatCode\.([A-Z_]+)", Path(generator_caveats.__file__).read_text(encoding="utf-8"))
PRODUCT = ("chainproof", "emulator", "conformance", "loadtests", "reports", "docs", ".ci")
"""Folders whose files are searched, besides the files of the root. The tests of a change come on top."""
ENDINGS = {".py", ".md", ".json", ".toml", ".yaml", ".txt", ".j2", ".js", ".css", ""}
MEASURED = ("CHANGELOG.md", "docs/power.md", "docs/benchmarks.md", "docs/gallery/", "conformance/power_order.json")
"""Pages and tables of what was changed and measured."""
REGENERATED: dict[str, tuple[str, ...]] = {
    "pages": tuple(f"docs/{name}" for name in GENERATE.PAGES),
    "golden files": ("tests/golden/",),
    "request counts": ("conformance/forecast.json",),
    "pins": (".ci/requirements.txt",),
}
"""What is written by the commands after "then regenerate"."""

EXAMPLES: dict[str, str] = {
    "a clause with its check and its fault": r"FIELD_COUNT|field-count|ignores-fields-after-64",
    "a clause that says how some requests are answered": r"\bUNKNOWN_METHODS|unknown-methods|unknown-method-500",
    "a clause that every answer is judged by": r"SINGLETON_FIELDS|singleton-fields",
    "an error code that the document adds": r"MODEL_NOT_READY|[-,] model_not_ready|^model_not_ready = 0\.005",
    "a correct endpoint that behaves unusually": "affinity-cookie",
    "an option that Locust adds": "--reset-stats",
    "a report format": r"\bctrf\b",
    "a chart": r"heat.map",
    "another chart library": r"vl.convert|[Vv]ega",
    "an arrival process": r"\bgamma\b",
    "a workload": r"\bjittery\b",
    "another address of the operation": "runRemoteDevelopment|`/development/run_remote`",
    "an address with a name or an id in its path": r"runRemoteDeployment|self\.deployments|`/deployment/ID/run_remote`",
    "an option that makes the URL of an address": r"--deployment\b|\bdeployment=",
    "a reason to distrust a figure": "COLD_START",
    "a reason to distrust the generator": "EVENT_LOOP_LAG",
    "a guard that ends a run early": r"Guard\.RATE\b|RATE_EXCEEDED|^    RATE = |stops users that exceed it",
    "a thing that the doctor checks": r"\bsteal\b",
    "replace Locust": r"^(?:import|from) (?:locust|gevent)\b|\blocust[=>]=|\bgevent[=>]=|\| locust, gevent",
}
"""Texts that stand for one thing of each kind."""
WITHOUT_EXAMPLE = {
    "an option": "each option is read by what it is for",
    "a metric of comparisons": "its title is made of words that are everywhere",
}
"""Rows that no search can check, and why."""


LISTS: dict[str, tuple[str, ...]] = {
    "docs/loadtests.md": (*ARRIVAL_PROCESSES, *workload_names(), *GENERATOR_CODES),
    "docs/reports.md": tuple(f"--{name}" for name in FORMATS),
}
"""What the tables of hand-written pages list, by page."""


@pytest.mark.parametrize("page", LISTS)
def test_tables_of_pages_are_complete(page: str) -> None:
    """What is new is described: a row of a table on the page has it in its first or second column."""
    cells = [cell for line in texts()[page].splitlines() if line.startswith("|") for cell in line.split(" | ")[:2]]
    listed = {name for cell in cells for name in re.findall(r"`([\w-]+)[^`]*`", cell)}

    assert set(LISTS[page]) - listed == set()


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.operation_id)
def test_the_page_of_the_emulator_has_every_address(address: OperationAddress) -> None:
    """With NAME or ID in place of what the path identifies."""
    assert re.search(f"`{re.sub('{.+?}', '[A-Z]+', address.template)}`", texts()["docs/emulator.md"])


def test_rows_and_examples_belong_together() -> None:
    """A row without an example could be wrong."""
    assert rows().keys() == EXAMPLES.keys() | WITHOUT_EXAMPLE.keys()


@pytest.mark.parametrize("change", EXAMPLES)
def test_the_files_of_a_change_are_those_of_its_row(change: str) -> None:
    """The row names every file that mentions the example, and every file and folder that it names mentions it."""
    found = [path for path, text in texts().items() if re.search(EXAMPLES[change], text, re.MULTILINE)]
    row = rows()[change]
    named = re.findall(r"`([\w./-]+)`", row)
    base = re.findall(r"`([\w./-]+)`", complete_row(change))
    written = [path for what, paths in REGENERATED.items() if what in complete_row(change) for path in paths]
    allowed = (*named, *base, *written, *MEASURED, "tests/", "benchmarks/")

    assert [path for path in found if not path.startswith(allowed)] == []
    if " or " not in row:
        assert [path for path in named if not any(each.startswith(path) for each in found)] == []


@cache
def rows() -> dict[str, str]:
    """The files of each change, as the table has them; without the link behind the name of a change."""
    table = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("| change | files |\n|---|---|\n")[2]
    found = re.findall(r"^\| (.+?) \| (.+) \|$", table, re.MULTILINE)
    return {change.partition(" ([")[0]: files for change, files in found}


def complete_row(change: str) -> str:
    """The files of a change, or those of the nearest row above which its "besides" is about."""
    names = list(rows())
    above = (rows()[name] for name in names[names.index(change) :: -1])
    return next(files for files in above if not files.startswith("besides"))


@cache
def texts() -> dict[str, str]:
    """Path and text of every file that a change may touch, by path."""
    folders = (*PRODUCT, "tests", "benchmarks")
    inside = (path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts)
    files = (path for path in (*ROOT.glob("*.[mt]*"), *inside) if path.is_file() and path.suffix in ENDINGS)
    names = {path: str(path.relative_to(ROOT)) for path in files}
    return {name: f"{name}\n{path.read_text(encoding='utf-8')}" for path, name in names.items()}
