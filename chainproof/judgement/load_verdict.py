"""The verdict on a load run."""

from __future__ import annotations

from collections.abc import Sequence

from chainproof.clock import format_duration
from chainproof.judgement.accounting import Accounting
from chainproof.judgement.caveat import Caveat, CaveatCode
from chainproof.judgement.objectives import ObjectiveResult
from chainproof.judgement.verdict import Verdict, error_reason, machine_reason, worst_verdict
from chainproof.results.manifest import Ending, Guard, RunEnd

_FAILURES = {
    Ending.INTERNAL_ERROR: (Verdict.ERROR, error_reason),
    Ending.MACHINE_FAULT: (Verdict.INVALID, machine_reason),
}
"""The verdicts on runs that ended by something else than the target, with the functions that say why from the note."""


def load_verdict(
    end: RunEnd | None, accounting: Accounting, objectives: tuple[ObjectiveResult, ...], caveats: tuple[Caveat, ...]
) -> tuple[Verdict, str]:
    """The verdict, and the reason in a sentence; first of all, if the payload may not fit the chain, that."""
    verdict, reason = _verdict(end, accounting, objectives, caveats)
    rejected = next((caveat for caveat in caveats if caveat.code is CaveatCode.PAYLOAD_REJECTED), None)
    return verdict, reason if rejected is None else f"{rejected.text} {rejected.remedy} {reason}"


def _verdict(
    end: RunEnd | None, accounting: Accounting, objectives: tuple[ObjectiveResult, ...], caveats: tuple[Caveat, ...]
) -> tuple[Verdict, str]:
    """The verdict, and the reason for it alone."""
    if end is not None and end.ending in _FAILURES:
        failure, reason_of = _FAILURES[end.ending]
        return failure, reason_of(end.note)
    invalidating = [caveat.code for caveat in caveats if caveat.invalidates]
    if invalidating:
        return Verdict.INVALID, _untrusted(invalidating)
    if any(caveat.code is CaveatCode.KEY_REJECTED for caveat in caveats):
        return Verdict.INCONCLUSIVE, "The target rejects the API key, see the caveat KEY_REJECTED."
    verdict, reason = _objectives_verdict(objectives)
    guard = end.guard if end is not None else None
    ended_by_guard = f"A guard ended the run: {end.note}." if end is not None else ""
    # A chain that is right to reject the payload must not fail because of a budget for errors.
    is_own_payload = accounting.ok == 0 and any(caveat.code is CaveatCode.PAYLOAD_REJECTED for caveat in caveats)
    if guard is Guard.TARGET_UNREACHABLE or (guard is Guard.ERROR_BUDGET and not is_own_payload):
        return Verdict.FAIL, ended_by_guard
    own_faults = [caveat.code for caveat in caveats if caveat.invalidates_failures]
    if own_faults and verdict is not Verdict.INVALID and (verdict is not Verdict.PASS or not objectives):
        return Verdict.INVALID, f"The load generator may have caused this, see {_named(own_faults)}."
    is_interrupted = end is not None and end.ending is Ending.INTERRUPTED
    if verdict is not Verdict.PASS:
        interruption = "The run was interrupted. " if is_interrupted and verdict is Verdict.INCONCLUSIVE else ""
        return verdict, interruption + reason
    if is_interrupted:
        return Verdict.INCONCLUSIVE, "The run was interrupted; a pass needs the full run."
    if guard is not None:
        return Verdict.INCONCLUSIVE, ended_by_guard
    if accounting.ok == 0:
        return Verdict.INCONCLUSIVE, "No request was answered ok." if accounting.sent else "Nothing was sent."
    return verdict, reason


def _untrusted(caveats: Sequence[CaveatCode]) -> str:
    """Why a run is invalid. Whether a run without an end goes on cannot be read from its folder."""
    if caveats == [CaveatCode.UNFINISHED]:
        return f"The run has no end: it is still going on, or was cut off. See {_named(caveats)}."
    return f"The measurement cannot be trusted, see {_named(caveats)}."


def _named(caveats: Sequence[CaveatCode]) -> str:
    """The caveats that say more."""
    return f"the caveat{'s' * (len(caveats) != 1)} {', '.join(caveats)}"


def _objectives_verdict(objectives: tuple[ObjectiveResult, ...]) -> tuple[Verdict, str]:
    """The verdict of the objectives alone."""
    if not objectives:
        return Verdict.PASS, "The run has no objective."
    verdict = worst_verdict(each.verdict for each in objectives)
    decisive = ", ".join(each.objective.text for each in objectives if each.verdict is verdict)
    if any(each.nothing_ok and each.verdict is verdict for each in objectives):
        return verdict, f"No request was answered ok, so this was not measured: {decisive}."
    undecided = [each for each in objectives if each.verdict is Verdict.INCONCLUSIVE]
    if verdict is Verdict.INCONCLUSIVE and all(each.is_undecided_by_censoring for each in undecided):
        return verdict, f"Requests in flight at the end leave this open: {decisive}. Wait longer for them with --drain."
    if verdict is Verdict.INCONCLUSIVE and all(each.is_undecided_by_dependence for each in undecided):
        longest = max(each.dependence.seconds_needed for each in undecided if each.dependence is not None)
        return verdict, (
            f"Slow and fast spells last too long for this run to decide: {decisive}. "
            f"Run it for at least {format_duration(longest)}."
        )
    if verdict is Verdict.INVALID:
        return verdict, _invalid_reason([each for each in objectives if each.verdict is verdict])
    reasons = {
        Verdict.PASS: f"Every objective is met: {decisive}.",
        Verdict.FAIL: f"Missed: {decisive}.",
        Verdict.INCONCLUSIVE: f"Too little was seen to decide: {decisive}.",
    }
    return verdict, reasons[verdict]


def _invalid_reason(objectives: Sequence[ObjectiveResult]) -> str:
    """Which objectives are missed, and which are undecided, only because of the load generator."""
    parts = (
        ("Missed", [each.objective.text for each in objectives if not each.was_undecided]),
        ("Undecided", [each.objective.text for each in objectives if each.was_undecided]),
    )
    return " ".join(
        f"{word} only because of the load generator's own lag: {', '.join(texts)}." for word, texts in parts if texts
    )
