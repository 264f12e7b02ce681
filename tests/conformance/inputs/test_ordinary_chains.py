"""Chains with required arguments: nothing passes that was not tried, and probes are inputs that the chain accepts."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from chainproof.chain_schema.schema import Schema
from chainproof.conformance.checks import limits, repetition
from chainproof.conformance.checks.repetition import RepetitionLimits
from chainproof.conformance.options import Depth, Permission
from chainproof.contract.clauses import CLAUSES
from chainproof.judgement.conformance_verdict import NO_SUCCESS, ConformanceEvidence, conformance_verdict
from chainproof.judgement.verdict import Verdict

from ..conftest import RunSuite, SuiteResult, checks_in, checks_named
from ..endpoints import (
    EndpointAnswer,
    EndpointRequest,
    correct_endpoint,
    error,
    gateway,
    json_output,
    typed_endpoint,
)

SCHEMA = Schema(
    source="names.json",
    document={
        "type": "object",
        "properties": {"names": {"type": "array", "items": {"type": "string"}}, "loud": {"type": "boolean"}},
        "required": ["names"],
    },
)
SOURCES: dict[str, dict[str, object]] = {
    "schema": {"input_schema": SCHEMA},
    "payloads": {"payloads": (b'{"names":["Ada"]}', b'{"names":[],"loud":true}')},
    "asking": {},
}
"""The ways to know an input of the chain."""

BODY_CHECKS = checks_in("body", "limits")
SOME_CHECKS = (*BODY_CHECKS, *checks_in("media_type", "internals", "header_fields", "malformed"))


_FEW_CHECKS = ("valid_json_objects_are_accepted", "generated_objects_are_accepted", "almost_valid_json_is_rejected")


def run(run_suite: RunSuite, server: Callable[[EndpointRequest], EndpointAnswer], **options: object) -> SuiteResult:
    """The result of checks of a chain that does not echo."""
    return run_suite(server, **{"echo": False, "steerable": False, "checks": SOME_CHECKS, **options})


def verdict(result: SuiteResult) -> tuple[Verdict, str]:
    """The verdict on a run."""
    finding_recorder = result.finding_recorder
    return conformance_verdict(
        ConformanceEvidence(
            findings=finding_recorder.findings,
            exercised={clause.id: finding_recorder.exercise_count(clause) for clause in CLAUSES},
            day=date(2026, 1, 1),
            was_accepted=bool(finding_recorder.coverage.statuses.get(200)),
        )
    )


def exercised(result: SuiteResult, clause: str) -> int:
    """How often a clause was exercised."""
    return next(result.finding_recorder.exercise_count(each) for each in CLAUSES if each.id == clause)


def rejects_everything(request: EndpointRequest) -> EndpointAnswer:
    """Answers 401 without the key, and 400 to everything else, without naming an argument."""
    return error(400, "client_error") if request.authorized else error(401, "unauthorized")


def without_named_arguments(request: EndpointRequest) -> EndpointAnswer:
    """A chain with a required argument that its errors do not name."""
    answer = typed_endpoint(request)
    return error(400, "client_error") if answer.status == 400 else answer


@pytest.mark.parametrize("server", [rejects_everything, without_named_arguments])
def test_a_run_without_a_success_is_inconclusive(
    run_suite: RunSuite, server: Callable[[EndpointRequest], EndpointAnswer]
) -> None:
    """A target that accepts nothing does not pass: no rejection counts, and the verdict says what to provide."""
    result = run(run_suite, server)

    assert verdict(result) == (Verdict.INCONCLUSIVE, f"{NO_SUCCESS}.")
    for clause in ("invalid-json-rejected", "non-object-rejected", "object-accepted", "media-type-required"):
        assert exercised(result, clause) == 0
        assert "give --input-schema or --payloads" in result.finding_recorder.coverage.not_exercised[clause]
    assert "no answer was a 200" == result.finding_recorder.coverage.not_exercised["output-json"]
    reasons = " ".join(result.finding_recorder.coverage.not_exercised.values())
    assert "cannot be made for this chain" not in reasons  # no chain is to blame whose inputs are unknown
    assert "accepts requests with Host" not in reasons


def wants_a_known_city(request: EndpointRequest) -> EndpointAnswer:
    """A chain whose errors lead to all of an input but one value."""
    if not request.authorized:
        return error(401, "unauthorized")
    city = json.loads(request.body).get("city")
    return error(400, "client_error", f"`city`: {'Field required' if city is None else 'no such city'}")


def test_the_input_to_which_the_errors_led_is_shown_with_the_last_error(run_suite: RunSuite) -> None:
    """So that its user can correct it."""
    result = run(run_suite, wants_a_known_city, checks=checks_named(_FEW_CHECKS[0]))
    (note,) = result.finding_recorder.coverage.notes

    assert '{"city": ' in note
    assert "no such city" in note
    assert "--payloads" in note


@pytest.mark.parametrize("source", SOURCES)
def test_a_correct_chain_passes_however_its_inputs_are_known(run_suite: RunSuite, source: str) -> None:
    """From a schema, from payloads or from its own errors: hundreds of probes are inputs that the chain accepts."""
    some = SOME_CHECKS if source == "asking" else checks_named(*_FEW_CHECKS)
    result = run(run_suite, typed_endpoint, checks=some, **SOURCES[source])

    assert result.lines == []
    assert verdict(result)[0] is Verdict.PASS
    assert exercised(result, "object-accepted") > 30
    assert exercised(result, "invalid-json-rejected") > 100


def strict(request: EndpointRequest) -> EndpointAnswer:
    """A chain that rejects arguments which its signature does not name, as a Python call does."""
    answer = typed_endpoint(request)
    if answer.status == 200 and not json.loads(request.body).keys() <= {"names", "loud"}:
        return error(400, "client_error", "unexpected keyword argument")
    return answer


@pytest.mark.parametrize("source", SOURCES)
def test_unnamed_arguments_may_be_rejected(run_suite: RunSuite, source: str) -> None:
    """A chain that rejects unnamed arguments is correct, and its string argument takes the place of an unnamed one."""
    some = SOME_CHECKS if source == "asking" else checks_named(*_FEW_CHECKS)
    result = run(run_suite, strict, checks=some, **SOURCES[source])

    assert result.lines == []
    assert verdict(result)[0] is Verdict.PASS
    assert exercised(result, "invalid-json-rejected") > 50
    assert not [note for note in result.finding_recorder.coverage.notes if "nested" in note]


def lenient(request: EndpointRequest) -> EndpointAnswer:
    """A gateway that takes NaN, and that rejects bodies above 100 kB."""
    if len(request.body) > 100_000:
        return error(400, "payload_too_large")
    return typed_endpoint(replace(request, body=request.body.replace(b"NaN", b"0")))


def test_probes_have_the_required_arguments(run_suite: RunSuite) -> None:
    """A size limit and a lenient parser are found behind required arguments."""
    some = checks_named("almost_valid_json_is_rejected", "large_objects_are_accepted")
    result = run(run_suite, lenient, checks=some, input_schema=SCHEMA)

    assert result.clauses == {"object-accepted", "invalid-json-rejected"}


@pytest.mark.parametrize(
    ("answer", "noted"),
    [
        (error(400, "client_error"), ["objects nested 512 deep: status 400, 256: status 200"]),
        (EndpointAnswer(status=0, raw=b""), []),
    ],
    ids=["rejected", "dropped"],
)
def test_a_note_on_a_size_says_only_what_was_answered(
    run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch, answer: EndpointAnswer, noted: list[str]
) -> None:
    """A size without an answer is a finding. It was not rejected."""
    monkeypatch.setattr(limits, "DIMENSIONS", limits.DIMENSIONS[:1])

    def limited(request: EndpointRequest) -> EndpointAnswer:
        own = replace(answer, request_id=uuid.uuid4().hex)
        return own if request.body.count(b"{") > 300 else typed_endpoint(request)

    some = checks_named("oversized_objects_get_a_documented_answer")
    result = run(run_suite, limited, checks=some, input_schema=SCHEMA, allow=(Permission.HUGE_BODIES,))

    assert noted == [note for note in result.finding_recorder.coverage.notes if "nested" in note]
    assert result.clauses == (set() if noted else {"request-answered"})


def test_a_rejection_counts_only_while_the_unchanged_request_is_accepted(run_suite: RunSuite) -> None:
    """After the chain has broken down, its rejections say nothing about the probes."""
    count = 0

    def breaks_down(request: EndpointRequest) -> EndpointAnswer:
        nonlocal count
        count += 1
        return typed_endpoint(request) if count < 20 else rejects_everything(request)

    result = run(run_suite, breaks_down, checks=checks_named("almost_valid_json_is_rejected"))

    assert exercised(result, "invalid-json-rejected") == 0
    assert (
        "the unchanged request was answered 400"
        in result.finding_recorder.coverage.not_exercised["invalid-json-rejected"]
    )


def test_another_status_does_not_hide_what_is_accepted(run_suite: RunSuite) -> None:
    """A chain that answers 422 instead of 400, and that takes NaN, has both faults reported."""

    def unprocessable(request: EndpointRequest) -> EndpointAnswer:
        answer = lenient(request) if len(request.body) < 100_000 else typed_endpoint(request)
        return replace(answer, status=422) if answer.status == 400 else answer

    result = run(run_suite, unprocessable, checks=BODY_CHECKS)

    assert result.clauses == {"status", "invalid-json-rejected"}
    assert exercised(result, "non-object-rejected") > 30


def test_infinity_in_an_output_is_found(run_suite: RunSuite) -> None:
    """An echo chain that returns `Infinity` for 1e999 returns no JSON."""
    name = "implementation_defined_json_gets_a_documented_answer"
    result = run_suite(gateway(json_output), checks=checks_named(name), steerable=False)

    assert "output-json" in result.clauses


def test_too_few_answers_for_rare_defects_are_no_result(run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of rare defects is skipped where 1 defect in 10 answers might have been missed."""
    monkeypatch.setitem(repetition.REPETITION_LIMITS, Depth.QUICK, RepetitionLimits(requests=80, seconds=5.0))
    name = "repeated_requests_are_answered_consistently"

    result = run_suite(correct_endpoint, checks=checks_named(name), steerable=False)

    assert result.skipped[name].startswith("needs 29 answers of each kind")


