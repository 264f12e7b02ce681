"""One request on a connection of its own, with the time of each step and every byte that came back."""

from __future__ import annotations

import re
from dataclasses import dataclass

import h11

from chainproof.clock import Seconds, monotonic
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.target import Target
from chainproof.results.exchange import Transport

from .client import Client, connection_failure
from .connection import TransportResult, with_trailing_bytes
from .raw_connection import MAX_UNEXPECTED
from .request import CheckRequest, request_bytes

_MORE_BYTES_TIMEOUT: Seconds = 0.3
"""How long to wait for bytes after the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleExchange:
    """One request, and everything that came back."""

    request: CheckRequest
    is_raw: bool
    """Whether the request was given as bytes."""
    sent: bytes
    received: TransportResult
    received_bytes: bytes
    """Every byte that came back, also after the first answer."""
    connect: Seconds | None = None
    """Time until the connection was open, TLS included; None if it was not."""
    first_byte: Seconds | None = None
    """Time from sending the request until the first byte of the answer."""
    total: Seconds | None = None
    """Time from sending the request until the end of the answer."""


def exchange(client: Client, request: CheckRequest, *, is_raw: bool = False) -> SingleExchange:
    """Send a request on a new connection and read the answer; of a raw request also further answers."""
    sent = request_bytes(request, client.target)
    began = monotonic()
    try:
        connection = client.open_raw_connection()
    except OSError as error:
        return SingleExchange(
            request=request, is_raw=is_raw, sent=sent, received=connection_failure(error), received_bytes=b""
        )
    with connection:
        connected = monotonic()
        connection.send_request(request)
        first = connection.wait_for_bytes(client.deadline)
        first_byte = monotonic()
        is_http_1_0 = b" HTTP/1.0\r\n" in sent[:8192]
        received = connection.read_answer(request, http_1_0=is_http_1_0)
        ended = monotonic()
        trailing = b""
        while len(trailing) < MAX_UNEXPECTED and (more := connection.read_unexpected(_MORE_BYTES_TIMEOUT)):
            trailing += more
    all_bytes = received.raw if received.raw.endswith(trailing) else received.raw + trailing
    if not is_raw or request.is_valid:  # one request has one answer
        received = with_trailing_bytes(received, trailing)
    return SingleExchange(
        request=request,
        is_raw=is_raw,
        sent=sent,
        received=received,
        received_bytes=all_bytes,
        connect=connected - began,
        first_byte=first_byte - connected if first else None,
        total=ended - connected if received.transport is Transport.ANSWERED else None,
    )


def request_from_bytes(content: bytes, target: Target) -> CheckRequest:
    """The request that some bytes are: one complete valid message, or bytes that an HTTP server may reject in any form."""
    parser = h11.Connection(h11.SERVER)
    body = b""
    head: h11.Request | None = None
    try:
        parser.receive_data(content)
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return _invalid_request(content, head, body, target)
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
    except h11.RemoteProtocolError:
        return _invalid_request(content, head, body, target)
    assert head is not None
    return _request(content, head, body, target, is_valid=not parser.trailing_data[0] and head.http_version == b"1.1")


def _invalid_request(content: bytes, head: h11.Request | None, body: bytes, target: Target) -> CheckRequest:
    """Bytes that are no complete valid request."""
    if head is None:
        fields = _valid_fields(content)
        return CheckRequest(operation=target.path, path=target.path, fields=fields, raw=content, valid_message=False)
    return _request(content, head, body, target, is_valid=False)


_FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\r?")


def _valid_fields(content: bytes) -> tuple[HeaderField, ...]:
    """The valid fields, except Host, of a head that is not valid as a whole: it matters whether the key is there."""
    lines = content.partition(b"\r\n\r\n")[0].split(b"\n")[1:]
    found = (_FIELD_LINE.fullmatch(line) for line in lines)
    fields = ((each[1].decode("latin-1"), each[2].decode("latin-1")) for each in found if each is not None)
    return tuple(field for field in fields if field[0].lower() != "host")


def _request(content: bytes, head: h11.Request, body: bytes, target: Target, *, is_valid: bool) -> CheckRequest:
    """The request with this head and body."""
    fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items())
    hosts = [value for name, value in fields if name.lower() == "host"]
    names = {name.lower() for name, _ in fields}
    framed = bool(names & {"content-length", "transfer-encoding"})
    return CheckRequest(
        method=head.method.decode("latin-1"),
        path=head.target.decode("latin-1"),
        operation=target.path,
        host=None if hosts == [target.authority] else ", ".join(hosts),
        fields=tuple(field for field in fields if field[0].lower() != "host"),
        body=body if framed else None,
        raw=content,
        valid_message=is_valid,
    )
