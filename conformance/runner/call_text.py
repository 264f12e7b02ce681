"""What `chainproof call` prints: the bytes of one exchange without the key, its timing, and the result of each clause."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress

from chainproof.clock import Seconds, format_duration
from chainproof.contract import clauses
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.redaction import REDACTED
from chainproof.stored_text import escape_unprintable

from ..judging.credential_leaks import redact
from ..judging.expectation import Terms
from ..judging.judge import Judgement, request_secrets
from ..transport.single_exchange import SingleExchange

_MAX_SHOWN = 2**18
"""Bytes of an answer that are shown."""
_WIDTH = 100
"""Columns of the lines about clauses. The lines of messages are as long as in the message."""
_INDENT = " " * 12
_CREDENTIALS = re.compile(r"(?im)^([ \t]*authorization[ \t]*:[ \t]*(?:[a-z-]+[ \t]+)?)([^\r\n]+)")
"""An Authorization field: its name with the scheme, and the rest."""


_NEED_SEVERAL_ANSWERS = frozenset({clauses.REQUEST_ID_UNIQUE})
"""Clauses that a single answer cannot violate."""


def call_text(made: SingleExchange, judgement: Judgement, terms: Terms) -> str:
    """The whole exchange in lines."""
    return "\n".join(_lines(made, judgement, terms))


def _lines(made: SingleExchange, judgement: Judgement, terms: Terms) -> Iterator[str]:
    """The lines."""
    secrets = request_secrets(made.request, terms)
    yield "Request"
    yield from _message(_without_credentials(made.sent.decode("latin-1"), terms.key.reveal()), secrets, ">")
    yield "Answer"
    if made.received_bytes:
        yield from _message(made.received_bytes[:_MAX_SHOWN].decode("latin-1"), secrets, "<")
        more = max(made.received.size, len(made.received_bytes)) - _MAX_SHOWN
        if more > 0:
            yield f"  … {more:,} more bytes, which are not shown"
    else:
        yield f"  none: {redact(made.received.reason, secrets, REDACTED) or 'the connection ended'}"
    yield "Timing"
    yield f"  connect {_time(made.connect)}, first byte {_time(made.first_byte)}, total {_time(made.total)}"
    yield "Clauses"
    yield from _clauses(judgement)


def _without_credentials(text: str, key: str) -> str:
    """A message without the credentials of its Authorization fields. A wrong key may be most of the right one."""

    def hidden(field: re.Match[str]) -> str:
        return (
            f"{field[1]}{REDACTED}"
            if field[2].strip() == key
            else f"{field[1]}[{len(field[2])} characters, not the key]"
        )

    return _CREDENTIALS.sub(hidden, text)


def _message(text: str, secrets: tuple[str, ...], mark: str) -> Iterator[str]:
    """The lines of a message, each after a mark. What is not printable is escaped, line ends within a line included."""
    shown = redact(text, secrets, REDACTED)
    for line in shown.removesuffix("\r\n").split("\r\n"):
        yield f"{mark} {_printable(line)}".rstrip()


def _printable(line: str) -> str:
    """A line, decoded as UTF-8 if it is valid UTF-8, with escapes for characters that are not printable."""
    with suppress(UnicodeError):
        line = line.encode("latin-1").decode("utf-8")
    return escape_unprintable(line)


def _time(seconds: Seconds | None) -> str:
    """A duration, or that there is none."""
    return "none" if seconds is None else format_duration(seconds)


def _clauses(judgement: Judgement) -> Iterator[str]:
    """One line for each clause that was exercised, violated ones first, and one line with the number of the others."""
    violated = {each.clause: each for each in judgement.violations}
    exercised = {clause.id for clause in judgement.exercised if clause not in _NEED_SEVERAL_ANSWERS}
    for clause, violation in violated.items():
        found = f"expected {violation.expected}, found {_printable(violation.actual)}"
        yield from _wrapped(f"  violated  {clause.id} ({clause.level}): {found}")
        yield from _wrapped(f"{_INDENT}{clause.source}: {clause.quotation}")
    for clause in CLAUSES:
        if clause.id in exercised and clause not in violated:
            yield from _wrapped(f"  passed    {clause.id}: {clause.statement}")
    others = sum(clause.id not in exercised and clause not in violated for clause in CLAUSES)
    yield from _wrapped(
        f"  not exercised  {others} other clauses, which this answer cannot test; chainproof conformance tests them"
    )


def _wrapped(line: str) -> list[str]:
    """A line in lines of at most _WIDTH characters, unless a word is longer."""
    return textwrap.wrap(
        line,
        _WIDTH,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
