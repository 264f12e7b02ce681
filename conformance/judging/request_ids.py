"""Detects request ids that more than one answer carries."""

from __future__ import annotations

import re
from hashlib import blake2b
from threading import Lock

from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.contract.violations import Violation
from chainproof.stored_text import MAX_ID_LENGTH, shortened

_MIN_CASELESS_LENGTH = 12
"""Ids of at least this many characters are compared without regard to letter case."""

_MAX_LIST = 2_000
"""Characters of a value that may be a list."""

_MAX_VALUES = 20
"""Values of the field in one answer that are remembered."""

_MAX_QUOTED = 80
"""Characters of an id that a violation quotes."""

_LIST = re.compile(r"[0-9A-Za-z_.-]+(?:\s*,\s*[0-9A-Za-z_.-]+)+")
"""Ids in a list, as proxies write one. In any other value a comma may be part of the id."""


class SeenRequestIds:
    """The request ids of all answers so far. Any thread may add to it."""

    def __init__(self) -> None:
        self._ids: set[str | bytes] = set()
        self._lock = Lock()

    def add(self, answer: Answer) -> bool:
        """Remember the ids of an answer. Returns True if another answer had one of them."""
        values = answer.fields(REQUEST_ID_HEADER)[:_MAX_VALUES]
        ids = {_normalized(each) for value in values for each in _listed(value)}
        with self._lock:
            is_repeated = not self._ids.isdisjoint(ids)
            self._ids |= ids
        return is_repeated


def repeated_id_violation(answer: Answer) -> Violation:
    """The violation of an answer with the request id of another answer."""
    return Violation(
        clause=clauses.REQUEST_ID_UNIQUE,
        expected=f"an {REQUEST_ID_HEADER} that no other answer has",
        actual=f"the same as in another answer: {shortened(answer.request_id or '', _MAX_QUOTED)!r}",
    )


def _listed(value: str) -> list[str]:
    """The ids in one header value."""
    value = value.strip()
    is_list = len(value) <= _MAX_LIST and _LIST.fullmatch(value)
    return value.split(",") if is_list else [value] if value else []


def _normalized(text: str) -> str | bytes:
    """A request id without quotes, and in lower case if it is long; of a very long one the digest."""
    plain = text.strip().strip('"')
    plain = plain.lower() if len(plain) >= _MIN_CASELESS_LENGTH else plain
    return (
        plain if len(plain) <= MAX_ID_LENGTH else blake2b(plain.encode("latin-1", "replace"), digest_size=16).digest()
    )
