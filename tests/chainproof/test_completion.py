"""Shell completion: bash, zsh and fish offer the tools, the options of the tables, their values, and files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from chainproof.__main__ import TOOL_SUMMARIES
from chainproof.completion import all_tools, main
from chainproof.conformance.options import OPTIONS as CONFORMANCE_OPTIONS
from chainproof.loadtests.options import OPTIONS as LOADTEST_OPTIONS
from chainproof.options import Surface

from ..processes import run_process

BASH = """
source ./script
complete_line() {{
    read -ra COMP_WORDS <<< "$1"
    [ "${{1: -1}}" = " " ] && COMP_WORDS+=("")
    COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
    COMP_LINE="$1"; COMP_POINT=${{#1}}
    local found=$(complete -p chainproof)
    [[ $found =~ -F\\ ([^ ]+) ]]
    "${{BASH_REMATCH[1]}}" chainproof "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
    printf '%s\\n' "${{COMPREPLY[@]}}"
}}
complete_line {line!r}
"""


def offered(folder: Path, line: str) -> set[str]:
    """What bash offers at the end of a line."""
    done = run_process(["bash", "-c", BASH.format(line=line)], cwd=folder, check=True)
    return {word.strip() for word in done.stdout.split("\n")} - {""}


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a file, and the script of bash."""
    assert main(["bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "inputs.jsonl").write_text("{}\n")
    return tmp_path


def test_bash_offers_tools_options_values_and_files(script: Path) -> None:
    """What the option tables contain, and nothing of other tools."""
    names = {
        option.name
        for option in LOADTEST_OPTIONS
        if Surface.COMMAND in option.valid_in and option.name.startswith("--")
    }

    assert offered(script, "chainproof ") >= set(TOOL_SUMMARIES)
    assert offered(script, "chainproof loadtests --") - {"--help"} == names
    assert offered(script, "chainproof conformance --dept") == {"--depth"}
    assert offered(script, "chainproof conformance --depth ") >= {"quick", "standard", "deep"}
    assert "inputs.jsonl" in offered(script, "chainproof loadtests --payloads in")
    assert offered(script, "chainproof loadtests st") >= {"steady"}
    assert offered(script, "chainproof loadtests in") == {"inputs.jsonl"}
    assert offered(script, "chainproof emulator fl") == {"flaky"}
    assert offered(script, "chainproof emulator --fault key-t") >= {"key-truncated"}
    assert offered(script, "chainproof conformance --accept obj") >= {"object-accepted"}
    assert offered(script, "chainproof completion ") >= {"bash", "zsh", "fish"}


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_offers_options_and_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the help of the option tables as descriptions."""
    assert main(["fish"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "steps.toml").touch()
    lines = ("chainproof loadtests --pay", "chainproof conformance --depth ", "chainproof loadtests ste")
    commands = "; ".join(["source ./script", *(f"complete -C '{line}'" for line in lines)])
    done = run_process(["fish", "--private", "-c", commands], cwd=tmp_path, check=True)

    assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == [
        *("--payloads", "quick", "standard", "deep", "steady", "steps", "steps.toml")
    ]
    assert "file with one JSON object per line" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_offer_names_and_files_together(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of workloads, scenarios, faults and clauses are in the script, and no word that stands for a file."""
    assert main([shell]) == 0
    script = capsys.readouterr().out

    assert {"steady", "flaky", "key-truncated", "object-accepted"} <= set(re.findall(r"[\w-]+", script))
    assert "file?" not in script


def test_every_tool_is_completed_by_its_option_table() -> None:
    """The number of its options is that of the table."""
    tools = next(action for action in all_tools()._actions if action.dest == "tool").choices
    assert tools is not None
    own = {
        name: {option for each in parser._actions for option in each.option_strings} for name, parser in tools.items()
    }  # type: ignore[union-attr]

    assert own.keys() == TOOL_SUMMARIES.keys()
    assert all(len(options) > 2 for name, options in own.items() if name not in {"locustfile", "completion"})
    assert {
        each.name for each in CONFORMANCE_OPTIONS if Surface.COMMAND in each.valid_in and each.name[0] == "-"
    } <= own["conformance"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_has_no_syntax_error(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the shell itself, if it is installed."""
    assert main([shell]) == 0
    text = capsys.readouterr().out
    assert "loadtests" in text
    assert "payloads" in text
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(text)
    done = run_process([shell, "-n", tmp_path / "script"])

    assert (done.returncode, done.stderr) == (0, "")
