"""Tests of the exit codes and error messages of all commands."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from chainproof.command import EXIT_CODES, build_parser, command, print_message, redacted
from chainproof.contract.credentials import ApiKeyError
from chainproof.contract.target import TargetError
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.machine_faults import machine_fault
from chainproof.options import Option
from chainproof.results.folder import FolderError
from chainproof.signals import ENDING_SIGNALS, announce_suspension
from chainproof.workload.objectives import ObjectiveError
from chainproof.workload.workload import WorkloadError

from ..processes import run_process

KEY = "abcd1234.s3cret"
USAGE_ERRORS = [UsageError, TargetError, WorkloadError, ObjectiveError, FolderError, ApiKeyError]


def exit_code(wrong: BaseException | int, *arguments: str) -> int:
    """The exit code of a command that raises or returns this."""

    @command("reports")
    def main(arguments: Sequence[str]) -> int:
        if isinstance(wrong, BaseException):
            raise wrong
        return wrong

    return main(arguments)


@pytest.mark.parametrize("error", USAGE_ERRORS)
def test_a_usage_error_is_one_line_and_exit_code_2(error: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error shows its message and no traceback."""
    assert exit_code(error("expected this, found that")) == 2
    assert capsys.readouterr() == ("", "chainproof reports: expected this, found that\n")


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b2J", "\u202egnp.exe", "a\nb\r", "\u2028", "\ud800"])
def test_a_text_of_others_does_not_control_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither escape sequences nor line ends nor direction marks are printed, in errors as in other messages."""
    print_message("chainproof reports", text)
    exit_code(UsageError(text))
    first, second, end = capsys.readouterr().err.split("\n")

    assert first == second
    assert first.isprintable()
    assert not end


@pytest.mark.parametrize("code", ExitCode)
def test_the_exit_code_of_a_command_is_kept(code: ExitCode, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code that the tool returns is that of the process."""
    assert exit_code(code) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("wrong", [RuntimeError, ValueError, OSError, ConnectionResetError, BrokenPipeError])
