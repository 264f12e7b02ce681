"""
Bytes as POSIX shell commands that write them, with secrets taken from the environment.

A secret becomes an argument of `printf`, which is part of the shell: no process gets it in its argument list.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAX_COMMAND = 3000
"""Characters of a command; a longer one is of no use to a reader."""

_MAX_SEARCHED = 2**22
"""Bytes in which repeated patterns are looked for."""

_REPEATED = re.compile(rb"([^\n\x00]{1,8}?)\1{39,}")
"""At least forty times the same few bytes, which `yes` can write and `tr` leaves unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A text that must never be shown, and the shell word that stands for it."""

    text: str = field(repr=False)
    """The text as it is in a request."""
    shell_word: str
    """The double-quoted word with which the shell yields it."""
    from_target: bool = False
    """Whether the target itself has sent it, and so may send it again."""


def variable_secret(text: str, variable: str) -> Secret:
    """A secret that an environment variable holds."""
    return Secret(text=text, shell_word=f'"${{{variable}}}"')


def writing_command(data: bytes, secret: Secret | None) -> str | None:
    r"""
    A command that writes *data* to its output; None if it would be too long.

    >>> print(writing_command(b'{"a":"' + b"x" * 5000 + b'"}', None))
    { printf '{"a":"'; yes x | tr -d '\n' | head -c 5000; printf '"}'; }
    """
    if len(data) <= _MAX_COMMAND // 4:
        return printf_command(data, secret)
    if len(data) > _MAX_SEARCHED:
        return None
    commands = tuple(_commands(data, secret))
    line = commands[0] if len(commands) == 1 else f"{{ {'; '.join(commands)}; }}"
    return line if len(line) <= _MAX_COMMAND else None


def printf_command(data: bytes, secret: Secret | None) -> str:
    """A `printf` command that writes *data*."""
    text = secret.text.encode("latin-1", "replace") if secret is not None else b""
    pieces = data.split(text) if text else [data]
    escaped = ["".join(map(_escape, piece)) for piece in pieces]
    if escaped[0].startswith("-"):
        escaped[0] = f"\\{ord('-'):03o}{escaped[0][1:]}"  # printf would take it for an option
    words = [secret.shell_word] * (len(pieces) - 1) if secret is not None else []
    return " ".join(("printf", f"'{'%s'.join(escaped)}'", *words))


def _commands(data: bytes, secret: Secret | None) -> Iterator[str]:
    """The commands that write *data* one after another: `printf`, and `yes` for repeated patterns."""
    at = 0
    for found in _REPEATED.finditer(data):
        if found.start() > at:
            yield printf_command(data[at : found.start()], secret)
        yield _repeating_command(found[1], len(found[0]))
        at = found.end()
    if at < len(data):
        yield printf_command(data[at:], secret)


def _repeating_command(pattern: bytes, length: int) -> str:
    """A command that writes a pattern again and again, *length* bytes in all."""
    is_plain = pattern.isascii() and pattern.decode("ascii").isprintable()
    word = shlex.quote(pattern.decode("ascii")) if is_plain else f'"$({printf_command(pattern, None)})"'
    dashes = "-- " * pattern.startswith(b"-")
    return f"yes {dashes}{word} | tr -d '\\n' | head -c {length}"


_PLAIN_BYTES = frozenset(range(0x20, 0x7F)) - frozenset(b"%'\\")
_NAMED_BYTES = {0x0D: r"\r", 0x0A: r"\n", 0x09: r"\t", 0x25: "%%", 0x5C: r"\\"}


def _escape(byte: int) -> str:
    """One byte in a format of `printf` between single quotes."""
    return chr(byte) if byte in _PLAIN_BYTES else _NAMED_BYTES.get(byte, f"\\{byte:03o}")
