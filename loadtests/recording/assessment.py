"""What an answer means, or its absence: outcome, violations, and the parts that clauses are about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import OUTPUT_JSON, OUTPUT_OBJECT
from chainproof.contract.errors import DOCUMENTED_CODES
from chainproof.contract.violations import Violation
from chainproof.json_text import parse_json
from chainproof.results.exchange import Outcome

NON_OBJECT_CLAUSES = frozenset({OUTPUT_JSON, OUTPUT_OBJECT})
"""An output that violates one of these is no JSON object and is not checked further."""


class AnswerPart(Enum):
    """A part of an answer. An answer exercises the clauses about the parts that it has."""

    ANSWER = "answer"
    OUTPUT = "output"
    OBJECT = "JSON object as output"
    ERROR = "error"
    MESSAGE = "error message"
    CODE = "error code"
    DETAIL = "error detail"
    DOCUMENTED_CODE = "documented error code"


_MEMBERS = {
    "error": AnswerPart.MESSAGE,
    "error_code": AnswerPart.CODE,
    "detail": AnswerPart.DETAIL,
}
VALID_OUTPUT = (AnswerPart.ANSWER, AnswerPart.OUTPUT, AnswerPart.OBJECT)
"""The parts of a 200 without violations."""


def answer_parts(answer: Answer, violations: tuple[Violation, ...]) -> tuple[AnswerPart, ...]:
    """The parts of an answer that shows these violations."""
    if answer.status == 200 and not violations:
        return VALID_OUTPUT
    parts = [AnswerPart.ANSWER]
    if 200 <= answer.status < 300:
        parts.append(AnswerPart.OUTPUT)
    if answer.status == 200 and not any(violation.clause in NON_OBJECT_CLAUSES for violation in violations):
        parts.append(AnswerPart.OBJECT)
    if answer.status >= 400:
        parts.append(AnswerPart.ERROR)
        value = parse_json(answer.body)
        if isinstance(value, dict):
            parts += [part for name, part in _MEMBERS.items() if name in value]
            code = value.get("error_code")
            if isinstance(code, str) and code in DOCUMENTED_CODES:
                parts.append(AnswerPart.DOCUMENTED_CODE)
    return tuple(parts)


@dataclass(slots=True, eq=False)
class Assessment:
    """What became of a request. Answers that repeat an earlier one share its assessment. Compared by identity."""

    outcome: Outcome
    reason: str = ""
    """Why it is not ok, or the first violation of an answer that is."""
    violations: tuple[Violation, ...] = ()
    parts: tuple[AnswerPart, ...] = ()
    """Empty if there was no answer."""
