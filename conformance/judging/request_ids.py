"""Detects request ids that more than one answer carries."""

from __future__ import annotations

import re
from threading import Lock

from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.contract.violations import Violation

_MIN_CASELESS_LENGTH = 12
"""Ids of at least this many characters are compared without regard to letter case."""

_LIST = re.compile(r"[0-9A-Za-z_.-]+(?:\s*,\s*[0-9A-Za-z_.-]+)+")
"""Ids in a list, as proxies write one. In any other value a comma may be part of the id."""


class SeenRequestIds:
    """The request ids of all answers so far. Any thread may add to it."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._lock = Lock()

    def add(self, answer: Answer) -> bool:
        """Remember the ids of an answer. Returns True if another answer had one of them."""
        ids = {_normalized(each) for value in answer.fields(REQUEST_ID_HEADER) for each in _listed(value)}
        with self._lock:
            is_repeated = not self._ids.isdisjoint(ids)
            self._ids |= ids
        return is_repeated


def repeated_id_violation(answer: Answer) -> Violation:
    """The violation of an answer with the request id of another answer."""
    return Violation(
        clause=clauses.REQUEST_ID_UNIQUE,
        expected=f"a {REQUEST_ID_HEADER} that no other answer has",
        actual=f"the same as in another answer: {answer.request_id!r}",
    )


def _listed(value: str) -> list[str]:
    """The ids in one header value."""
    value = value.strip()
    return value.split(",") if _LIST.fullmatch(value) else [value] if value else []


def _normalized(text: str) -> str:
    """A request id without quotes, and in lower case if it is long."""
    plain = text.strip().strip('"')
    return plain.lower() if len(plain) >= _MIN_CASELESS_LENGTH else plain
