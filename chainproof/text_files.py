"""Read the text files that a user writes: lines and TOML. Every error names the file, the line and what to do."""

from __future__ import annotations

import errno
import math
import os
import re
import stat
import sys
import time
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from chainproof.clock import Seconds, parse_duration
from chainproof.errors import UsageError, closest
from chainproof.json_text import is_number, long_integers

_BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "a byte order mark: save it as UTF-8 without one (sed -i 's/^\\xEF\\xBB\\xBF//' {path})",
    b"\xff\xfe": "UTF-16: convert it to UTF-8 (iconv -f UTF-16 -t UTF-8 {path})",
    b"\xfe\xff": "UTF-16: convert it to UTF-8 (iconv -f UTF-16 -t UTF-8 {path})",
}
"""What the bytes at the start of a line show, and the remedy."""


MAX_STREAM_BYTES = 256 << 20
"""The most that is read from a pipe or a device, which may have no end, such as /dev/zero."""


MAX_FILE_BYTES = 1 << 30
"""The most that is read of a file of the user: it is in memory as a whole."""

PIPE_PATIENCE: Seconds = 5.0
"""How long a named pipe may have no process at its other end."""
_PIPE_INTERVAL: Seconds = 0.05

MAX_REGULAR_BYTES = 64 << 20
"""The most that is read of a file that chainproof wrote as a whole."""


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading. Raises OSError, also for a pipe or a device, which may have no end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would wait for its writer
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file of a moderate size. Raises OSError, also if it is longer or another kind of file."""
    with open_regular(path) as file:
        content = file.read(MAX_REGULAR_BYTES + 1)
    if len(content) > MAX_REGULAR_BYTES:
        raise OSError(errno.EFBIG, f"it is longer than {MAX_REGULAR_BYTES >> 20} MiB", str(path))
    return content


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a file, which the message calls *what*. Raises UsageError if it cannot be read or has a byte order mark."""
    content = read_bytes(path, what)
    reject_byte_order_mark(content, path)
    return content


def is_there(path: Path) -> bool:
    """Whether a path names anything, also a link to nowhere. Raises OSError if this user may not know."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read_bytes(path: Path, what: str) -> bytes:
    """The bytes of a file of any kind, which the message calls *what*. Raises UsageError if it cannot be read."""
    try:
        if path.is_fifo():
            return _read_pipe(path)
        with path.open("rb") as file:
            is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            content = _read_all(file, path) if is_regular else read_stream(file, str(path))
    except OSError as error:
        raise UsageError(f"cannot read {what} {path}: {error.strerror}") from None
    except ValueError:  # only the name can lead to it
        raise UsageError(f"cannot read {what} {str(path)!r}: a file name has no null byte") from None
    return content


def _read_pipe(path: Path) -> bytes:
    """What other processes write to a named pipe. Raises UsageError if none does: reading would wait for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as pipe:
        give_up = time.monotonic() + PIPE_PATIENCE
        while not (first := pipe.raw.read(1)) and first is not None:  # None: there is a process, and no byte yet
            if time.monotonic() > give_up:
                raise UsageError(f"expected a process that writes to the pipe {path}, found none")
            time.sleep(_PIPE_INTERVAL)  # the kernel does not tell when a process opens the pipe
        os.set_blocking(descriptor, True)
        return (first or b"") + read_stream(pipe, str(path))


def open_pipe_for_writing(path: Path) -> int:
    """The descriptor of a named pipe. Raises UsageError if no process reads it: opening it would wait for ever."""
    give_up = time.monotonic() + PIPE_PATIENCE
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            os.set_blocking(descriptor, True)
            return descriptor
        if time.monotonic() > give_up:
            raise UsageError(f"expected a process that reads the pipe {path}, found none")
        time.sleep(_PIPE_INTERVAL)  # the kernel does not tell when a process opens the pipe


def _read_all(file: BinaryIO, path: Path) -> bytes:
    """All of a regular file. Raises UsageError if it is so long that reading it would end the process."""
    if (size := os.fstat(file.fileno()).st_size) > MAX_FILE_BYTES:
        raise UsageError(f"expected at most {MAX_FILE_BYTES >> 20} MiB in {path}, found {size >> 20} MiB")
    return file.read()


