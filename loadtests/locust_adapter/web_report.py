"""
The HTML report of a run for the web page: one at a time, made by a child process with lower priority and limits.

Reports must not run under gevent, and must not delay the requests of a run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gevent

from chainproof.clock import Seconds
from chainproof.processes import chainproof_command

from .limited_process import MEMORY_LIMIT, TIME_LIMIT, run_limited

FolderDigest = tuple[tuple[str, int, int], ...]


class ReportError(Exception):
    """A report that could not be made. The message says why, and what to do."""


def folder_digest(folder: Path) -> FolderDigest:
    """Name, size and modification time of each file of a run folder, which are only appended to."""
    with os.scandir(folder) as entries:
        found = ((entry.name, entry.stat()) for entry in entries if entry.is_file())
        return tuple(sorted((name, each.st_size, each.st_mtime_ns) for name, each in found))


def report_command(folder: Path) -> list[str]:
    """The command that writes the HTML report of a run folder to its standard output."""
    return chainproof_command("reports", str(folder), "--html", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """The result of making a report."""

    folder: Path
    page: bytes
    error: str = ""


class ReportMaker:
    """Makes one report at a time and keeps the last one. A request that comes meanwhile gets the report that is being made."""

    def __init__(
        self,
        command: Callable[[Path], Sequence[str]] = report_command,
        *,
        environment: Mapping[str, str],
        time_limit: Seconds = TIME_LIMIT,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self._command = command
        self._environment = environment
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._making: gevent.Greenlet | None = None
        self._last: tuple[FolderDigest, _Made] | None = None

    def page(self, folder: Path) -> bytes:
        """The report of a run folder. Raises ReportError."""
        while True:
            if self._making is None:
                self._making = gevent.spawn(self._make, folder)
            made = self._making.get()
            if made.error:
                raise ReportError(made.error)
            if made.folder == folder:
                return bytes(made.page)

    def _make(self, folder: Path) -> _Made:
        """The report of a run folder: the last one if the folder has not changed since."""
        try:
            digest = folder_digest(folder)
            if self._last is None or self._last[0] != digest or self._last[1].folder != folder:
                made = self._made_by_child(folder)
                if made.error:
                    return made
                self._last = (digest, made)
            return self._last[1]
        except OSError as error:
            return _Made(folder=folder, page=b"", error=f"The report could not be made: {error.strerror}: {folder}")
        finally:
            self._making = None

    def _made_by_child(self, folder: Path) -> _Made:
        """The report by a child process, or the reason why there is none."""
        remedy = f"make it with: chainproof reports {folder} --html report.html"
        try:
            child = run_limited(
                self._command(folder), self._environment, time_limit=self._time_limit, memory_limit=self._memory_limit
            )
        except subprocess.TimeoutExpired:
            error = f"The report took longer than {self._time_limit:g} s; {remedy}"
            return _Made(folder=folder, page=b"", error=error)
        if child.stdout:
            return _Made(folder=folder, page=child.stdout)
        last = child.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2] or f"exit code {child.returncode}"
        error = f"The report could not be made within {self._memory_limit >> 20} MiB of memory: {last}; {remedy}"
        return _Made(folder=folder, page=b"", error=error)
