"""Recording in bulk, and judging repeated answers once: the record is the same as one by one."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.levels import Contract
from chainproof.contract.target import parse_target
from chainproof.endpoint import Endpoint
from chainproof.loadtests.client.answer_templates import AnswerTemplates
from chainproof.loadtests.client.reply import Reply
from chainproof.loadtests.client.request import EncodedRequest
from chainproof.loadtests.demand import Demand
from chainproof.loadtests.engine.load_run import LoadRun
from chainproof.loadtests.recording import recorder as recording
from chainproof.loadtests.recording.in_flight_request import InFlightRequest
from chainproof.loadtests.recording.recorder import Recorder
from chainproof.results.exchange import Transport
from chainproof.results.manifest import Ending
from chainproof.workload.workload import Workload

JSON_FIELD = ("Content-Type", "application/json")
ANSWERS = (
    (200, (JSON_FIELD,), b"{}"),
    (200, (JSON_FIELD,), b"[]"),
    (200, (("Content-Type", "text/html"),), b"<html>"),
    (429, (JSON_FIELD,), b'{"error": "slow down", "error_code": "rate_limited"}'),
    (500, (JSON_FIELD,), b'{"error_code": "teapot"}'),
    (503, (), b""),
)
"""Status, header fields and body."""
REQUESTS = (EncodedRequest(b"{}", b"", "a"), EncodedRequest(b'{"b": 1}', b"", "b"), EncodedRequest(b"{}", b""))

streams = st.lists(
    st.tuples(
        st.floats(0, 0.4),  # time since the previous request
        st.floats(0, 0.05),  # schedule lag
        st.floats(0, 2),  # service time
        st.sampled_from((*ANSWERS, Transport.CLOSED_EARLY, Transport.DEADLINE)),
        st.sampled_from(["1", "2", "3", "four", ""]),  # request id
        st.sampled_from(REQUESTS),
    ),
    max_size=30,
)


class MemorySink:
    """A sink that stores everything as JSON."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        return lambda value: self.written.append((name, json.dumps(value.to_json(), sort_keys=True)))

    def __len__(self) -> int:
        return len(self.written)


def octets(answer: Answer) -> bytes:
    """The bytes of an answer, without framing."""
    lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in answer.headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body


def reply(what: Any, request_id: str, instant: float, templates: AnswerTemplates | None) -> Reply:
    """What the client returns; a repeated answer has a template if there are *templates*."""
    if isinstance(what, Transport):
        return Reply(what, instant, None, "broken", instant, sent=9)
    status, fields, body = what
    headers = (*fields, *([("X-BASETEN-REQUEST-ID", request_id)] if request_id else []))
    parsed: Answer | None = Answer(status=status, headers=headers, body=body)
    template = None
    if templates is not None and parsed is not None:
        found = templates.find(octets(parsed))
        template = found[0] if found is not None else templates.add(octets(parsed), parsed)
        parsed = parsed if found is None else None
    identifier = request_id.encode()
    return Reply(
        Transport.ANSWERED, instant, parsed, "", instant + 1e-5, instant - 1e-4, sent=9, received=99,
        template=template, request_id=identifier, body_length=len(body),
    )  # fmt: skip


def record(stream: list[Any], *, with_templates: bool = False, with_phases: bool = False) -> list[tuple[str, str]]:
    """Everything that is written of a stream of requests."""
    sink = MemorySink()
    phase_of = (lambda start: "first" if start < 1 else "second") if with_phases else None
    recorder = Recorder(sink, contract=Contract.STRICT, seed=0, phase_of=phase_of)
    endpoint = Endpoint(target=parse_target("http://127.0.0.1:9"), key=ApiKey("key"), environment={})
    demand = Demand(workload=Workload(name="test"), contract=Contract.STRICT, seed=0)
    run = LoadRun(demand, array("d"), endpoint, recorder)
    templates = AnswerTemplates() if with_templates else None
    events: list[tuple[float, int, Any, Any]] = []
    intended_start = 0.0
    for number, (gap, lag, service, what, request_id, encoded) in enumerate(stream):
        intended_start += gap
        request = InFlightRequest(number, intended_start, encoded)
        start = intended_start + lag
        events += [
            (start, 2 * number, request, None),
            (start + service, 2 * number + 1, request, (what, request_id)),
        ]
    for instant, _, request, ending in sorted(events, key=lambda event: event[:2]):
        if ending is None:
            request.start = instant
            run._state.requests[request.number] = request
            recorder.plan_request(request.intended_start)
            recorder.count_sent(request)
        else:
            run._result_recorder.settle(request, reply(*ending, instant, templates))
    recorder.finish(max((event[0] for event in events), default=0.0), Ending.COMPLETED, "")
    return sink.written


@settings(max_examples=40)
@given(streams, st.integers(2, 50), st.booleans())
def test_the_record_does_not_depend_on_the_size_of_batches(
    stream: list[Any], size: int, with_phases: bool
) -> None:  # drawn
    """Counts, histograms, clauses, findings and exemplars are the same as if each request were counted by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "BATCH_SIZE", 1)
        one_by_one = record(stream, with_phases=with_phases)
        patch.setattr(recording, "BATCH_SIZE", size)

        assert one_by_one == record(stream, with_phases=with_phases)


@settings(max_examples=40)
@given(streams)
def test_the_record_is_the_same_if_repeated_answers_are_judged_once(stream: list[Any]) -> None:
    """An answer that repeats an earlier one counts like one that is parsed and judged."""
    assert record(stream) == record(stream, with_templates=True)
