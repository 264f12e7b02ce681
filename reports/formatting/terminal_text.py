"""Text for a terminal: colours, lines of limited width, and tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chainproof.judgement.verdict import Verdict

from .safe_text import escape_unprintable

WIDTH = 100

COLOURS: dict[Verdict, str] = {
    Verdict.PASS: "32",
    Verdict.FAIL: "31",
    Verdict.INCONCLUSIVE: "33",
    Verdict.INVALID: "35",
    Verdict.ERROR: "35",
}
BOLD, DIM = "1", "2"


@dataclass(frozen=True, slots=True)
class Pen:
    """Colours text, or leaves it as it is."""

    colour: bool

    def __call__(self, text: str, code: str) -> str:
        """The text with an ANSI escape code."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def verdict(self, verdict: Verdict, text: str) -> str:
        """The text in the verdict's colour."""
        return self(text, f"{BOLD};{COLOURS[verdict]}")


def verdict_lines(verdict: Verdict, reason: str, pen: Pen) -> list[str]:
    """The verdict and its reason."""
    word = verdict.value.upper()
    first, *rest = wrapped(escape_unprintable(reason), " " * (len(word) + 2))
    return [f"{pen.verdict(verdict, word)}  {first.lstrip()}", *rest]


def wrapped(text: str, first: str, later: str | None = None) -> list[str]:
    """A text in lines of at most `WIDTH` characters."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=first if later is None else later, break_on_hyphens=False
    ) or [first.rstrip()]


def table(rows: Sequence[Sequence[str]], left: tuple[int, ...] = (0,)) -> list[str]:
    """Rows with aligned columns: those in *left* to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["    " + "  ".join(_aligned(row, widths, left)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int], left: tuple[int, ...]) -> Iterator[str]:
    """The cells of a row, each padded to the width of its column."""
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if place in left else cell.rjust(width)
