"""The record of a search for the saturation rate, stored beside the run folders of its probes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from chainproof.clock import PerSecond, Seconds
from chainproof.errors import UsageError
from chainproof.text_files import is_there, read_regular

SEARCH_FILE = "search.json"
"""The record, in the folder that contains the probes."""
FORMAT = 2
"""The version of the record. Reports reject other versions."""
_VERDICTS = frozenset({"pass", "fail", "inconclusive", "invalid", "error"})
_PROBE_VERDICTS = frozenset({"met", "missed", "inconclusive", "invalid"})


class SearchRecordError(UsageError):
    """A record that cannot be read, or that contradicts itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRecord:
    """One run of a search at one rate, and its result."""

    rate: PerSecond
    purpose: str
    """doubling, approaching or verifying."""
    verdict: str
    """met, missed, inconclusive or invalid."""
    reason: str
    folder: str
    """The run folder's name, beside the record."""
    seconds: Seconds
    """Length of the judged phase."""
    planned: int
    ok: int
    response_time: dict[str, Seconds]
    """Of ok answers, by percentile."""
    in_flight: float
    """Mean number of requests in flight or due, in the judged phase."""
    growing: bool
    """Whether that number grew."""

    @property
    def ok_per_second(self) -> PerSecond:
        """Ok answers per second of the judged phase."""
        return self.ok / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRecord:
    """The search, its probes in order, and the saturation rate or why there is none."""

    path: Path
    workload: str
    target: str
    emulated: bool
    label: str = ""
    """The user's name for the search; empty if it has none."""
    objectives: tuple[str, ...]
    verdict: str
    """As of a run: pass if a rate was found."""
    saturation_rate: PerSecond | None
    missed_at: PerSecond | None
    """The lowest rate that was shown to miss the objectives."""
    interval: tuple[PerSecond | None, PerSecond | None]
    """Of the highest rate that meets the objectives (95 %); an end is None if it is unknown."""
    summary: str
    probes: tuple[ProbeRecord, ...]
    missing_folders: tuple[str, ...] = ()
    """Run folders of probes that do not exist any more."""

    @property
    def verification_folders(self) -> tuple[str, ...]:
        """The folders of the runs at the rate that was found; empty if none was found."""
        return tuple(dict.fromkeys(probe.folder for probe in self.probes if probe.rate == self.saturation_rate))


def read_search(path: Path) -> SearchRecord | None:
    """The search in a folder; None if the folder is not a search. Raises SearchRecordError."""
    file = path / SEARCH_FILE
    if not is_there(file):
        return None
    try:
        data = orjson.loads(read_regular(file))
        found = data.get("format")
    except (OSError, ValueError, AttributeError) as error:
        raise _unreadable(file, f"found no JSON object ({error})") from None
    if found != FORMAT:
        raise SearchRecordError(
            f"expected a search record of format {FORMAT}, found {found!r} in {file}: run the search again, or install the "
            "version of chainproof that made it"
        )
    try:
        record = _search(path, data)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise _unreadable(file, f"found {type(error).__name__}: {error}") from None
    problem = next(_problems(record, data.get("no_rate_reason")), None)
    if problem is not None:
        raise _unreadable(file, problem)
    return record


def _unreadable(file: Path, found: str) -> SearchRecordError:
    return SearchRecordError(
        f"expected the record of a search in {file}, {found}: run the search again, or name its run folders one by one"
    )


def _problems(record: SearchRecord, no_rate_reason: object) -> Iterator[str]:
    """What contradicts itself in a record."""
    if record.verdict not in _VERDICTS:
        yield f"found the verdict {record.verdict!r}"
    for probe in record.probes:
        yield from _probe_problems(record.path, probe)
    rate, missed_at = record.saturation_rate, record.missed_at
    if (rate is not None) is not (record.verdict == "pass"):
        yield f"found the verdict {record.verdict} with {'a' if rate is not None else 'no'} saturation rate"
    if rate is not None and no_rate_reason is not None:
        yield f"found a saturation rate and a reason why there is none, {no_rate_reason!r}"
    at_rate = [probe.verdict for probe in record.probes if probe.rate == rate]
    if rate is not None and not {"met", "inconclusive"} & set(at_rate):
        yield f"found the saturation rate {rate:g}, which no probe met"
    if missed_at is not None and missed_at not in [probe.rate for probe in record.probes]:
        yield f"found that {missed_at:g} per second was missed, at which there is no probe"
    low, high = record.interval
    if rate is not None and not (0.0 if low is None else low) <= rate <= (math.inf if high is None else high):
        yield f"found the saturation rate {rate:g} outside its interval"
    if rate is not None and missed_at is not None and missed_at <= rate:
        yield f"found the saturation rate {rate:g}, but {missed_at:g} missed"


def _probe_problems(path: Path, probe: ProbeRecord) -> Iterator[str]:
    """What cannot be true of a probe."""
    if probe.verdict not in _PROBE_VERDICTS:
        yield f"found a probe with the verdict {probe.verdict!r}"
    numbers = (probe.rate, probe.seconds, probe.in_flight, *probe.response_time.values())
    if not all(math.isfinite(number) and number >= 0 for number in numbers) or not 0 <= probe.ok <= probe.planned:
        yield f"found impossible numbers in the probe {probe.folder!r}"
    inside = probe.folder == Path(probe.folder).name and probe.folder not in ("", "..")
    if not inside or (path / probe.folder).resolve().parent != path.resolve():
        yield f"found the run folder {probe.folder!r} outside the search"


def _search(path: Path, data: dict[str, Any]) -> SearchRecord:
    """The record from parsed JSON."""
    probes = tuple(_probe(probe) for probe in data["probes"])
    return SearchRecord(
        path=path,
        workload=str(data["workload"]),
        target=str(data["target"]),
        emulated=data["emulated"] is True,
        label=str(data.get("label") or ""),
        objectives=tuple(str(text) for text in data["objectives"]),
        verdict=str(data["verdict"]),
        saturation_rate=_rate(data["saturation_rate_per_s"]),
        missed_at=_rate(data["missed_at_per_s"]),
        interval=_interval(data["interval_per_s"]),
        summary=str(data["summary"]),
        probes=probes,
        missing_folders=tuple(dict.fromkeys(probe.folder for probe in probes if not (path / probe.folder).is_dir())),
    )


def _probe(data: dict[str, Any]) -> ProbeRecord:
    """A probe from parsed JSON."""
    return ProbeRecord(
        rate=float(data["rate"]),
        purpose=str(data["purpose"]),
        verdict=str(data["verdict"]),
        reason=str(data["reason"]),
        folder=str(data["folder"]),
        seconds=float(data["seconds"]),
        planned=int(data["planned"]),
        ok=int(data["ok"]),
        response_time={str(name): float(value) for name, value in data["response_time"].items()},
        in_flight=float(data["in_flight"]),
        growing=data["growing"] is True,
    )


def _interval(data: list[object]) -> tuple[PerSecond | None, PerSecond | None]:
    """Two rates."""
    low, high = map(_rate, data)
    return low, high


def _rate(data: object) -> PerSecond | None:
    """A rate; None for null."""
    return None if data is None else float(data)  # type: ignore[arg-type]  # read_search catches TypeError
