"""
Collects the findings and clause counts of a run.

Equal violations are one finding, with a count and the smallest request that shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from threading import Lock

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import COUNTABLE_CLAUSES, USER_CHECK, Clause
from chainproof.contract.route import Route
from chainproof.contract.target import Target
from chainproof.contract.violations import Violation, error_code
from chainproof.results.coverage import NOT_SELECTED, Coverage
from chainproof.results.finding import ClauseCount, Finding, finding, finding_key
from chainproof.results.run_writer import RunWriter
from chainproof.results.shell_command import DIRECT_ROUTE
from chainproof.results.stored_body import StoredBody
from chainproof.stored_text import (
    MAX_CODE_LENGTH,
    MAX_CODES,
    MAX_FINDINGS,
    MAX_FOUND_LENGTH,
    MAX_ID_LENGTH,
    OTHER_CODES,
    OTHER_VIOLATIONS,
    stored,
)

from ..transport.request import CheckRequest, reproduction_command
from .output_comparison import OutputSign

_MAX_CASES = 12
"""How many request labels a finding names."""
_COVERAGE_INTERVAL: Seconds = 1.0
"""Time between two writes of the coverage, which is written as a whole."""
_MAX_NOTES = 50
"""Observations that are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The exchange that shows a violation."""

    request: CheckRequest
    request_id: str | None = None
    server: str = ""
    """The names of servers in the answer."""
    check: str = ""
    answer_body: StoredBody | None = None
    """The answer's body; None if there is none, or if bodies are not stored."""
    deadline: Seconds | None = None
    """The missed deadline; None if there was an answer."""
    sign: OutputSign | None = None
    """What shows the violation in the output alone, where only other outputs show that it is wrong."""

    @property
    def size(self) -> tuple[int, int]:
        """The size of the request. Of two exchanges, the smaller one is stored."""
        return self.request.size


