"""Tests of the `chainproof` command: it loads only the requested tool, and reports missing packages."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

import chainproof.__main__ as command
from chainproof import __version__
from chainproof.processes import chainproof_command

from ..processes import run_process

TOOLS = {"call", "completion", "conformance", "demo", "doctor", "emulator", "loadtests", "locustfile", "reports"}


def offer(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Install one tool and no other."""
    monkeypatch.setattr(command, "entry_points", lambda group: [EntryPoint(name=name, value=value, group=group)])


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a tool that can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "some_tool", raising=False)
    return tmp_path / "some_tool.py"


def test_every_tool_has_an_entry_point_and_a_summary() -> None:
    """The installed tools are those that `--help` lists."""
    assert (
        {entry.name for entry in entry_points(group=command.ENTRY_POINT_GROUP)} == set(command.TOOL_SUMMARIES) == TOOLS
    )


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["-h"], 0), (["help"], 0), ([], 2)])
def test_help_shows_tools_and_exit_codes(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` ends with 0; no arguments are a usage error."""
    assert code == command.main(arguments)
    shown = capsys.readouterr().out

    assert all(f"  {name}" in shown for name in TOOLS)
    assert "exit codes:" in shown


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_every_tool_prints_its_help(name: str) -> None:
    """`--help` of each tool names the tool, and ends with 0 and without a word on standard error."""
    shown = run_process(chainproof_command(name, "--help"))

    assert (0, "") == (shown.returncode, shown.stderr)
    assert f"usage: chainproof {name}" in shown.stdout


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_that_of_the_package(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All tools have one version."""
    assert command.main([option]) == 0
    assert capsys.readouterr().out == f"chainproof {__version__}\n"


def test_an_unknown_tool_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the tools that exist."""
    assert command.main(["report"]) == 2
    assert capsys.readouterr().err == (
        "chainproof: expected one of call, completion, conformance, demo, doctor, emulator, loadtests, locustfile, reports, found 'report'; "
        "did you mean reports?\n"
    )


def test_a_tool_gets_the_remaining_arguments(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is the tool's."""
    tool.write_text("def main(arguments): return len(arguments)")
    offer(monkeypatch, "reports", "some_tool:main")

    assert command.main(["reports", "a", "--help", "b"]) == 3


def test_a_missing_extra_is_reported_with_the_install_command(
    tool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing package is a usage error of the tool that needs it."""
    tool.write_text("import no_such_package.part")
    offer(monkeypatch, "loadtests", "some_tool:main")

    assert command.main(["loadtests"]) == 2
    assert capsys.readouterr().err == (
        "chainproof loadtests: the package 'no_such_package' is not installed; "
        "install the tool with: pip install 'chainproof[loadtests]'\n"
    )


@pytest.mark.parametrize("source", ["import chainproof.no_such_part", "1 / 0", "from chainproof import no_such_name"])
def test_a_tool_that_cannot_be_loaded_is_an_internal_error(
    source: str, tool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is not 1, which would mean that the target failed."""
    tool.write_text(source)
    offer(monkeypatch, "reports", "some_tool:main")

    assert command.main(["reports"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_python_m_chainproof_is_the_command(tmp_path: Path) -> None:
    """`python -m chainproof` works in any folder and ends with the exit code."""
    ended = run_process([sys.executable, "-m", "chainproof", "nothing"], cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "found 'nothing'" in ended.stderr


@pytest.mark.parametrize(
    ("tool", "word", "message"),
    [
        ("conformance", "--html", "use `chainproof reports RUN --html FILE` on the run folder"),
        ("conformance", "--timeout", "use --deadline"),
        ("conformance", "--rps", "use --rate-limit"),
        ("conformance", "--dept", "did you mean --depth?"),
        ("conformance", "--quite", "see --help"),
        ("loadtests", "--timeout", "use --deadline"),
        ("loadtests", "--slo", "use --objective"),
        ("loadtests", "--rps", "use --rate"),
        ("reports", "--pdf", "use --html"),
        ("reports", "--rps", "see --help"),
    ],
)
def test_an_unknown_option_is_answered_with_one_that_fits(
    tool: str, word: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name of another tool leads to our option, and one that is not similar to any leads to the help."""
    with pytest.raises(SystemExit):
        command.main([tool, *(["run"] if tool == "reports" else []), word])

    assert f"chainproof {tool}: unknown option {word}; {message}\n" == capsys.readouterr().err


@pytest.mark.parametrize("tool", sorted(TOOLS))
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--hepl=secret", "unknown option --hepl; did you mean --help?"),
        ("--qqq", "unknown option --qqq; see --help"),
    ],
)
def test_a_mistyped_option_is_one_line(tool: str, word: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every tool names the option, suggests the nearest one, prints no usage, and does not repeat the value."""
    with pytest.raises(SystemExit) as ended:
        command.main([tool, *(["run"] if tool == "reports" else []), word])

    assert 2 == ended.value.code
    assert ("", f"chainproof {tool}: {message}\n") == tuple(capsys.readouterr())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("loadtests stedy", "found 'stedy' (did you mean steady?)"),
        ("emulator flakey", "found 'flakey' (did you mean flaky?)"),
        ("emulator --fault key-trunc", "found 'key-trunc' (did you mean key-truncated?)"),
        ("conformance help", "unrecognized arguments: help; see --help"),
        ("conformance https://a.example", "unrecognized arguments: https://a.example; use --target URL"),
    ],
)
def test_a_mistyped_name_is_answered_with_one_that_fits(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of workloads, scenarios and faults; where no word is expected, the message says where to look."""
    tool, *words = line.split()
    main = next(entry for entry in entry_points(group="chainproof.tools") if entry.name == tool).load()

    with suppress(SystemExit):
        assert 2 == main(words)
    error = capsys.readouterr().err

    assert error.endswith(f"{message}\n")
    assert 1 == error.count("\n")
