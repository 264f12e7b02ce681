"""Memory and time of conformance are bounded, whatever bytes the target sends."""

from __future__ import annotations

import gc
import gzip
import json
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chainproof.conformance.call import main as call
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.inputs.input_search import InputSearch
from chainproof.conformance.judging import stack_traces
from chainproof.conformance.judging.expectation import expectation
from chainproof.conformance.judging.known_answers import KnownAnswers
from chainproof.conformance.judging.output_comparison import is_comparable_size
from chainproof.conformance.judging.request_ids import SeenRequestIds, repeated_id_violation
from chainproof.conformance.probing import schemathesis_runner
from chainproof.conformance.probing.raw_requests import record_framed
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.runner.schedule import CheckRunner
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.connection import TransportResult
from chainproof.conformance.transport.request import CheckRequest
from chainproof.conformance.transport.response_memory import (
    AnswerTooLarge,
    HeldBytes,
    MemoryExhausted,
    ResponseMemory,
)
from chainproof.conformance.transport.response_parser import AnswerParser, UnparsableAnswer
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.judged_answer import judge_answer
from chainproof.contract.levels import Contract
from chainproof.contract.target import parse_target
from chainproof.judgement.verdict import ExitCode
from chainproof.results.exchange import Transport

from ..endpoints import KEY, EndpointAnswer, EndpointRequest, serve
from ..in_process import make_requester

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"x" * 4096),
    "header value": (OK + b"X: ", b"x" * 4096),
    "header fields": (OK, b"X: y\r\n" * 100),
    "folded header": (OK + b"X: y\r\n", b" y\r\n" * 100),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "chunk size": (CHUNKED, b"0" * 4096),
    "chunk extension": (CHUNKED + b"1;", b"x" * 4096),
    "trailer fields": (CHUNKED + b"0\r\n", b"X: y\r\n" * 100),
    "trailer value": (CHUNKED + b"0\r\nX: ", b"x" * 4096),
}


