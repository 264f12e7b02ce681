"""
One door to every tool: it loads the tool that was asked for and no other, and says what is missing.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

import chainproof.__main__ as door
from chainproof import __version__

TOOLS = {"conformance", "demo", "emulator", "loadtests", "reports"}


def offer(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """
    Install one tool and no other.
    """
    monkeypatch.setattr(door, "entry_points", lambda group: [EntryPoint(name=name, value=value, group=group)])


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    The file of a tool that can be imported.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "some_tool", raising=False)
    return tmp_path / "some_tool.py"


def test_every_tool_has_a_door_and_a_summary() -> None:
    """
    The tools that are installed are those that the help names.
    """
    assert {entry.name for entry in entry_points(group=door.ENTRY_POINT_GROUP)} == set(door.TOOL_SUMMARIES) == TOOLS


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["-h"], 0), (["help"], 0), ([], 2)])
def test_whoever_asks_for_help_gets_the_tools_and_exit_codes(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Asking is a pass; saying nothing is asked wrongly.
    """
    assert code == door.main(arguments)
    shown = capsys.readouterr().out

    assert all(f"  {name}" in shown for name in TOOLS)
    assert "exit codes:" in shown


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_that_of_the_package(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    One version for all tools.
    """
    assert door.main([option]) == 0
    assert capsys.readouterr().out == f"chainproof {__version__}\n"


def test_a_tool_that_does_not_exist_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    """
    What was found, and what could have been meant.
    """
    assert door.main(["report"]) == 2
    assert capsys.readouterr().err == (
        "chainproof: expected one of conformance, demo, emulator, loadtests, reports, found 'report'\n"
    )


def test_a_tool_gets_the_arguments_behind_its_name(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    And its exit code is the command's.
    """
    tool.write_text("def main(arguments): return len(arguments)")
    offer(monkeypatch, "reports", "some_tool:main")

    assert door.main(["reports", "a", "--help", "b"]) == 3


def test_a_missing_extra_is_told_with_the_line_that_installs_it(
    tool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    An extra that is not installed costs one line when its tool is asked for.
    """
    tool.write_text("import no_such_package.part")
    offer(monkeypatch, "loadtests", "some_tool:main")

    assert door.main(["loadtests"]) == 2
    assert capsys.readouterr().err == (
        "chainproof loadtests: the package 'no_such_package' is not installed; "
        "install the tool with: pip install 'chainproof[loadtests]'\n"
    )


@pytest.mark.parametrize("source", ["import chainproof.no_such_part", "1 / 0", "from chainproof import no_such_name"])
def test_a_tool_that_cannot_be_loaded_is_our_own_error(
    source: str, tool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Not 1, which would say that the target failed.
    """
    tool.write_text(source)
    offer(monkeypatch, "reports", "some_tool:main")

    assert door.main(["reports"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """
    `python -m chainproof` from any folder ends with the exit code.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "chainproof", "nothing"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "found 'nothing'" in ended.stderr
