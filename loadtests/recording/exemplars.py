"""
What is kept of single exchanges: findings, clause counts and exemplars, in bounded memory whatever the target invents.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import USER_CHECK, Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import DOCUMENTED_CODES
from chainproof.contract.levels import Contract
from chainproof.contract.violations import Violation
from chainproof.json_text import parse_json
from chainproof.results.exchange import Exchange, Outcome, Transport
from chainproof.results.exemplar import Exemplar, exemplar
from chainproof.results.finding import ClauseCount, Finding, finding
from chainproof.results.stored_body import StoredBody

from .request_ids import REPEATED_ID, RequestIds

MAX_FINDINGS = 200
"""Distinct findings; whatever departs in yet another way is counted under one more per clause."""
MAX_OUTCOMES = 300
"""Distinct outcomes that are given exemplars."""
MAX_CODES = 100
"""Distinct undocumented error codes that are told apart."""
EXEMPLARS_PER_OUTCOME = 3
SLOWEST_COUNT = 20

OTHER_VIOLATIONS = "other ways, not told apart"
OTHER_CODES = "(other codes)"
_LONGEST_CODE = 80

KeptBodies = tuple[StoredBody | None, StoredBody | None]
"""What is kept of a request's body and its answer's."""
NO_BODIES: KeptBodies = (None, None)


def no_bodies() -> KeptBodies:
    """Nothing of either, as long as nobody asks for more."""
    return NO_BODIES


class ErrorCodeLabels:
    """
    Error codes as they may be counted: the ten as they are, a bounded number of others, the rest as one.
    """

    def __init__(self) -> None:
        self._known: set[str] = set(DOCUMENTED_CODES)

    def counted(self, code: str | None) -> str | None:
        """The name under which a code is counted."""
        if code is None or code in self._known:
            return code
        short = code[:_LONGEST_CODE]
        if short not in self._known and len(self._known) >= MAX_CODES + len(DOCUMENTED_CODES):
            return OTHER_CODES
        self._known.add(short)
        return short


class FindingCounter:
    """
    Violations, each way of departing counted once.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._found: dict[tuple[str, str, str], Finding] = {}
        self._changed: set[tuple[str, str, str]] = set()

    def add(self, violation: Violation, request_id: str | None, reproduce: Callable[[], str]) -> None:
        """Count a violation; its first one is kept with the line that reproduces it."""
        key = (violation.clause.id, violation.expected, violation.actual)
        if key not in self._found and len(self._found) >= MAX_FINDINGS:
            violation = Violation(clause=violation.clause, expected=violation.clause.statement, actual=OTHER_VIOLATIONS)
            key = (violation.clause.id, violation.expected, violation.actual)
        known = self._found.get(key)
        self._found[key] = (
            known.with_added_count()
            if known is not None
            else finding(violation, reproduce=reproduce(), request_id=request_id, seed=self._seed, check="loadtests")
        )
        self._changed.add(key)

    def changed_findings(self) -> Iterator[Finding]:
        """The findings that are new, or counted anew, since this was last asked."""
        keys, self._changed = self._changed, set()
        return (self._found[key] for key in keys)


