"""
The command that a finding prints shows the violation again.

The commands of a fixed sample of faults are run; with `CHAINPROOF_SAMPLE=all` those of all faults.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from chainproof.conformance.inputs.chain_schema import ANY_OBJECT
from chainproof.conformance.judging.expectation import Terms, expectation
from chainproof.conformance.judging.judge import AnswerHistory, judge
from chainproof.conformance.transport.connection import TransportResult
from chainproof.conformance.transport.request import CheckRequest
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.emulator.faults import FAULTS, Fault
from chainproof.results.exchange import Transport
from chainproof.results.finding import Finding
from chainproof.results.folder import read_run

from ..processes import TOOLS_PATH, clean_environment
from .serving import attempts, run_checks, running_emulator
from .test_matrix import checks_for

SAMPLE = (
    "key-truncated",  # curl, with a key that the shell derives
    "no-length-and-no-close",  # a missed deadline
    "key-in-body",  # the key outside the header
    "length-in-characters",  # bytes after the answer
    "id-constant",  # two answers
    "wrong-key-accepted-now-and-then",
)
"""Faults whose findings have every form of command."""

_STATUS = re.compile(r"status (\d{3})\b.*")
_TIMED_OUT = 28
"""curl's exit code after a missed deadline."""

_SAME_SIGN = frozenset({"echo-exact", "answer-matches-request"})


def names() -> list[str]:
    """The faults to try."""
    return list(FAULTS if os.environ.get("CHAINPROOF_SAMPLE") == "all" else SAMPLE)


def run_line(line: str, folder: Path) -> tuple[int, str]:
    """The exit code and the output of a command in a shell, with the key in the environment."""
    environment = clean_environment(PATH=TOOLS_PATH) | {DEFAULT_KEY_VARIABLE: EMULATOR_KEY}
    ended = subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, check=False, timeout=120
    )
    return ended.returncode, (ended.stdout + b"\n" + ended.stderr).decode("latin-1")


def answer_of_curl(output: str) -> Answer | None:
    """The answer that `curl -i` printed, without interim ones."""
    while output.startswith("HTTP/1.1 1"):
        output = output.partition("\r\n\r\n")[2]
    head, blank, body = output.partition("\r\n\r\n")
    if not blank or not head.startswith("HTTP/"):
        return None
    status, *lines = head.split("\r\n")
    fields = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return Answer(status=int(status.split()[1]), headers=fields, body=body.removesuffix("\n").encode("latin-1"))


def request_of_curl(line: str) -> CheckRequest:
    """The request that a curl command sends."""
    piped, _, command = line.rpartition(" | ")
    words = shlex.split(command)
    options = list(pairwise(words))
    method = "HEAD" if "--head" in words else dict(options)["-X"]
    url = next(word for word in words if word.startswith("http"))
    fields: list[tuple[str, str]] = []
    for name, value in options:
        if name == "-H" and value == "@-":
            text = subprocess.run(
                ["sh", "-c", piped],
                env={**os.environ, DEFAULT_KEY_VARIABLE: EMULATOR_KEY},
                capture_output=True,
                check=True,
            ).stdout.decode()
            fields += [(each.partition(":")[0], each.partition(":")[2].strip()) for each in text.splitlines()]
        elif name == "-H" and value != "Content-Type:":
            fields.append((value.partition(":")[0].rstrip(";"), value.partition(":")[2].strip()))
    body = dict(options).get("--data-binary")
    host = next((value for name, value in fields if name.lower() == "host"), None)
    path = "/" + url.partition("://")[2].partition("/")[2]
    return CheckRequest(
        method=method,
        path=path,
        host=host,
        fields=tuple(each for each in fields if each[0].lower() != "host"),
        body=None if body is None else body.encode(),
    )


def shows(found: Finding, code: int, output: str, cwd: Path) -> bool:
    """Whether the output of the finding's command shows its violation."""
    line, wanted = found.reproduce, {found.clause} | (_SAME_SIGN if found.clause in _SAME_SIGN else set())
    status = _STATUS.fullmatch(found.actual)
    if line.startswith("chainproof conformance"):
        folder = re.search(r"^run folder: (.+)$", output, re.MULTILINE)
        return folder is not None and bool({each.clause for each in read_run(cwd / folder[1]).findings} & wanted)
    if "chainproof call" in line:
        violated = set(re.findall(r"^  violated  (\S+) ", output, re.MULTILINE))
        is_unanswered = "  none: " in output and found.actual.startswith(("no", "the connection"))
        return (
            bool(violated & wanted) or is_unanswered or (status is not None and f"\n< HTTP/1.1 {status[1]}" in output)
        )
    if code == _TIMED_OUT:
        return found.clause == "request-answered"
    answer = answer_of_curl(output)
    if answer is None:
        return found.clause in ("request-answered", "response-framing") or found.actual.startswith(("no", "the conn"))
    if status is not None:
        return answer.status == int(status[1])
    terms = Terms(key=ApiKey(EMULATOR_KEY), echo=True, input_schema=None, output_schema=ANY_OBJECT)
    request = request_of_curl(line)
    received = TransportResult(transport=Transport.ANSWERED, answer=answer, raw=b"-")
    judgement = judge(request, received, expectation(request, terms), terms, AnswerHistory(), deadline=1.0)
    return bool({each.clause.id for each in judgement.violations} & wanted)


@pytest.mark.parametrize("fault", [FAULTS[name] for name in names()], ids=names())
def test_the_command_of_a_finding_shows_the_violation(fault: Fault, tmp_path: Path) -> None:
    """Run in a shell against the faulty server, with the key in the environment alone."""
    wanted = {each.id for each in (fault.violates, *fault.also_violates)}
    for _ in attempts(fault):
        with running_emulator(fault.hook) as url:
            findings = run_checks(
                url,
                checks_for(fault.violates),
                wanted=fault.violates.id,
                needs_options=fault.needs_options,
                reproduce=True,
            )
            found = next((each for each in findings if each.clause in wanted), None)
            if found is None:
                continue
            code, output = run_line(found.reproduce, tmp_path)
            assert EMULATOR_KEY not in found.reproduce
            if shows(found, code, output, tmp_path):
                return
            failure = f"{found.clause}, {found.actual}:\n{found.reproduce}\nexit code {code}\n{output}"
    pytest.fail(failure if found is not None else "not found", pytrace=False)
