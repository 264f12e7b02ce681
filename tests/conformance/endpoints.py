"""
A correct endpoint built on the standard library, and helpers that derive faulty endpoints from it.

It shares no code with the emulator: two servers with the same bug would agree, and the tests would miss it.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import socketserver
import ssl
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chainproof.chain_schema.schema import Schema

KEY = "abcd1234.q7Zk-92hLxT0mVw"
PATH = "/production/run_remote"

STATUS_OF_CODE = {
    "unauthorized": 401,
    "client_error": 400,
    "payload_too_large": 400,
    "model_does_not_exist": 400,
    "rate_limited": 429,
    "application_error": 502,
    "internal_baseten_error": 502,
    "model_unavailable": 503,
    "model_not_ready": 503,
    "timeout": 504,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRequest:
    """A complete request."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    version: str = "HTTP/1.1"

    def values(self, name: str) -> list[str]:
        """Every value of a header field."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    @property
    def authorized(self) -> bool:
        """True if the request carries the right key."""
        return self.values("authorization") == [f"Api-Key {KEY}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAnswer:
    """An answer, or raw bytes in place of one."""

    status: int
    body: bytes = b""
    media_type: str | None = "application/json"
    request_id: str | None = field(default_factory=lambda: uuid.uuid4().hex)
    extra_fields: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None
    """Bytes sent instead of the answer, after which the connection is closed."""
    stays_open: bool = False
    """True if the connection stays open after raw bytes."""
    late: bytes = b""
    """Bytes sent a moment after the answer."""
    closes: bool = False
    """True if the connection is closed after the answer without `Connection: close`."""
    byte_interval: float = 0.0
    """Seconds between two bytes."""


AnswerFunction = Callable[[EndpointRequest], EndpointAnswer]

REGIONAL = re.compile(r"(?:chain|model)-[a-z0-9]+-[a-z0-9-]+\.api\.baseten\.co\.?(?::\d+)?", re.IGNORECASE)
"""Hosts that name the environment, on which the path is not available."""


def error(status: int, code: str | None, message: str = "No.", **members: object) -> EndpointAnswer:
    """An `ErrorResponse`."""
    body = {"error": message, **({} if code is None else {"error_code": code}), **members}
    return EndpointAnswer(status=status, body=json.dumps(body).encode())


def rejection(request: EndpointRequest) -> EndpointAnswer | None:
    """The error for a request that the chain does not get, or None."""
    if request.path.partition("?")[0] != PATH or REGIONAL.fullmatch("".join(request.values("host"))):
        return error(404, None)
    if request.method != "POST":
        return replace(error(405, None), extra_fields=(("Allow", "POST"),))
    if not request.authorized:
        return error(401, "unauthorized")
    types = [value.partition(";")[0].strip().lower() for value in request.values("content-type")]
    if request.body and types != ["application/json"]:
        return error(400, "client_error")
    return None if is_object(request.body) else error(400, "client_error")


def gateway(chain: Callable[[dict[str, Any]], EndpointAnswer]) -> AnswerFunction:
    """A correct gateway in front of a chain."""
    return lambda request: rejection(request) or chain(json.loads(request.body))


def typed_chain(schema: Schema, answer: Callable[[dict[str, Any]], EndpointAnswer]) -> AnswerFunction:
    """A correct gateway in front of a chain, which rejects inputs that its schema does not allow and answers the others."""
    return gateway(lambda value: answer(value) if schema.accepts(value) else error(400, "client_error"))


def json_output(value: object) -> EndpointAnswer:
    """A 200 with an output."""
    return EndpointAnswer(status=200, body=json.dumps(value).encode())


def is_object(body: bytes) -> bool:
    """True if a body is a JSON object according to RFC 8259."""
    try:
        text = body.decode("utf-8")
        return isinstance(json.loads(text, parse_constant=_reject_constant), dict)
    except (ValueError, RecursionError):
        return False


def _reject_constant(name: str) -> float:
    """Reject `NaN` and `Infinity`, which only Python accepts."""
    raise ValueError(name)


def correct_endpoint(request: EndpointRequest) -> EndpointAnswer:
    """An endpoint that returns any object, and errors on demand."""
    rejected = rejection(request)
    if rejected is not None:
        return rejected
    for code in set(request.values("x-emulate")) - {"ok"}:
        retry_after = (("Retry-After", "1"),) if code == "rate_limited" else ()
        return replace(error(STATUS_OF_CODE[code], code, detail="Requested by X-Emulate."), extra_fields=retry_after)
    return EndpointAnswer(status=200, body=request.body)


def typed_endpoint(request: EndpointRequest) -> EndpointAnswer:
    """An endpoint with an input schema: it counts `names`, without echo and errors on demand."""
    rejected = rejection(request)
    if rejected is not None:
        return rejected
    names = json.loads(request.body).get("names")
    if not isinstance(names, list):
        return error(400, "client_error", "names: Field required.")
    return EndpointAnswer(status=200, body=json.dumps({"greetings": len(names)}).encode())


class InvalidRequest(Exception):
    """Bytes that are not a valid HTTP request."""


_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_FIELD_LINE = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e]*)?\r\n")
_HOST = re.compile(r"[A-Za-z0-9.-]*(?::[0-9]*)?|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")


class EndpointHandler(socketserver.StreamRequestHandler):
    """Reads requests strictly by RFC 9112, and writes the answers of an answer function unchanged."""

    disable_nagle_algorithm = True
    answer_function: AnswerFunction
    is_http_1_0 = False
    """True if the current request is in HTTP/1.0."""

    def handle(self) -> None:
        with suppress(OSError):  # the client closed the connection
            while self.handle_request():
                pass

    def handle_request(self) -> bool:
        """Answer one request. True if another may follow."""
        try:
            request = self.read_request()
        except InvalidRequest:
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.drain()
            return False
        if request is None:
            return False
        answer = type(self).answer_function(request)
        return self.send_answer(request, answer)

    def send_answer(self, request: EndpointRequest, answer: EndpointAnswer) -> bool:
        """Write one answer. True if the connection stays open."""
        options = {each.strip().lower() for value in request.values("connection") for each in value.split(",")}
        closes = "close" in options or self.is_http_1_0 or answer.closes
        if answer.raw is None and closes and not answer.closes:
            answer = replace(answer, extra_fields=(*answer.extra_fields, ("Connection", "close")))
        self.write(answer.raw if answer.raw is not None else answer_bytes(answer, request.method), answer.byte_interval)
        if answer.late:
            time.sleep(0.01)
            self.write(answer.late, 0.0)
        return answer.stays_open if answer.raw is not None else not closes

    def read_request(self) -> EndpointRequest | None:
        """The next request; None if the connection ends before it is complete."""
        line = self.rfile.readline(65536)
        if line == b"\r\n":
            line = self.rfile.readline(65536)
        if not line:
            return None
        parts = _REQUEST_LINE.fullmatch(line)
        if parts is None:
            raise InvalidRequest
        method, target, minor = (part.decode("latin-1") for part in parts.groups())
        self.is_http_1_0 = minor == "0"
        fields = self.read_fields()
        request = EndpointRequest(method=method, path=_path(target), fields=fields, body=b"", version=f"HTTP/1.{minor}")
        self.check_head(request)
        body = self.read_body(request)
        return None if body is None else replace(request, body=body)

    def read_fields(self) -> tuple[tuple[str, str], ...]:
        """Header fields, or trailer fields."""
        fields = []
        while (line := self.rfile.readline(65536)) != b"\r\n":
            parts = _FIELD_LINE.fullmatch(line)
            if parts is None:
                raise InvalidRequest
            fields.append((parts[1].decode("latin-1"), parts[2].decode("latin-1")))
        return tuple(fields)

    def check_head(self, request: EndpointRequest) -> None:
        """Reject an ambiguous head."""
        hosts, codings, lengths = (request.values(name) for name in ("host", "transfer-encoding", "content-length"))
        is_ambiguous = len(hosts) > 1 or (not hosts and not self.is_http_1_0) or not all(map(_HOST.fullmatch, hosts))
        is_ambiguous |= bool(codings) and (
            [each.lower() for each in codings] != ["chunked"] or bool(lengths) or self.is_http_1_0
        )
        is_ambiguous |= len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,18}", each) for each in lengths)
        if is_ambiguous:
            raise InvalidRequest

    def is_continue_expected(self, request: EndpointRequest) -> bool:
        """Whether the client waits for `100 Continue`."""
        return "100-continue" in "".join(request.values("expect")).lower()

    def read_body(self, request: EndpointRequest) -> bytes | None:
        """The body; None if the connection ends before it is complete."""
        if self.is_continue_expected(request):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.values("transfer-encoding"):
            return self.read_chunks()
        length = int("".join(request.values("content-length")) or 0)
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def read_chunks(self) -> bytes | None:
        """A chunked body."""
        pieces = []
        while True:
            line = self.rfile.readline(65536)
            if not line.endswith(b"\n"):
                return None
            parts = _CHUNK_LINE.fullmatch(line)
            if parts is None:
                raise InvalidRequest
            size = int(parts[1], 16)
            if not size:
                self.read_fields()
                return b"".join(pieces)
            piece = self.rfile.read(size)
            if len(piece) < size:
                return None
            if self.rfile.read(2) != b"\r\n":
                raise InvalidRequest
            pieces.append(piece)

    def write(self, content: bytes, byte_interval: float) -> None:
        """Send bytes at once, or one by one."""
        if not byte_interval:
            self.wfile.write(content)
            return
        for byte in content:
            self.wfile.write(bytes([byte]))
            time.sleep(byte_interval)

    def drain(self) -> None:
        """Read for another moment, so that no reset destroys the answer."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.05)
            while self.connection.recv(65536):
                pass


