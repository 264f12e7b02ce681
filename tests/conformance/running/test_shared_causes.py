"""One cause is one finding: what mixed-up answers look like is counted with them, and other defects stay."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import replace

from chainproof.conformance.checks.media_type import other_media_types_are_rejected
from chainproof.conformance.checks.shared_state import (
    cached_answers_depend_on_the_header_fields,
    no_answer_contains_data_of_another_request,
)
from chainproof.conformance.judging.finding_recorder import FindingRecorder
from chainproof.conformance.probing.outputs.difference_confirmation import confirm_differences
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.runner.shared_causes import merge_shared_causes
from chainproof.contract import clauses
from chainproof.results.finding import Finding

from ..endpoints import AnswerFunction, EndpointAnswer, EndpointRequest, correct_endpoint, error
from .test_time_budget import requester_for


def cached_by_length(server: AnswerFunction) -> AnswerFunction:
    """A gateway that stores outputs by the length of the body, and looks at nothing else but the key and the path."""
    stored: dict[tuple[str, int], EndpointAnswer] = {}

    def answer(request: EndpointRequest) -> EndpointAnswer:
        key = (request.path, len(request.body))
        if request.authorized and key in stored:
            return replace(stored[key], request_id=correct_endpoint(request).request_id)
        received = server(request)
        if received.status == 200:
            stored[key] = received
        return received

    return answer


def accepts_numbers(request: EndpointRequest) -> EndpointAnswer:
    """A server that takes a number for an object."""
    if request.authorized and request.body.strip().isdigit():
        return EndpointAnswer(status=200, body=b"{}")
    return correct_endpoint(request)


def send_inputs(requester: Requester) -> None:
    """Send valid and invalid bodies of equal length, each with a text of its own if that is possible."""
    for number in range(3):
        body = json.dumps({"text": f"{number}a{number:014x}"}).encode()
        requester.send(requester.build_request(body, label="an object"))
        requester.send(requester.build_request(body[:-1] + b"]", label="almost an object"))
    requester.send(requester.build_request(b"{}"))
    for text in (b"17", b"[]"):
        requester.send(requester.build_request(text, label="a value that is no object"))


def findings_for(
    server: AnswerFunction, send: Callable[[Requester], None] = send_inputs
) -> tuple[list[Finding], FindingRecorder]:
    """The findings, after those with mixed-up answers as their cause were merged, and their recorder."""
    with requester_for(server) as requester:
        requester.check_name = "a check"
        send(requester)
        merge_shared_causes(requester)
        return list(requester.finding_recorder.findings), requester.finding_recorder


def test_what_a_cache_causes_is_one_finding() -> None:
    """Invalid JSON that gets the answer to another request is not accepted as an input. The clauses are not called passed."""
    [found], recorder = findings_for(cached_by_length(correct_endpoint))
    coverage = recorder.coverage

    assert "answer-matches-request" == found.clause
    assert found.count == 2 + 3 + 2
    assert {"an object", "almost an object", "a value that is no object"} == set(found.cases)
    assert {"invalid-json-rejected", "non-object-rejected"} <= coverage.not_exercised.keys()
    assert "invalid-json-rejected × 3, non-object-rejected × 2" in coverage.notes[0]


def test_another_defect_beside_a_cache_is_a_finding_of_its_own() -> None:
    """A request that shows its violation also alone and in another form is not one for which a cache had an answer."""
    found, _ = findings_for(cached_by_length(accepts_numbers))

    assert ["answer-matches-request", "non-object-rejected"] == sorted(each.clause for each in found)


def test_an_input_that_is_altered_in_chunks_has_not_the_answer_to_another_one() -> None:
    """Another request with the same text in chunks has the same wrong output, but not if it is sent without chunks."""

    def digesting(request: EndpointRequest) -> EndpointAnswer:
        body = request.body.replace("é".encode(), b"??") if request.values("transfer-encoding") else request.body
        digest = hashlib.sha256(json.loads(body)["text"].encode()).hexdigest()
        return EndpointAnswer(status=200, body=json.dumps({"digest": digest}).encode())

    inputs = [json.dumps({"text": "éclair", "top": top}, ensure_ascii=False).encode() for top in (1, 2)]
    with requester_for(digesting, echo=False) as requester:
        for body, chunked in ((inputs[0], True), (inputs[1], False), (inputs[1], True)):
            requester.send(requester.build_request(body, chunked=chunked))
        confirm_differences(requester)
        [found] = requester.finding_recorder.findings

    assert "answer-repeatable" == found.clause


def test_without_mixed_up_answers_nothing_is_merged_or_sent() -> None:
    """Other findings stay as they are."""
    sent = []

    def server(request: EndpointRequest) -> EndpointAnswer:
        sent.append(request)
        return accepts_numbers(request)

    [found], _ = findings_for(server)

    assert "non-object-rejected" == found.clause
    assert len(sent) == 9


def test_a_status_by_chance_is_one_finding() -> None:
    """One of several replicas has an old key: whatever it gets is answered 401. A request that always is, is a finding of its own."""
    counted = itertools.count(1)

    def server(request: EndpointRequest) -> EndpointAnswer:
        if next(counted) in (2, 4, 5) or not request.body:
            return error(401, "unauthorized")
        return correct_endpoint(request)

    def send(requester: Requester) -> None:
        for body in (b'{"a":0}', b'{"a":1}', b"{}", b"[]", b'{"a":', b""):
            requester.send(requester.build_request(body))

    found, recorder = findings_for(server, send)
    causes = {each.clause: each.count for each in found}

    assert {"object-accepted": 3, "body-required": 1} == causes
    assert {"invalid-json-rejected", "non-object-rejected"} <= recorder.coverage.not_exercised.keys()


def test_errors_with_data_of_other_requests_are_one_finding() -> None:
    """Whatever their statuses are, and although the data make an error invalid."""
    last: list[bytes] = [b""]

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        left, last[0] = last[0], answer.body
        if answer.status >= 400 and len(left) > 2000:
            answer = replace(answer, body=answer.body + left[len(answer.body) :])
        return answer

    def send(requester: Requester) -> None:
        no_answer_contains_data_of_another_request(requester)
        requester.send(requester.build_request(json.dumps({"text": "x" * 3000}).encode()))
        requester.send(requester.build_request(b"[]"))

    [found], recorder = findings_for(server, send)

    assert "answer-matches-request" == found.clause
    assert "error-json × " in "".join(recorder.coverage.notes)


def test_what_an_argument_that_sticks_changes_is_one_finding() -> None:
    """The next output is another one, and so are all later ones."""

    def send(requester: Requester) -> None:
        for actual in (
            "another value of `mode` after an input with other arguments",
            "another value of `top` ever since",
        ):
            requester.record_clause(
                clauses.REQUEST_ISOLATION, requester.build_request(), expected="the same answer", actual=actual
            )
        requester.record_clause(
            clauses.ANSWER_REPEATABLE,
            requester.build_request(),
            expected="the same answer",
            actual="another value of `top`",
        )

    [found], _ = findings_for(correct_endpoint, send)

    assert (found.clause, found.count) == ("request-isolation", 3)


def test_what_a_store_that_ignores_the_media_type_causes_is_one_finding() -> None:
    """Another media type is accepted only for a body that was sent as JSON before."""
    stored: dict[bytes, EndpointAnswer] = {}

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        if request.method != "POST" or not request.authorized:
            return answer
        stored.update({request.body: answer} if answer.status == 200 else {})
        return replace(stored.get(request.body, answer), request_id=answer.request_id)

    def send(requester: Requester) -> None:
        other_media_types_are_rejected(requester)
        cached_answers_depend_on_the_header_fields(requester)

    found, _ = findings_for(server, send)

    assert ["request-isolation"] == [each.clause for each in found]


def test_equal_failures_at_inputs_that_must_and_that_may_be_accepted_are_one_finding() -> None:
    """Another failure at the same inputs is a finding of its own."""

    def send(requester: Requester) -> None:
        for expected, actual in (
            ("status 200 or 400", "status 502: no"),
            ("status 200", "status 502: no"),
            ("status 200 or 400", "status 500"),
        ):
            requester.record_clause(
                clauses.OBJECT_ACCEPTED, requester.build_request(), expected=expected, actual=actual
            )

    found, _ = findings_for(correct_endpoint, send)

    assert {("status 200", "status 502: no", 2), ("status 200 or 400", "status 500", 1)} == {
        (each.expected, each.actual, each.count) for each in found
    }
