"""Searches the answers of a load test for the API key, at a bounded cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from chainproof.clock import Clock, Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import leak_finder
from chainproof.contract.violations import Violation

KEY_LEAK = Violation(
    clause=clauses.NO_CREDENTIAL_LEAK, expected="an answer without credentials", actual="the API key or a part of it"
)
_RATE = 1 << 17
"""Characters that are searched per second for parts of the key and for its encodings. This takes about 1 % of a CPU."""
_CALL_COST = 150
"""Characters whose search takes as long as a search of nothing."""
_MAX_SEARCHED = 1 << 16
"""Characters of one answer that are searched in this way."""


class LeakSearch:
    """Finds the key in answers: as it is in every one, in parts and in encodings in as many as there is time for."""

    def __init__(self, key: str, clock: Clock = monotonic) -> None:
        self._clock = clock
        self._key = key
        self._key_bytes = key.encode()
        self._finds = leak_finder(key).finds
        self._left = float(_RATE)
        self._at: Seconds = clock()

    def finds_in(self, answer: Answer) -> bool:
        """Whether an answer repeats the key."""
        fields = "\n".join(chain.from_iterable(answer.headers))
        if self._key_bytes in answer.body or self._key in fields:
            return True
        if not self._takes(min(_MAX_SEARCHED, len(fields) + len(answer.body))):
            return False
        fields = fields[:_MAX_SEARCHED]
        return self._finds(f"{fields}\n{answer.body[: _MAX_SEARCHED - len(fields)].decode('latin-1')}")

    def leak_in_ids(self, request_ids: Sequence[bytes]) -> tuple[int, Violation] | None:
        """The index of a request id that repeats the key, and its violation; None without one. They are searched together."""
        text = b"\n".join(request_ids)
        if self._key_bytes in text:
            found = (index for index, each in enumerate(request_ids) if self._key_bytes in each)
        elif self._takes(len(text)) and self._finds(text.decode("latin-1")):
            found = (index for index, each in enumerate(request_ids) if self._finds(each.decode("latin-1")))
        else:
            return None
        return next(((index, KEY_LEAK) for index in found), None)

    def _takes(self, length: int) -> bool:
        """Whether there is time to search so many characters."""
        now = self._clock()
        self._left = min(self._left + (now - self._at) * _RATE, _RATE)
        self._at = now
        if length + _CALL_COST > self._left:
            return False
        self._left -= length + _CALL_COST
        return True