def test_an_internal_error_exits_70_with_a_traceback(
    wrong: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    """Any other exception is an internal error, also one about a connection."""
    assert exit_code(wrong("no idea")) == 70
    message = capsys.readouterr().err

    assert "Traceback (most recent call last)" in message
    assert "no idea" in message
    assert message.endswith("internal error, see above; this says nothing about the target\n")


@pytest.mark.parametrize(
    "wrong", [MemoryError(), OSError(28, "full", "runs/x"), RuntimeError("can't start new thread")]
)
def test_a_problem_of_the_machine_is_one_line_and_exit_code_2(
    wrong: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not an error in chainproof: no traceback."""
    assert exit_code(wrong) == 2
    assert capsys.readouterr() == ("", f"chainproof reports: {machine_fault(wrong)}\n")


@pytest.mark.parametrize("number", ENDING_SIGNALS)
def test_further_signals_do_not_disturb_the_end(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGTERM and SIGHUP interrupt a command as Ctrl-C does, and what it does then is completed."""

    @command("reports")
    def main(arguments: Sequence[str]) -> int:
        del arguments
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            print("completed")
        return 0

    assert main([]) == 130
    assert capsys.readouterr() == ("completed\n", "chainproof reports: interrupted\n")


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [
        ("BASETEN_API_KEY", ()),
        ("OTHER_KEY", ("--api-key-env", "OTHER_KEY")),
        ("OTHER_KEY", ("--seed", "1", "--api-key-env=OTHER_KEY")),
    ],
)
@pytest.mark.parametrize("wrong", [RuntimeError, UsageError])
def test_error_messages_never_contain_the_key(
    wrong: type[Exception],
    variable: str,
    arguments: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The key is redacted in whatever an exception quotes, from whichever variable it came."""
    monkeypatch.setenv(variable, KEY)
    exit_code(wrong(f"illegal header value b'Api-Key {KEY}'"), *arguments)
    message = capsys.readouterr().err

    assert "illegal header value b'Api-Key [API key]'" in message
    assert KEY not in message


def test_usage_errors_never_contain_the_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been given as the value of any option by mistake."""
    monkeypatch.setenv("BASETEN_API_KEY", KEY)
    parser = build_parser("call", "…", options=[Option(name="--scheme", choices=ExitCode, help="x")])
    for words in ([f"--scheme={KEY}"], [f"--help={KEY}"], [f"--{KEY}=1"], [KEY]):
        with pytest.raises(SystemExit, match="2"):
            parser.parse_args(words)

    assert KEY not in capsys.readouterr().err


def test_ctrl_c_exits_130(capsys: pytest.CaptureFixture[str]) -> None:
    """An interrupted command prints one line."""
    assert exit_code(KeyboardInterrupt()) == 130
    assert capsys.readouterr() == ("", "chainproof reports: interrupted\n")


def test_text_is_unchanged_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key in the environment nothing is redacted."""
    monkeypatch.delenv("BASETEN_API_KEY", raising=False)

    assert redacted("as it was") == "as it was"


def test_a_closed_pipe_on_standard_output_is_no_error() -> None:
    """`chainproof … | head -1` ends without a traceback."""
    script = (
        "import sys\n"
        "from chainproof.command import command\n"
        "main = command('reports')(lambda arguments: [print('x' * 100) for _ in range(100000)] and 0)\n"
        "sys.exit(main([]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.stderr is not None
    with child.stderr as errors:
        message = errors.read()

    assert (child.wait(20), message) == (0, b"")


def test_exit_codes_are_documented() -> None:
    """`--help` lists every exit code and no other."""
    documented = [int(line.split()[0]) for line in EXIT_CODES.splitlines()[1:]]

    assert documented == [code.value for code in ExitCode]
    assert EXIT_CODES in build_parser("reports", "…", "more").format_help()


def test_a_closed_pipe_does_not_change_the_exit_code() -> None:
    """With `| head` the exit code is still the verdict."""
    script = (
        "import sys; from chainproof.command import command\n"
        "@command('loadtests')\n"
        "def main(arguments):\n"
        "    for _ in range(100_000): print('a line that nobody reads')\n"
        "    return 1\n"
        "sys.exit(main([]))\n"
    )
    line = f"{sys.executable} -P -c {shlex.quote(script)} | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    exited = run_process(["bash", "-c", line])

    assert (1, "") == (exited.returncode, exited.stderr)


@pytest.mark.parametrize("words", [["--label=--"], ["--label", "--"], ["--header=--"]])
def test_two_dashes_are_no_value(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error; argparse of Python 3.11 would give the option an empty list."""
    options = [Option(name="--label", help="x"), Option(name="--header", help="x", repeatable=True)]
    with pytest.raises(SystemExit, match="2"):
        build_parser("reports", "…", options=options).parse_args(words)

    assert "expected" in capsys.readouterr().err


def test_a_command_says_what_goes_on_before_it_is_suspended() -> None:
    """Ctrl-Z stops the process itself only; it can be continued."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        with announce_suspension(lambda: os.write(writing, b"goes on")):
            os.kill(os.getpid(), signal.SIGTSTP)
        os._exit(7)
    _, stopped = os.waitpid(process, os.WUNTRACED)
    os.kill(process, signal.SIGCONT)
    _, ended = os.waitpid(process, 0)

    assert os.WIFSTOPPED(stopped)
    assert os.read(reading, 100) == b"goes on"
    assert os.waitstatus_to_exitcode(ended) == 7


def test_streams_that_are_closed_are_there_for_libraries_too() -> None:
    """Pytest, which conformance runs, needs the original standard error."""
    script = "import sys; from chainproof.command import _open_closed_streams as f; f(); sys.exit(7 * (sys.__stderr__ is sys.stderr is not None))"
    line = f"exec {shlex.join([sys.executable, '-P', '-c', script])} 2>&-"

    assert subprocess.run(["sh", "-c", line], check=False).returncode == 7
