"""
What happened, as the server saw it: one JSON line for each request answered.

The measure of every claim about latency, hence by the kernel's clock where the kernel tells. Lines are written a few
times a second, so that a kill costs at most the last second, and perhaps tears the last line.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import orjson

from chainproof.clock import Seconds

FLUSH_EVERY: Seconds = 0.25


class AccessLog:
    """
    A file of lines, or nothing for whoever wants none.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = None if path is None else path.open("wb", buffering=0)
        self._lines: list[bytes] = []

    def record(self, line: dict[str, object]) -> None:
        """Keep a line for the next flush."""
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    @property
    def enabled(self) -> bool:
        """Whether anybody will read it."""
        return self._file is not None

    def flush(self) -> None:
        """Hand every line to the kernel. Raises OSError once, and writes no more."""
        text = memoryview(b"".join(self._lines))
        self._lines.clear()
        try:
            while text and self._file is not None:
                text = text[self._file.write(text) :]
        except OSError:
            self._file = None
            raise

    def close(self) -> None:
        """Flush, and write no more."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None
