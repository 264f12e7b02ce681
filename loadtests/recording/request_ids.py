"""
Detect repeated request ids, in bounded memory: only digests of the latest ids are kept.

Each worker compares the ids of its own answers and reports new ones to the master. If the master knows one of them
already, another worker has received the same id.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER
from chainproof.contract.violations import Violation

WINDOW = 80_000
"""A repeated id is detected if at most this many other ids came in between; up to twice as many digests are kept."""

DIGEST_BYTES = 8
"""In a run of ten million answers, the probability that two different ids are taken for equal is below one in a million."""

REPEATED_ID = Violation(
    clause=clauses.REQUEST_ID_UNIQUE,
    expected=f"a different {REQUEST_ID_HEADER} on every answer",
    actual="one that an earlier answer of the run had",
)

Digests = NDArray[np.uint64]


class RecentDigests:
    """The latest digests: at least *size* of them, at most twice as many, in 8 bytes each."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._max_newest = size // 16
        # Each is sorted. Few digests are added to the newest faster than to the young ones.
        self._newest: Digests = np.empty(0, np.uint64)
        self._young: Digests = np.empty(0, np.uint64)
        self._old: Digests = np.empty(0, np.uint64)

    def repeated(self, digests: Digests) -> NDArray[np.intp]:
        """Add digests, in their order; returns the indices of those that were known."""
        if self._add_new(np.sort(digests)):
            return np.empty(0, np.intp)
        found = []
        start = 0
        while start < len(digests):
            known = self._add(digests[start:])
            found.append(start + np.flatnonzero(known))
            start += len(known)
        return np.concatenate(found)

    def _add_new(self, ordered: Digests) -> bool:
        """Add sorted digests if all of them are new and there is room for them, as is usual; returns whether they were added."""
        if len(ordered) >= self._size - len(self._young) - len(self._newest) or (ordered[1:] == ordered[:-1]).any():
            return False
        if any(_contains(part, ordered).any() for part in (self._newest, self._young, self._old)):
            return False
        self._newest = _merged(self._newest, ordered)
        if len(self._newest) >= self._max_newest:
            self._young, self._newest = _merged(self._young, self._newest), np.empty(0, np.uint64)
        return True

    def _add(self, digests: Digests) -> NDArray[np.bool_]:
        """Add digests until the young ones are complete; returns which of those added were known."""
        is_new = np.zeros(len(digests), np.bool_)
        is_new[np.unique(digests, return_index=True)[1]] = True
        is_new &= ~(_contains(self._newest, digests) | _contains(self._young, digests))
        room = self._size - len(self._young) - len(self._newest)
        digests = digests[: np.searchsorted(np.cumsum(is_new), room) + 1]
        is_new = is_new[: len(digests)]
        known = ~is_new | _contains(self._old, digests)
        self._newest = _merged(self._newest, np.sort(digests[is_new]))
        if len(self._newest) >= min(self._max_newest, room):
            self._young, self._newest = _merged(self._young, self._newest), np.empty(0, np.uint64)
        if len(self._young) >= self._size:
            self._old, self._young = self._young, np.empty(0, np.uint64)
        return known


def _merged(one: Digests, other: Digests) -> Digests:
    """All digests of two sorted arrays, sorted."""
    return np.insert(one, np.searchsorted(one, other), other)


def _contains(sorted_digests: Digests, digests: Digests) -> NDArray[np.bool_]:
    """Which of *digests* are among the sorted ones."""
    if not len(sorted_digests):
        return np.zeros(len(digests), np.bool_)
    places = np.minimum(np.searchsorted(sorted_digests, digests), len(sorted_digests) - 1)
    return np.asarray(sorted_digests[places] == digests)


def _shared_digests(request_ids: Sequence[bytes]) -> Digests:
    """Digests that are the same in every process."""
    return np.frombuffer(
        b"".join([blake2b(request_id, digest_size=DIGEST_BYTES).digest() for request_id in request_ids]), np.uint64
    )


def _own_digests(request_ids: Sequence[bytes]) -> Digests:
    """Digests for this process only, with the random key of `hash`: in a tenth of the time."""
    return np.fromiter(map(hash, request_ids), np.int64, len(request_ids)).view(np.uint64)


class RequestIds:
    """The latest request ids of this process."""

    def __init__(self, window: int = WINDOW, *, track_new: bool = False) -> None:
        """With *track_new*, new ids are kept until `take_new` returns them."""
        self._window = RecentDigests(window)
        self._track_new = track_new
        self._new = bytearray()

    def repeated(self, request_ids: Sequence[bytes]) -> list[int]:
        """Add ids, in the order in which they were received; returns the indices of those that were known."""
        digests = _shared_digests(request_ids) if self._track_new else _own_digests(request_ids)
        known = self._window.repeated(digests)
        if self._track_new:
            self._new += (np.delete(digests, known) if len(known) else digests).tobytes()
        return list(map(int, known))

    def take_new(self) -> bytes:
        """The concatenated digests of the ids that are new since the last call."""
        new, self._new = bytes(self._new), bytearray()
        return new


class ReportedIds:
    """The latest request ids that workers reported."""

    def __init__(self) -> None:
        self._window = RecentDigests(WINDOW)

    def repeated_among(self, reported: bytes) -> int:
        """Add the digests that a worker reports as new; returns how many were known."""
        return len(self._window.repeated(np.frombuffer(reported, np.uint64)))
