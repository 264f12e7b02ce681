"""
Whether a request id comes back: by digests of the latest ids, so that no run outgrows the memory.

Several workers compare each its own answers, and tell their master which ids were new to them: what is not new to the
master too, another worker has seen before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from chainproof.contract import clauses
from chainproof.contract.answer import REQUEST_ID_HEADER
from chainproof.contract.departures import Departure

WINDOW = 250_000
"""An id that comes back is noticed as long as no more other ids than this lie between; up to twice as many are held."""

DIGEST_BYTES = 8
"""Among half a million ids the chance that two are taken for one is below one in a hundred million."""

REPEATED = Departure(
    clause=clauses.REQUEST_ID_UNIQUE,
    expected=f"an {REQUEST_ID_HEADER} of its own on every answer",
    actual="one that an earlier answer of the run carried",
)


class RequestIds:
    """
    The ids that came last.
    """

    def __init__(self, window: int = WINDOW, *, telling: bool = False) -> None:
        """
        Where it is *telling*, the new ones are kept until they are told.
        """
        self._window = window
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._telling = telling
        self._untold = bytearray()

    def repeated(self, request_id: str) -> bool:
        """Whether an id was seen before; enters it."""
        octets = request_id.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(octets, digest_size=DIGEST_BYTES, usedforsecurity=False).digest()
        if self._seen(digest):
            return True
        if self._telling:
            self._untold += digest
        return False

    def repeated_among(self, told: bytes) -> int:
        """How many of the ids that somebody else told as new to him were seen before; enters them."""
        digests = set(_digests(told))
        known = sum(map(len, (digests & self._young, (digests - self._young) & self._old)))
        self._young |= digests
        if len(self._young) >= self._window:
            self._age()
        return len(told) // DIGEST_BYTES - len(digests) + known

    def untold(self) -> bytes:
        """The ids that are new since this was last asked."""
        told, self._untold = bytes(self._untold), bytearray()
        return told

    def _seen(self, digest: bytes) -> bool:
        if digest in self._young:
            return True
        known = digest in self._old
        self._young.add(digest)
        if len(self._young) >= self._window:
            self._age()
        return known

    def _age(self) -> None:
        self._old, self._young = self._young, set()


def _digests(told: bytes) -> Iterator[bytes]:
    return (told[place : place + DIGEST_BYTES] for place in range(0, len(told), DIGEST_BYTES))
