"""
However a command ends, its exit code says whose fault it was, and its last words hold no key.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence

import pytest

from chainproof.command import (
    EXIT_CODES,
    add_contract_option,
    add_target_options,
    build_parser,
    command,
    duration_option,
    parse_target_options,
    redacted,
)
from chainproof.contract.credentials import ApiKeyError, AuthScheme
from chainproof.contract.levels import Contract
from chainproof.contract.target import TargetError
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.results.folder import FolderError
from chainproof.workload.objectives import ObjectiveError
from chainproof.workload.workload import WorkloadError

KEY = "abcd1234.s3cret"
MISTAKES = [UsageError, TargetError, WorkloadError, ObjectiveError, FolderError, ApiKeyError]


def ended(wrong: BaseException | int, *arguments: str) -> int:
    """
    The exit code of a command that ends so.
    """

    @command("reports")
    def main(arguments: Sequence[str]) -> int:
        if isinstance(wrong, BaseException):
            raise wrong
        return wrong

    return main(arguments)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_2(mistake: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    """
    Whoever asked wrongly reads what was expected, and no traceback.
    """
    assert ended(mistake("expected this, found that")) == 2
    assert capsys.readouterr() == ("", "chainproof reports: expected this, found that\n")


@pytest.mark.parametrize("code", ExitCode)
def test_a_verdict_is_passed_on(code: ExitCode, capsys: pytest.CaptureFixture[str]) -> None:
    """
    What the tool decided stands.
    """
    assert ended(code) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("wrong", [RuntimeError, ValueError, OSError, ConnectionResetError, BrokenPipeError])
def test_our_own_error_is_70_with_a_traceback(wrong: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    """
    Whatever else arrives says nothing about the target: a connection that broke under us is no pass either.
    """
    assert ended(wrong("no idea")) == 70
    told = capsys.readouterr().err

    assert "Traceback (most recent call last)" in told
    assert "no idea" in told
    assert told.endswith("our own error, see above; this says nothing about the target\n")


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [
        ("BASETEN_API_KEY", ()),
        ("OTHER_KEY", ("--api-key-env", "OTHER_KEY")),
        ("OTHER_KEY", ("--seed", "1", "--api-key-env=OTHER_KEY")),
    ],
)
@pytest.mark.parametrize("wrong", [RuntimeError, UsageError])
def test_last_words_hold_no_key(
    wrong: type[Exception],
    variable: str,
    arguments: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    An exception may quote the header it choked on; what is printed is scrubbed, whatever the variable is called.
    """
    monkeypatch.setenv(variable, KEY)
    ended(wrong(f"illegal header value b'Api-Key {KEY}'"), *arguments)
    told = capsys.readouterr().err

    assert "illegal header value b'Api-Key [API key]'" in told
    assert KEY not in told


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    """
    An interrupted command says so in one line.
    """
    assert ended(KeyboardInterrupt()) == 130
    assert capsys.readouterr() == ("", "chainproof reports: interrupted\n")


def test_a_text_is_left_alone_where_there_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without a key nothing is replaced.
    """
    monkeypatch.delenv("BASETEN_API_KEY", raising=False)

    assert redacted("as it was") == "as it was"


def test_output_that_nobody_reads_any_more_is_no_error() -> None:
    """
    `chainproof … | head -1` ends without a traceback.
    """
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
        told = errors.read()

    assert (child.wait(20), told) == (0, b"")


def test_exit_codes_are_documented() -> None:
    """
    Every code a command can end with stands in its help, and no other.
    """
    documented = [int(line.split()[0]) for line in EXIT_CODES.splitlines()[1:]]

    assert documented == [code.value for code in ExitCode]
    assert EXIT_CODES in build_parser("reports", "…", "more").format_help()


def test_options_have_one_name_everywhere() -> None:
    """
    Contract, target and the way there, with their defaults; a key is never an option, and no option is guessed from its
    beginning.
    """
    options = build_parser("reports", "…")
    add_contract_option(options)
    add_target_options(options)

    assert vars(options.parse_args([])) == {
        "contract": Contract.STRICT,
        "target": None,
        "chain_id": None,
        "model_id": None,
        "environment": None,
        "regional": False,
        "connect_to": None,
        "ca_file": None,
        "header": [],
        "api_key_env": "BASETEN_API_KEY",
        "auth_scheme": AuthScheme.API_KEY,
    }
    assert options.parse_args(["--contract", "documented"]).contract is Contract.DOCUMENTED
    for wrong in (["--contract", "lax"], ["--targ", "x"], ["--api-key", KEY]):
        with pytest.raises(SystemExit) as asked:
            options.parse_args(wrong)

        assert asked.value.code == ExitCode.USAGE


def test_a_duration_option_is_read_as_written() -> None:
    """
    The refusal is one that argparse passes on.
    """
    assert duration_option("1m30s") == 90.0
    with pytest.raises(argparse.ArgumentTypeError, match="expected a duration such as"):
        duration_option("soon")


def test_a_reader_who_leaves_does_not_take_the_verdict_along() -> None:
    """
    `| head` ends the reading, not the judging: the exit code is still the verdict.
    """
    script = (
        "import sys; from chainproof.command import command\n"
        "@command('loadtests')\n"
        "def main(arguments):\n"
        "    for _ in range(100_000): print('a line that nobody reads')\n"
        "    return 1\n"
        "sys.exit(main([]))\n"
    )
    line = f"{sys.executable} -P -c {shlex.quote(script)} | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)

    assert (1, "") == (ended.returncode, ended.stderr)


@pytest.mark.parametrize(
    "words", [["--target", ""], ["--chain-id", "abc", "--target", "https://x.example"], ["--regional"]]
)
def test_a_target_that_is_half_said_is_refused(words: list[str]) -> None:
    """
    An empty variable in CI must not turn the build green by way of the emulator.
    """
    options = build_parser("loadtests", "…")
    add_target_options(options)

    with pytest.raises(UsageError):
        parse_target_options(options.parse_args(words))


def test_the_target_options_survive_the_way_to_a_child() -> None:
    """
    What a child process is told is what was asked for.
    """
    options = build_parser("loadtests", "…")
    add_target_options(options)
    given = ["--chain-id", "abc", "--environment", "staging", "--connect-to", "[::1]:8080", "--header", "X-A: b"]
    asked = parse_target_options(options.parse_args([*given, "--auth-scheme", "bearer", "--api-key-env", "OTHER_KEY"]))

    assert asked == parse_target_options(options.parse_args(asked.arguments()))
    assert "https://chain-abc.api.baseten.co/environments/staging/run_remote" == asked.url
