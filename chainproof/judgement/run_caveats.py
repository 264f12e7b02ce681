"""The caveats that runs of any kind have, of load and of conformance. The docstring of each says why the caveat exists."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from chainproof.contract.accepted_violations import is_accepted
from chainproof.contract.addresses import address_of
from chainproof.contract.clauses import CLAUSE_BY_ID
from chainproof.contract.deviations import is_waived
from chainproof.contract.levels import Contract
from chainproof.contract.openapi import PATH
from chainproof.judgement.caveat import Caveat, CaveatCode
from chainproof.results.folder import Run
from chainproof.results.integrity import damage_text
from chainproof.results.manifest import Ending


def damaged(run: Run) -> Iterator[Caveat]:
    """A file that is not what the run wrote. An incomplete last line of a run that was killed is normal."""
    if run.damage:
        yield Caveat(
            code=CaveatCode.DAMAGED_FILES,
            text=damage_text(run.damage),
            remedy="Find out whether the folder was edited or the disk was full, and run it again.",
            invalidates=True,
        )


def expired_acceptances(run: Run) -> Iterator[Caveat]:
    """After its last day an acceptance does not apply any more, and the violation counts again."""
    manifest = run.manifest
    expired = [
        each
        for each in manifest.acceptances
        if not each.applies_on(manifest.day) and not is_accepted(each.clause, manifest.acceptances, manifest.day)
    ]
    if expired:
        clauses = ", ".join(f"{each.clause} (until {each.until})" for each in expired)
        yield Caveat(
            code=CaveatCode.ACCEPTANCE_EXPIRED,
            text=f"Acceptances that had expired when the run began: {clauses}. Violations count again.",
            remedy="Check whether the target was fixed; remove --accept or name a later day.",
        )


def unused_acceptances(run: Run) -> Iterator[Caveat]:
    """An acceptance that is not needed would hide a new violation. Only a complete run that tested the clause can tell."""
    manifest = run.manifest
    if run.end is None or run.end.ending is not Ending.COMPLETED:
        return
    violated = {finding.clause for finding in run.findings}
    exercised = {count.clause for count in run.clauses if count.exercised}
    unused = dict.fromkeys(
        each.clause
        for each in manifest.acceptances
        if each.applies_on(manifest.day)
        and each.clause not in violated
        and (each.clause in exercised or _is_never_tested(each.clause, manifest.contract))
    )
    if unused:
        yield Caveat(
            code=CaveatCode.UNUSED_ACCEPTANCE,
            text=f"Accepted, but not violated in this run: {', '.join(unused)}.",
            remedy="Remove --accept unless another run needs it.",
        )


def _is_never_tested(clause_id: str, contract: str) -> bool:
    """Whether no run tests a clause: this version does not have it, or the contract waives it."""
    return clause_id not in CLAUSE_BY_ID or is_waived(CLAUSE_BY_ID[clause_id], Contract(contract))


def assumed_path(run: Run) -> Iterator[Caveat]:
    """The document describes one path only; that its clauses hold for the other paths is assumed."""
    if run.manifest.known_settings.path_assumed:
        address = address_of(urlsplit(run.manifest.target).path)
        evidence = f" {address.source} has it as {address.operation_id}, with the same statuses." if address else ""
        yield Caveat(
            code=CaveatCode.ASSUMED_PATH,
            text=f"The document describes only {PATH}; its clauses are assumed to hold for {run.manifest.target}.{evidence}",
            remedy="Ask the operator of the target about violations there before you report them.",
        )


def emulated(run: Run) -> Iterator[Caveat]:
    """A run against the emulator says nothing about a real chain."""
    if run.manifest.emulated:
        yield Caveat(
            code=CaveatCode.EMULATED,
            text="The target was chainproof's own emulator, on this machine.",
            remedy="Use --target to test your own chain.",
        )
