"""Findings, clause counts and exemplars of a run, in bounded memory whatever the target answers."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from chainproof.contract import clauses
from chainproof.contract.clauses import USER_CHECK, Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import DOCUMENTED_CODES
from chainproof.contract.levels import Contract
from chainproof.contract.violations import Violation
from chainproof.results.exchange import Exchange, Outcome, Transport
from chainproof.results.exemplar import Exemplar, exemplar
from chainproof.results.finding import ClauseCount, Finding, finding, finding_key
from chainproof.results.stored_body import StoredBody
from chainproof.stored_text import (
    MAX_CODE_LENGTH,
    MAX_CODES,
    MAX_FINDINGS,
    OTHER_CODES,
    OTHER_VIOLATIONS,
    shortened,
)

from .assessment import Assessment
from .request_ids import RequestIds

MAX_OUTCOMES = 300
"""Distinct outcomes that get exemplars, and distinct pairs of status and error code that are counted by themselves."""
EXEMPLARS_PER_OUTCOME = 3
SLOWEST_COUNT = 20

KeptBodies = tuple[StoredBody | None, StoredBody | None]
"""The stored bodies of a request and of its answer."""
NO_BODIES: KeptBodies = (None, None)


def no_bodies() -> KeptBodies:
    """No bodies."""
    return NO_BODIES


class ErrorCodeLabels:
    """Labels for counting error codes: the documented codes, a bounded number of others, and one for the rest."""

    def __init__(self) -> None:
        self._known: set[str] = set(DOCUMENTED_CODES)
        self._used: set[tuple[int, str]] = set()

    def label(self, code: str | None, status: int = 0) -> str | None:
        """The label under which a code is counted in answers with this status."""
        label = self._label(code)
        if label is None or (status, label) in self._used:
            return label
        if len(self._used) >= MAX_OUTCOMES:
            return OTHER_CODES
        self._used.add((status, label))
        return label

    def _label(self, code: str | None) -> str | None:
        if code is None or code in self._known:
            return code
        short = shortened(code, MAX_CODE_LENGTH)
        if short not in self._known and len(self._known) >= MAX_CODES + len(DOCUMENTED_CODES):
            return OTHER_CODES
        self._known.add(short)
        return short


class FindingCounter:
    """Counts violations; equal ones are one finding."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._findings: dict[tuple[str, str, str], Finding] = {}
        self._changed: set[tuple[str, str, str]] = set()

    def is_new(self, violation: Violation) -> bool:
        """Whether no violation of its kind was counted."""
        return finding_key(violation.clause.id, violation.expected, violation.actual) not in self._findings

    def add(self, violation: Violation, request_id: str, reproduce: Callable[[], str]) -> None:
        """Count a violation. The first of its kind is stored with the curl line that *reproduce* returns."""
        key = finding_key(violation.clause.id, violation.expected, violation.actual)
        if key not in self._findings and len(self._findings) >= MAX_FINDINGS:
            violation = Violation(clause=violation.clause, expected=violation.clause.statement, actual=OTHER_VIOLATIONS)
            key = finding_key(violation.clause.id, violation.expected, violation.actual)
        known = self._findings.get(key)
        self._findings[key] = (
            known.with_added_count()
            if known is not None
            else finding(
                violation,
                reproduce=reproduce(),
                request_id=request_id or None,
                seed=self._seed,
                check="loadtests",
            )
        )
        self._changed.add(key)

    def changed_findings(self) -> Iterator[Finding]:
        """The findings that are new or changed since the last call."""
        keys, self._changed = self._changed, set()
        return (self._findings[key] for key in keys)


