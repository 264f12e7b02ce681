"""
Recorded arrivals: load intended starts from a file such as an access log.

A line is a time or a JSON object with a time under a key. A time is a number of seconds or an ISO 8601 date and time.
The earliest time becomes second 0 of the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from chainproof.clock import PerSecond, Seconds
from chainproof.errors import UsageError
from chainproof.json_text import is_number
from chainproof.text_files import read_lines

DEFAULT_TIMESTAMP_KEY = "timestamp"
"""The default key of the time in a JSON object."""
MAX_INSTANTS = 2_000_000
"""The longest recording. All of it is sent to every worker."""


def load_instants(path: Path, key: str = DEFAULT_TIMESTAMP_KEY) -> tuple[Seconds, ...]:
    """The instants in a file, ascending from 0. Raises UsageError."""
    instants = [_instant(line, key, f"line {number} of {path}") for number, line in read_lines(path, "the recording")]
    if not 0 < len(instants) <= MAX_INSTANTS:
        raise UsageError(f"expected from 1 to {MAX_INSTANTS} instants in {path}, found {len(instants)}")
    return shift_to_zero(instants)


def shift_to_zero(instants: Sequence[Seconds]) -> tuple[Seconds, ...]:
    """
    Instants in ascending order, as seconds after the first one.

    >>> shift_to_zero([12.5, 10.0])
    (0.0, 2.5)
    """
    first = min(instants)
    return tuple(sorted(instant - first for instant in instants))


def recording_duration(instants: Sequence[Seconds]) -> Seconds:
    """
    The duration of a recording: up to its last instant, plus a mean gap, so that the last instant is included.

    >>> recording_duration([0.0, 1.0, 4.0])
    6.0
    """
    gaps = len(instants) - 1
    return instants[-1] * (1 + 1 / gaps) if gaps and instants[-1] > 0 else 1.0


def mean_rate(instants: Sequence[Seconds]) -> PerSecond:
    """The mean number of instants per second."""
    return len(instants) / recording_duration(instants)


def _instant(line: bytes, key: str, location: str) -> Seconds:
    """The instant in one line. Raises UsageError."""
    bare = line.strip()
    value = _member(bare, key, location) if bare.startswith(b"{") else bare.decode("utf-8", "replace")
    try:
        instant = _seconds(value)
    except ValueError:
        raise UsageError(f"expected seconds or an ISO 8601 date and time in {location}, found {value!r}") from None
    if not math.isfinite(instant):
        raise UsageError(
            f"expected a finite number of seconds in {location}, found {value!r}: correct the line or leave it out"
        )
    problem = unit_error(instant)
    if problem:
        raise UsageError(f"expected seconds in {location}, {problem}")
    return instant


def unit_error(instant: Seconds) -> str:
    """
    What was found and what to do, if an instant is so large that its unit is not the second; else empty.

    >>> unit_error(1_700_000_000_000)
    'found 1700000000000, which are milliseconds since 1970: divide every time by 1000'
    """
    unit = next((unit for limit, unit in _LARGE_INSTANTS.items() if abs(instant) >= limit), None)
    return f"found {instant:.0f}, which are {unit[0]} since 1970: divide every time by {unit[1]}" if unit else ""


_LARGE_INSTANTS = {
    1e17: ("nanoseconds", 1_000_000_000),
    1e14: ("microseconds", 1_000_000),
    1e11: ("milliseconds", 1_000),
}
"""From these numbers on, an instant is read in another unit: as seconds they are after the year 5000, in that unit after 1973."""


def _member(line: bytes, key: str, location: str) -> object:
    """The value of a key in a JSON object. Raises UsageError."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(
            f"expected a JSON object or a time in {location}, found a text that is not JSON: {error.msg}"
        ) from None
    if key not in row:
        raise UsageError(
            f"expected a key {key!r} in {location}, found {', '.join(sorted(row)) or 'none'}; name the key with --replay-key"
        )
    return row[key]


def _seconds(value: object) -> Seconds:
    """Seconds from a number, or from a date and time (default: UTC) since 1970. Raises ValueError."""
    if is_number(value):
        return float(value)
    if not isinstance(value, str):
        raise ValueError(value)  # noqa: TRY004  # the caller handles a single type of exception
    try:
        return float(value)
    except ValueError:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
