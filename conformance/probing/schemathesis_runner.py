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
from chainproof.contract.clauses import Clause, waived
from chainproof.contract.errors import allowed_statuses
from chainproof.contract.openapi import METHOD, PATH
from chainproof.contract.violations import Departure

from ..inputs.chain_schema import Operation
from ..inputs.chain_schema import operation as operation_with
from ..judging.expectation import Terms, expectation, only_undocumented
from ..transport.request import Request
from .hypothesis_runner import Spending, hypothesis_settings, rounds, run
from .requester import Examination, Observation

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


def fuzz(examination: Examination) -> None:
    """
    Everything that Schemathesis makes of the document, positive and negative, at the depth asked for.
    """
    spending = Spending(examination)
    operation = operation_with(examination.terms.takes, examination.examples)

    def observe(case: Case[Operation]) -> None:
        spending.observe(lambda: _asked(examination, case))

    phases = _PHASES
    for examples, seed in rounds("schemathesis", examination, spending):
        config = HypothesisTestConfig(
            project=operation.schema.config, modes=phases, seed=seed, settings=hypothesis_settings(examples)
        )
        run(create_test(operation=operation, test_func=observe, config=config))
        # Examples and coverage are the same each time.
        phases = [HypothesisTestMode.FUZZING]


def _asked(examination: Examination, case: Case[Operation]) -> Observation:
    """
    A case, sent by us, judged by us and by Schemathesis.
    """
    parts = case.as_transport_kwargs(
        base_url=examination.target.origin, headers={"Authorization": examination.key.authorization}
    )
    prepared = requests.Request(**parts).prepare()
    request = _request(prepared, examination)
    observation = examination.ask(request)
    if observation.answer is None or not request.of_operation:
        return observation
    return _second_opinion(examination, case, prepared, observation)


def _request(prepared: requests.PreparedRequest, examination: Examination) -> Request:
    """
    What `requests` would have sent, as a request of ours, without the fields it would have added by itself.
    """
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    assert body is None or isinstance(body, bytes)
    fields = tuple((name, str(value)) for name, value in prepared.headers.items() if name.lower() not in _UNSENT)
    request = Request(
        method=prepared.method or METHOD,
        path=examination.target.path + prepared.path_url.removeprefix(PATH),
        operation=examination.target.path,
        fields=fields,
        body=body,
        secret=examination.secret,
    )
    return replace(request, label=_label(request, examination))


def _label(request: Request, examination: Examination) -> str:
    """
    What is special about a request, in the words that our own checks have for it: equal departures are one finding.
    """
    if request.method != METHOD:
        return f"{request.method} with an object" if request.body else f"{request.method} without a body"
    if not request.values("authorization"):
        return "a request without Authorization"
    media_type = ", ".join(request.values("content-type"))
    if request.body and media_type != "application/json":
        return f"an object as {media_type}" if media_type else "a body without Content-Type"
    return examination.label(request.body)


def _second_opinion(
    examination: Examination, case: Case[Operation], prepared: requests.PreparedRequest, observation: Observation
) -> Observation:
    """
    What Schemathesis says of the same answer, where the examination has not said it.
    """
    answer = observation.answer
    assert answer is not None
    entered = {departure.clause for departure in observation.departures}
    found = []
    said = _Said(answer=answer, request=observation.request, terms=examination.terms)
    for failure in _failures(case, prepared, answer):
        clause = _clause(failure, said)
        if clause is None or clause in entered or waived(clause, examination.settings.contract):
            continue
        entered.add(clause)
        message = " ".join(failure.message.split())
        departure = Departure(
            clause=clause, expected=clause.statement, actual=f"{failure.title}, Schemathesis says: {message[:200]}"
        )
        examination.hold(clause, departure, observation.request, answer)
        found.append(departure)
    return replace(observation, departures=observation.departures + tuple(found))


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
    request: Request
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
    if expected is None or expected.keeps(said.answer):
        return None
    return None if only_undocumented(said.request, said.answer, said.terms.contract) else expected.clause


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