class FindingRecorder:
    """Findings and clause counts of one run, written to its folder as they arrive. Any thread may write."""

    def __init__(
        self,
        folder: RunWriter | None,
        target: Target,
        seed: int,
        route: Route = DIRECT_ROUTE,
        call_options: tuple[str, ...] = (),
        *,
        redact: Callable[[str], str] = str,
    ) -> None:
        """
        *call_options* are those with which `chainproof call` judges a request as this run does. *redact* removes
        secrets from a text of the target.
        """
        self._redact = redact
        self._folder = folder
        self._target = target
        self._route = route
        self._seed = seed
        self._call_options = call_options
        self._findings: dict[tuple[str, str, str], Finding] = {}
        self._evidence: dict[tuple[str, str, str], tuple[Violation, Evidence]] = {}
        self._tried: set[tuple[str, str, str]] = set()
        self._withdrawn: list[Finding] = []
        """Findings that were merged with others; their count is 0."""
        self._exercised: Counter[str] = Counter()
        self._violated: Counter[str] = Counter()
        self._written: dict[str, tuple[int, int]] = {}
        self._lock = Lock()
        self._statuses: Counter[int] = Counter()
        self._codes: Counter[str] = Counter()
        self._module_requests: Counter[str] = Counter()
        self._skip_reasons: dict[str, Counter[str]] = {}
        self._undecided: dict[str, str] = {}
        self._notes: dict[str, None] = {}
        self._coverage_due: Seconds = 0.0
        self.not_selected: frozenset[str] = frozenset()
        """Ids of the clauses that only checks which were not selected exercise."""
        self.chain_reasons: Mapping[str, str] = {}
        """Clause ids, and why they cannot be tested with what is known of the chain. They override the reasons of checks."""
        self._by_check: Counter[tuple[str, tuple[str, str, str]]] = Counter()
        self.request_count = 0
        """How many requests were sent."""
        self.cut_by = ""
        """What left the run incomplete; empty if nothing did."""

    def record(self, exercised: Iterable[Clause], violations: Iterable[Violation], evidence: Evidence) -> None:
        """Enter the clauses that one exchange exercised and violates."""
        found = tuple(map(self.as_stored, violations))
        if evidence.request_id:
            evidence = replace(evidence, request_id=self._stored(evidence.request_id, MAX_ID_LENGTH))
        if found and evidence.server:
            evidence = replace(evidence, server=self._stored(evidence.server, MAX_ID_LENGTH))
        violated = {each.clause.id for each in found}
        with self._lock:
            self._exercised.update({clause.id for clause in exercised} | violated)
            self._violated.update(violated)
            for violation in found:
                self._add(violation, evidence)

    def as_stored(self, violation: Violation) -> Violation:
        """A violation as findings have it: without secrets, and not too long."""
        return replace(violation, actual=self._stored(violation.actual, MAX_FOUND_LENGTH))

    def _stored(self, text: str, max_length: int) -> str:
        return stored(text, max_length, self._redact)

    def record_rejections(self, rejections: Mapping[Clause, int]) -> None:
        """Enter how often requests were rejected as each clause says, while the unchanged request was accepted."""
        with self._lock:
            self._exercised.update({clause.id: count for clause, count in rejections.items()})

    @property
    def is_stored(self) -> bool:
        """Whether there is a run folder."""
        return self._folder is not None

    def count_request(self) -> None:
        """Count one request."""
        with self._lock:
            self.request_count += 1

    def count_answer(self, answer: Answer) -> None:
        """Count one answer of the operation by its status and its error code."""
        code = error_code(answer)
        with self._lock:
            self._statuses[answer.status] += 1
            if code is not None:
                code = self._stored(code, MAX_CODE_LENGTH)
                is_counted = code in self._codes or len(self._codes) < MAX_CODES
                self._codes[code if is_counted else OTHER_CODES] += 1

    def count_module_requests(self, module: str, requests: int) -> None:
        """Add the number of requests that a check in a module sent."""
        with self._lock:
            self._module_requests[module] += requests

    def record_skipped(self, clauses: Iterable[Clause], why: str) -> None:
        """Enter why a check did not exercise its clauses."""
        why = self._stored(why, 4 * MAX_FOUND_LENGTH)
        with self._lock:
            for clause in clauses:
                self._skip_reasons.setdefault(clause.id, Counter())[why] += 1

    def record_undecided(self, undecided: Mapping[Clause, str]) -> None:
        """Enter clauses that count as not exercised unless they are violated, and why: some answers do not keep them."""
        with self._lock:
            self._undecided.update({clause.id: why for clause, why in undecided.items()})

    def note(self, text: str) -> None:
        """Enter an observation that is no violation."""
        with self._lock:
            if len(self._notes) < _MAX_NOTES:
                self._notes.setdefault(self._stored(text, 4 * MAX_FOUND_LENGTH))

    @property
    def coverage(self) -> Coverage:
        """What the run has exercised so far, and why not the rest."""
        with self._lock:
            return Coverage(
                requests=self.request_count,
                requests_by_module=dict(self._module_requests),
                statuses=dict(self._statuses),
                codes=dict(self._codes),
                not_exercised={name: why for name, why in self._reasons().items() if not self._count(name)},
                notes=tuple(self._notes),
                cut_by=self.cut_by,
            )

    def _reasons(self) -> dict[str, str]:
        """Why clauses may not have been exercised; the most frequent reason if checks had several."""
        skipped = {name: reasons.most_common(1)[0][0] for name, reasons in self._skip_reasons.items()}
        if not self._statuses[200]:
            skipped |= dict.fromkeys(_OUTPUT_CLAUSES, _NO_SUCCESS)
        known = _CONDITIONAL | skipped | dict(self.chain_reasons) | self._undecided
        return known | dict.fromkeys(self.not_selected, NOT_SELECTED)

    def _count(self, name: str) -> int:
        """How often a clause has been exercised; 0 if it is undecided."""
        return 0 if name in self._undecided and not self._violated[name] else self._exercised[name]

    @staticmethod
    def finding_key(violation: Violation) -> tuple[str, str, str]:
        """What makes two violations the same finding."""
        return finding_key(violation.clause.id, violation.expected, violation.actual)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings so far."""
        with self._lock:
            return tuple(self._findings.values())

    def untried(self, *checks: str) -> list[tuple[tuple[str, str, str], Violation, Evidence]]:
        """The findings that these checks saw first, with their evidence, whose requests have not been tried on their own."""
        with self._lock:
            return [
                (key, *shown)
                for key, shown in self._evidence.items()
                if key not in self._tried and shown[1].check in checks
            ]

    def set_tried(self, key: tuple[str, str, str], command: str | None) -> None:
        """Enter that the request of a finding was tried on its own, and the *command* to use instead if that shows nothing."""
        with self._lock:
            self._tried.add(key)
            known = self._findings[key]
            self._findings[key] = replace(
                known, reproduce=known.reproduce if command is None else self._redact(command)
            )

    def evidence(self) -> list[tuple[Finding, Violation, Evidence]]:
        """All findings so far, with the exchange that shows each."""
        with self._lock:
            return [(self._findings[key], *shown) for key, shown in self._evidence.items()]

    def merge(self, cause: Finding, merged: Iterable[Finding], why: str) -> None:
        """Count findings with the one that has their cause. Clauses without another finding are undecided, and *why*."""
        with self._lock:
            for each in merged:
                del self._findings[each.key], self._evidence[each.key]
                self._withdrawn.append(replace(each, count=0))
                for check, key in [known for known in self._by_check if known[1] == each.key]:
                    self._by_check[check, cause.key] += self._by_check.pop((check, key))
                known = self._findings[cause.key]
                cases = dict.fromkeys((*known.cases, *each.cases))
                self._findings[cause.key] = replace(
                    known,
                    count=known.count + each.count,
                    checks=sum(key == cause.key for _, key in self._by_check),
                    cases=tuple(cases)[:_MAX_CASES],
                    more_cases=known.more_cases or each.more_cases or len(cases) > _MAX_CASES,
                )
            remaining = {each.clause for each in self._findings.values()}
            for name in {each.clause for each in self._withdrawn} - remaining:
                self._violated[name] = 0
                self._undecided[name] = why

    def use_evidence(self, key: tuple[str, str, str], violation: Violation, evidence: Evidence) -> None:
        """Show another exchange with the same violation in a finding."""
        with self._lock:
            self._findings[key] = self._with_evidence(self._findings[key], violation, evidence)

    def exercise_count(self, clause: Clause) -> int:
        """How often a clause has been exercised."""
        return self._count(clause.id)

    def finding_counts(self) -> Mapping[tuple[str, str, str], int]:
        """The count of each finding so far."""
        with self._lock:
            return {key: known.count for key, known in self._findings.items()}

    def findings_of(self, check: str) -> tuple[Finding, ...]:
        """The findings that a check has seen, with the number of times that it did."""
        with self._lock:
            return tuple(
                replace(known, count=self._by_check[check, key])
                for key, known in self._findings.items()
                if self._by_check[check, key]
            )

    def write_counts(self, *, final: bool = False) -> None:
        """Write the clause counts that have changed; if *final*, all of them and all findings."""
        if self._folder is None:
            return
        for clause in COUNTABLE_CLAUSES.values():
            count = (self._count(clause.id), self._violated[clause.id])
            if (final and clause is not USER_CHECK) or count != self._written.get(clause.id, (0, 0)):
                self._written[clause.id] = count
                self._folder.write_clause(ClauseCount(clause=clause.id, exercised=count[0], violations=count[1]))
        if final or monotonic() >= self._coverage_due:
            self._coverage_due = monotonic() + _COVERAGE_INTERVAL
            self._folder.write_coverage(self.coverage)
        if final:
            for known in (*self.findings, *self._withdrawn):
                self._folder.write_finding(known)

    def _add(self, violation: Violation, evidence: Evidence) -> None:
        """Add a finding, or count a known one again. Its evidence is the smallest request of the check that found it first."""
        key = self.finding_key(violation)
        if key not in self._findings and len(self._findings) >= MAX_FINDINGS:
            violation = replace(violation, expected=violation.clause.statement, actual=OTHER_VIOLATIONS)
            key = self.finding_key(violation)
        self._by_check[evidence.check, key] += 1
        known = self._findings.get(key)
        if known is None:
            self._findings[key] = self._finding(violation, evidence)
            self._evidence[key] = violation, evidence
            if self._folder is not None:
                self._folder.write_finding(self._findings[key])
            return
        known = self._with_case(known, evidence)
        first = self._evidence[key][1]
        is_smaller = evidence.check == first.check and evidence.size < first.size
        if is_smaller and key not in self._tried:
            known = self._with_evidence(known, violation, evidence)
        if self._by_check[evidence.check, key] == 1:
            known = replace(known, checks=known.checks + 1)
        self._findings[key] = known.with_added_count()

    def _with_evidence(self, known: Finding, violation: Violation, evidence: Evidence) -> Finding:
        """The finding with other evidence."""
        self._evidence[self.finding_key(violation)] = violation, evidence
        other = self._finding(violation, evidence)
        return replace(
            known,
            actual=other.actual,
            reproduce=other.reproduce,
            request_id=other.request_id,
            server=other.server,
            answer_body=other.answer_body,
        )

    @staticmethod
    def _with_case(known: Finding, evidence: Evidence) -> Finding:
        """The finding with the label of one more request."""
        label = evidence.request.label
        if not label or label in known.cases or known.more_cases:
            return known
        if len(known.cases) >= _MAX_CASES:
            return replace(known, more_cases=True)
        return replace(known, cases=(*known.cases, label))

    def _finding(self, violation: Violation, evidence: Evidence) -> Finding:
        """A finding of a violation with its evidence."""
        command = reproduction_command(
            evidence.request,
            self._target,
            options=self._call_options,
            route=self._route,
            deadline=evidence.deadline,
            exact=violation.clause in _INVISIBLE_WITH_CURL,
        )
        return finding(
            violation,
            reproduce=self._redact(command),  # it has the values of added headers
            request_id=evidence.request_id,
            server=evidence.server,
            seed=self._seed,
            check=evidence.check,
            cases=(evidence.request.label,) if evidence.request.label else (),
            answer_body=evidence.answer_body,
        )


_INVISIBLE_WITH_CURL = frozenset({clauses.RESPONSE_FRAMING, clauses.CONTENT_CODING, clauses.CONNECTION_PERSISTENCE})
"""Clauses about bytes that curl decodes, or does not show."""

_NO_SUCCESS = "no answer was a 200"
_OUTPUT_CLAUSES = (clauses.OUTPUT_MEDIA_TYPE.id, clauses.OUTPUT_JSON.id, clauses.OUTPUT_OBJECT.id)

_CONDITIONAL: dict[str, str] = {
    clauses.OUTPUT_MEDIA_TYPE.id: _NO_SUCCESS,
    clauses.OUTPUT_JSON.id: "no answer was a 200 with the Content-Type application/json",
    clauses.OUTPUT_OBJECT.id: "no answer was a 200 with JSON",
    clauses.ERROR_MEDIA_TYPE.id: "no answer was a documented error",
    clauses.ERROR_JSON.id: "no answer was a documented error with the Content-Type application/json",
    clauses.ERROR_OBJECT.id: "no answer was a documented error with JSON",
    clauses.REQUEST_ID_ON_ERRORS.id: "no answer was an error",
    clauses.NO_INTERNALS.id: "no answer was an error",
    clauses.UNIQUE_MEMBER_NAMES.id: "no answer was JSON",
    clauses.AUTHENTICATION_FIRST.id: "no invalid body without the right key got a documented status",
    clauses.RETRY_AFTER.id: "no answer had a Retry-After",
    clauses.REQUEST_ID_UNIQUE.id: "no answer had a request id",
    clauses.ALLOW_HEADER.id: "no answer was a 405",
    clauses.DATE_ACCURATE.id: "no answer had a valid Date of its own",
    clauses.ERROR_MESSAGE.id: "no error had the member",
    clauses.ERROR_CODE.id: "no error had the member",
    clauses.ERROR_CODE_STATUS.id: "no error had a code",
    clauses.ERROR_CODE_CAUSE.id: "no error had a code and was correct otherwise",
    clauses.ERROR_DETAIL.id: "no error had the member",
}
"""Clauses that only some answers exercise, and the reason if there was no such answer."""
