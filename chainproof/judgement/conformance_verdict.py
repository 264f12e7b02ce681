"""The verdict on a conformance run. The command, the pytest plugin and the reports all use this one function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from chainproof.contract.accepted_violations import Acceptance, is_accepted
from chainproof.contract.clauses import CLAUSES, SPECIAL_MESSAGE_CLAUSES, USER_CHECK, Clause
from chainproof.contract.deviations import is_waived
from chainproof.contract.levels import Contract, Level
from chainproof.judgement.severity import failing_levels, sort_findings
from chainproof.judgement.verdict import Verdict, error_reason, machine_reason
from chainproof.results.finding import Finding
from chainproof.results.integrity import damage_text
from chainproof.results.manifest import Ending

ENOUGH_ANSWERS = 29
"""
Answers that show a violation in 1 of 10 with 95 % probability, since 0.9^29 is 4.7 %. A clause without a violation in fewer
answers is inconclusive, unless it is about a special message.
"""


def is_decided(clause: Clause, answers: int) -> bool:
    """Whether so many answers without a violation are enough for a clause."""
    return answers >= (1 if clause in SPECIAL_MESSAGE_CLAUSES else ENOUGH_ANSWERS)


NO_SUCCESS = "No request was answered 200: the run needs inputs that the chain accepts (--input-schema or --payloads)"
"""Why a run shows nothing about a chain whose inputs are unknown."""
INPUTS_REJECTED = "No request was answered 200: the target rejects the given inputs (`chainproof call` shows an answer)"
"""Why a run shows nothing about a chain if the inputs that the user gave are rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceEvidence:
    """What the verdict on a conformance run depends on."""

    findings: Iterable[Finding]
    exercised: Mapping[str, int]
    """How many answers each exercised clause was tested by, by its id."""
    day: date
    """When the run began; decides which acceptances are valid."""
    acceptances: tuple[Acceptance, ...] = ()
    contract: Contract = Contract.STRICT
    fail_on: Level = Level.ASSUMED
    """The lowest level whose violations fail the run."""
    ending: Ending | None = Ending.COMPLETED
    """None if the run was killed."""
    damage: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with each damaged file of the run folder."""
    blocked_reason: str = ""
    """Why nothing could be exercised, such as a rejected key; empty if it could."""
    cut_by: str = ""
    """What left the run incomplete, such as the end of `--time-budget`; empty if all planned requests were sent and judged."""
    was_accepted: bool = True
    """Whether any request was answered 200."""
    has_inputs: bool = False
    """Whether `--input-schema` or `--payloads` was given."""
    internal_error: str = ""
    """An error in chainproof, in one line; empty if there was none."""
    machine_fault: str = ""
    """The problem of the machine that ended the run, in one line; empty if none did."""
    selection: str = ""
    """The `-k` expression that selected the checks; empty: all of them ran."""

    def fails_run(self, found: Finding) -> bool:
        """Whether a finding fails the run: its level does, and it was not accepted."""
        return self.has_failing_level(found) and not self.is_accepted(found)

    def has_failing_level(self, found: Finding) -> bool:
        """Whether violations of the finding's level fail the run."""
        return found.level in failing_levels(self.fail_on)

    def is_accepted(self, found: Finding) -> bool:
        """Whether the finding was accepted before the run."""
        return is_accepted(found.clause, self.acceptances, self.day)

    @property
    def passed_clauses(self) -> int:
        """The number of clauses that enough answers tested without a violation."""
        return sum(is_decided(clause, count) for clause, count in self._answers_without_violation)

    @property
    def inconclusive_clauses(self) -> int:
        """The number of clauses that too few answers tested without a violation."""
        return sum(count > 0 and not is_decided(clause, count) for clause, count in self._answers_without_violation)

    @property
    def warned_clauses(self) -> int:
        """The number of clauses whose violations fail no run of this severity, and were not accepted."""
        warnings = (each for each in self.findings if not (self.has_failing_level(each) or self.is_accepted(each)))
        return len({found.clause for found in warnings})

    @property
    def untested_clauses(self) -> int:
        """The number of clauses that were neither exercised nor violated."""
        return sum(count == 0 for _, count in self._answers_without_violation)

    @property
    def _answers_without_violation(self) -> Iterable[tuple[Clause, int]]:
        """The clauses that were not violated, without those that the contract waives, and how many answers tested each."""
        violated = {found.clause for found in self.findings}
        own = (USER_CHECK,) if self.exercised.get(USER_CHECK.id) else ()
        return (
            (clause, self.exercised.get(clause.id, 0))
            for clause in (*CLAUSES, *own)
            if clause.id not in violated and not is_waived(clause, self.contract)
        )


