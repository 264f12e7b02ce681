"""The recorder of findings makes findings of violations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainproof.conformance.checks import CHECKS
from chainproof.conformance.inputs.chain_schema import ANY_OBJECT, ChainSchema
from chainproof.conformance.judging.exercised_clauses import EVERY_ANSWER_CLAUSES
from chainproof.conformance.judging.finding_recorder import Evidence, FindingRecorder
from chainproof.conformance.options import Settings
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.request import CheckRequest
from chainproof.contract import clauses
from chainproof.contract.credentials import ApiKey
from chainproof.contract.target import parse_target
from chainproof.contract.violations import Violation
from chainproof.results.finding import Finding

from ..conftest import RunSuite
from ..endpoints import KEY, EndpointAnswer, correct_endpoint, with_right_key
from ..in_process import INPUT_CHECKS, run_suite_in_process


@pytest.mark.parametrize("kinds", [1, 12, 13, 40])
def test_a_finding_names_twelve_requests_and_says_if_there_are_more(kinds: int) -> None:
    """The first twelve request labels are named, each once, and the finding is the same after it is stored and read again."""
    finding_recorder = FindingRecorder(None, parse_target("http://127.0.0.1:1"), 1)
    violation = Violation(clause=clauses.STATUS, expected="a documented one", actual="418")
    for number in (*range(kinds), *range(kinds)):
        finding_recorder.record([clauses.STATUS], [violation], Evidence(request=CheckRequest(label=f"kind {number}")))
    finding = finding_recorder.findings[0]

    assert finding.cases == tuple(f"kind {number}" for number in range(min(kinds, 12)))
    assert finding.more_cases is (kinds > 12)
    assert Finding.from_json(finding.to_json()) == finding


def test_missing_authentication_does_not_count_as_verified_keys(run_suite: RunSuite) -> None:
    """If no credentials are needed, the clause on wrong keys is not exercised; without request ids, neither is their uniqueness."""
    # An HTTP server rejects a control character before it looks at the key.
    checks = [each for each in CHECKS if each.module == "credentials" and "control" not in each.name]
    finding_recorder = run_suite(
        lambda request: replace(correct_endpoint(with_right_key(request)), request_id=None), checks=checks
    ).finding_recorder

    assert finding_recorder.exercise_count(clauses.AUTHENTICATION_REQUIRED)
    assert (
        0
        == finding_recorder.exercise_count(clauses.KEY_VERIFIED)
        == finding_recorder.exercise_count(clauses.REQUEST_ID_UNIQUE)
    )
    assert (
        "authentication-required is violated, so this cannot be judged"
        == finding_recorder.coverage.not_exercised["key-verified"]
    )


def test_one_cause_is_one_finding_with_the_number_of_checks_that_saw_it() -> None:
    """However many checks it affects, a uniform wrong status is one finding; each check counts once."""
    finding_recorder = FindingRecorder(None, parse_target("http://127.0.0.1:1"), 1)
    violation = Violation(clause=clauses.STATUS, expected="a documented one", actual="422")
    for check in ("first", "second", "first", "third", "third"):
        finding_recorder.record([clauses.STATUS], [violation], Evidence(request=CheckRequest(label="x"), check=check))
    (finding,) = finding_recorder.findings

    assert (finding.checks, finding.count, finding.check) == (3, 5, "first")
    assert Finding.from_json(finding.to_json()) == finding


@pytest.mark.parametrize(("status", "body"), [(422, b"no"), (200, b"[1]"), (200, b"no"), (400, b"{}"), (204, b"")])
def test_each_clause_of_every_answer_that_was_not_exercised_has_a_reason(status: int, body: bytes) -> None:
    """Whatever a target always answers, the coverage says why the clauses that judge every answer were not exercised."""
    answer = EndpointAnswer(status=status, body=body, media_type="text/plain", request_id=None)
    finding_recorder = run_suite_in_process(lambda _: answer, checks=INPUT_CHECKS[:3], echo=False).finding_recorder
    reasons = finding_recorder.coverage.not_exercised

    assert [] == [
        clause.id
        for clause in EVERY_ANSWER_CLAUSES
        if not finding_recorder.exercise_count(clause) and clause.id not in reasons
    ]


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize(
    ("option", "chain_schema"),
    [
        ("--input-schema", ChainSchema(input_schema=ANY_OBJECT)),
        ("--payloads", ChainSchema(payloads=(b"{}",))),
        ("--output-schema", ChainSchema(output_schema=ANY_OBJECT)),
    ],
)
def test_no_reason_asks_for_an_option_that_was_given(option: str, chain_schema: ChainSchema, echo: bool) -> None:
    """A clause that was not exercised names an option as remedy only if the user has not given it."""
    target = parse_target("http://127.0.0.1:1")
    finding_recorder = FindingRecorder(None, target, 1)
    settings = Settings(seed=1, echo=echo)
    Requester(Client(target), finding_recorder, key=ApiKey(KEY), settings=settings, chain_schema=chain_schema)
    reasons = " ".join(finding_recorder.coverage.not_exercised.values())

    assert option not in reasons
    assert ("--echo" in reasons) is not echo


def test_a_clause_that_some_answers_do_not_keep_is_not_exercised() -> None:
    """It has no finding of its own, but it did not hold for every answer either."""
    finding_recorder = FindingRecorder(None, parse_target("http://127.0.0.1:1"), 1)
    evidence = Evidence(request=CheckRequest(label="an input"))
    finding_recorder.record([clauses.OBJECT_ACCEPTED], [], evidence)
    finding_recorder.record_undecided({clauses.OBJECT_ACCEPTED: "some were refused"})

    assert 0 == finding_recorder.exercise_count(clauses.OBJECT_ACCEPTED)
    assert "some were refused" == finding_recorder.coverage.not_exercised["object-accepted"]
