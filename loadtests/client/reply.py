"""The result of one request on the wire, with its times."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.results.exchange import Transport
from chainproof.stored_text import MAX_ID_LENGTH

from .answer_templates import AnswerTemplate


class Reply(NamedTuple):
    """An answer, or the transport error in place of it. Times are instants of the monotonic clock."""

    # A tuple, because one is made for every request: a frozen dataclass takes five times as long.

    transport: Transport
    end: Seconds
    """When the kernel received the end of the answer. Without a timestamp or an answer, the time of the read."""
    parsed_answer: Answer | None = None
    """The answer, unless it repeats an earlier one. Use `answer`."""
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
    template: AnswerTemplate | None = None
    """What the answer repeats, or what later answers may repeat; None if it has no template."""
    request_id: bytes = b""
    """The request id of the answer in UTF-8, as it is stored; empty without one."""
    body_length: int = 0
    """Bytes in the body of the answer."""

    @property
    def answer(self) -> Answer | None:
        """The answer; None after a transport error."""
        if self.template is None or self.parsed_answer is not None:
            return self.parsed_answer
        return self.template.answer(self.request_id)


_DIGEST_BYTES = 16


def stored_id(request_id: str | None) -> bytes:
    """A request id as it is stored: a long one is cut, with a digest of the whole so that different ids stay different."""
    encoded = (request_id or "").encode("utf-8", "surrogatepass")
    if len(encoded) <= MAX_ID_LENGTH:
        return encoded
    digest = blake2b(encoded, digest_size=_DIGEST_BYTES).hexdigest()
    kept = encoded[: MAX_ID_LENGTH - 2 * _DIGEST_BYTES - len("… ".encode())].decode("utf-8", "ignore")
    return f"{kept}… {digest}".encode()
