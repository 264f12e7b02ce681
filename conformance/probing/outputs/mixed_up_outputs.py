"""Enters the violation of an output with values that belong to another request."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.violations import Violation
from chainproof.json_text import InvalidJson, TooComplex, parse_json
from chainproof.stored_text import beginning

from ...judging.output_comparison import Path, format_output_path, leaves
from ...transport.request import CheckRequest
from ..answer_recorder import JudgedExchange
from ..requester import Requester

OWN_ANSWER = "the answer to this input"
"""What is expected of every output."""
_MAX_EXCERPT = 80
_SHOWN = 200
"""Characters of another request's body that a finding shows."""


def report_mixed_up(
    requester: Requester,
    owner: CheckRequest,
    paths: Collection[Path],
    request: CheckRequest,
    answer: Answer | None = None,
    *,
    check: str = "",
) -> None:
    """Enter the violation of an output with values that belong to another request. All of a run are one finding."""
    text = beginning(owner.body or b"", _MAX_EXCERPT)
    actual = f"`{format_output_path(min(paths))}` as in the answer to another request: {text}"
    violation = requester.known_answers.first_mixed_up(_mixed_up(actual))
    requester.record_violation(violation, request, answer, check=check)


def _mixed_up(actual: str) -> Violation:
    return Violation(clause=clauses.ANSWER_MATCHES_REQUEST, expected=OWN_ANSWER, actual=actual)


def judge_tokens(requester: Requester, judged: JudgedExchange, others: Mapping[bytes, bytes]) -> None:
    """Record whether an answer contains a unique text of another request, given the body that has each text."""
    answer = judged.answer
    if answer is None or answer.status != 200:
        return
    foreign = next((token for token in others if token in answer.body), None)
    if foreign is None:
        requester.record_clause(clauses.ANSWER_MATCHES_REQUEST, judged.request, answer)
        return
    actual = (
        f"{_place_of(foreign, answer)} has a text that only another request has: {beginning(others[foreign], _SHOWN)}"
    )
    violation = requester.known_answers.first_mixed_up(_mixed_up(actual))
    requester.record_violation(violation, judged.request, answer)


def _place_of(token: bytes, answer: Answer) -> str:
    """Where a text is in an output."""
    value = parse_json(answer.body)
    if not isinstance(value, InvalidJson | TooComplex):
        for path, values in leaves(value).items():
            if any(isinstance(each, str) and token.decode() in each for each in values):
                return f"`{format_output_path(path)}`"
    return "the output"
