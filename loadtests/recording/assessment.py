"""What an answer means, or its absence: outcome, violations, and the clauses that it exercises."""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import OUTPUT_JSON, OUTPUT_OBJECT, Clause
from chainproof.contract.violations import Violation
from chainproof.results.exchange import Outcome

_NON_OBJECT_CLAUSES = frozenset({OUTPUT_JSON, OUTPUT_OBJECT})
"""An output that violates one of these is no JSON object and is not checked further."""


def has_object_output(answer: Answer, violations: tuple[Violation, ...]) -> bool:
    """True if an answer is a 200 with a JSON object, as far as these violations tell."""
    return answer.status == 200 and not any(violation.clause in _NON_OBJECT_CLAUSES for violation in violations)


@dataclass(slots=True, eq=False)
class Assessment:
    """What became of a request. Answers that repeat an earlier one share its assessment. Compared by identity."""

    outcome: Outcome
    reason: str = ""
    """Why it is not ok, or the first violation of an answer that is."""
    violations: tuple[Violation, ...] = ()
    exercised: tuple[Clause, ...] = ()
    """The clauses that the answer exercises; empty if there was none."""
