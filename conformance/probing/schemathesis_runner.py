"""
Schemathesis generates from our document; our client sends; its checks and ours judge the same answers.

Every case becomes a request of ours, byte for byte what Schemathesis would have sent, so that redirects are not followed
and each answer is entered in the ledger. Then its own checks see the answer. What they report is assigned to a clause;
where the examination has entered that clause for the same answer already, it is the same thing and counted once.

Left out of its checks, because ours are stricter or theirs mistaken here: `ignored_auth` (it sends probes past us, and
never `Api-Key` with a wrong key), `not_a_server_error` (the document has a 502, 503 and 504), `unsupported_method` (it
takes a 404 for a fault), `allow_header_conformance` (so does ours), and those that need several operations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import requests
from schemathesis.core.failures import AcceptedNegativeData, Failure, FailureGroup, MalformedJson
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.openapi.checks import (
    ContentDeserializationError,
    JsonSchemaError,
    MalformedMediaType,
    MissingContentType,
    MissingHeaderNotRejected,
    MissingHeaders,
    UndefinedContentType,
    UndefinedStatusCode,
)
from schemathesis.specs.openapi import checks as theirs

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import allowed_statuses
from chainproof.contract.openapi import METHOD, PATH
from chainproof.contract.violations import Violation

from ..inputs.chain_schema import Operation, schemathesis_operation
from ..judging.expectation import Terms, expectation, is_undocumented_rejection
from ..transport.request import CheckRequest
from .hypothesis_runner import ExampleBudget, generation_rounds, hypothesis_settings, run_hypothesis_test
from .requester import JudgedAnswer, Requester

_CHECKS = [
    theirs.status_code_conformance,
    theirs.content_type_conformance,
    theirs.response_headers_conformance,
    theirs.response_schema_conformance,
    theirs.negative_data_rejection,
    theirs.missing_required_header,
]

_PHASES = [HypothesisTestMode.EXAMPLES, HypothesisTestMode.COVERAGE, HypothesisTestMode.FUZZING]

_UNSENT = frozenset(
    {
        "user-agent",
        "accept-encoding",
        "accept",
        "connection",
        "content-length",
        "host",
        "transfer-encoding",
        "x-schemathesis-testcaseid",
    }
)
"""Fields that `requests` and Schemathesis add by themselves, or that are ours to write."""


def fuzz(requester: Requester) -> None:
    """
    Everything that Schemathesis makes of the document, positive and negative, at the depth asked for.
    """
    budget = ExampleBudget(requester)
    operation = schemathesis_operation(requester.terms.input_schema, requester.max_examples)

    def observe(case: Case[Operation]) -> None:
        budget.observe(lambda: _asked(requester, case))

    phases = _PHASES
    for examples, seed in generation_rounds("schemathesis", requester, budget):
        config = HypothesisTestConfig(
            project=operation.schema.config, modes=phases, seed=seed, settings=hypothesis_settings(examples)
        )
        run_hypothesis_test(create_test(operation=operation, test_func=observe, config=config))
        # Examples and coverage are the same each time.
        phases = [HypothesisTestMode.FUZZING]


def _asked(requester: Requester, case: Case[Operation]) -> JudgedAnswer:
    """
    A case, sent by us, judged by us and by Schemathesis.
    """
    parts = case.as_transport_kwargs(
        base_url=requester.target.origin, headers={"Authorization": requester.key.authorization}
    )
    prepared = requests.Request(**parts).prepare()
    request = _request(prepared, requester)
    judged = requester.send(request)
    if judged.answer is None or not request.is_for_operation:
        return judged
    return _second_opinion(requester, case, prepared, judged)


def _request(prepared: requests.PreparedRequest, requester: Requester) -> CheckRequest:
    """
    What `requests` would have sent, as a request of ours, without the fields it would have added by itself.
    """
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    assert body is None or isinstance(body, bytes)
    fields = tuple((name, str(value)) for name, value in prepared.headers.items() if name.lower() not in _UNSENT)
    request = CheckRequest(
        method=prepared.method or METHOD,
        path=requester.target.path + prepared.path_url.removeprefix(PATH),
        operation=requester.target.path,
        fields=fields,
        body=body,
        secret=requester.secret,
    )
    return replace(request, label=_label(request, requester))


def _label(request: CheckRequest, requester: Requester) -> str:
    """
    What is special about a request, in the words that our own checks have for it: equal violations are one finding.
    """
    if request.method != METHOD:
        return f"{request.method} with an object" if request.body else f"{request.method} without a body"
    if not request.values("authorization"):
        return "a request without Authorization"
    media_type = ", ".join(request.values("content-type"))
    if request.body and media_type != "application/json":
        return f"an object as {media_type}" if media_type else "a body without Content-Type"
    return requester.body_label(request.body)


def _second_opinion(
    requester: Requester, case: Case[Operation], prepared: requests.PreparedRequest, judged: JudgedAnswer
) -> JudgedAnswer:
    """
    What Schemathesis says of the same answer, where the examination has not said it.
    """
    answer = judged.answer
    assert answer is not None
    entered = {violation.clause for violation in judged.violations}
    found = []
    said = _Said(answer=answer, request=judged.request, terms=requester.terms)
    for failure in _failures(case, prepared, answer):
        clause = _clause(failure, said)
        if clause is None or clause in entered or is_waived(clause, requester.settings.contract):
            continue
        entered.add(clause)
        message = " ".join(failure.message.split())
        violation = Violation(
            clause=clause, expected=clause.statement, actual=f"{failure.title}, Schemathesis says: {message[:200]}"
        )
        requester.record_clause(clause, violation, judged.request, answer)
        found.append(violation)
    return replace(judged, violations=judged.violations + tuple(found))


def _failures(case: Case[Operation], prepared: requests.PreparedRequest, answer: Answer) -> tuple[Failure, ...]:
    """
    What Schemathesis' checks say of an answer.
    """
    fields: dict[str, list[str]] = {}
    for name, value in answer.headers:
        fields.setdefault(name.lower(), []).append(value)
    response = Response(
        status_code=answer.status, headers=fields, content=answer.body, request=prepared, elapsed=0.0, verify=True
    )
    try:
        case.validate_response(response, checks=_CHECKS)
    except FailureGroup as group:  # derives from BaseExceptionGroup
        return group.exceptions
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """
    What a failure of Schemathesis' was said of.
    """

    answer: Answer
    request: CheckRequest
    terms: Terms


_ByKind = Callable[[_Said], Clause | None]


def _if_undocumented(said: _Said) -> Clause | None:
    """
    The document's statuses are the strict contract's; a wider one has more.
    """
    return None if said.answer.status in allowed_statuses(said.terms.contract) else clauses.STATUS


def _media_type(said: _Said) -> Clause | None:
    """
    The media type of an output, or of an error.
    """
    return clauses.OUTPUT_MEDIA_TYPE if said.answer.status == 200 else clauses.ERROR_MEDIA_TYPE


def _refusal(said: _Said) -> Clause | None:
    """
    What should have been refused, by what was really sent: a negated header that we set again is no longer negated.
    """
    expected = expectation(said.request, said.terms)
    if expected is None or expected.is_met_by(said.answer):
        return None
    return None if is_undocumented_rejection(said.request, said.answer, said.terms.contract) else expected.clause


def _request_id(_: _Said) -> Clause | None:
    """
    The one header that the document declares.
    """
    return clauses.REQUEST_ID_PRESENT


def _ours_decides(_: _Said) -> Clause | None:
    """
    Whether a body is JSON: Python's own parser has limits on depth and digits that are no fault of the target.
    """
    return None


_BY_KIND: dict[type[Failure], _ByKind] = {
    UndefinedStatusCode: _if_undocumented,
    MissingContentType: _media_type,
    UndefinedContentType: _media_type,
    MalformedMediaType: _media_type,
    MissingHeaders: _request_id,
    AcceptedNegativeData: _refusal,
    MissingHeaderNotRejected: _refusal,
    MalformedJson: _ours_decides,
    ContentDeserializationError: _ours_decides,
}
"""Every failure that the checks above can report; one that is missing here is our own error."""

_BY_MEMBER: dict[object, Clause] = {
    "error": clauses.ERROR_MESSAGE,
    "error_code": clauses.ERROR_CODE,
    "detail": clauses.ERROR_DETAIL,
}


def _clause(failure: Failure, said: _Said) -> Clause | None:
    """
    The clause that a failure of Schemathesis' is about, or None where it is none of ours.
    """
    if not isinstance(failure, JsonSchemaError):
        return _BY_KIND[type(failure)](said)
    if "header" in failure.title.lower():
        return clauses.REQUEST_ID_PRESENT
    if said.answer.status == 200:
        return clauses.OUTPUT_OBJECT
    return _BY_MEMBER.get(failure.instance_path[0]) if failure.instance_path else clauses.ERROR_OBJECT
