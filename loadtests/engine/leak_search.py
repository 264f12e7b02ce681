"""Searches the answers of a load test for the API key, at a bounded cost."""

from __future__ import annotations

from collections.abc import Iterable

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.contract.redaction import redactor

_RATE = 1 << 19
"""Characters that are searched per second for parts of the key and for its encodings. This takes 2 % of a CPU."""
_CALL_COST = 150
"""Characters whose search takes as long as a search of nothing."""
_MAX_SEARCHED = 1 << 16
"""Characters of one answer that are searched in this way."""


class LeakSearch:
    """Finds the key in answers: as it is in every one, in parts and in encodings in as many as there is time for."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._key_bytes = key.encode()
        self._finds = redactor((key,)).finds
        self._left = float(_RATE)
        self._at: Seconds = 0.0

    def finds_in(self, answer: Answer, now: Seconds) -> bool:
        """Whether an answer repeats the key. *now* is the time of the run."""
        fields = [text for field in answer.headers for text in field]
        if self._key_bytes in answer.body or any(self._key in text for text in fields):
            return True
        length = min(_MAX_SEARCHED, sum(map(len, fields)) + len(fields) + len(answer.body))
        if not self._takes(length, now):
            return False
        text = "\n".join(_cut(fields))
        return self._finds(f"{text}\n{answer.body[: _MAX_SEARCHED - len(text)].decode('latin-1')}")

    def finds_in_ids(self, request_ids: Iterable[bytes], now: Seconds) -> bool:
        """Whether a request id repeats the key. The ids are searched together."""
        text = b"\n".join(request_ids)
        return self._takes(len(text), now) and self._finds(text.decode("latin-1"))

    def _takes(self, length: int, now: Seconds) -> bool:
        """Whether there is time to search so many characters."""
        self._left = min(self._left + max(now - self._at, 0.0) * _RATE, _RATE)
        self._at = now
        if length + _CALL_COST > self._left:
            return False
        self._left -= length + _CALL_COST
        return True


def _cut(texts: Iterable[str]) -> Iterable[str]:
    """The first texts, together not longer than what is searched."""
    left = _MAX_SEARCHED
    for text in texts:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return
