"""
Detect repeated request ids, in bounded memory: only digests of the latest ids are kept.

Each worker compares the ids of its own answers and reports new ones to the master. If the master knows one of them
already, another worker has received the same id.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

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


Digest = TypeVar("Digest", bytes, int)


class RecentDigests(Generic[Digest]):
    """The latest digests: at least *size* of them, at most twice as many."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: set[Digest] = set()
        self._old: set[Digest] = set()

    def seen(self, digest: Digest) -> bool:
        """Add a digest; returns whether it was known."""
        if digest in self._young:
            return True
        known = digest in self._old
        self._young.add(digest)
        self._age()
        return known

    def add_new(self, digests: set[Digest]) -> bool:
        """Add digests if none of them is known and the older ones need not be dropped yet; returns whether they were added."""
        if len(self._young) + len(digests) >= self._size or not (
            digests.isdisjoint(self._young) and digests.isdisjoint(self._old)
        ):
            return False
        self._young |= digests
        return True

    def seen_among(self, digests: set[Digest]) -> int:
        """Add digests; returns how many of them were known."""
        new = digests - self._young
        known = len(digests) - len(new) + len(new & self._old)
        self._young |= new
        self._age()
        return known

    def _age(self) -> None:
        if len(self._young) >= self._size:
            self._old, self._young = self._young, set()


class RequestIds:
    """The latest request ids of this process."""

    def __init__(self, window: int = WINDOW, *, track_new: bool = False) -> None:
        """With *track_new*, new ids are kept until `take_new` returns them."""
        self._window: RecentDigests[bytes] = RecentDigests(window)
        self._track_new = track_new
        self._new = bytearray()

    def repeated(self, request_ids: Sequence[bytes]) -> list[int]:
        """Add ids, in the order in which they were received; returns the indices of those that were known."""
        digests = [blake2b(request_id, digest_size=DIGEST_BYTES).digest() for request_id in request_ids]
        distinct = set(digests)
        known: list[int] = []
        if len(distinct) < len(digests) or not self._window.add_new(distinct):
            known = [index for index, digest in enumerate(digests) if self._window.seen(digest)]
        if self._track_new:
            old = set(known)
            self._new += b"".join([digest for index, digest in enumerate(digests) if index not in old])
        return known

    def take_new(self) -> bytes:
        """The concatenated digests of the ids that are new since the last call."""
        new, self._new = bytes(self._new), bytearray()
        return new


class ReportedIds:
    """The latest request ids that workers reported."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window: RecentDigests[int] = RecentDigests(window)

    def repeated_among(self, reported: bytes) -> int:
        """Add the digests that a worker reports as new; returns how many were known."""
        # As integers: comparing thousands per second takes half the time that bytes take.
        digests = array("Q", reported)
        return len(digests) - len(found := set(digests)) + self._window.seen_among(found)