def test_rare_defects_are_looked_for_on_a_slow_target(run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Valid requests do not use up the time for unauthenticated and invalid ones."""
    monkeypatch.setitem(repetition.REPETITION_LIMITS, Depth.QUICK, RepetitionLimits(requests=400, seconds=0.01))
    monkeypatch.setattr(repetition, "_MORE_TIME", 2000)

    result = run_suite(
        correct_endpoint, checks=checks_named("repeated_requests_are_answered_consistently"), steerable=False
    )

    assert result.skipped == {}
    assert "unauthenticated" in " ".join(result.finding_recorder.coverage.notes)


def conditional(request: EndpointRequest) -> EndpointAnswer:
    """A gateway that gives outputs an ETag, and answers 304 to a client that has it, as only GET and HEAD may be."""
    answer = typed_endpoint(request)
    tag = f'"{hashlib.sha256(answer.body).hexdigest()}"'
    if answer.status == 200 and tag in request.values("if-none-match"):
        return replace(answer, status=304, body=b"", media_type=None)
    return replace(answer, extra_fields=(("ETag", tag),)) if answer.status == 200 else answer


def test_an_output_is_sent_again_to_a_client_that_has_it(run_suite: RunSuite) -> None:
    """A POST runs the chain, whatever validators it has."""
    some = checks_named("other_headers_and_queries_are_ignored")
    result = run(run_suite, conditional, checks=some, **SOURCES["schema"])

    assert {"status"} == result.clauses, result.lines