class ClauseCounter:
    """
    How often each clause was put to the test by an answer, and how often it was departed from.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        has_output_schema: bool = False,
        has_user_check: bool = False,
        track_new: bool = False,
    ) -> None:
        """
        *shaped* where outputs are held against the chain's own schema, *checked* by the user's own check; *telling* where somebody else compares request ids
        too.
        """
        of_outputs = (clauses.OUTPUT_SCHEMA,) * has_output_schema + (USER_CHECK,) * has_user_check
        self.outputs_checked: Callable[[], int] | None = None
        """How many outputs were held against the schema, where not every one is."""
        self._held = tuple(
            clause for clause in (*clauses.SINGLE_ANSWER_CLAUSES, *of_outputs) if not is_waived(clause, contract)
        )
        self._answers = 0
        self._outputs = 0
        self._shaped = 0
        self._errors = 0
        self._members: Counter[str] = Counter()
        self._paired = 0
        self._departed: Counter[Clause] = Counter()
        self.ids = RequestIds(track_new=track_new)
        self._identified = 0

    def add(self, answer: Answer, violations: tuple[Violation, ...]) -> None:
        """Count what one answer puts to the test."""
        self._answers += 1
        if answer.status == 200 and not violations:
            self._outputs += 1
            self._shaped += 1
            return
        if 200 <= answer.status < 300:
            self._outputs += 1
        elif answer.status >= 400:
            self._errors += 1
            self._add_members(answer.body)
        self._shaped += answer.status == 200 and not any(
            violation.clause in NON_OBJECT_CLAUSES for violation in violations
        )
        for violation in violations:
            self._departed[violation.clause] += 1

    def _add_members(self, body: bytes) -> None:
        value = parse_json(body)
        if isinstance(value, dict):
            self._members.update(_MEMBERS.keys() & value.keys())
            code = value.get("error_code")
            self._paired += isinstance(code, str) and code in DOCUMENTED_CODES

    def repeated(self, request_id: str | None) -> Violation | None:
        """The violation of a request id that was seen before in this process."""
        if not request_id:
            return None
        self._identified += 1
        if not self.ids.repeated(request_id):
            return None
        self._departed[clauses.REQUEST_ID_UNIQUE] += 1
        return REPEATED_ID

    def counts(self) -> Iterator[ClauseCount]:
        """The counts so far."""
        for clause in self._held:
            yield self._count(clause, self._exercised(clause))
        yield self._count(clauses.REQUEST_ID_UNIQUE, self._identified)

    def _count(self, clause: Clause, exercised: int) -> ClauseCount:
        return ClauseCount(clause=clause.id, exercised=exercised, violations=self._departed[clause])

    def _exercised(self, clause: Clause) -> int:
        if clause is clauses.ERROR_CODE_STATUS:
            return self._paired
        if clause is clauses.OUTPUT_SCHEMA:
            return self._shaped if self.outputs_checked is None else self.outputs_checked()
        if clause is USER_CHECK:
            return self._shaped
        member = next((name for name, known in _MEMBERS.items() if known is clause), None)
        if member is not None:
            return self._members[member]
        if clause in _OF_OUTPUTS:
            return self._outputs
        return self._errors if clause in _OF_ERRORS else self._answers


_MEMBERS = {"error": clauses.ERROR_MESSAGE, "error_code": clauses.ERROR_CODE, "detail": clauses.ERROR_DETAIL}
"""The clauses that an error puts to the test only where it has the member."""
_OF_OUTPUTS = frozenset({clauses.OUTPUT_MEDIA_TYPE, clauses.OUTPUT_JSON, clauses.OUTPUT_OBJECT})
NON_OBJECT_CLAUSES = frozenset({clauses.OUTPUT_JSON, clauses.OUTPUT_OBJECT})
"""Violations of an output that no schema is held against: it is known to be none."""
_OF_ERRORS = frozenset({clauses.ERROR_MEDIA_TYPE, clauses.ERROR_JSON, clauses.ERROR_OBJECT})


class Exemplars:
    """
    The first exchanges of every outcome, and the slowest answers of all.
    """

    def __init__(self) -> None:
        self._of: Counter[Outcome] = Counter()
        self._new: list[Exemplar] = []
        self._slowest: list[tuple[float, int, Exemplar]] = []
        self._unwritten: set[int] = set()

    def consider(self, exchange: Exchange, reason: str, bodies: Callable[[], KeptBodies] = no_bodies) -> None:
        """Keep an exchange if it is one of those, with its *bodies*, which are asked for only then."""
        outcome = exchange.outcome
        seen = self._of[outcome]
        if seen < EXEMPLARS_PER_OUTCOME and (seen or len(self._of) <= MAX_OUTCOMES):
            self._of[outcome] = seen + 1
            self._new.append(_exemplar(exchange, "outcome", reason, bodies))
        elif outcome.transport is Transport.ANSWERED and (
            len(self._slowest) < SLOWEST_COUNT or exchange.response_time > self._slowest[0][0]
        ):
            self._keep_slow(exchange, _exemplar(exchange, "slowest", reason, bodies))

    def slowest_threshold(self, outcome: Outcome) -> float | None:
        """What an answer with this outcome must take longer than to be kept; None as long as any is."""
        full = len(self._slowest) >= SLOWEST_COUNT and self._of[outcome] >= EXEMPLARS_PER_OUTCOME
        return self._slowest[0][0] if full else None

    def _keep_slow(self, exchange: Exchange, found: Exemplar) -> None:
        kept = (exchange.response_time, exchange.number, found)
        heapq.heappush(self._slowest, kept)
        self._unwritten.add(exchange.number)
        if len(self._slowest) > SLOWEST_COUNT:
            _, number, _ = heapq.heappop(self._slowest)
            self._unwritten.discard(number)

    def new_exemplars(self) -> Iterator[Exemplar]:
        """The first of their outcomes since this was last asked."""
        new, self._new = self._new, []
        return iter(new)

    def slowest(self) -> Iterator[Exemplar]:
        """The slowest that were not yielded before."""
        unwritten, self._unwritten = self._unwritten, set()
        return (kept for _, number, kept in sorted(self._slowest, reverse=True) if number in unwritten)


def _exemplar(exchange: Exchange, why: str, reason: str, bodies: Callable[[], KeptBodies]) -> Exemplar:
    """
    An exemplar with what is kept of its bodies.
    """
    request, answer = bodies()
    return exemplar(exchange, why=why, reason=reason, request_body=request, answer_body=answer)
