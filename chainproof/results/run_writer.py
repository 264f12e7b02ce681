"""Writes a run folder, while the run goes on. `folder.py` says which files it has, and reads them."""

from __future__ import annotations

import errno
import itertools
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Self

import orjson

from chainproof.contract.target import Target
from chainproof.machine_faults import MachineFault, system_fault
from chainproof.results.coverage import Coverage
from chainproof.results.exemplar import Exemplar
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.folder import (
    CLAUSES,
    COVERAGE,
    END,
    EXEMPLARS,
    FINDINGS,
    INTERVALS,
    MANIFEST,
    PLANS,
    REQUEST_COLUMNS,
    REQUESTS,
    FolderError,
    segment_name,
)
from chainproof.results.integrity import FileDigest
from chainproof.results.intervals.interval import Interval
from chainproof.results.intervals.rollup import Rollup
from chainproof.results.manifest import Ending, Manifest, PlanChange, RunEnd, RunKind
from chainproof.statistics.time_batches import LONG_RUN

DEFAULT_ROOT = Path("runs")

SEGMENT = 3600
"""The seconds of one file of intervals. The latest full hour is never rolled up."""
_RESERVED = f"{END}.part"
"""The draft of `end.json`. It takes up space from the start, so that the end of a run can be written on a full disk."""
_RESERVED_BYTES = 16 << 10


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
        # Stays open: later, there may be no file descriptor left.
        file = (self.path / _RESERVED).open("x+b", buffering=0)
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
                file = self._files[name] = _create(self.path / name)
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


def _create(path: Path) -> IO[bytes]:
    """A new file to append to. Follows no link that somebody put there meanwhile: raises FileExistsError, also for a pipe."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666), "ab", buffering=0)


def _may_be_long(manifest: Manifest) -> bool:
    """Whether a run may last for so long that its intervals are rolled up."""
    duration = manifest.known_settings.duration
    return manifest.kind is RunKind.LOAD and (duration is None or duration > LONG_RUN)


def draft_name(number: int) -> str:
    """The name of a file that is to replace one, while it is written."""
    return f"{segment_name(number)}.part"


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
