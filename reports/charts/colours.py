"""The colour of every outcome, the same in all charts and tables of a page."""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.results.exchange import Outcome, Result

MAX_SERIES = 7
"""Outcomes that get a colour of their own. More colours cannot be distinguished, so the rest share one."""

OTHER = "other"

Palette = dict[Outcome, str]
"""Variables of the style sheet, without `--`, by outcome."""


def palette(outcomes: Iterable[Outcome]) -> Palette:
    """Colours for outcomes, the most frequent first: one for ok, then one each until they run out."""
    colours: Palette = {}
    for outcome in outcomes:
        if outcome.result is Result.OK:
            colours[outcome] = "ok"
        elif outcome not in colours:
            used = len(set(colours.values()) - {"ok", OTHER})
            colours[outcome] = f"c{used + 1}" if used < MAX_SERIES else OTHER
    return colours
