"""The comparison of candidate runs with baseline runs, of every kind that both have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chainproof.errors import UsageError
from chainproof.judgement.comparison.change import Tolerance
from chainproof.judgement.comparison.comparability import (
    ComparisonCaveat,
    comparison_caveats,
    forced_caveat,
    obstacles,
)
from chainproof.judgement.comparison.conformance_comparison import ConformanceComparison, compare_conformance
from chainproof.judgement.comparison.load_comparison import LoadComparison, compare_load
from chainproof.judgement.comparison.metrics import Metric
from chainproof.judgement.conformance_summary import ConformanceSummary
from chainproof.judgement.load_summary import LoadSummary
from chainproof.judgement.summary import Summary
from chainproof.judgement.verdict import Verdict, worst_verdict

_Kind = TypeVar("_Kind", LoadSummary, ConformanceSummary)

_FORCED = "The comparison was forced (--force): see the caveats."
_FORCE = "Compare different runs of the same plan, or use --force if you know why this does not matter."


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is different between candidate and baseline."""

    candidates: tuple[Summary, ...]
    baselines: tuple[Summary, ...]
    load: LoadComparison | None
    """None if there are no load runs, or they cannot be compared."""
    conformance: ConformanceComparison | None
    """None if there are no conformance runs, or they cannot be compared."""
    caveats: tuple[ComparisonCaveat, ...]
    invalid: tuple[str, ...] = ()
    """Runs that cannot be trusted, with the reason; then nothing is compared."""
    is_forced: bool = False
    """Whether the first caveat is a reason to refuse the comparison, but for --force."""

    @property
    def parts(self) -> tuple[LoadComparison | ConformanceComparison, ...]:
        """The comparison of each kind of run."""
        return tuple(part for part in (self.load, self.conformance) if part is not None)

    @property
    def verdict(self) -> Verdict:
        """Fail if anything is worse, pass if everything is shown not to be."""
        return Verdict.INVALID if self.invalid else worst_verdict(part.verdict for part in self.parts)

    @property
    def reason(self) -> str:
        """The verdict in a sentence."""
        if self.invalid:
            return f"Nothing was compared: {'; '.join(self.invalid)}"
        reasons = [part.reason for part in self.parts if part.verdict is self.verdict]
        return " ".join([*reasons, *([_FORCED] if self.is_forced else [])])

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to do now."""
        if self.invalid:
            return ("Make these runs again. See in their reports why they are invalid.",)
        steps = tuple(step for part in self.parts if part.verdict is self.verdict for step in part.next_steps)
        return steps or ("Nothing has to be done.",)


def compare(
    candidates: Sequence[Summary],
    baselines: Sequence[Summary],
    *,
    tolerance: Tolerance,
    history: Iterable[Summary] = (),
    deciding: Iterable[Metric] = tuple(Metric),
    force: bool = False,
) -> Comparison:
    """The comparison. Raises UsageError if the runs cannot be compared, unless *force* makes that a caveat."""
    load = runs_of_kind(LoadSummary, candidates, baselines)
    conformance = runs_of_kind(ConformanceSummary, candidates, baselines)
    if load is None and conformance is None:
        raise UsageError(
            "expected runs of the same kind on both sides, found load runs on one and conformance runs on the other"
        )
    compared = [sides for sides in (load, conformance) if sides is not None]
    found = [obstacle for sides in compared for obstacle in obstacles(*sides)]
    refused = [each for each in found if not each.is_invalid_run]
    if refused and not force:
        raise UsageError(f"the runs cannot be compared: {'; '.join(each.text for each in refused)}. {_FORCE}")
    invalid = () if force else tuple(each.text for each in found if each.is_invalid_run)
    earlier = [each for each in history if isinstance(each, LoadSummary)]
    if load is None or invalid:
        load_part = None
    else:
        load_part = compare_load(*load, tolerance=tolerance, history=earlier, deciding=deciding)
    caveats = [forced_caveat(each.text) for each in found if force]
    caveats += [caveat for sides in compared for caveat in comparison_caveats(*sides)]
    caveats += _left_out(candidates, baselines, compared)
    conformance_part = None if conformance is None or invalid else compare_conformance(*conformance)
    parts = [part for part in (load_part, conformance_part) if part is not None]
    return Comparison(
        candidates=tuple(candidates),
        baselines=tuple(baselines),
        load=load_part,
        conformance=conformance_part,
        caveats=(*caveats, *(caveat for part in parts for caveat in part.caveats)),
        invalid=invalid,
        is_forced=force and bool(found),
    )


def runs_of_kind(
    kind: type[_Kind], candidates: Sequence[Summary], baselines: Sequence[Summary]
) -> tuple[list[_Kind], list[_Kind]] | None:
    """The runs of one kind on both sides; None if a side has none."""
    sides = [[each for each in side if isinstance(each, kind)] for side in (candidates, baselines)]
    return (sides[0], sides[1]) if all(sides) else None


def _left_out(
    candidates: Sequence[Summary],
    baselines: Sequence[Summary],
    compared: Sequence[tuple[Sequence[Summary], Sequence[Summary]]],
) -> Iterator[ComparisonCaveat]:
    """Runs of a kind that only one side has."""
    used = {id(each) for sides in compared for side in sides for each in side}
    names = [each.run.name for each in (*candidates, *baselines) if id(each) not in used]
    if names:
        text = f"These runs were not compared, since the other side has no run of their kind: {', '.join(names)}."
        yield ComparisonCaveat(text, "Name runs of the same kinds on both sides.")
