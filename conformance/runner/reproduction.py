"""Finds for each finding a command that shows it again: one request if that is enough, else the check."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.violations import Violation
from chainproof.json_text import parse_json
from chainproof.results.exchange import Transport

from ..judging.expectation import expectation
from ..judging.finding_recorder import Evidence
from ..judging.judge import AnswerHistory, Judgement, judge
from ..judging.output_comparison import OutputSign, leaves
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.connection import TransportResult, with_trailing_bytes
from ..transport.request import CheckRequest, reproduction_command
from .smaller_request import smaller_request

_ATTEMPTS = 3
"""How often a request must show the violation, so that a violation by chance does not count as one that always shows."""

_TIMEOUT: Seconds = 2.0
"""How long an answer is waited for again, unless the target takes longer for the simplest input."""
_SLOWER = 2
"""Times that the answer to another input may take as long."""

_STATUS = re.compile(r"status (\d{3})(?: to an? .*| `\w+`|: .*)?")
"""What was found, if it is a status that anybody can see."""

REQUEST_ID_CHECKS = "identity- or repeated_requests"
"""Selects the checks that test whether request ids are unique."""

_NO_ANSWER = re.compile(r"no answer|(none|only a part of one) within .*|the connection was closed without an answer")

_NOT_SHOWN_BY_ONE_ANSWER = frozenset({clauses.REQUEST_ID_UNIQUE, clauses.REQUEST_ISOLATION, clauses.OVERLOAD})
"""Clauses about several answers: the status of one is no violation."""

_SHOWN_BY_INPUT = frozenset({clauses.OBJECT_ACCEPTED, clauses.OUTPUT_SCHEMA, clauses.OUTPUT_JSON, clauses.STATUS})
"""Clauses that a chain violates because of its input."""

_SAME_SIGN = frozenset({clauses.ECHO_EXACT, clauses.ANSWER_MATCHES_REQUEST})
"""Clauses between which an answer alone does not decide."""


def reproduce_findings(
    requester: Requester, checks: tuple[str, ...], check_id: str, rerun: Callable[[str], str]
) -> None:
    """
    Try the requests of the findings that *checks* saw first. If a request alone does not show its violation, the command
    of the finding becomes the one that *rerun* gives for the check's id.
    """
    finding_recorder = requester.finding_recorder
    for key, violation, evidence in finding_recorder.untried(*checks):
        try:
            shown = all(
                shows_violation(requester, violation, evidence.request, evidence.sign) for _ in range(_ATTEMPTS)
            )
            is_exact = evidence.sign is not None or evidence.answer_body is not None
            if shown and violation.clause in _SHOWN_BY_INPUT and not is_exact:
                _use_smaller_request(requester, key, violation, evidence)
        except CheckSkipped:
            return  # nothing more may be sent
        command = reproduction_command(evidence.request, requester.target)
        # Equal ids may be far apart, and seen by any check.
        selection = REQUEST_ID_CHECKS if violation.clause is clauses.REQUEST_ID_UNIQUE else check_id
        text = f"{rerun(selection)}  # {_reason_to_rerun(command)}"
        finding_recorder.set_tried(key, None if shown and command else text)


def _use_smaller_request(
    requester: Requester, key: tuple[str, str, str], violation: Violation, evidence: Evidence
) -> None:
    """Give a finding a smaller input than the one that a check happened to send, if that has exactly the same violation."""
    ids: dict[bytes | None, str | None] = {}

    def is_shown(request: CheckRequest) -> bool:
        received = _sent_alone(requester, request)
        ids[request.body] = received.answer.request_id if received.answer is not None else None
        found = [*_judgement(requester, request, received).violations]
        if (expected := expectation(request, requester.terms)) and received.answer is not None:
            found += filter(None, [expected.violation(received.answer)])  # also of a status that a busy target has
        recorder = requester.finding_recorder
        return any(recorder.finding_key(recorder.as_stored(each)) == key for each in found)

    smaller = smaller_request(requester, evidence.request, is_shown)
    if smaller is not evidence.request:
        changed = replace(evidence, request=smaller, request_id=ids[smaller.body])
        requester.finding_recorder.use_evidence(key, violation, changed)


def _reason_to_rerun(command: str) -> str:
    """
    Why the check has to be run again, since the *command* that sends the request is empty or does not show the violation.

    >>> _reason_to_rerun(""), _reason_to_rerun("curl …")
    ('the request is too long for a line', 'one request alone does not show it')
    """
    return "one request alone does not show it" if command else "the request is too long for a line"


def shows_violation(
    requester: Requester, violation: Violation, request: CheckRequest, sign: OutputSign | None = None
) -> bool:
    """Whether the request alone, on a connection of its own, shows the violation, if known by the *sign* that an output has."""
    received = _sent_alone(requester, request)
    if sign is not None:
        return _has_sign(received.answer, sign)
    found = _violated_clauses(requester, request, received)
    wanted = violation.clause
    if wanted in found or (wanted in _SAME_SIGN and found & _SAME_SIGN):
        return True
    if wanted in _NOT_SHOWN_BY_ONE_ANSWER:
        return False
    status = _STATUS.fullmatch(violation.actual)
    if status is not None:
        return received.status == int(status[1])
    return bool(_NO_ANSWER.fullmatch(violation.actual)) and received.answer is None and not received.framing_error


def _has_sign(answer: Answer | None, sign: OutputSign) -> bool:
    """Whether an answer has the values by which a violation is recognised."""
    output = parse_json(answer.body) if answer is not None and answer.status == 200 else None
    path, values = sign
    return isinstance(output, dict | list | str) and leaves(output).get(path) == values


def _sent_alone(requester: Requester, request: CheckRequest) -> TransportResult:
    """What comes back for a request on a connection of its own. Nothing is recorded."""
    within = max(_TIMEOUT, _SLOWER * requester.response_times.accepted)
    with requester.raw_connection() as connection:
        received = connection.exchange(request, within=min(within, requester.settings.deadline))
        is_open = received.transport is Transport.ANSWERED and not connection.is_closed
        return with_trailing_bytes(received, connection.read_unexpected() if is_open else b"")


def _violated_clauses(requester: Requester, request: CheckRequest, received: TransportResult) -> set[Clause]:
    """The clauses that an answer violates by itself."""
    judgement = _judgement(requester, request, received)
    found = {each.clause for each in judgement.violations}
    return found if judgement.auth_bypass is None else found | {judgement.auth_bypass.clause}


def _judgement(requester: Requester, request: CheckRequest, received: TransportResult) -> Judgement:
    """What an answer says by itself."""
    expected = expectation(request, requester.terms)
    return judge(request, received, expected, requester.terms, AnswerHistory(), deadline=requester.settings.deadline)