def read_stream(stream: BinaryIO, name: str) -> bytes:
    """What a pipe or a device contains. Raises UsageError if it is too much."""
    content = stream.read(MAX_STREAM_BYTES + 1)
    if len(content) > MAX_STREAM_BYTES:
        raise UsageError(f"expected at most {MAX_STREAM_BYTES >> 20} MiB from {name}, found more; name a file")
    return content


def reject_byte_order_mark(content: bytes, path: Path | str, number: int = 1) -> None:
    """Raise UsageError if a line of a file begins with a byte order mark."""
    for mark, found in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            raise UsageError(f"expected UTF-8 in line {number} of {path}, found {found.format(path=path)}")


def read_lines(path: Path, what: str) -> list[tuple[int, bytes]]:
    """The lines of a file that are not blank, with their numbers and without their ends. Raises UsageError."""
    return list(numbered_lines(read_file(path, what), path))


def numbered_lines(content: bytes, path: Path | str) -> Iterator[tuple[int, bytes]]:
    """As `read_lines`, of the bytes of a file. Raises UsageError for a byte order mark, also in the middle of joined files."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            reject_byte_order_mark(line, path, number)
            yield number, line.removesuffix(b"\r")


_MAX_KEY_PARTS = 100
"""The most parts that a key of TOML may have."""
_DEEP_KEY = re.compile(rf"""(?<![\w.-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{_MAX_KEY_PARTS}}}""")


class _NonFinite(Exception):
    """A number of a TOML text that is not finite."""


def read_settings(
    table: Mapping[str, object], readers: Mapping[str, Callable[[object], object]]
) -> tuple[dict[str, object], list[str]]:
    """The values of a table, each read by the reader of its key, and the errors of all keys."""
    values: dict[str, object] = {}
    errors: list[str] = []
    for key, value in table.items():
        if key not in readers:
            errors.append(
                f"{key}: unknown setting{closest(key, readers)}, expected one of {', '.join(sorted(readers))}"
            )
            continue
        try:
            values[key] = readers[key](value)
        except (ValueError, TypeError, UsageError) as error:
            errors.append(f"{key}: {error}")
    return values, errors


def toml_text(value: object) -> str:
    """A setting that is a text. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"expected a string, found {value!r}")
    return value


def toml_number(value: object) -> float:
    """A setting that is a number. Raises TypeError, or ValueError for one beyond the range of a float."""
    if not is_number(value):
        raise TypeError(f"expected a number, found {value!r}")
    if not abs(value) <= sys.float_info.max:
        raise ValueError("expected a finite number, found one beyond 1.8e308")
    return float(value)


def toml_duration(value: object) -> Seconds:
    """A setting that is a duration: a text such as 1m30s, or a number of seconds. Raises TypeError or ValueError."""
    return parse_duration(value) if isinstance(value, str) else toml_number(value)


def load_toml(path: Path, what: str) -> dict[str, object]:
    """The table in a TOML file. Integers may have any size. Raises UsageError, also for NaN, infinity and 1e400."""
    content = read_file(path, what)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"expected UTF-8 in line {number} of {path}, found other bytes: save the file as UTF-8"
        ) from None
    _reject_deep_keys(text, path)
    try:
        with long_integers():
            return tomllib.loads(text, parse_float=_finite)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply") from None
    except _NonFinite as error:
        raise UsageError(
            f"expected finite numbers in line {_line_of_non_finite(text)} of {path}, found {error}: "
            "write a finite number or a string, or leave it out"
        ) from None


def _reject_deep_keys(text: str, path: Path) -> None:
    """Raise UsageError for a key of very many parts (`a.a.a…`): the memory of the parser grows with the square of their number."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") >= _MAX_KEY_PARTS and _DEEP_KEY.search(line):
            raise UsageError(f"expected keys of at most {_MAX_KEY_PARTS} parts in line {number} of {path}, found more")


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise _NonFinite(literal)
    return value


def _line_of_non_finite(text: str) -> int:
    """The number of the first line with a number that is not finite: the parser reads up to it, whatever follows."""
    lines = text.split("\n")

    def is_before_end_of(number: int) -> bool:
        try:
            with long_integers():
                tomllib.loads("\n".join(lines[:number]), parse_float=_finite)
        except _NonFinite:
            return True
        except tomllib.TOMLDecodeError:  # cut in the middle of a value
            return False
        return False

    return 1 + bisect_left(range(1, len(lines)), 1, key=is_before_end_of)
