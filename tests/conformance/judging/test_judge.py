"""The judge and the search for the cause of an authentication bypass are pure functions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainproof.conformance.judging.auth_bypass_cause import auth_bypass_cause
from chainproof.conformance.judging.expectation import Expectation, Terms, expectation
from chainproof.conformance.judging.judge import AnswerHistory, Judgement, is_busy, judge, with_bypass_cause
from chainproof.conformance.transport.connection import TransportResult
from chainproof.conformance.transport.request import JSON_TYPE, CheckRequest
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.remedies import remedies_for
from chainproof.contract.violations import Violation
from chainproof.results.exchange import Transport

from ..endpoints import KEY

TERMS = Terms(key=ApiKey(KEY), echo=True)
WRONG = CheckRequest(fields=(("Authorization", f"Bearer {KEY}"), JSON_TYPE), body=b"{}")
OK = Answer(status=200, headers=(JSON_TYPE, ("X-Baseten-Request-Id", "1")), body=b"{}")
UNAUTHORIZED = Answer(status=401, headers=())
BUSY = Answer(status=503, headers=())


def judgement_of(request: CheckRequest, answer: Answer, history: AnswerHistory | None = None) -> Judgement:
    """The judgement of an answer by what the contract expects."""
    received = TransportResult(transport=Transport.ANSWERED, answer=answer, raw=b"HTTP/1.1")
    return judge(request, received, expectation(request, TERMS), TERMS, history or AnswerHistory(), deadline=1.0)


def expected_of(request: CheckRequest) -> Expectation:
    """The expectation of a request that has one."""
    expected = expectation(request, TERMS)
    assert expected is not None
    return expected


def test_the_judge_leaves_the_cause_of_an_authentication_bypass_to_probes() -> None:
    """The violation is not final until probes have found its cause."""
    judgement = judgement_of(WRONG, OK)

    assert judgement.violations == ()
    assert judgement.auth_bypass is not None
    assert "key-prefix" == judgement.auth_bypass.clause.id


@pytest.mark.parametrize(
    ("answers", "clause"),
    [
        ([OK, UNAUTHORIZED], "authentication-required"),
        ([OK, OK, OK, OK], "authentication-required"),
        ([OK, OK, OK, UNAUTHORIZED, OK], "key-verified"),
        ([OK, OK, OK, UNAUTHORIZED, UNAUTHORIZED], "key-prefix"),
        ([None, BUSY, None, None, BUSY], "key-prefix"),
    ],
)
def test_probes_find_the_weakest_accepted_credential(answers: list[Answer | None], clause: str) -> None:
    """The probes repeat the request, then omit the credentials, then use a wrong key. The cause masks the original clause."""
    judgement = judgement_of(WRONG, OK)
    assert judgement.auth_bypass is not None
    steps = [
        auth_bypass_cause(WRONG, judgement.auth_bypass, expected_of(WRONG), TERMS, answers[:count])
        for count in range(len(answers) + 1)
    ]
    cause = steps[-1]

    assert all(isinstance(step, CheckRequest) for step in steps[:-1])
    assert isinstance(cause, Violation)
    final = with_bypass_cause(judgement, cause, WRONG, TERMS)
    assert [clause] == [violation.clause.id for violation in final.violations]
    assert (clause != "key-prefix") == ("key-prefix" in {each.id for each in final.not_exercised})


@pytest.mark.parametrize(
    ("is_status_accepted", "violated"), [(False, ["status"]), (True, ["status", "object-accepted"])]
)
def test_an_undocumented_error_for_a_valid_input_does_not_pass(is_status_accepted: bool, violated: list[str]) -> None:
    """One cause gives one finding; if that is accepted, the input that is not accepted is another one."""
    request = CheckRequest(fields=(("Authorization", f"Api-Key {KEY}"), JSON_TYPE), body=b"{}")
    terms = replace(TERMS, is_status_accepted=is_status_accepted)
    answer = Answer(status=500, headers=(("Content-Type", "text/plain"),), body=b"Internal Server Error")
    received = TransportResult(transport=Transport.ANSWERED, answer=answer, raw=b"HTTP/1.1")

    found = judge(request, received, expectation(request, terms), terms, AnswerHistory(), deadline=1.0)

    ids = [each.clause.id for each in found.violations]
    assert set(violated) == set(ids) & {"status", "object-accepted"}
    assert (["object-accepted"] if not is_status_accepted else []) == [each.id for each in found.undecided]


def test_a_busy_status_is_judged_only_if_it_is_about_the_request() -> None:
    """A 503 may be unrelated to the request, unless repeated requests of the same kind got it."""
    expected = expected_of(WRONG)
    conclusive = {(expected.clause.id, 503)}

    assert is_busy(BUSY, expected, ())
    assert not is_busy(BUSY, expected, conclusive)
    assert expected.clause not in judgement_of(WRONG, BUSY).exercised
    assert expected.clause in judgement_of(WRONG, BUSY, AnswerHistory(conclusive=conclusive)).exercised


@pytest.mark.parametrize("key", ["my-key-0123456789", "gateway-12345678901234567890", "production"])
@pytest.mark.parametrize(
    "body", ['{"x":1234567890123456}', '{"x":[0.1234567890123]}', '{"production":"in production"}']
)
def test_an_answer_with_a_part_of_the_key_by_chance_is_judged_as_it_came(key: str, body: str) -> None:
    """What the judgement keeps of the answer is redacted, but this does not turn a number into a text that is not JSON."""
    terms = Terms(key=ApiKey(key), echo=True)
    request = CheckRequest(fields=(("Authorization", f"Api-Key {key}"), JSON_TYPE), body=body.encode())
    headers = (JSON_TYPE, ("X-Baseten-Request-Id", "1"), ("ETag", '"12345678"'), ("Age", "12345678"))
    answer = Answer(status=200, headers=headers, body=body.encode())
    received = TransportResult(transport=Transport.ANSWERED, answer=answer, raw=b"HTTP/1.1")

    judgement = judge(request, received, expectation(request, terms), terms, AnswerHistory(), deadline=1.0)

    assert not [each for each in judgement.violations if each.clause is not clauses.NO_CREDENTIAL_LEAK]
    assert judgement.answer is not None
    assert key[-10:].encode() not in judgement.answer.body


@pytest.mark.parametrize("fields", [(JSON_TYPE,), (JSON_TYPE, ("X-Baseten-Request-Id", "1"), ("Expires", "0"))])
def test_a_wrong_error_code_is_found_beside_violations_of_other_parts(fields: tuple[HeaderField, ...]) -> None:
    """An error without a request id, or with a lax header field, has a code to be judged nevertheless."""
    request = CheckRequest(fields=(("Authorization", f"Api-Key {KEY}"), JSON_TYPE), body=b"[]")
    body = b'{"error":"No.","error_code":"model_does_not_exist"}'
    judgement = judgement_of(request, Answer(status=400, headers=fields, body=body))

    found = {violation.clause.id for violation in judgement.violations}
    assert "error-code-cause" in found
    assert len(found) == 2


def test_the_error_code_of_another_status_than_expected_is_not_judged() -> None:
    """A rejection by a status that stands for another cause has its violation already."""
    request = CheckRequest(fields=(("Authorization", f"Api-Key {KEY}"), JSON_TYPE), body=b"[]")
    headers = (JSON_TYPE, ("X-Baseten-Request-Id", "1"))
    judgement = judgement_of(request, Answer(status=401, headers=headers, body=b'{"error_code":"unauthorized"}'))

    assert ["non-object-rejected"] == [violation.clause.id for violation in judgement.violations]


@pytest.mark.parametrize(("key", "clause"), [(f"Api-Key {KEY}", ["echo-exact"]), ("Api-Key wrong", [])])
def test_only_what_the_right_key_gets_is_compared_with_the_input(key: str, clause: list[str]) -> None:
    """A gateway that answers a rejection with 200 does not return the chain's output: it violates authentication only."""
    request = CheckRequest(fields=(("Authorization", key), JSON_TYPE), body=b'{"a":1}')
    received = TransportResult(transport=Transport.ANSWERED, answer=OK, raw=b"HTTP/1.1")
    judgement = judge(request, received, None, TERMS, AnswerHistory(), deadline=1.0)

    assert clause == [violation.clause.id for violation in judgement.violations]


@pytest.mark.parametrize(
    ("raw", "actual"),
    [
        (b"", "none within 1 s"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "none within 1 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "only a part of one within 1 s"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200", "only a part of one within 1 s"),
    ],
)
def test_a_finding_says_whether_a_part_of_an_answer_came(raw: bytes, actual: str) -> None:
    """A wrong Content-Length needs another remedy than a target that does not answer."""
    request = CheckRequest(fields=(("Authorization", f"Api-Key {KEY}"), JSON_TYPE), body=b"{}")
    judgement = judge(
        request, TransportResult(transport=Transport.DEADLINE, raw=raw), None, TERMS, AnswerHistory(), deadline=1.0
    )

    assert [actual] == [violation.actual for violation in judgement.violations]
    assert ("none" in actual) == bool(remedies_for("request-answered", actual))
