"""
The run folder: load tests and conformance runs write it, reports read it.

Files are append-only, one JSON object per line, written at once, so that a kill loses at most the current second.
`manifest.json` is written before the first request, `end.json` after the last. It has the number of lines and a digest of
every file, so that any later loss is noticed. A folder without it is a run that was killed; its files may end with an
incomplete line.

The intervals of a run of more than two hours are in several files, one for each hour: `intervals.jsonl` is the present one,
`intervals-0001.jsonl` the first. While an hour is written, its rolled-up form (`rollup.py`) is written beside it, and one
hour later replaces it at once. So a kill at any time leaves each hour in one form or the other.
"""

from __future__ import annotations

import errno
import itertools
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Self, TypeVar

import orjson

from chainproof.contract.target import Target
from chainproof.errors import UsageError
from chainproof.machine_faults import MachineFault, system_fault
from chainproof.results.coverage import Coverage, CoverageData
from chainproof.results.exemplar import Exemplar, ExemplarData
from chainproof.results.finding import ClauseCount, ClauseData, Finding, FindingData
from chainproof.results.integrity import FileDigest, FileDigestData, damage
from chainproof.results.interval import Interval, IntervalData
from chainproof.results.manifest import (
    FORMAT,
    Ending,
    Manifest,
    ManifestData,
    PlanChange,
    PlanChangeData,
    RunEnd,
    RunEndData,
    RunKind,
    apply_plan_changes,
)
from chainproof.results.rollup import Rollup
from chainproof.results.search_record import SearchRecord, read_search
from chainproof.statistics.time_batches import LONG_RUN
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

DEFAULT_ROOT = Path("runs")

SEGMENT = 3600
"""The seconds of one file of intervals. The latest full hour is never rolled up."""
_RESERVED = f"{END}.part"
"""The draft of `end.json`. It takes up space from the start, so that the end of a run can be written on a full disk."""
_RESERVED_BYTES = 16 << 10
_MAX_LINE = 64 << 20
"""Bytes of a line that are read at most; those of runs have less than 10 MiB."""


_Data = TypeVar("_Data")
_Line = TypeVar("_Line")


class FolderError(UsageError):
    """A folder that cannot be written or read as a run folder."""


