"""Whether runs can be compared: what must be equal, and what makes a comparison doubtful."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chainproof.judgement.comparison.copied_runs import copies
from chainproof.judgement.summary import Summary
from chainproof.judgement.verdict import Verdict
from chainproof.results.manifest import Ending, Manifest, RunKind
from chainproof.stored_text import shortened

_PLAN_SETTINGS: dict[RunKind, tuple[str, ...]] = {
    RunKind.LOAD: (
        "model",
        "duration_s",
        "deadline_s",
        "rate_per_s",
        "arrivals",
        "variation",
        "users",
        "think_time_s",
        "think_time_distribution",
        "max_in_flight",
        "max_requests",
        "payloads",
        "input_schema",
        "retry",
        "workers",
        "replanned_at_s",
        "plan",
    ),
    RunKind.CONFORMANCE: (
        "depth",
        "selection",
        "echo",
        "steerable",
        "deterministic",
        "allow",
        "payloads",
        "slow_payload",
        "input_schema",
        "output_schema",
        "check",
        "fail_on",
    ),
}
"""The settings that decide what is sent."""

_SILENT_SETTINGS = frozenset({"label", "keep_bodies", "cost_per_request", "max_cost", "phases", "accept"})
"""Settings whose difference needs no caveat, or that are compared separately."""

_MAX_LENGTH = 60
"""Longest value in a reason."""


@dataclass(frozen=True, slots=True)
class ComparisonCaveat:
    """A reason to distrust a comparison, with a remedy."""

    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A reason not to compare runs."""

    text: str
    is_invalid_run: bool = False
    """True if a run cannot be trusted; otherwise the runs differ in what must be equal."""


def obstacles(candidates: Sequence[Summary], baselines: Sequence[Summary]) -> list[Obstacle]:
    """Every reason not to compare these runs, of the same kind; empty if they can be compared."""
    runs = (*baselines, *candidates)
    first = baselines[0].run.manifest
    found = [Obstacle(same_run(*folders)) for folders in copies(each.run for each in runs)]
    found += [Obstacle(text) for each in runs[1:] for text in _differences(first, each.run.manifest)]
    found += [
        Obstacle(f"the run {each.run.name} is {each.verdict.value}: {each.reason}", is_invalid_run=True)
        for each in runs
        if each.verdict in (Verdict.INVALID, Verdict.ERROR)
    ]
    return list(dict.fromkeys(found))


def same_run(first: Path, other: Path) -> str:
    """Why the same run, or the same search, in two folders is an obstacle."""
    return f"{first} and {other} contain the same run: counted twice, it would make the result look more certain than it is"


def forced_caveat(obstacle: str) -> ComparisonCaveat:
    """What --force turns an obstacle into."""
    text = f"{obstacle[0].upper()}{obstacle[1:].rstrip('.')}."
    return ComparisonCaveat(text, "Without --force this comparison is refused: its result may mean nothing.")


def is_same_workload(first: Manifest, other: Manifest) -> bool:
    """True if two runs were made with the same plan, on machines of the same kind."""
    return first.kind is other.kind and next(_differences(first, other), None) is None


def _differences(first: Manifest, other: Manifest) -> Iterator[str]:
    """What must be equal and is not, of two manifests of the same kind."""
    if first.contract != other.contract:
        yield f"the contracts differ: {first.contract} and {other.contract}"
    if first.kind is RunKind.LOAD:
        yield from _load_differences(first, other)
    names = [name for name in _PLAN_SETTINGS[first.kind] if first.settings.get(name) != other.settings.get(name)]
    if "plan" in names and len(names) > 1:
        names.remove("plan")  # the others say why
    if names == ["plan"]:
        yield "the plans differ: the requests start at other times"
        return
    for name in names:
        values = (_text(each.settings.get(name)) for each in (first, other))
        yield f"the plans differ: {name} is {' in the first run of the baseline, and '.join(values)} in another run"


def _load_differences(first: Manifest, other: Manifest) -> Iterator[str]:
    """What only load runs have."""
    if first.phases != other.phases:
        yield "the phases differ"
    if first.objectives != other.objectives:
        texts = (", ".join(each.objectives) or "none" for each in (first, other))
        yield f"the objectives differ: {' and '.join(map(_text, texts))}"
    if first.seed != other.seed:
        yield f"the plans differ: the seeds are {first.seed} and {other.seed}"
    if first.hardware is not None and other.hardware is not None and not first.hardware.is_like(other.hardware):
        yield f"the generators differ: {first.hardware} and {other.hardware}"


def _text(value: object) -> str:
    """A value in a reason."""
    text = "not set" if value is None else "".join(each if each.isprintable() else " " for each in str(value))
    return shortened(text, _MAX_LENGTH)


def comparison_caveats(candidates: Sequence[Summary], baselines: Sequence[Summary]) -> list[ComparisonCaveat]:
    """The doubts about a comparison that do not depend on its figures."""
    runs = [each.run for each in (*baselines, *candidates)]
    found = [*_setting_caveats([run.manifest for run in runs])]
    versions = sorted({run.manifest.versions.get("chainproof", "unknown") for run in runs})
    if len(versions) > 1:
        found.append(
            ComparisonCaveat(f"The runs were made by chainproof {' and '.join(versions)}.", "Use one version.")
        )
    if runs[0].manifest.kind is RunKind.LOAD and any(run.manifest.hardware is None for run in runs):
        text = "Some runs do not record the machine of the generator, so it may have been another one."
        found.append(ComparisonCaveat(text, "Make the runs again with this version."))
    ended = [run.name for run in runs if run.end is None or run.end.ending is not Ending.COMPLETED]
    if ended:
        found.append(ComparisonCaveat(f"These runs ended early: {', '.join(ended)}.", "Let them run to their end."))
    for name, side in (("candidate", candidates), ("baseline", baselines)):
        targets = sorted({each.run.manifest.target for each in side if not each.run.manifest.emulated})
        if len(targets) > 1:
            text = f"The runs of the {name} have different targets: {', '.join(targets)}."
            found.append(ComparisonCaveat(text, "Compare runs of one target with runs of one other."))
    return found


def _setting_caveats(manifests: Sequence[Manifest]) -> Iterator[ComparisonCaveat]:
    """Other settings that differ."""
    kind, first = manifests[0].kind, manifests[0].settings
    names: Iterable[str] = dict.fromkeys(name for each in manifests for name in each.settings)
    other = [
        name
        for name in names
        if name not in _PLAN_SETTINGS[kind] and name not in _SILENT_SETTINGS
        if any(each.settings.get(name) != first.get(name) for each in manifests)
    ]
    if other:
        words = ", ".join(name.replace("_", " ") for name in other)
        yield ComparisonCaveat(f"The runs have different settings: {words}.", "Use the same options for all runs.")
