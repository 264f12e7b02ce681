"""
Sends the requests that Schemathesis generates from the OpenAPI document, and adds the verdicts of its checks to ours.

Every generated case is sent by our own client, with the bytes that Schemathesis would have sent. So redirects are not
followed, and each answer is judged and recorded. Then Schemathesis's checks see the same answer. What they
report is assigned to a clause, and entered unless the same answer has a violation of that clause already.

Some of its checks are not used. `ignored_auth` sends probes past our client, and never `Api-Key` with a wrong key.
`not_a_server_error` rejects the documented 502, 503 and 504. `unsupported_method` treats a 404 as a failure.
`allow_header_conformance` is covered by our own clause. Others need several operations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import requests
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import AcceptedNegativeData, Failure, FailureGroup, MalformedJson
from schemathesis.core.transport import Response
from schemathesis.errors import SchemathesisError
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

from chainproof.chain_schema.schema import Schema
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import allowed_statuses
from chainproof.contract.openapi import METHOD, PATH
from chainproof.contract.violations import Violation

from ..judging.expectation import Terms, expectation, is_undocumented_rejection
from ..judging.judge import is_operation_answer
from ..transport.request import CheckRequest
from .answer_recorder import JudgedExchange
from .budget import Round
from .hypothesis_runner import ExampleBudget, generation_rounds, hypothesis_settings, run_hypothesis_test
from .requester import Requester
from .schemathesis_operation import Operation, schemathesis_operation

_CHECKS = [
    theirs.status_code_conformance,
    theirs.content_type_conformance,
    theirs.response_headers_conformance,
    theirs.response_schema_conformance,
    theirs.negative_data_rejection,
    theirs.missing_required_header,
]

_PHASES = {
    Round.ALL: [HypothesisTestMode.EXAMPLES, HypothesisTestMode.COVERAGE, HypothesisTestMode.FUZZING],
    Round.FIRST: [HypothesisTestMode.EXAMPLES, HypothesisTestMode.FUZZING],
    Round.REST: [HypothesisTestMode.COVERAGE, HypothesisTestMode.FUZZING],
}
"""Examples are few. Coverage is dozens of cases, many of which our own checks send too."""

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
"""Fields that `requests` and Schemathesis add by themselves, or that our client writes."""
_MAX_BODY = 1 << 20
"""Bytes of a body up to which Schemathesis judges an answer. The objects that it makes of JSON take many times the memory."""


def fuzz(requester: Requester) -> None:
    """Send what Schemathesis generates from the document, valid and invalid cases, as many as the depth says."""
    budget = ExampleBudget(requester)
    try:
        _fuzz(requester, budget, requester.terms.input_schema)
    except (SchemathesisError, Unsatisfiable):
        # It cannot generate from every schema; our own generator sends inputs for those. Its other cases need none.
        _fuzz(requester, budget, None)


def _fuzz(requester: Requester, budget: ExampleBudget, schema: Schema | None) -> None:
    """Send cases for an input schema, or for any object. Raises an exception if Schemathesis cannot generate from the schema."""
    operation = schemathesis_operation(schema, max(1, budget.remaining))

    def observe(case: Case[Operation]) -> None:
        budget.observe(lambda: _send_case(requester, case))

    phases = _PHASES[requester.scope.round]
    for examples, seed in generation_rounds("schemathesis", requester, budget):
        config = HypothesisTestConfig(
            project=operation.schema.config, modes=phases, seed=seed, settings=hypothesis_settings(examples)
        )
        run_hypothesis_test(create_test(operation=operation, test_func=observe, config=config))
        # Examples and coverage are the same each time.
        phases = [HypothesisTestMode.FUZZING]


def _send_case(requester: Requester, case: Case[Operation]) -> JudgedExchange:
    """Send a case. The answer is judged by our clauses and by Schemathesis."""
    parts = case.as_transport_kwargs(
        base_url=requester.target.origin, headers={"Authorization": requester.key.authorization}
    )
    prepared = requests.Request(**parts).prepare()
    request = _request(prepared, requester)
    judged = requester.send(request)
    answer = judged.answer
    if answer is None or not is_operation_answer(request, answer) or len(answer.body) > _MAX_BODY:
        return judged
    return _with_schemathesis_violations(requester, case, prepared, judged)


def _request(prepared: requests.PreparedRequest, requester: Requester) -> CheckRequest:
    """The request that `requests` would have sent, without the fields that it adds by itself."""
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
    """The label that our own checks give a request like this, so that equal violations are one finding."""
    if request.method != METHOD:
        return f"{request.method} with an object" if request.body else f"{request.method} without a body"
    if not request.values("authorization"):
        return "a request without Authorization"
    media_type = ", ".join(request.values("content-type"))
    if request.body and media_type != "application/json":
        return f"an object as {media_type}" if media_type else "a body without Content-Type"
    return requester.body_label(request.body)


def _with_schemathesis_violations(
    requester: Requester, case: Case[Operation], prepared: requests.PreparedRequest, judged: JudgedExchange
) -> JudgedExchange:
    """The judged answer with the violations that only Schemathesis reports; enters them."""
    answer = judged.answer
    assert answer is not None
    entered = {violation.clause for violation in judged.violations}
    found = []
    context = _FailureContext(answer=answer, request=judged.request, terms=requester.terms)
    for failure in _failures(case, prepared, answer):
        clause = _clause(failure, context)
        if clause is None or clause in entered or is_waived(clause, requester.settings.contract):
            continue
        entered.add(clause)
        message = " ".join(failure.message.split())
        violation = Violation(
            clause=clause,
            expected=clause.statement,
            actual=f"{failure.title}, reported by Schemathesis: {message[:200]}",
        )
        requester.record_violation(violation, judged.request, answer)
        found.append(violation)
    return replace(judged, violations=judged.violations + tuple(found))


def _failures(case: Case[Operation], prepared: requests.PreparedRequest, answer: Answer) -> tuple[Failure, ...]:
    """The failures that Schemathesis's checks report for an answer."""
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
class _FailureContext:
    """The exchange for which Schemathesis reported a failure."""

    answer: Answer
    request: CheckRequest
    terms: Terms


