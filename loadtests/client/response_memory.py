"""A common budget for the memory of answers that are being read, so that no target can fill the memory of this process."""

from __future__ import annotations

from chainproof.options import DEFAULT_RESPONSE_MEMORY
from chainproof.results.exchange import Transport

from .transport_errors import RequestFailed

FIELD_OVERHEAD = 200
"""Bytes that a header field takes besides its own: two strings, a tuple and a place in a list."""


class ResponseMemory:
    """The bytes that are held from unfinished answers, over all connections."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int = DEFAULT_RESPONSE_MEMORY) -> None:
        self.limit = limit
        self.held = 0

    def hold(self, count: int) -> None:
        """Hold more bytes. Raises RequestFailed if they are too many."""
        self.held += count
        if self.held > self.limit:
            reason = f"the answers being read take more than {self.limit >> 20} MiB, see --max-response-memory"
            raise RequestFailed(Transport.TOO_LARGE, reason)
