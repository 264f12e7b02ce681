"""`chainproof call` shows one request completely, and judges its answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chainproof.conformance.call import main
from chainproof.conformance.judging.expectation import Terms, expectation
from chainproof.conformance.options import CALL_OPTIONS
from chainproof.conformance.transport.single_exchange import request_from_bytes
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.contract.redaction import REDACTED
from chainproof.contract.target import parse_target
from chainproof.options import TARGET_OPTIONS

from ...processes import run_process
from ..endpoints import KEY, AnswerFunction, EndpointAnswer, EndpointRequest, correct_endpoint, error, serve


def rejecting(request: EndpointRequest) -> EndpointAnswer:
    """A chain that rejects every input."""
    answer = correct_endpoint(request)
    return error(400, "client_error", "missing argument") if answer.status == 200 else answer


def leaking(request: EndpointRequest) -> EndpointAnswer:
    """A server that repeats the header fields in its errors."""
    return error(400, "client_error", f"you sent {request.fields}")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]  # the type of a local function
    """Runs the command against a server; its exit code and what it prints."""
    monkeypatch.delenv("CHAINPROOF_TARGET", raising=False)

    def run(server: AnswerFunction, *arguments: str, key: str = KEY) -> tuple[int, str]:
        monkeypatch.setenv(DEFAULT_KEY_VARIABLE, key)
        with serve(server) as url:
            code = main(["--target", url, "--deadline", "5s", *arguments])
        return code, capsys.readouterr().out

    return run


def test_a_call_shows_the_request_the_answer_and_the_clauses(call) -> None:  # type: ignore[no-untyped-def]
    """Bytes as they are, without the key, and one line for each clause."""
    code, printed = call(correct_endpoint, "--payload", '{"names": ["Grüße"]}', "--echo")

    assert code == 0
    assert KEY not in printed
    assert "> POST /production/run_remote HTTP/1.1\n" in printed
    assert "> Authorization: Api-Key [API key]\n" in printed
    assert '> {"names": ["Grüße"]}\n' in printed
    assert "< HTTP/1.1 200" in printed
    assert "  passed    echo-exact: " in printed
    assert "  not exercised  " in printed
    assert printed.count("total ") == 1
    assert [] == [line for line in printed.partition("\nClauses\n")[2].splitlines() if len(line) > 100]


@pytest.mark.parametrize(
    ("server", "arguments", "code", "words"),
    [
        (rejecting, (), 3, "INCONCLUSIVE  The request was answered 400"),
        (rejecting, (), 3, ": the chain rejects this input; check it"),
        (
            rejecting,
            ("--payload", '{"a": 1,}'),
            3,
            "and rightly so: its body is wrong (expected a JSON object, found a text that is not JSON",
        ),
        (
            rejecting,
            ("--payload", "[]"),
            3,
            "and rightly so: its body is wrong (expected a JSON object, found an array)",
        ),
        (rejecting, ("--echo",), 1, "FAIL  Violated: object-accepted. The request was answered 400: "),
        (rejecting, ("--echo",), 1, "violated  object-accepted (must): expected status 200, found status 400"),
        (
            lambda _: error(502, "application_error"),
            (),
            3,
            "was answered 502: the chain, or a server in front of it, failed",
        ),
        (
            lambda _: EndpointAnswer(status=501, body=b"No", media_type="text/html", request_id=None),
            (),
            1,
            "The request was answered 501: this does not look like a chain; check the URL, the id and the environment.",
        ),
        (leaking, (), 1, "violated  no-credential-leak"),
    ],
)
def test_the_exit_code_is_that_of_the_verdict(call, server, arguments, code, words) -> None:  # type: ignore[no-untyped-def]
    """A violation fails. A rejection fails only if the input had to be accepted. The key is not shown in the answer either."""
    got, printed = call(server, *arguments)

    assert (got, KEY in printed) == (code, False)
    assert words in printed


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX-BASETEN-REQUEST-ID: 1\r\nContent-Encoding: %s\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
        b"HTTP/1.1 103 %s\r\n%s\r\n\r\n",
        b"%s 200 OK\r\n\r\n",
    ],
)
def test_an_answer_that_cannot_be_read_is_shown_without_the_key(call, answer: bytes) -> None:  # type: ignore[no-untyped-def]
    """Also where the reason of the verdict quotes it. The leak is a finding."""
    key = "zQ7vXw2K.pL9mNb4RtYc6HsJd8FgWe3Au5"
    _, shown = call(lambda _: EndpointAnswer(status=200, raw=answer.replace(b"%s", key.encode())), key=key)

    assert REDACTED in shown
    assert "no-credential-leak" in shown.splitlines()[-1]
    assert not [start for start in range(len(key) - 7) if key[start : start + 8].lower() in shown.lower()]


def test_a_payload_is_text_or_a_file_and_is_sent_as_it_is(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """White space, and numbers that a parser would change, reach the target."""
    file = tmp_path / "input.json"
    file.write_bytes(b'{ "big": 123456789012345678901234567890, "e": 1e400 }\n')
    code, printed = call(correct_endpoint, "--payload", str(file))

    assert code == 0
    assert '> { "big": 123456789012345678901234567890, "e": 1e400 }\\n\n' in printed


def test_a_payload_may_be_longer_than_the_name_of_a_file(call) -> None:  # type: ignore[no-untyped-def]
    """JSON text is not looked up as a file."""
    assert call(correct_endpoint, "--payload", f'{{"a": "{"x" * 5000}"}}')[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--payload", "no-such-file"), "expected JSON text or a file with --payload, found 'no-such-file'"),
        (("--raw", "no-such-file"), "cannot read the request no-such-file"),
        (("--payload", "{}", "--raw", "-"), "expected --payload or --raw, found both"),
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments: tuple[str, ...], message: str, capsys) -> None:  # type: ignore[no-untyped-def]
    """One line says what was expected."""
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"chainproof call: {message}")


def test_a_call_has_every_option_of_the_target() -> None:
    """A target of any kind can be tried before a run."""
    assert {option.name for option in TARGET_OPTIONS} <= {option.name for option in CALL_OPTIONS}


def test_raw_bytes_are_sent_unchanged_and_judged_as_far_as_they_are_a_request(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A complete message is judged like any other request; a wrong key is not shown."""
    seen: list[EndpointRequest] = []

    def open_to_all(request: EndpointRequest) -> EndpointAnswer:
        seen.append(request)
        return EndpointAnswer(status=200, body=request.body)

    file = tmp_path / "request.http"
    file.write_bytes(
        b"POST /production/run_remote HTTP/1.1\r\nHost: x\r\nX-Odd:  a \r\n"
        b"Authorization: Api-Key nearly-the-key\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    code, printed = call(open_to_all, "--raw", str(file))

    assert [request.body for request in seen] == [b"{}"]
    assert "nearly-the-key" not in printed
    assert "> Authorization: Api-Key [14 characters, not the key]" in printed
    assert code == 1
    assert "violated  key-verified" in printed


def test_raw_bytes_that_are_no_request_are_shown_but_not_judged_by_an_expectation(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The server may answer them in any form."""
    file = tmp_path / "request.http"
    file.write_bytes(b"GARBAGE\x00\r\n\r\n")
    code, printed = call(correct_endpoint, "--raw", str(file))

    assert "> GARBAGE\\x00\n" in printed
    assert code in (0, 3)


@pytest.mark.parametrize("line", ["X-Chainproof\t: a", "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip"])
def test_the_key_of_an_invalid_message_is_known(line: str) -> None:
    """An answer to it is not judged as one to a message without a key."""
    target = parse_target("http://127.0.0.1:1", loopback=True)
    terms = Terms(key=ApiKey(KEY), echo=True)
    key = f"Authorization: Api-Key {KEY}\r\n"
    content = f"POST {target.path} HTTP/1.1\r\nHost: x\r\n%s{line}\r\nContent-Length: 2\r\n\r\n{{}}"
    expected = {
        field: expectation(request_from_bytes((content % field).encode(), target), terms) for field in (key, "")
    }

    accepted = Answer(status=200, headers=(("Content-Type", "application/json"),), body=b"{}")
    assert expected[key] is None or expected[key].is_met_by(accepted)
    assert expected[""] is not None
    assert not expected[""].is_met_by(accepted)


def test_a_call_imports_no_test_framework() -> None:
    """It answers in a third of a second."""
    script = "import sys, chainproof.conformance.call; print([n for n in %r if n in sys.modules])"
    heavy = ("schemathesis", "hypothesis", "pytest", "requests", "scipy", "numpy")
    child = run_process([sys.executable, "-P", "-c", script % (heavy,)])

    assert (child.stdout, child.stderr) == ("[]\n", "")
