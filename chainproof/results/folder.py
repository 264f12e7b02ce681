"""
The run folder: load tests and conformance runs write it (`run_writer.py`), reports read it.

Files are append-only, one JSON object per line, written at once, so that a kill loses at most the current second.
`manifest.json` is written before the first request, `end.json` after the last. It has the number of lines and a digest of
every file, so that any later loss is noticed. A folder without it is a run that was killed; its files may end with an
incomplete line.

The intervals of a run of more than two hours are in several files, one for each hour: `intervals.jsonl` is the present one,
`intervals-0001.jsonl` the first. While an hour is written, its rolled-up form (`rollup.py`) is written beside it, and one
hour later replaces it at once. So a kill at any time leaves each hour in one form or the other.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import orjson

from chainproof.errors import UsageError
from chainproof.results.coverage import Coverage, CoverageData
from chainproof.results.exemplar import Exemplar, ExemplarData
from chainproof.results.finding import ClauseCount, ClauseData, Finding, FindingData
from chainproof.results.integrity import FileDigest, FileDigestData, damage
from chainproof.results.intervals.interval import Interval, IntervalData
from chainproof.results.manifest import (
    FORMAT,
    Manifest,
    ManifestData,
    PlanChange,
    PlanChangeData,
    RunEnd,
    RunEndData,
    apply_plan_changes,
)
from chainproof.results.search_record import SearchRecord, read_search
from chainproof.text_files import is_there, open_regular, read_regular
from chainproof.typed_json import mismatch
from chainproof.workload.objectives import parse_objective

MANIFEST = "manifest.json"
END = "end.json"
INTERVALS = "intervals.jsonl"
EXEMPLARS = "exemplars.jsonl"
FINDINGS = "findings.jsonl"
CLAUSES = "clauses.jsonl"
PLANS = "plans.jsonl"
COVERAGE = "coverage.jsonl"
REQUESTS = "requests.csv"
REQUEST_COLUMNS = "intended_start_s,start_s,end_s,result,transport,status,error_code,phase,payload,request_id,worker"
"""The first line of `requests.csv`. Of a request that was not sent, `transport` has the reason."""

FILE_TYPES: dict[str, type] = {
    MANIFEST: ManifestData,
    INTERVALS: IntervalData,
    EXEMPLARS: ExemplarData,
    FINDINGS: FindingData,
    CLAUSES: ClauseData,
    COVERAGE: CoverageData,
    PLANS: PlanChangeData,
    END: RunEndData,
}
"""The JSON of each file, or of each line of a `.jsonl` file. `docs/run-folder.schema.json` is written from it."""

_MAX_LINE = 64 << 20
"""Bytes of a line that are read at most; those of runs have less than 10 MiB."""


_Data = TypeVar("_Data")
_Line = TypeVar("_Line")


class FolderError(UsageError):
    """A folder that cannot be written or read as a run folder."""


def segment_name(number: int) -> str:
    """
    The name of a file of intervals that is complete.

    >>> segment_name(1)
    'intervals-0001.jsonl'
    """
    return f"intervals-{number:04}.jsonl"


def interval_files(path: Path) -> list[str]:
    """The names of the files of intervals in a run folder, in order."""
    return [*sorted(file.name for file in path.glob("intervals-*.jsonl")), INTERVALS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The content of a run folder."""

    path: Path
    manifest: Manifest
    """With the settings of the last plan, if there were several."""
    intervals: tuple[Interval, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    findings: tuple[Finding, ...] = ()
    clauses: tuple[ClauseCount, ...] = ()
    coverage: Coverage | None = None
    """None for a load run, and before the first check has ended."""
    recorded_requests: int | None = None
    """The number of rows of `requests.csv`; None without --record-requests."""
    end: RunEnd | None = None
    """None if the run was killed."""
    damage: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with each damaged file, by its name; empty if all are as the run wrote them."""
    digests: Mapping[str, FileDigestData] = field(default_factory=dict)
    """Of each file that was read, but not of `end.json`."""
    alias: str = ""
    """A name that no other run of a report has, if that of the folder is not one."""

    @property
    def name(self) -> str:
        """What reports call the run: the name of its folder, with those of folders above it where necessary."""
        return self.alias or self.path.name

    @property
    def workers(self) -> frozenset[str]:
        """The names of the processes that sent requests."""
        return frozenset(worker for interval in self.intervals for worker in interval.workers)


def read_manifest(path: Path) -> Manifest:
    """The manifest of the run in a folder. Raises FolderError."""
    return _Reader(path).manifest()


def distinct_names(paths: Iterable[Path]) -> dict[Path, str]:
    """
    A different name for each path: as many of its last parts as are necessary.

    >>> list(distinct_names([Path("before/01"), Path("after/01"), Path("after/02")]).values())
    ['before/01', 'after/01', '02']
    """
    names = {path: path.name for path in paths}
    for depth in itertools.count(2):
        counts = Counter(names.values())
        longer = {
            path: "/".join(path.parts[-depth:])
            for path, name in names.items()
            if counts[name] > 1 and depth <= len(path.parts)
        }
        if not longer:
            return names
        names |= longer
    raise AssertionError("unreachable: the loop has no end")


def read_run(path: Path, *, alias: str = "") -> Run:
    """The run in a folder, finished or not. Raises FolderError if it is not a run folder or its manifest is not readable."""
    if not path.is_dir():
        raise FolderError(f"expected a run folder, found {'a file' if path.exists() else 'nothing'} at {path}")
    if not (path / MANIFEST).exists():
        raise FolderError(f"expected a run folder, found no {MANIFEST} in {path}")
    reader = _Reader(path)
    manifest = reader.manifest()
    exemplars = reader.lines(EXEMPLARS, Exemplar.from_json)
    findings = reader.lines(FINDINGS, Finding.from_json)
    counts = reader.lines(CLAUSES, ClauseCount.from_json)
    plan_changes = reader.lines(PLANS, PlanChange.from_json)
    coverages = reader.lines(COVERAGE, Coverage.from_json)
    intervals = [
        interval for name in interval_files(path) for interval in reader.lines(name, Interval.from_json, INTERVALS)
    ]
    recorded = reader.rows(REQUESTS)
    end = reader.end()
    return Run(
        path=path,
        alias=alias,
        manifest=apply_plan_changes(manifest, plan_changes),
        intervals=tuple(intervals),
        exemplars=tuple({found.number: found for found in exemplars}.values()),
        findings=tuple(each for each in {found.key: found for found in findings}.values() if each.count),
        clauses=tuple({count.clause: count for count in counts}.values()),
        coverage=coverages[-1] if coverages else None,
        recorded_requests=recorded,
        end=end,
        damage=reader.damage | _lost_findings(counts, findings),
        digests=reader.digests,
    )


def _lost_findings(counts: Iterable[ClauseCount], findings: Iterable[Finding]) -> dict[str, str]:
    """Says that findings are missing if violations of a clause were counted that has no finding."""
    found = {finding.clause for finding in findings}
    lost = dict.fromkeys(count.clause for count in counts if count.violations and count.clause not in found)
    return {FINDINGS: f"violations of {', '.join(lost)} were counted, but the findings are missing"} if lost else {}


class _Reader:
    """Reads the files of one run folder, and finds out which are damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.digests: dict[str, FileDigestData] = {}
        """Of the files that have been read."""
        self._written: Mapping[str, FileDigestData] | None = None
        """The digests in `end.json`; None without it."""
        self._unreadable: dict[str, str] = {}

    @property
    def damage(self) -> dict[str, str]:
        """What is wrong with each damaged file that has been read, by its name."""
        return self._unreadable | ({} if self._written is None else damage(self._written, self.digests))

    def manifest(self) -> Manifest:
        """The manifest. Raises FolderError if it cannot be read."""
        try:
            content = read_regular(self._path / MANIFEST)
            data = orjson.loads(content)
            if isinstance(data, dict) and isinstance(data.get("format"), int):
                _check_format(data["format"], self._path)
            _check_type(data, FILE_TYPES[MANIFEST])
            manifest = Manifest.from_json(data)
            for objective in manifest.objectives:
                parse_objective(objective)
        except FolderError:
            raise  # made by another version
        except (OSError, ValueError, KeyError, UsageError) as error:
            raise FolderError(f"cannot understand {self._path / MANIFEST}: {error}") from error
        digest = FileDigest()
        digest.add(content)
        self.digests[MANIFEST] = digest.to_json()
        return manifest

    def lines(self, name: str, from_json: Callable[[_Data], _Line], kind: str = "") -> list[_Line]:
        """
        The readable lines of a file. An incomplete last line is left out.

        *kind* is the name in `FILE_TYPES` of files like it, by default its own.
        """
        path = self._path / name
        lines: list[_Line] = []
        digest = FileDigest()
        unreadable: list[str] = []
        try:
            with open_regular(path) as file:
                for line in iter(partial(file.readline, _MAX_LINE), b""):
                    digest.add(line)
                    if len(line) == _MAX_LINE:
                        unreadable.append(f"line {digest.lines + 1}: it is longer than {_MAX_LINE >> 20} MiB")
                        break
                    if not line.endswith(b"\n"):
                        break  # incomplete: the writer was killed
                    try:
                        data = orjson.loads(line)
                        _check_type(data, FILE_TYPES[kind or name])
                        lines.append(from_json(data))
                    except (ValueError, KeyError) as error:
                        unreadable.append(f"line {digest.lines}: {error}")
        except FileNotFoundError:
            return []
        except OSError as error:
            self._unreadable[name] = f"it cannot be read: {error.strerror}"
            return []
        self.digests[name] = digest.to_json()
        if unreadable:
            more = f" and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
            self._unreadable[name] = f"{unreadable[0]}{more}"
        return lines

    def rows(self, name: str) -> int | None:
        """The number of rows of a CSV file below its first one; None without it."""
        digest = FileDigest()
        try:
            with open_regular(self._path / name) as file:
                while content := file.read(1 << 20):
                    digest.add(content)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._unreadable[name] = f"it cannot be read: {error.strerror}"
            return None
        self.digests[name] = digest.to_json()
        return max(digest.lines - 1, 0)

    def end(self) -> RunEnd | None:
        """How the run ended; None if that was not written, or cannot be read."""
        try:
            data = orjson.loads(read_regular(self._path / END))
            _check_type(data, FILE_TYPES[END])
            end, self._written = RunEnd.from_json(data), data.get("files", {})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as error:
            self._unreadable[END] = f"it cannot be read: {error}"
            return None
        return end


def _check_type(data: object, annotation: type) -> None:
    """Raise ValueError unless JSON data have the type of a TypedDict."""
    problem = mismatch(data, annotation)
    if problem is not None:
        raise ValueError(problem)


def _check_format(found: int, path: Path) -> None:
    """Raise FolderError unless a run folder has the format of this version."""
    if found != FORMAT:
        maker = "an older chainproof" if found < FORMAT else "a newer chainproof"
        raise FolderError(
            f"expected run folder format {FORMAT}, found {found} in {path}: made by {maker}; "
            "run it again, or install the version of chainproof that made it"
        )


def find_runs(path: Path) -> list[Path]:
    """
    The run folders at a path: itself, or those directly in it, by name; default names begin with the time.

    Of a search, only the runs that verified its result: the others missed their objectives on purpose. Raises
    FolderError if there is none.
    """
    if not path.is_dir():
        raise FolderError(f"expected a run folder, found {'a file' if path.exists() else 'nothing'} at {path}")
    if _is_run(path):
        return [path]
    runs = _search_runs(path) or [run for child in sorted(path.iterdir()) for run in _runs_of(child)]
    if not runs:
        raise FolderError(f"expected a run folder, found no {MANIFEST} in {path} nor in a folder of it")
    return runs


def find_searches(path: Path) -> list[SearchRecord]:
    """The searches at a path: in the folder itself and directly below it, by name."""
    folders = [path, *sorted(child for child in path.iterdir() if child.is_dir())] if path.is_dir() else []
    return [found for found in map(read_search, folders) if found is not None]


def _runs_of(child: Path) -> list[Path]:
    """The folder itself if it is a run folder; of the folder of a search, the runs that stand for it; of a series, all runs."""
    if not child.is_dir():
        return []
    if _is_run(child):
        return [child]
    return _search_runs(child) or [run for run in sorted(child.iterdir()) if _is_run(run)]


def _is_run(path: Path) -> bool:
    """
    True for a run folder, also for one whose manifest is lost or a link to nowhere: a damaged run is not left out. Raises
    OSError for a folder that this user may not search.
    """
    return any(is_there(path / name) for name in (MANIFEST, END))


def _search_runs(path: Path) -> list[Path]:
    """The runs at the rate that a search found; all of its runs if it found none; empty if the folder is not a search."""
    found = read_search(path)
    if found is None:
        return []
    verified = [path / name for name in found.verification_folders if _is_run(path / name)]
    return verified or [child for child in sorted(path.iterdir()) if _is_run(child)]