def feed_repeatedly(parser: AnswerParser, block: bytes) -> None:
    """Give the parser a block again and again, 100 MB at most."""
    for _ in range(100_000_000 // len(block)):
        parser.feed(block)


@pytest.mark.parametrize("part", ENDLESS)
def test_what_precedes_and_follows_a_body_is_bounded(part: str) -> None:
    """Reading ends after one MiB or a few thousand lines, and the reason is named."""
    start, block = ENDLESS[part]
    parser = AnswerParser("POST")
    parser.feed(start or block)
    began = time.process_time()
    with pytest.raises(AnswerTooLarge, match="more than"):
        feed_repeatedly(parser, block)

    assert parser.received < 1 << 21
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("head", [OK + b"\r\n", OK + b"Content-Length: 10000000000\r\n\r\n", CHUNKED + b"ffffffff\r\n"])
def test_a_body_is_bounded(head: bytes) -> None:
    """Reading ends after 64 MiB."""
    parser = AnswerParser("POST")
    parser.feed(head)
    with pytest.raises(AnswerTooLarge, match="more than 64 MiB"):
        feed_repeatedly(parser, bytes(1 << 20))


def test_the_beginning_and_the_end_of_a_long_answer_are_kept() -> None:
    """The bytes after a long answer are evidence, and its body need not be kept twice."""
    parser = AnswerParser("POST")
    parser.feed(OK + b"Content-Length: 3000000\r\n\r\n" + bytes(3_000_000) + b"after")

    assert parser.complete
    assert parser.raw.startswith(OK)
    assert parser.raw.endswith(b"after")
    assert len(parser.raw) < 1_100_000


@pytest.mark.parametrize(
    ("value", "length"), [(b"0" * 5000 + b"2", 2), (b"2, " * 5000 + b"2", 2), (b"9" * 5000, 10**20)]
)
def test_a_length_of_many_digits_is_a_number(value: bytes, length: int) -> None:
    """Python converts no more than 4300 digits."""
    parser = AnswerParser("POST")
    parser.feed(OK + b"Content-Length: " + value + b"\r\n\r\n{}")

    assert parser.complete is (length == 2)


def test_two_lengths_of_many_digits_are_unparsable() -> None:
    """They differ."""
    parser = AnswerParser("POST")
    with pytest.raises(UnparsableAnswer, match="two different lengths"):
        parser.feed(OK + b"Content-Length: " + b"1" * 5000 + b", " + b"2" * 5000 + b"\r\n\r\n{}")


def test_all_answers_together_have_a_budget() -> None:
    """Bytes are held until nothing refers to the answer any more."""
    memory = ResponseMemory(1000)
    first, second = HeldBytes(memory), HeldBytes(memory)
    first.add(600)
    with pytest.raises(MemoryExhausted, match="more than 0 MiB"):
        second.add(600)
    held = memory.held
    del first
    second.add(600)

    assert (600, 600) == (held, memory.held)
    with memory._lock:  # garbage collection may come at any moment
        del second
    assert 0 == memory.held


def test_a_request_with_special_framing_and_a_too_large_answer_has_a_finding_that_says_so() -> None:
    """It does not say that the connection was closed."""
    requester = make_requester(Client(parse_target("http://127.0.0.1:1")))
    request = requester.build_request(b"{}")
    received = TransportResult(transport=Transport.TOO_LARGE, reason="an answer of more than 64 MiB")
    record_framed(requester, request, received, expectation(request, requester.terms))

    assert ["an answer of more than 64 MiB"] == [found.actual for found in requester.finding_recorder.findings]


LARGE = b'{"a":"' + b"x" * 500_000 + b'"}'
LARGE_ANSWERS = {
    "long": EndpointAnswer(status=200, body=LARGE),
    "compressed": EndpointAnswer(status=200, body=gzip.compress(LARGE), extra_fields=(("Content-Encoding", "gzip"),)),
    "endless": EndpointAnswer(status=200, raw=OK + b"\r\n" + LARGE + LARGE),
}


def send_large(requester: Requester) -> None:
    """Send a request whose answer needs much memory."""
    kept = requester.send(requester.build_request(b"{}")).answer
    requester.send(requester.build_request(b'{"large":1}'))
    raise AssertionError(kept)


def send_large_on_threads(requester: Requester) -> None:
    """Send such requests at the same time, like the checks of a slow target."""
    requester.run_each(requester.send, [requester.build_request(b'{"large":1}', label="large")] * 3, threads=3)


def send_large_raw(requester: Requester) -> None:
    """Send such a request on a connection of its own."""
    with requester.raw_connection() as connection:
        connection.send_request(request := requester.build_request(b'{"large":1}'))
        connection.read_answer(request)


@pytest.mark.parametrize("form", LARGE_ANSWERS)
@pytest.mark.parametrize("send", [send_large, send_large_on_threads, send_large_raw])
def test_an_answer_without_memory_is_not_judged_and_takes_none_afterwards(
    send: Callable[[Requester], None], form: str
) -> None:
    """The limit is ours: the check is skipped, the run is incomplete, and its memory is free without garbage collection."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        return LARGE_ANSWERS[form] if b"large" in request.body else EndpointAnswer(status=200, body=b'{"a":1}')

    with serve(server) as url:
        client = Client(parse_target(url), max_response_memory=1 << 20)
        client._memory.limit = 300_000
        requester = make_requester(client)
        gc.disable()
        try:
            progress = CheckRunner(requester).run(replace(ALL_CHECKS[0], run=send))
            held = client._memory.held
        finally:
            gc.enable()
        client.close()

    assert str(progress.skipped).startswith("needs a higher --max-response-memory: the answers")
    assert () == requester.finding_recorder.findings
    assert "--max-response-memory" in requester.finding_recorder.cut_by
    assert 0 == held


@pytest.mark.parametrize("form", ["long", "compressed"])
def test_an_answer_is_held_with_the_memory_that_judging_it_takes(form: str) -> None:
    """Its body is copied while it is read, decoded and searched, whether or not it arrived compressed."""
    with serve(lambda _: LARGE_ANSWERS[form]) as url:
        client = Client(parse_target(url))
        requester = make_requester(client)
        exchange = requester.send(requester.build_request(b"{}"))
        held = client._memory.held
        client.close()

    assert exchange.answer is not None
    assert held >= 4 * len(LARGE)


@pytest.mark.parametrize(("size", "calls"), [(10, 1), (2 << 20, 0)])
def test_schemathesis_does_not_parse_a_large_answer(size: int, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects that it makes of JSON would take many times the memory of the answer."""
    judged: list[object] = []
    monkeypatch.setattr(schemathesis_runner, "_failures", lambda *words: judged.append(words) or ())
    body = b'{"a":[' + b"{}," * (size // 3) + b"{}]}"
    with serve(lambda _: EndpointAnswer(status=200, body=body)) as url:
        client = Client(parse_target(url))
        parts = {
            "method": "POST",
            "url": f"{client.target.origin}/production/run_remote",
            "headers": {"Content-Type": "application/json"},
            "data": b"{}",
        }
        case = SimpleNamespace(as_transport_kwargs=lambda **_: parts)
        schemathesis_runner._send_case(make_requester(client), cast(Any, case))
        client.close()

    assert calls == len(judged)


def test_a_call_without_memory_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which option to raise."""
    monkeypatch.setenv("BASETEN_API_KEY", KEY)
    with serve(lambda _: LARGE_ANSWERS["long"]) as url:
        code = call(["--target", url, "--payload", "{}", "--max-response-memory", "1"])

    assert ExitCode.INCONCLUSIVE == code
    assert "INCONCLUSIVE  The answer needs a higher --max-response-memory" in capsys.readouterr().out


def test_long_request_ids_take_little_memory() -> None:
    """They are remembered as digests, and quoted in part."""
    seen = SeenRequestIds()
    answers = [Answer(status=200, headers=(("X-BASETEN-REQUEST-ID", "x" * 900_000 + end),)) for end in ("1", "2", "1")]

    assert [False, False, True] == [seen.add(answer) for answer in answers]
    assert all(len(each) <= 16 for each in seen._ids)
    assert len(repeated_id_violation(answers[0]).actual) < 200


@pytest.mark.parametrize(
    "unit", ["at ", "at a(", "at a.js:1:", "a.", "/a", "a-b", "SELECT FROM ", "'A_A': '", "#1 a.php "]
)
def test_searching_for_stack_traces_takes_linear_time(unit: str) -> None:
    """A text that nearly matches again and again is searched in two seconds."""
    text = unit * (stack_traces._MAX_LENGTH // len(unit))
    began = time.process_time()
    stack_traces.stack_trace_in(text, text)

    assert time.process_time() - began < 2.0


HOSTILE_ERRORS = [
    {"error": "field `a` should have at least 999999999999999999999999 characters"},
    {"error": "`a`: should be greater than 1.2.3.4", "detail": "`b`: less than " + "9" * 5000},
    {"error": "`a." + "0." * 3000 + "b`: Field required"},
    {"error": "`...`: Field required"},
    {"error": "".join(f"`a{number}`: Field required\n" for number in range(3000))},
    {"detail": [{"loc": ["body", *["a"] * 3000], "msg": "Field required"}]},
    json.loads('{"detail":' * 900 + "1" + "}" * 900),
    json.loads('{"detail":' + "[" * 900 + '"`a`: bad"' + "]" * 900 + "}"),
]


@pytest.mark.parametrize("error", HOSTILE_ERRORS, ids=range(len(HOSTILE_ERRORS)))
def test_the_search_for_an_input_is_bounded(error: object) -> None:
    """Errors of the target lead to small inputs, whatever they ask for."""
    answer = Answer(status=422, headers=(("Content-Type", "application/json"),), body=json.dumps(error).encode())
    search = InputSearch()

    assert all(len(body) < 100_000 for body in islice(iter(lambda: search.next_input(answer), None), 5))


def test_only_small_outputs_are_remembered() -> None:
    """The paths to the values of an output may take much more memory than the output."""
    request = CheckRequest(fields=(("Content-Type", "application/json"),), body=b"{}")
    known = KnownAnswers()
    for body in (b"[" + b"{}," * 300_000 + b"{}]", b"[" * 900 + b"1," * 5000 + b"1" + b"]" * 900):
        answer = Answer(status=200, headers=(), body=body)
        known.observe(request, answer, "check")
        assert known.output_for(request) is None

    assert is_comparable_size({"a": [1, 2, {"b": 3}]})


@pytest.mark.parametrize("body", [b"[" + b"{}," * 1_500_000 + b"{}]", b"[" * 100_000 + b"]" * 100_000])
def test_json_that_is_too_complex_is_not_judged(body: bytes) -> None:
    """It shows neither that the clauses on its contents are kept nor that they are violated."""
    fields = (("Content-Type", "application/json"), ("X-BASETEN-REQUEST-ID", "1"))
    for status in (200, 502):
        judged = judge_answer(Answer(status=status, headers=fields, body=body), Contract.STRICT)

        assert () == judged.violations
        assert not {clauses.OUTPUT_JSON, clauses.OUTPUT_OBJECT, clauses.ERROR_JSON} & set(judged.exercised)
        assert clauses.STATUS in judged.exercised
