"""The request as the chain's server gets it from the gateway."""

from __future__ import annotations

from dataclasses import dataclass

from ..behaviour.request import ReceivedRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRequest:
    """A request that the chain must answer."""

    number: int
    body: bytes
    binary: bool = False
    """Whether the body is msgpack; if so, the output is written as msgpack."""
    gathers_stream: bool = False
    """Whether a stream is collected into one string."""


def chain_request(number: int, request: ReceivedRequest) -> ChainRequest:
    """The request for the chain: how body and output are encoded follows from its header fields, as in basetenlabs/truss."""
    from_openai = b"openai" in _first_field(request, b"user-agent").lower()
    return ChainRequest(
        number=number,
        body=request.body,
        binary=_first_field(request, b"content-type").partition(b";")[0].strip().lower() == b"application/octet-stream",
        gathers_stream=_first_field(request, b"accept") == b"application/json" and not from_openai,
    )


def _first_field(request: ReceivedRequest, name: bytes) -> bytes:
    """The first value of a header field; empty without one."""
    return next(iter(request.fields(name)), b"")