class ClauseCounter:
    """How often each clause was exercised by an answer, and how often it was violated."""

    def __init__(
        self,
        contract: Contract,
        *,
        has_output_schema: bool = False,
        has_user_check: bool = False,
        track_new: bool = False,
    ) -> None:
        """
        *has_output_schema* and *has_user_check* add the clauses of these checks. With *track_new*, new request ids are
        kept for the master.
        """
        of_outputs = (clauses.OUTPUT_SCHEMA,) * has_output_schema + (USER_CHECK,) * has_user_check
        self.outputs_checked: Callable[[], int] | None = None
        """Returns how many outputs were checked against the schema, if only a sample is."""
        self._counted = tuple(
            clause
            for clause in (*clauses.SINGLE_ANSWER_CLAUSES, clauses.CONTENT_CODING, *of_outputs)
            if not is_waived(clause, contract)
        )
        self._exercised_times: Counter[Clause] = Counter()
        self._violated: Counter[Clause] = Counter()
        self.ids = RequestIds(track_new=track_new)
        self._with_id = 0

    def add(self, assessment: Assessment, times: int = 1) -> None:
        """Count the clauses that answers with the same assessment exercise and violate."""
        for clause in assessment.exercised:
            self._exercised_times[clause] += times
        for violation in assessment.violations:
            self._violated[violation.clause] += times

    def repeated(self, request_ids: Sequence[bytes]) -> list[int]:
        """The indices of the request ids that are known already in this process."""
        self._with_id += len(request_ids)
        known = self.ids.repeated(request_ids)
        self._violated[clauses.REQUEST_ID_UNIQUE] += len(known)
        return known

    def counts(self) -> Iterator[ClauseCount]:
        """The counts so far, for each clause."""
        for clause in self._counted:
            yield self._count(clause, self._exercised(clause))
        yield self._count(clauses.REQUEST_ID_UNIQUE, self._with_id)

    def _count(self, clause: Clause, exercised: int) -> ClauseCount:
        return ClauseCount(clause=clause.id, exercised=exercised, violations=self._violated[clause])

    def _exercised(self, clause: Clause) -> int:
        if clause is clauses.OUTPUT_SCHEMA and self.outputs_checked is not None:
            return self.outputs_checked()
        return self._exercised_times[clause]


class Exemplars:
    """The first exchanges of each outcome, and the slowest answers."""

    def __init__(self) -> None:
        self._count: Counter[Outcome] = Counter()
        self._new: list[Exemplar] = []
        self._slowest: list[tuple[float, int, Exemplar]] = []
        self._unwritten: set[int] = set()

    def consider(self, exchange: Exchange, reason: str, bodies: Callable[[], KeptBodies] = no_bodies) -> None:
        """Keep an exchange if it is an exemplar. *bodies* is called only then."""
        outcome = exchange.outcome
        count = self._count[outcome]
        if count < EXEMPLARS_PER_OUTCOME and (count or len(self._count) <= MAX_OUTCOMES):
            self._count[outcome] = count + 1
            self._new.append(_exemplar(exchange, "outcome", reason, bodies))
        elif outcome.transport is Transport.ANSWERED and (
            len(self._slowest) < SLOWEST_COUNT or exchange.response_time > self._slowest[0][0]
        ):
            self._keep_slow(exchange, _exemplar(exchange, "slowest", reason, bodies))

    def slowest_threshold(self, outcome: Outcome) -> float | None:
        """Response time above which an answer with this outcome is kept; None if every one may be."""
        full = len(self._slowest) >= SLOWEST_COUNT and self._count[outcome] >= EXEMPLARS_PER_OUTCOME
        return self._slowest[0][0] if full else None

    def _keep_slow(self, exchange: Exchange, slow: Exemplar) -> None:
        heapq.heappush(self._slowest, (exchange.response_time, exchange.number, slow))
        self._unwritten.add(exchange.number)
        if len(self._slowest) > SLOWEST_COUNT:
            _, number, _ = heapq.heappop(self._slowest)
            self._unwritten.discard(number)

    def new_exemplars(self) -> Iterator[Exemplar]:
        """The first exchanges of their outcomes that are new since the last call."""
        new, self._new = self._new, []
        return iter(new)

    def slowest(self) -> Iterator[Exemplar]:
        """The slowest answers that were not returned before."""
        unwritten, self._unwritten = self._unwritten, set()
        return (slow for _, number, slow in sorted(self._slowest, reverse=True) if number in unwritten)


def _exemplar(exchange: Exchange, why: str, reason: str, bodies: Callable[[], KeptBodies]) -> Exemplar:
    """An exemplar with its bodies."""
    request, answer = bodies()
    return exemplar(exchange, why=why, reason=reason, request_body=request, answer_body=answer)