def utc_timestamp() -> str:
    """The current time as in manifests: UTC, ISO 8601, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def create_run_folder(name: str, target: Target, root: Path = DEFAULT_ROOT, *, started: str = "") -> Path:
    """
    A new, empty folder `runs/<utc>_<name>_<target>`, with a number appended if that name is taken.

    Several processes get different folders, also at the same time. *started* defaults to now. Raises FolderError.
    """
    stamp = (started or utc_timestamp()).partition(".")[0].replace("-", "").replace(":", "") + "Z"
    first = f"{stamp}_{name}_{target.label}"
    for number in itertools.count(1):
        path = root / (first if number == 1 else f"{first}-{number}")
        try:
            root.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            if root.exists() and not root.is_dir():  # another process may have removed it
                raise FolderError(
                    f"cannot write a run folder at {path}: {root} is a file; name another with --out"
                ) from None
        except FileNotFoundError:  # another process has removed the empty root
            Path.cwd()  # raises if the working folder itself was deleted
        except OSError as error:
            raise FolderError(
                f"cannot write a run folder at {path}: {(error.strerror or str(error)).lower()}; name another with --out"
            ) from error
        else:
            return path
    raise AssertionError("unreachable: the loop has no end")


def remove_if_empty(path: Path) -> None:
    """Remove a run folder to which nothing was written, and the folder above it if that is empty too."""
    with suppress(OSError):
        path.rmdir()
        path.parent.rmdir()


class RunWriter:
    """Writes a run folder. A context manager; closing it without `finish` leaves an unfinished run."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Create the folder and write the manifest. Raises FolderError if it holds a run already or cannot be written."""
        self.path = path
        self._manifest = manifest
        self._files: dict[str, IO[bytes]] = {}
        self._digests: dict[str, FileDigest] = defaultdict(FileDigest)
        self._rollup = Rollup() if _may_be_long(manifest) else None
        self._segment = 1
        self._segment_end = SEGMENT
        self._last_active = -1
        """The last second in which anything was sent or answered."""
        self._finding_counts: dict[tuple[str, str, str], int] = {}
        """The count of each finding as it was written."""
        self._changed_findings: dict[tuple[str, str, str], Finding] = {}
        """Findings with a newer count that is not written."""
        check_writable(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._digests[MANIFEST].add(_write_file(path / MANIFEST, manifest.to_json()))
            self._end_file = self._reserve_end()
        except OSError as error:
            raise FolderError(system_fault(f"cannot write a run folder at {path}", error)) from error

    def _reserve_end(self) -> IO[bytes]:
        """The draft of `end.json`. Raises OSError after removing what makes the folder one of a run."""
        file = (self.path / _RESERVED).open(
            "w+b", buffering=0
        )  # stays open: later, there may be no file descriptor left
        try:
            _write_all(file, bytes(_RESERVED_BYTES))
        except OSError:
            file.close()
            for name in (_RESERVED, MANIFEST):
                (self.path / name).unlink(missing_ok=True)
            raise
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def write_interval(self, interval: Interval) -> None:
        """Append one second of a load run."""
        interval.compact()  # to_json packs histograms anyway, and seconds to be rolled up stay in memory for a while
        line = interval.to_json()
        if self._rollup is None:
            self._append(INTERVALS, line)
            return
        # At the end of a run, what it did not send of its plan is written: that is no further hour.
        if interval.sent or interval.outcomes:
            if interval.second >= self._segment_end:
                self._begin_segment(interval.second)
            self._last_active = max(self._last_active, interval.second)
        self._append(INTERVALS, line)
        for rolled_up in self._rollup.add(interval, line):
            self._append(draft_name(self._segment), rolled_up)

    def _begin_segment(self, second: int) -> None:
        """Begin the next file of intervals, and replace the one before the last by its rolled-up form."""
        assert self._rollup is not None
        for rolled_up in self._rollup.flush():
            self._append(draft_name(self._segment), rolled_up)
        self._rename(INTERVALS, segment_name(self._segment))
        previous = self._segment - 1
        if draft_name(previous) in self._digests:
            self._rename(draft_name(previous), segment_name(previous))
        self._segment += 1
        self._segment_end = (second // SEGMENT + 1) * SEGMENT

    def _rename(self, name: str, to: str) -> None:
        """Rename a file, which replaces the one of that name."""
        file = self._files.pop(name, None)
        if file is not None:
            file.close()
        with self._machine_faults():
            (self.path / name).replace(self.path / to)
        self._digests[to] = self._digests.pop(name)

    def write_exemplar(self, exemplar: Exemplar) -> None:
        """Append an exemplar."""
        self._append(EXEMPLARS, exemplar.to_json())

    def write_finding(self, finding: Finding) -> None:
        """
        Append a finding. One with a newer count is appended if the count has doubled, else when the folder is closed: a
        target with many violations would fill the disk.
        """
        if finding.count < 2 * self._finding_counts.get(finding.key, 0):
            self._changed_findings[finding.key] = finding
            return
        self._changed_findings.pop(finding.key, None)
        self._finding_counts[finding.key] = finding.count
        self._append(FINDINGS, finding.to_json())

    def write_requests(self, rows: Sequence[str]) -> None:
        """Append rows of `requests.csv`, up to the number that the settings name; further ones are not recorded."""
        limit = self._manifest.known_settings.record_requests or 0
        recorded = max(self._digests[REQUESTS].lines - 1, 0) if REQUESTS in self._digests else 0
        kept = rows[: max(limit - recorded, 0)]
        if kept:
            header = [] if recorded else [REQUEST_COLUMNS]
            self._append_text(REQUESTS, "".join(f"{row}\n" for row in (*header, *kept)).encode("utf-8", "replace"))

    def write_plan_change(self, plan_change: PlanChange) -> None:
        """Append a plan that replaces the previous one."""
        self._append(PLANS, plan_change.to_json())

    def write_clause(self, count: ClauseCount) -> None:
        """Append how often a clause was exercised, or a newer count."""
        self._append(CLAUSES, count.to_json())

    def write_coverage(self, coverage: Coverage) -> None:
        """Append the coverage of a conformance run so far."""
        self._append(COVERAGE, coverage.to_json())

    def finish(self, end: RunEnd) -> None:
        """
        Write how the run ended and the digests of the files, and close. Raises MachineFault.

        If newer counts of findings cannot be written, that is how the run ended. After that, a further call does nothing.
        """
        if self._end_file.closed:
            return
        previous = self._segment - 1
        if self._last_active + 1 >= self._segment_end and draft_name(previous) in self._digests:
            self._rename(draft_name(previous), segment_name(previous))  # the present file has a full hour
        lost: MachineFault | None = None
        try:
            self._write_changed_findings()
        except MachineFault as fault:
            if end.ending not in (Ending.INTERNAL_ERROR, Ending.MACHINE_FAULT):
                lost, end = fault, replace(end, ending=Ending.MACHINE_FAULT, note=str(fault))
        self._close_lines()
        content = _json_text(
            {**end.to_json(), "files": {name: digest.to_json() for name, digest in self._digests.items()}}
        )
        with self._machine_faults():
            self._end_file.seek(0)
            _write_all(self._end_file, content)
            self._end_file.truncate(len(content))
            (self.path / _RESERVED).replace(self.path / END)
        self.close()
        if lost is not None:
            raise lost

    def close(self) -> None:
        """Close every file. May be called again."""
        with suppress(MachineFault):  # the run is unfinished in any case
            self._write_changed_findings()
        self._close_lines()
        self._end_file.close()

    def _write_changed_findings(self) -> None:
        """Write the findings with a newer count. Raises MachineFault."""
        changed, self._changed_findings = self._changed_findings, {}
        for finding in changed.values():
            self._append(FINDINGS, finding.to_json())

    def _close_lines(self) -> None:
        """Close the files with lines, and remove those that were to replace another."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        for draft in (draft_name(self._segment - 1), draft_name(self._segment)):
            if self._digests.pop(draft, None) is not None:
                (self.path / draft).unlink(missing_ok=True)

    def _append(self, name: str, value: object) -> None:
        """Write one line without buffering, completely or not at all. Raises MachineFault."""
        self._append_text(name, _json_text(value, 0))

    def _append_text(self, name: str, lines: bytes) -> None:
        """Write complete lines without buffering, all or none of them. Raises MachineFault."""
        with self._machine_faults():
            file = self._files.get(name)
            if file is None:
                file = self._files[name] = (self.path / name).open("ab", buffering=0)
                self._digests[name].add(b"")  # the run has created the file, also if its first line cannot be written
            _append_line(file, lines)
            if not os.fstat(file.fileno()).st_nlink:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._digests[name].add(lines)

    @contextmanager
    def _machine_faults(self) -> Iterator[None]:
        """Raise MachineFault, with the path of the run folder, for an OSError."""
        try:
            yield
        except OSError as error:
            raise MachineFault(system_fault(f"cannot write to the run folder {self.path}", error)) from error


def _may_be_long(manifest: Manifest) -> bool:
    """Whether a run may last for so long that its intervals are rolled up."""
    duration = manifest.known_settings.duration
    return manifest.kind is RunKind.LOAD and (duration is None or duration > LONG_RUN)


def segment_name(number: int) -> str:
    """
    The name of a file of intervals that is complete.

    >>> segment_name(1)
    'intervals-0001.jsonl'
    """
    return f"intervals-{number:04}.jsonl"


def draft_name(number: int) -> str:
    """The name of a file that is to replace one, while it is written."""
    return f"{segment_name(number)}.part"


def interval_files(path: Path) -> list[str]:
    """The names of the files of intervals in a run folder, in order."""
    return [*sorted(file.name for file in path.glob("intervals-*.jsonl")), INTERVALS]


def check_writable(path: Path) -> None:
    """Raise FolderError unless a run folder can be created at *path*: before the run rather than at its end."""
    try:
        nearest = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        if not nearest.is_dir():
            raise FolderError(f"expected a folder for the run, found a file: {nearest}")
        if nearest == path and any(path.iterdir()):
            raise FolderError(
                f"expected a new or an empty folder for the run, found files in {path}; name another with --out"
            )
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise FolderError(f"cannot write a run folder at {path}: no permission to write in {nearest}")
        # Permissions do not tell everything: in /proc, for example, not even root can create a folder.
        Path(tempfile.mkdtemp(prefix=".chainproof-", dir=nearest)).rmdir()
    except OSError as error:
        raise FolderError(f"cannot write a run folder at {path}: {(error.strerror or str(error)).lower()}") from error


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
        findings=tuple({found.key: found for found in findings}.values()),
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


def _write_file(path: Path, value: object) -> bytes:
    """Write a file atomically, without replacing one. Returns its content. Raises FileExistsError."""
    draft = path.with_name(path.name + ".part")
    # If two runs choose the same name at the same time, only one gets the folder: a draft or the file always exists.
    with draft.open("xb") as file:
        if path.exists():
            draft.unlink()
            raise FileExistsError(errno.EEXIST, "another run is already there")
        content = _json_text(value)
        try:
            file.write(content)
            file.flush()
        except OSError:
            draft.unlink()
            raise
    draft.replace(path)
    return content


def _json_text(value: object, option: int = orjson.OPT_INDENT_2) -> bytes:
    """A JSON value and a line end. Bytes of a file name that are not UTF-8 become replacement characters."""
    try:
        return orjson.dumps(value, option=option) + b"\n"
    except TypeError:
        return orjson.dumps(_with_utf8(value), option=option) + b"\n"


def _with_utf8(value: object) -> object:
    """A JSON value whose texts can be written in UTF-8. In the C locale, Python decodes every byte of UTF-8 by itself."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {name: _with_utf8(each) for name, each in value.items()}
    return [_with_utf8(each) for each in value] if isinstance(value, list | tuple) else value


def _write_all(file: IO[bytes], content: bytes) -> None:
    """Write to an unbuffered file, which may take a part at a time. Raises OSError."""
    while content:
        content = content[file.write(content) :]


def _append_line(file: IO[bytes], line: bytes) -> None:
    """Append a line to an unbuffered file. If only a part of it can be written, remove that. Raises OSError."""
    end = file.seek(0, os.SEEK_END)
    try:
        _write_all(file, line)
    except OSError:
        with suppress(OSError):
            file.truncate(end)
        raise
