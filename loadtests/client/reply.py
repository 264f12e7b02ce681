"""
What became of one request on the wire, and when.
"""

from __future__ import annotations

from typing import NamedTuple

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.results.exchange import Transport


class Reply(NamedTuple):
    """
    How far a request got, and when that was known, on the monotonic clock.
    """

    # A tuple, since one is made for every request: a frozen dataclass takes five times as long to make.

    transport: Transport
    end: Seconds
    """When the kernel received the last of the answer; without a stamp or an answer, when we knew."""
    answer: Answer | None = None
    reason: str = ""
    """What the transport said where no answer came."""
    read_at: Seconds = 0.0
    """When our own code had the answer: what passed since the end is our own lag."""
    first_byte: Seconds | None = None
    """When the first of the answer came in, at the latest: what is read at once has one stamp."""
    connect_time: Seconds | None = None
    """What connecting took; None on a connection that was there already."""
    tls_time: Seconds | None = None
    """What the TLS handshake took; None without one."""
    sent: int = 0
    """Octets of the request that the kernel took, before any TLS."""
    received: int = 0
    """Octets that came in, after any TLS."""
    replaced: int = 0
    """Idle connections that were found closed before the request was sent over another."""

    @property
    def has_kernel_timestamp(self) -> bool:
        """Whether the end is the kernel's instant."""
        return self.answer is not None and self.end < self.read_at
