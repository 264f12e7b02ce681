"""
What has been found so far: every violation once, with how often and by which smallest request it was seen.

The one place where answers become findings, whichever check provoked them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from threading import Lock

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import CLAUSE_BY_ID, CLAUSES, Clause
from chainproof.contract.levels import Level
from chainproof.contract.route import Route
from chainproof.contract.target import Target
from chainproof.contract.violations import Violation, error_code
from chainproof.results.coverage import Coverage
from chainproof.results.curl import DIRECT_ROUTE
from chainproof.results.finding import ClauseCount, Finding, finding, finding_key
from chainproof.results.folder import RunWriter
from chainproof.results.stored_body import StoredBody

from ..transport.request import CheckRequest, reproduction_command

_CASES = 12
"""How many kinds of request a finding names."""

_LEVELS = (Level.MUST, Level.ASSUMED, Level.SHOULD)


def failing_levels(fail_on: Level) -> frozenset[Level]:
    """
    The levels whose violations fail a run, *fail_on* being the least grave of them.
    """
    return frozenset(_LEVELS[: _LEVELS.index(fail_on) + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What shows a violation: the request, and the id of the answer to it.
    """

    request: CheckRequest
    request_id: str | None = None
    check: str = ""
    answer_body: StoredBody | None = None
    """What was answered; None where it is not to be kept, or nothing was."""
    deadline: Seconds | None = None
    """The one that was missed; None where none was."""

    @property
    def size(self) -> tuple[int, int]:
        """Of two, the smaller is kept."""
        return self.request.size


