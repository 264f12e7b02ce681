"""The result of one request on the wire, with its times."""

from __future__ import annotations

from typing import NamedTuple

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.results.exchange import Transport


class Reply(NamedTuple):
    """An answer, or the transport error in place of it. Times are instants of the monotonic clock."""

    # A tuple, because one is made for every request: a frozen dataclass takes five times as long.

    transport: Transport
    end: Seconds
    """When the kernel received the end of the answer. Without a timestamp or an answer, the time of the read."""
    answer: Answer | None = None
    reason: str = ""
    """The transport error; empty if there is an answer."""
    read_at: Seconds = 0.0
    """When our code had read the answer. The difference from `end` is the read delay."""
    first_byte: Seconds | None = None
    """When the first bytes came in. An upper bound: all bytes of one read share one timestamp."""
    connect_time: Seconds | None = None
    """None on a reused connection."""
    tls_time: Seconds | None = None
    """Duration of the TLS handshake; None without one."""
    sent: int = 0
    """Bytes of the request given to the kernel, counted before encryption."""
    received: int = 0
    """Bytes received, counted after decryption."""
    replaced: int = 0
    """Idle connections that turned out to be closed before this request was sent."""