def conformance_verdict(evidence: ConformanceEvidence) -> tuple[Verdict, str]:
    """The verdict, and the reason in a sentence."""
    if evidence.internal_error or evidence.ending is Ending.INTERNAL_ERROR:
        return Verdict.ERROR, error_reason(evidence.internal_error)
    if evidence.damage:
        return Verdict.INVALID, damage_text(evidence.damage)
    failing = [found for found in sort_findings(evidence.findings) if evidence.has_failing_level(found)]
    violated = list(dict.fromkeys(found.clause for found in failing if not evidence.is_accepted(found)))
    accepted = Counter(found.clause for found in failing if evidence.is_accepted(found))
    names = (f"{clause} ({count} findings)" if count > 1 else clause for clause, count in accepted.items())
    also = f" Violated, but accepted: {', '.join(names)}." if accepted else ""
    if evidence.ending not in (Ending.COMPLETED, Ending.INTERRUPTED):
        until_then = f"Violated until then: {', '.join(violated)}." if violated else "No violation until then."
        return Verdict.INVALID, f"{_cut_off(evidence)} {until_then}{also}"
    if violated:
        return Verdict.FAIL, f"{_clauses(len(violated))} violated: {', '.join(violated)}.{also}{_gap(evidence)}"
    if evidence.ending is Ending.INTERRUPTED:
        return Verdict.INCONCLUSIVE, f"The run ended early; no violation until then.{also}"
    if evidence.blocked_reason:
        return Verdict.INCONCLUSIVE, f"{evidence.blocked_reason.rstrip('.')}."
    if not evidence.was_accepted:
        return Verdict.INCONCLUSIVE, f"{INPUTS_REJECTED if evidence.has_inputs else NO_SUCCESS}.{also}"
    if evidence.cut_by:
        return (
            Verdict.INCONCLUSIVE,
            f"The run is incomplete, and found no violation until then: {evidence.cut_by}.{also}",
        )
    return _without_violation(evidence, also)


def _without_violation(evidence: ConformanceEvidence, also: str) -> tuple[Verdict, str]:
    """The verdict on a complete run without a violation that was not accepted."""
    few = _inconclusive(evidence)
    if not evidence.passed_clauses and not also and not (few and evidence.selection):
        return Verdict.INCONCLUSIVE, f"No violation, but too few answers.{few}" if few else "No clause was tested."
    by = f" by the checks that -k {evidence.selection!r} selects" if evidence.selection else ""
    passed = "No other violation" if also else "No violation"
    if evidence.passed_clauses:
        passed = f"{_clauses(evidence.passed_clauses)} tested and passed"
    warned = f" {_clauses(evidence.warned_clauses)} with warnings." if evidence.warned_clauses else ""
    return Verdict.PASS, f"{passed}{by}.{also}{warned}{few}"


def _inconclusive(evidence: ConformanceEvidence) -> str:
    """How many clauses too few answers tested, in a sentence after a space; empty if none."""
    count = evidence.inconclusive_clauses
    if not count:
        return ""
    return f" {_clauses(count)} inconclusive: no violation, but fewer than the {ENOUGH_ANSWERS} answers that would show one in 1 of 10."


def _gap(evidence: ConformanceEvidence) -> str:
    """Why a run that fails leaves much untested, in a sentence after a space; empty if nothing kept it from testing the rest."""
    if evidence.blocked_reason:
        gap = evidence.blocked_reason.rstrip(".")
    elif evidence.cut_by:
        gap = f"The run is incomplete: {evidence.cut_by}"
    elif evidence.ending is not Ending.COMPLETED:
        gap = "The run ended early"
    elif not evidence.was_accepted:
        gap = "No request was answered 200"
    else:
        return ""
    return f" {gap}; {_clauses(evidence.untested_clauses)} not tested."


def _cut_off(evidence: ConformanceEvidence) -> str:
    """Why a run is invalid that something else than the target or the user ended."""
    if evidence.ending is Ending.MACHINE_FAULT:
        return machine_reason(evidence.machine_fault)
    return "The run did not end: it was killed, or is still running."


def _clauses(count: int) -> str:
    """A number of clauses in words."""
    return f"{count} clause{'s' * (count != 1)}"
