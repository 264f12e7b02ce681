"""
The access log: one JSON line for each request answered, as the server saw it.

Latency claims are checked against it, so its receive times are kernel timestamps where available. Lines are flushed a
few times per second: killing the process loses at most the last second, and may truncate the last line.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import orjson

from chainproof.clock import Seconds
from chainproof.machine_faults import MachineFault, system_fault

FLUSH_EVERY: Seconds = 0.25


class AccessLog:
    """Writes lines to a file; without a file it does nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None if path is None else path.open("wb", buffering=0)
        self._lines: list[bytes] = []

    def record(self, line: dict[str, object]) -> None:
        """Buffer a line until the next flush."""
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    @property
    def enabled(self) -> bool:
        """Whether lines are written."""
        return self._file is not None

    def flush(self) -> None:
        """Write the buffered lines. Raises MachineFault if that fails; after that, later calls write nothing."""
        text = memoryview(b"".join(self._lines))
        self._lines.clear()
        try:
            while text and self._file is not None:
                text = text[self._file.write(text) :]
        except OSError as error:
            self._file = None
            raise MachineFault(system_fault(f"cannot write the access log {self._path}", error)) from error

    def close(self) -> None:
        """Flush, and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None
