"""
Whether a request id comes back: by digests of the latest ids, so that no run outgrows the memory.

Several workers compare each its own answers, and tell their master which ids were new to them: what is not new to the
master too, another worker has seen before.
"""

from __future__ import annotations

import hashlib
from array import array
from typing import Generic, TypeVar

from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER
from chainproof.contract.violations import Violation

WINDOW = 250_000
"""An id that comes back is noticed as long as no more other ids than this lie between; up to twice as many are held."""

DIGEST_BYTES = 8
"""Among half a million ids the chance that two are taken for one is below one in a hundred million."""

REPEATED_ID = Violation(
    clause=clauses.REQUEST_ID_UNIQUE,
    expected=f"an {REQUEST_ID_HEADER} of its own on every answer",
    actual="one that an earlier answer of the run carried",
)


Digest = TypeVar("Digest", bytes, int)


class RecentDigests(Generic[Digest]):
    """
    The digests that came last.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: set[Digest] = set()
        self._old: set[Digest] = set()

    def seen(self, digest: Digest) -> bool:
        """Whether a digest was there before; enters it."""
        if digest in self._young:
            return True
        known = digest in self._old
        self._young.add(digest)
        self._age()
        return known

    def seen_among(self, digests: set[Digest]) -> int:
        """How many of some digests were there before; enters them."""
        new = digests - self._young
        known = len(digests) - len(new) + len(new & self._old)
        self._young |= new
        self._age()
        return known

    def _age(self) -> None:
        if len(self._young) >= self._size:
            self._old, self._young = self._young, set()


class RequestIds:
    """
    The ids that came last.
    """

    def __init__(self, window: int = WINDOW, *, track_new: bool = False) -> None:
        """
        Where it is *telling*, the new ones are kept until they are told.
        """
        self._window: RecentDigests[bytes] = RecentDigests(window)
        self._telling = track_new
        self._untold = bytearray()

    def repeated(self, request_id: str) -> bool:
        """Whether an id was seen before; enters it."""
        octets = request_id.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(octets, digest_size=DIGEST_BYTES).digest()
        if self._window.seen(digest):
            return True
        if self._telling:
            self._untold += digest
        return False

    def take_new(self) -> bytes:
        """The digests of ids that are new since this was last asked, one behind another."""
        told, self._untold = bytes(self._untold), bytearray()
        return told


class ReportedIds:
    """
    The ids that came last to somebody else.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._window: RecentDigests[int] = RecentDigests(window)

    def repeated_among(self, told: bytes) -> int:
        """How many of the ids that somebody tells as new to him were told before; enters them."""
        # As numbers: thousands a second are compared in half of the time that octets take.
        digests = array("Q", told)
        return len(digests) - len(found := set(digests)) + self._window.seen_among(found)