def _path(target: str) -> str:
    """The path and query of a request target in any form."""
    parts = re.fullmatch(r"https?://[^/]*(/.*)?", target, re.IGNORECASE)
    return target if parts is None else parts[1] or "/"


class _Server(socketserver.ThreadingTCPServer):
    """A server with a backlog long enough for bursts; connections beyond it would be retried after 1 s."""

    request_queue_size = 128
    allow_reuse_address = True


class _Server6(_Server):
    address_family = socket.AF_INET6


_SERVERS = {False: _Server, True: _Server6}
"""By whether the host is an IPv6 address."""


@contextmanager
def serve(
    server: AnswerFunction,
    *,
    handler: type[EndpointHandler] = EndpointHandler,
    host: str = "127.0.0.1",
    certificate: Path | None = None,
) -> Iterator[str]:
    """Serve an endpoint, over TLS if a certificate is given. Yields its URL."""
    handler_type = type("Handler", (handler,), {"answer_function": staticmethod(server)})
    with _SERVERS[":" in host]((host, 0), handler_type) as http_server:
        http_server.daemon_threads = True
        http_server.block_on_close = False
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            http_server.socket = context.wrap_socket(
                http_server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=http_server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            name = f"[{host}]" if ":" in host else host
            yield f"http{'s' if certificate else ''}://{name}:{http_server.server_address[1]}"
        finally:
            http_server.shutdown()
            thread.join()


def answer_bytes(answer: EndpointAnswer, method: str = "POST") -> bytes:
    """The bytes of an answer."""
    fields = [] if answer.media_type is None else [("Content-Type", answer.media_type)]
    fields += [] if answer.request_id is None else [("X-Baseten-Request-Id", answer.request_id)]
    fields += [*answer.extra_fields, ("Content-Length", str(len(answer.body)))]
    head = [f"HTTP/1.1 {answer.status} Whatever", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (answer.body if method != "HEAD" else b"")


def as_asgi_app(server: AnswerFunction) -> Callable[..., Awaitable[None]]:
    """An endpoint as an ASGI app."""

    async def app(
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        assert scope["type"] == "http"
        event, pieces = await receive(), []
        while event["type"] == "http.request":
            pieces.append(event["body"])
            if not event["more_body"]:
                break
            event = await receive()
        fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        path = (scope["raw_path"] + (b"?" + scope["query_string"]) * bool(scope["query_string"])).decode("latin-1")
        answer = server(EndpointRequest(method=scope["method"], path=path, fields=fields, body=b"".join(pieces)))
        head = answer_bytes(answer).partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        headers = [tuple(line.split(b": ", 1)) for line in head]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    return app


# ------------------------------------------------------------------ variations

Variation = Callable[[EndpointRequest, EndpointAnswer], EndpointAnswer]
"""What an endpoint answers in place of an answer."""


def varied(*variations: Variation) -> AnswerFunction:
    """The correct endpoint, with variations of its answers, one after the other."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        for variation in variations:
            answer = variation(request, answer)
        return answer

    return server


def given(condition: Callable[[EndpointRequest], bool], change: Variation) -> Variation:
    """A change of the answers to requests that meet a condition."""
    return lambda request, answer: change(request, answer) if condition(request) else answer


def given_status(status: int, change: Callable[[EndpointAnswer], EndpointAnswer]) -> Variation:
    """A change of the operation's answers of one status that `X-Emulate` did not request."""

    def variation(request: EndpointRequest, answer: EndpointAnswer) -> EndpointAnswer:
        is_for_operation = (
            answer.status == status
            and request.method == "POST"
            and request.path.startswith(PATH)
            and not request.values("x-emulate")
        )
        return change(answer) if is_for_operation else answer

    return variation


def when(condition: Callable[[EndpointRequest], bool], change: Variation) -> AnswerFunction:
    """The correct endpoint, with its answer changed for requests that meet a condition."""
    return varied(given(condition, change))


def on_status(status: int, change: Callable[[EndpointAnswer], EndpointAnswer]) -> AnswerFunction:
    """The correct endpoint, with a change to its answers of one status that `X-Emulate` did not request."""
    return varied(given_status(status, change))


def on_every_answer(change: Callable[[EndpointAnswer], EndpointAnswer]) -> AnswerFunction:
    """The correct endpoint, with a change to all of its answers."""
    return lambda request: change(correct_endpoint(request))


def as_if(
    change: Callable[[EndpointRequest], EndpointRequest],
    condition: Callable[[EndpointRequest], bool] = lambda request: True,
) -> AnswerFunction:
    """The correct endpoint, which handles requests that meet a condition as other requests."""
    return lambda request: correct_endpoint(change(request) if condition(request) else request)


def with_right_key(request: EndpointRequest) -> EndpointRequest:
    """The same request with the right key."""
    other_fields = tuple((name, value) for name, value in request.fields if name.lower() != "authorization")
    return replace(request, fields=(*other_fields, ("Authorization", f"Api-Key {KEY}")))


def authorization_starts_with(request: EndpointRequest, *prefixes: str) -> bool:
    """True if the Authorization starts with one of these texts, in any letter case."""
    return "".join(request.values("authorization")).lower().startswith(tuple(prefixes))


def without_trailing_commas(request: EndpointRequest) -> EndpointRequest:
    """The request as a lenient parser would read it."""
    return replace(request, body=request.body.replace(b",}", b"}").replace(b",]", b"]"))


def at_another_path(path: str) -> AnswerFunction:
    """The correct endpoint at another path only."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        place, _, query = request.path.partition("?")
        there = PATH if place == path else "/nowhere"
        return correct_endpoint(replace(request, path=f"{there}?{query}"))

    return server


def requiring_bearer(request: EndpointRequest) -> EndpointAnswer:
    """The correct endpoint, with `Bearer` as its scheme instead of `Api-Key`."""
    swapped = {"api-key": "Unknown", "bearer": "Api-Key"}
    fields = []
    for name, value in request.fields:
        scheme, space, rest = value.partition(" ")
        is_swapped = name.lower() == "authorization" and scheme.lower() in swapped
        fields.append((name, f"{swapped[scheme.lower()]}{space}{rest}" if is_swapped else value))
    return correct_endpoint(replace(request, fields=tuple(fields)))


class SwappedAnswers:
    """An endpoint that returns the object of the previous request."""

    def __init__(self) -> None:
        self._last: bytes | None = None
        self._lock = threading.Lock()

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        if answer.status != 200 or b'"number"' not in request.body:
            return answer
        with self._lock:
            self._last, before = request.body, self._last
        return answer if before is None else replace(answer, body=before)


def duplicate_request_ids() -> AnswerFunction:
    """An endpoint that uses every request id twice."""
    numbers = itertools.count()
    return on_every_answer(lambda answer: replace(answer, request_id=f"id-{next(numbers) // 2}"))


def sometimes_busy() -> AnswerFunction:
    """A correct endpoint that is busy for every seventh request, with a documented error."""
    numbers = itertools.count(1)
    busy = itertools.cycle([error(429, "rate_limited"), error(503, "model_not_ready"), error(502, None)])
    lock = threading.Lock()

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        with lock:
            if answer.status == 200 and next(numbers) % 7 == 0:
                return replace(next(busy), request_id=answer.request_id)
        return answer

    return server
