"""
Recorded arrivals: the instants of a file, to be asked for again at the same distances from each other.

A line is an instant in seconds, or a JSON object with one under a key: a number of seconds, or a date and time as ISO
8601 writes them. The first instant of all becomes the run's second 0, so a log of any epoch serves as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from chainproof.clock import PerSecond, Seconds
from chainproof.errors import UsageError

DEFAULT_TIMESTAMP_KEY = "timestamp"
"""Where a JSON object has its instant unless said otherwise."""
MAX_INSTANTS = 2_000_000
"""The longest recording: every worker is told all of it."""


class RecordingError(UsageError):
    """
    A file of instants that cannot be used; the message says which line, and what was expected there.
    """


def load_instants(path: Path, key: str = DEFAULT_TIMESTAMP_KEY) -> tuple[Seconds, ...]:
    """
    The instants in a file, ascending from 0. Raises RecordingError.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as wrong:
        raise RecordingError(f"cannot read the recording {path}: {wrong.strerror}") from None
    found = [_instant(line, key, f"line {number} of {path}") for number, line in enumerate(lines, 1) if line.strip()]
    if not 0 < len(found) <= MAX_INSTANTS:
        raise RecordingError(f"expected from 1 to {MAX_INSTANTS} instants in {path}, found {len(found)}")
    return shift_to_zero(found)


def shift_to_zero(instants: Sequence[Seconds]) -> tuple[Seconds, ...]:
    """
    Instants in ascending order, counted from the first of them.

    >>> from_zero([12.5, 10.0])
    (0.0, 2.5)
    """
    first = min(instants)
    return tuple(sorted(instant - first for instant in instants))


def recording_duration(instants: Sequence[Seconds]) -> Seconds:
    """
    How long a recording lasts: to its last instant, and a mean gap beyond, so that the last one lies inside.

    >>> span([0.0, 1.0, 4.0])
    6.0
    """
    gaps = len(instants) - 1
    return instants[-1] * (1 + 1 / gaps) if gaps and instants[-1] > 0 else 1.0


def mean_rate(instants: Sequence[Seconds]) -> PerSecond:
    """
    How many instants a second of the recording has.
    """
    return len(instants) / recording_duration(instants)


def _instant(line: bytes, key: str, where: str) -> Seconds:
    """
    The instant that one line names.
    """
    bare = line.strip()
    found = _member(bare, key, where) if bare.startswith(b"{") else bare.decode("utf-8", "replace")
    try:
        instant = _seconds(found)
    except ValueError:
        raise RecordingError(f"expected seconds or an ISO 8601 date and time in {where}, found {found!r}") from None
    if not math.isfinite(instant):
        raise RecordingError(f"expected a finite instant in {where}, found {found!r}")
    return instant


def _member(line: bytes, key: str, where: str) -> object:
    """
    What a JSON object has under the key.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as wrong:
        raise RecordingError(f"{where} is not JSON: {wrong.msg}") from None
    if key not in row:
        raise RecordingError(
            f"expected a key {key!r} in {where}, found {', '.join(sorted(row)) or 'none'}: name it with --replay-key"
        )
    return row[key]


def _seconds(found: object) -> Seconds:
    """
    A number of seconds, or those of a date and time since 1970, UTC unless it says otherwise. Raises ValueError.
    """
    if isinstance(found, int | float) and not isinstance(found, bool):
        return float(found)
    if not isinstance(found, str):
        raise ValueError(found)  # noqa: TRY004  # one kind of exception, which the caller words
    try:
        return float(found)
    except ValueError:
        moment = datetime.fromisoformat(found)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
