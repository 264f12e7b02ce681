"""
The worked example of each page prints what the page shows.

An example is the marker `<!-- example -->`, a block of shell commands, and a block with their output. In the output, `…` stands for
text that differs from run to run, and a line with nothing but `…` for any number of lines.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from chainproof.results.folder import find_runs, read_run

from ..loadtests.conftest import is_late
from ..processes import TOOLS_PATH, clean_environment, run_process

DOCS = Path(__file__).parents[2] / "docs"

SHORTER = {"conformance.md": ("--depth quick", "--depth quick -k keys")}
"""What is replaced in the commands of a page in CI: there, the checks that find the fault are enough."""

PAGES = ("call.md", "comparing.md", "conformance.md", "loadtests.md", "reports.md", "emulator.md")


def example(page: str) -> tuple[str, str]:
    """The commands and the output of a page's example."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.search(r"<!-- example -->\n```sh\n(.+?)\n```\n\n```text\n(.*?)\n?```\n", text, re.DOTALL)
    assert found is not None, f"{page} has no example"
    return found[1], found[2]


def pattern(shown: str) -> re.Pattern[str]:
    """A regular expression for the output that a page shows."""
    lines = [
        "(?:.*\n)*?" if line.strip() == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n"
        for line in shown.splitlines()
    ]
    return re.compile("".join(lines))


def environment(folder: Path) -> dict[str, str]:
    """The environment of a new user, without settings of chainproof."""
    return clean_environment(HOME=str(folder), PATH=TOOLS_PATH)


@pytest.mark.parametrize("page", PAGES)
def test_an_example_prints_what_its_page_shows(page: str, tmp_path: Path) -> None:
    """The output of the commands matches the output on the page."""
    commands, shown = example(page)
    if os.environ.get("CHAINPROOF_SAMPLE") != "all" and page in SHORTER:
        assert SHORTER[page][0] in commands
        commands = commands.replace(*SHORTER[page])
    attempts = (
        3 if "chainproof loadtests" in commands else 1
    )  # on a busy machine, a report says that the generator was late
    for attempt in range(attempts):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        ended = run_process(["bash", "-c", commands], cwd=folder, env=environment(tmp_path))
        if pattern(shown).fullmatch(ended.stdout.rstrip("\n") + "\n"):
            break

    runs = find_runs(folder) if attempts > 1 else []
    if not pattern(shown).fullmatch(ended.stdout.rstrip("\n") + "\n") and any(is_late(read_run(run)) for run in runs):
        pytest.skip("needs a machine with time for a load run: the load generator was late")
    assert pattern(shown).fullmatch(ended.stdout.rstrip("\n") + "\n"), ended.stdout + ended.stderr


def test_a_pattern_matches_only_what_is_shown() -> None:
    """The dots stand for text within a line, or for lines where they are alone; everything else has to be equal."""
    assert pattern("a … c\n…\nend").fullmatch("a b c\nx\ny\nend\n")
    assert pattern("a … c\n…\nend").fullmatch("a b c\nend\n")
    assert not pattern("a … c").fullmatch("a b d\n")
    assert not pattern("a … c").fullmatch("a b\nc\n")