class Ledger:
    """
    Findings and clause counts of one run, written to its folder as they come. Any thread may write.
    """

    def __init__(self, folder: RunWriter | None, target: Target, seed: int, route: Route = DIRECT_ROUTE) -> None:
        self._folder = folder
        self._target = target
        self._route = route
        self._seed = seed
        self._findings: dict[tuple[str, str, str], Finding] = {}
        self._evidence: dict[tuple[str, str, str], Evidence] = {}
        self._exercised: Counter[str] = Counter()
        self._departed: Counter[str] = Counter()
        self._written: dict[str, tuple[int, int]] = {}
        self._lock = Lock()
        self._statuses: Counter[int] = Counter()
        self._codes: Counter[str] = Counter()
        self._parts: Counter[str] = Counter()
        self._left_out: dict[str, Counter[str]] = {}
        self._notes: dict[str, None] = {}
        self.request_count = 0
        """How many were sent."""

    def record(self, exercised: Iterable[Clause], violations: Iterable[Violation], evidence: Evidence) -> None:
        """
        Enter what one exchange put to the test, and what it departed from.
        """
        found = tuple(violations)
        with self._lock:
            self._exercised.update({clause.id for clause in exercised} | {each.clause.id for each in found})
            self._departed.update({each.clause.id for each in found})
            for violation in found:
                self._enter(violation, evidence)

    @property
    def is_stored(self) -> bool:
        """Whether what is entered is kept in a run folder."""
        return self._folder is not None

    def count_request(self) -> None:
        """Count one request."""
        with self._lock:
            self.request_count += 1

    def count_answer(self, answer: Answer) -> None:
        """
        Count one answer of the operation by its status and its error code.
        """
        code = error_code(answer)
        with self._lock:
            self._statuses[answer.status] += 1
            if code is not None:
                self._codes[code] += 1

    def count_module_requests(self, part: str, requests: int) -> None:
        """
        Enter how many requests a check took, by the part of the catalogue that it stands in.
        """
        self._parts[part] += requests

    def record_skipped(self, clauses: Iterable[Clause], why: str) -> None:
        """
        Enter why a check did not put its clauses to the test.
        """
        for clause in clauses:
            self._left_out.setdefault(clause.id, Counter())[why] += 1

    def note(self, words: str) -> None:
        """
        Enter what is worth knowing and departs from nothing.
        """
        with self._lock:
            self._notes.setdefault(words)

    @property
    def coverage(self) -> Coverage:
        """How far the run has reached."""
        with self._lock:
            return Coverage(
                requests=self.request_count,
                requests_by_module=dict(self._parts),
                statuses=dict(self._statuses),
                codes=dict(self._codes),
                not_exercised={name: why for name, why in self._reasons().items() if not self._exercised[name]},
                notes=tuple(self._notes),
            )

    def _reasons(self) -> dict[str, str]:
        """
        Why clauses may not have been put to the test: where several checks had a reason, that of most of them.
        """
        said = {name: reasons.most_common(1)[0][0] for name, reasons in self._left_out.items()}
        return _CONDITIONAL | said | _UNKNOWN

    @staticmethod
    def finding_key(violation: Violation) -> tuple[str, str, str]:
        """What makes two violations the same finding."""
        return finding_key(violation.clause.id, violation.expected, violation.actual)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything found so far."""
        with self._lock:
            return tuple(self._findings.values())

    def exercise_count(self, clause: Clause) -> int:
        """How often a clause has been put to the test."""
        return self._exercised[clause.id]

    def finding_counts(self) -> Mapping[tuple[str, str, str], int]:
        """How often each finding has been seen so far."""
        with self._lock:
            return {key: found.count for key, found in self._findings.items()}

    def findings_since(self, counts: Mapping[tuple[str, str, str], int]) -> tuple[Finding, ...]:
        """
        What has been seen since *counts* were taken, with how often since then.
        """
        with self._lock:
            return tuple(
                replace(found, count=found.count - counts.get(key, 0))
                for key, found in self._findings.items()
                if found.count > counts.get(key, 0)
            )

    def write_counts(self, *, final: bool = False) -> None:
        """
        Write the clause counts that have changed; at the end all of them, and every finding with its final count.
        """
        if self._folder is None:
            return
        for clause in CLAUSES:
            count = (self._exercised[clause.id], self._departed[clause.id])
            if final or count != self._written.get(clause.id, (0, 0)):
                self._written[clause.id] = count
                self._folder.write_clause(ClauseCount(clause=clause.id, exercised=count[0], violations=count[1]))
        self._folder.write_coverage(self.coverage)
        if final:
            for found in self.findings:
                self._folder.write_finding(found)

    def _enter(self, violation: Violation, evidence: Evidence) -> None:
        """
        A new finding, or one more sight of a known one. The smallest request of the check that saw it first is its evidence.
        """
        key = self.finding_key(violation)
        known = self._findings.get(key)
        if known is None:
            self._findings[key] = self._evidenced(violation, evidence)
            self._evidence[key] = evidence
            if self._folder is not None:
                self._folder.write_finding(self._findings[key])
            return
        known = self._with_case(known, evidence)
        first = self._evidence[key]
        if evidence.check == first.check and evidence.size < first.size:
            self._evidence[key] = evidence
            smaller = self._evidenced(violation, evidence)
            shown = {name: getattr(smaller, name) for name in ("actual", "reproduce", "request_id", "answer_body")}
            known = replace(known, **shown)
        self._findings[key] = known.with_added_count()

    @staticmethod
    def _with_case(known: Finding, evidence: Evidence) -> Finding:
        """
        The finding with what was special about one more request.
        """
        label = evidence.request.label
        if not label or label in known.cases or known.more_cases:
            return known
        if len(known.cases) >= _CASES:
            return replace(known, more_cases=True)
        return replace(known, cases=(*known.cases, label))

    def _evidenced(self, violation: Violation, evidence: Evidence) -> Finding:
        """
        A violation as a finding.
        """
        return finding(
            violation,
            reproduce=reproduction_command(
                evidence.request, self._target, route=self._route, deadline=evidence.deadline
            ),
            request_id=evidence.request_id,
            seed=self._seed,
            check=evidence.check,
            cases=(evidence.request.label,) if evidence.request.label else (),
            answer_body=evidence.answer_body,
        )


def level_of(found: Finding) -> Level:
    """
    How binding the clause of a finding is.
    """
    return CLAUSE_BY_ID[found.clause].level


_CONDITIONAL: dict[str, str] = {
    clauses.RETRY_AFTER.id: "no answer carried a Retry-After",
    clauses.REQUEST_ID_UNIQUE.id: "no answer carried a request id",
    clauses.ALLOW_HEADER.id: "no answer was a 405",
    clauses.ERROR_MESSAGE.id: "no error had the member",
    clauses.ERROR_CODE.id: "no error had the member",
    clauses.ERROR_CODE_STATUS.id: "no error had a code",
    clauses.ERROR_CODE_CAUSE.id: "no error had a code",
    clauses.ERROR_DETAIL.id: "no error had the member",
}
"""Clauses that only some answers can keep or break, and what is said where there was none."""

_UNKNOWN: dict[str, str] = {
    clauses.OBJECT_ACCEPTED.id: "which objects the chain takes is not known: --echo or --input-schema says so",
    clauses.OUTPUT_SCHEMA.id: "what the chain returns is not known: --output-schema says so",
}
"""Clauses that nothing can be held against as long as the chain is not known, whichever checks had other reasons."""
