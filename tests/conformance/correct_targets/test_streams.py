"""A chain that streams its output although it is asked for one JSON text: what is judged, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.transport.request import with_accept
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.levels import Contract

from ..conftest import RunSuite, SuiteResult
from ..endpoints import EndpointAnswer, EndpointRequest, typed_endpoint

CHECKS = tuple(
    check
    for check in ALL_CHECKS
    if check.name in ("every_answer_is_exactly_one_http_message", "every_kind_of_answer_is_valid")
)
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %s\r\nX-Baseten-Request-Id: %s\r\n"
WHOLE = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
BROKEN = {
    "no last chunk": b"3\r\none\r\n3\r\ntwo\r\n",
    "a chunk that is too short": b"3\r\none\r\n9\r\ntwo\r\n0\r\n\r\n",
    "data behind the last chunk": WHOLE + b"3\r\nend\r\n",
}


CONTENTS = ("output-json", "output-object", "output-schema")
"""The clauses on the contents of an output."""


def exercised(result: SuiteResult) -> dict[str, int]:
    """How often each clause was exercised."""
    return {clause.id: result.finding_recorder.exercise_count(clause) for clause in CLAUSES}


def streaming(media_type: str, body: bytes) -> Callable[[EndpointRequest], EndpointAnswer]:
    """An endpoint that streams its output, whatever is accepted."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = typed_endpoint(request)
        if answer.status != 200:
            return answer
        head = HEAD % (media_type.encode(), str(answer.request_id).encode())
        if request.version == "HTTP/1.0":
            return replace(answer, raw=head + b"\r\nonetwo")
        return replace(answer, raw=head + b"Transfer-Encoding: chunked\r\n\r\n" + body)

    return server


def options(contract: Contract) -> dict[str, object]:
    """The options of the runs."""
    return {
        "checks": CHECKS,
        "contract": contract,
        "echo": False,
        "steerable": False,
        "payloads": (b'{"names":["a"]}',),
    }


def test_a_complete_stream_violates_nothing_and_is_named(run_suite: RunSuite) -> None:
    """The documented contract allows it. A note says that its contents were not judged, and no clause on outputs counts it."""
    result = run_suite(streaming("application/octet-stream", WHOLE), **options(Contract.DOCUMENTED))

    assert [] == result.lines
    assert [
        "the chain streams its output as application/octet-stream: framing and completeness are judged, contents are not"
    ] == [note for note in result.finding_recorder.coverage.notes if "streams" in note]
    assert {200, 400} <= set(result.finding_recorder.coverage.statuses)
    counts = {name: count for name, count in exercised(result).items() if name in CONTENTS}
    assert dict.fromkeys(CONTENTS, 0) == counts
    assert exercised(result)["response-framing"] > 0


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_stream_that_is_not_complete_is_found(body: bytes, run_suite: RunSuite) -> None:
    """Framing is judged, whatever the contents are."""
    result = run_suite(streaming("application/octet-stream", body), **options(Contract.DOCUMENTED))

    assert {"response-framing"} == result.clauses, result.lines


@pytest.mark.parametrize("media_type", ["application/octet-stream", "text/event-stream"])
def test_a_stream_is_one_finding_of_the_strict_contract(media_type: str, run_suite: RunSuite) -> None:
    """Its media type is not the documented one, and the finding says why."""
    result = run_suite(streaming(media_type, WHOLE), **options(Contract.STRICT))

    assert ["output-media-type"] == [found.clause for found in result.findings]
    assert "the chain streams its output" in result.findings[0].actual


def test_the_service_is_asked_to_gather_a_stream(run_suite: RunSuite) -> None:
    """With exactly `Accept: application/json` the service returns one JSON text. Only a request that tests Accept lacks it."""
    streamed: list[list[str]] = []

    def gathering(request: EndpointRequest) -> EndpointAnswer:
        answer = typed_endpoint(request)
        if answer.status != 200 or request.values("accept") == ["application/json"]:
            return answer if answer.status != 200 else replace(answer, body=b'"onetwo"')
        streamed.append(request.values("accept"))
        return streaming("application/octet-stream", WHOLE)(request)

    some = tuple(check for check in CHECKS if check.name == "every_kind_of_answer_is_valid")
    result = run_suite(gathering, **options(Contract.DOCUMENTED) | {"checks": some, "fields": with_accept(())})

    assert [] == result.lines
    assert [[]] == streamed
    assert exercised(result)["output-json"] > 10
