"""
The highest arrival rate that meets the objectives: doubled until one is missed, then bisected, then verified.

A search knows nothing of runs: it asks for probes, each a run at one rate that has come to a verdict, and draws from
those what to ask next. A probe that is undecided when it may take no longer counts as one that missed: the answer is a
rate at which the objectives were *shown* to be met. It is given only when as many further runs as asked for meet them
too, and not at all where there is none to be had.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from chainproof.clock import PerSecond, Seconds
from chainproof.judgement.verdict import Exit
from chainproof.workload.search_settings import Search

MOST_PROBES = 60
"""Beyond so many a search gives up: the target does not hold still."""


class Standing(StrEnum):
    """
    What a probe says of its rate.
    """

    MET = "met"
    """Every objective was met."""
    MISSED = "missed"
    """One was not."""
    UNDECIDED = "undecided"
    """Too little was seen to say, in as much time as a probe may take."""
    UNFIT = "unfit"
    """The measurement cannot be trusted: our own generator does not keep up."""


class Purpose(StrEnum):
    """
    Why a rate is probed.
    """

    DOUBLING = "doubling"
    BISECTING = "bisecting"
    VERIFYING = "verifying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """
    One run at one rate, and what it says.
    """

    rate: PerSecond
    purpose: Purpose
    standing: Standing
    reason: str = ""
    """In a sentence."""
    folder: str = ""
    seconds: Seconds = 0.0
    planned: int = 0
    ok: int = 0
    response_time: dict[str, Seconds] = field(default_factory=dict)
    """By percentile, of ok answers."""


class Refusal(StrEnum):
    """
    Why there is no answer.
    """

    LOWEST_MISSED = "lowest missed"
    LOWEST_UNDECIDED = "lowest undecided"
    NEVER_MISSED = "never missed"
    OWN_CEILING = "own ceiling"
    RESTLESS = "restless"


SENTENCES = {
    Refusal.LOWEST_MISSED: "No answer: the objectives are missed at the lowest rate already.",
    Refusal.LOWEST_UNDECIDED: "No answer: not even at the lowest rate did a probe come to a verdict; make it longer, or "
    "the lowest rate higher.",
    Refusal.NEVER_MISSED: "No answer: the objectives are met at the highest rate that was to be asked for; raise it.",
    Refusal.OWN_CEILING: "No answer: our own generator reached its ceiling before the target did; use more processes, or "
    "more machines.",
    Refusal.RESTLESS: "No answer: what was met once was not met again, down to the lowest rate or for too many probes.",
}
EXIT_OF = {
    Refusal.LOWEST_MISSED: Exit.FAIL,
    Refusal.LOWEST_UNDECIDED: Exit.INCONCLUSIVE,
    Refusal.NEVER_MISSED: Exit.INCONCLUSIVE,
    Refusal.OWN_CEILING: Exit.INVALID,
    Refusal.RESTLESS: Exit.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What a search found: a rate, or why there is none.
    """

    rate: PerSecond | None = None
    missed_at: PerSecond | None = None
    """The lowest rate above the answer at which the objectives were not met; of a refusal, the lowest of all."""
    refusal: Refusal | None = None

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if self.refusal is not None:
            return SENTENCES[self.refusal]
        return f"The objectives are met up to {self.rate:.4g} requests a second, and not shown to be at {self.missed_at:.4g}."

    @property
    def exit_code(self) -> int:
        """How the command ends."""
        return Exit.PASS if self.refusal is None else EXIT_OF[self.refusal]


Ask = Callable[[PerSecond, Purpose], Probe]
"""Makes a run at a rate, long enough for its verdict."""


class Searching:
    """
    A search under way: the rates that were met, and the lowest that was not.
    """

    def __init__(self, ask: Ask, search: Search, lowest: PerSecond) -> None:
        self._ask = ask
        self._search = search
        self._lowest = lowest
        self._met: set[PerSecond] = set()
        self._missed = math.inf
        self._asked = 0
        self._verified = False

    def answer(self) -> Answer:
        """Search to the end."""
        refusal = self._double()
        while refusal is None:
            refusal = self._bisect() or self._verify()
            if refusal is None and self._verified:
                return Answer(rate=self._best, missed_at=self._missed)
        return Answer(missed_at=self._missed if math.isfinite(self._missed) else None, refusal=refusal)

    @property
    def _best(self) -> PerSecond:
        """The highest rate that was met and not contradicted."""
        return max((rate for rate in self._met if rate < self._missed), default=0.0)

    def _double(self) -> Refusal | None:
        """
        Double the rate until the objectives are missed.
        """
        rate = self._lowest
        while True:
            standing = self._probe(rate, Purpose.DOUBLING)
            if standing is Standing.UNFIT:
                return Refusal.OWN_CEILING
            if standing is not Standing.MET:
                return self._too_low(standing) if rate == self._lowest else None
            if rate >= self._search.highest:
                return Refusal.NEVER_MISSED
            rate = min(rate * 2, self._search.highest)

    def _too_low(self, standing: Standing) -> Refusal:
        return Refusal.LOWEST_MISSED if standing is Standing.MISSED else Refusal.LOWEST_UNDECIDED

    def _bisect(self) -> Refusal | None:
        """
        Halve what lies between met and missed, in proportion, until it is as small as asked for.
        """
        while self._best and self._missed > self._best * (1 + self._search.resolution):
            if self._asked >= MOST_PROBES:
                return Refusal.RESTLESS
            if self._probe(math.sqrt(self._best * self._missed), Purpose.BISECTING) is Standing.UNFIT:
                return Refusal.OWN_CEILING
        return None if self._best else Refusal.RESTLESS

    def _verify(self) -> Refusal | None:
        """
        Ask for the best rate again and again; one that is not met once more is one that was missed.
        """
        best = self._best
        for _ in range(self._search.verifications):
            if self._asked >= MOST_PROBES:
                return Refusal.RESTLESS
            standing = self._probe(best, Purpose.VERIFYING)
            if standing is Standing.UNFIT:
                return Refusal.OWN_CEILING
            if standing is not Standing.MET:
                return None
        self._verified = True
        return None

    def _probe(self, rate: PerSecond, purpose: Purpose) -> Standing:
        """
        Ask for a rate, and once more where our own generator did not keep up: it may have been a moment's.
        """
        for _ in range(2):
            self._asked += 1
            standing = self._ask(rate, purpose).standing
            if standing is not Standing.UNFIT:
                break
        if standing is Standing.MET:
            self._met.add(rate)
        elif standing is not Standing.UNFIT:
            self._missed = min(self._missed, rate)
        return standing


def saturation(ask: Ask, search: Search, lowest: PerSecond) -> Answer:
    """
    The highest rate that meets the objectives, from *lowest* up.
    """
    return Searching(ask, search, lowest).answer()
