"""
The response times of load runs as a log of HdrHistogram, which its plotter and its libraries read.

Format 1.3 of the log, with histograms in the second compressed encoding (HdrHistogram: `HistogramLogWriter`, and
`encodeIntoCompressedByteBuffer` of `AbstractHistogram`). Values are nanoseconds with three significant digits. The buckets
of that encoding are ours, so no count moves. There is a line for each second and result, and one for seconds that were
rolled up. The tag of a line is the result, or `RUN.RESULT` if there are several runs.
"""

from __future__ import annotations

import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator, Sequence

from chainproof.judgement.summary import Report
from chainproof.results.folder import Run
from chainproof.results.intervals.interval import Interval, by_second
from chainproof.results.intervals.request_stats import TIMED_RESULTS
from chainproof.statistics.histogram import Histogram

from ..formatting.runs import start_timestamp

_COOKIE, _COMPRESSED_COOKIE = 0x1C849313, 0x1C849314
"""Second encoding, with counts of variable length."""
_DIGITS = 3
_HIGHEST = 1 << 53
"""The largest value that can be recorded: 104 days."""
_LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


def render(report: Report) -> str:
    """The log of all load runs, in the order of time."""
    runs = report.load_runs
    lines = ["#[Histogram log format version 1.3]"]
    starts = [start_timestamp(summary.run.manifest.started) for summary in runs]
    begin = min(starts, default=0.0)
    if runs:
        lines.append(f"#[StartTime: {begin:.3f} (seconds since epoch), {runs[0].run.manifest.started}]")
    rows: list[tuple[float, str]] = []
    for summary, start in zip(runs, starts, strict=True):
        prefix = f"{_tag(summary.run.name)}." if len(runs) > 1 else ""
        rows += _rows(summary.run, start - begin, prefix)
    return "\n".join([*lines, _LEGEND, *(line for _, line in sorted(rows, key=lambda row: row[0]))]) + "\n"


def _tag(text: str) -> str:
    """A text without what ends a tag."""
    return re.sub(r"[^\w.:/-]", "_", text)


def _rows(run: Run, offset: float, prefix: str) -> Iterator[tuple[float, str]]:
    """The lines of a run, each with its time."""
    for start, length, interval in _spans(run):
        for result in TIMED_RESULTS:
            times = interval.response_time[result]
            if times.count:
                data = b64encode(_encoded(times)).decode()
                highest = times.max_value * 1e3
                yield (
                    offset + start,
                    f"Tag={prefix}{result.value},{offset + start:.3f},{length:.3f},{highest:.3f},{data}",
                )


def _spans(run: Run) -> Iterator[tuple[int, int, Interval]]:
    """The parts of a run with a histogram of their own: first second, number of seconds, and requests."""
    for interval in run.intervals:
        if interval.seconds is not None:
            numbers = interval.seconds["numbers"]
            yield numbers[0], numbers[-1] + 1 - numbers[0], interval
    for interval in by_second(each for each in run.intervals if each.seconds is None):
        yield interval.second, 1, interval


def _encoded(histogram: Histogram) -> bytes:
    """A histogram in the second compressed encoding."""
    indices, counts = histogram.used_buckets()
    payload = _counts(indices.tolist(), counts.tolist())
    header = struct.pack(">iiiiqqd", _COOKIE, len(payload), 0, _DIGITS, 1, _HIGHEST, 1.0)
    deflated = zlib.compress(header + payload)
    return struct.pack(">ii", _COMPRESSED_COOKIE, len(deflated)) + deflated


def _counts(indices: Sequence[int], counts: Sequence[int]) -> bytes:
    """Counts by bucket number; a negative number -n stands for n empty buckets."""
    data, following = bytearray(), 0
    for index, count in zip(indices, counts, strict=True):
        empty = index - following
        if empty:
            _append(data, -empty if empty > 1 else 0)
        _append(data, count)
        following = index + 1
    return bytes(data)


def _append(data: bytearray, number: int) -> None:
    """Append an integer in zigzag LEB128: seven bits a byte, the lowest first, the sign in the lowest bit."""
    rest = (number << 1) if number >= 0 else (-number << 1) - 1
    while rest > 0x7F:
        data.append(rest & 0x7F | 0x80)
        rest >>= 7
    data.append(rest)