_ClauseOfFailure = Callable[[_FailureContext], Clause | None]


def _status(context: _FailureContext) -> Clause | None:
    """The clause on the status, unless the contract of the run allows more statuses than the document."""
    return None if context.answer.status in allowed_statuses(context.terms.contract) else clauses.STATUS


def _media_type(context: _FailureContext) -> Clause | None:
    """The clause on the media type of an output or an error."""
    return clauses.OUTPUT_MEDIA_TYPE if context.answer.status == 200 else clauses.ERROR_MEDIA_TYPE


def _rejection(context: _FailureContext) -> Clause | None:
    """
    The clause by which the request should have been rejected. It depends on what was sent: a header that Schemathesis
    negated may have been set again.
    """
    request, answer, terms = context.request, context.answer, context.terms
    expected = expectation(request, terms)
    if expected is None or expected.is_met_by(answer):
        return None
    return None if is_undocumented_rejection(request, answer, terms.contract) else expected.clause


def _not_json(_: _FailureContext) -> Clause | None:
    """None: our own judgement decides whether a body is JSON, since Python's parser limits depth and digits."""
    return None


_CLAUSE_BY_FAILURE: dict[type[Failure], _ClauseOfFailure] = {
    UndefinedStatusCode: _status,
    MissingContentType: _media_type,
    UndefinedContentType: _media_type,
    MalformedMediaType: _media_type,
    MissingHeaders: lambda _: clauses.REQUEST_ID_PRESENT,  # the only header that the document declares
    AcceptedNegativeData: _rejection,
    MissingHeaderNotRejected: _rejection,
    MalformedJson: _not_json,
    ContentDeserializationError: _not_json,
}
"""Every failure that the checks above can report. A missing one is our own error."""

_CLAUSE_BY_MEMBER: dict[object, Clause] = {
    "error": clauses.ERROR_MESSAGE,
    "error_code": clauses.ERROR_CODE,
    "detail": clauses.ERROR_DETAIL,
}


def _clause(failure: Failure, context: _FailureContext) -> Clause | None:
    """The clause that a failure reported by Schemathesis violates, or None if it violates none."""
    if not isinstance(failure, JsonSchemaError):
        return _CLAUSE_BY_FAILURE[type(failure)](context)
    if "header" in failure.title.lower():
        return clauses.REQUEST_ID_PRESENT
    if context.answer.status == 200:
        return clauses.OUTPUT_OBJECT
    return _CLAUSE_BY_MEMBER.get(failure.instance_path[0]) if failure.instance_path else clauses.ERROR_OBJECT
