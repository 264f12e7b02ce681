"""
An honest endpoint in the standard library, and one small variation of it for each way of breaking the contract.

It shares no code with the emulator: two servers that agree because they are one would prove nothing.
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
    """
    One request, its body whole.
    """

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
        """Whether it brings the right key."""
        return self.values("authorization") == [f"Api-Key {KEY}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAnswer:
    """
    One answer, or bytes that are none.
    """

    status: int
    body: bytes = b""
    media_type: str | None = "application/json"
    request_id: str | None = field(default_factory=lambda: uuid.uuid4().hex)
    more: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None
    """Sent in place of all that, and the connection closed."""
    stays_open: bool = False
    """Whether the connection stays open all the same."""
    late: bytes = b""
    """Sent a moment behind the answer."""
    closes: bool = False
    """Whether the connection is closed behind it without a word."""
    byte_interval: float = 0.0
    """Seconds between any two bytes."""


AnswerFunction = Callable[[EndpointRequest], EndpointAnswer]

REGIONAL = re.compile(r"(?:chain|model)-[a-z0-9]+-[a-z0-9-]+\.api\.baseten\.co\.?(?::\d+)?", re.IGNORECASE)
"""Hosts on which the path is not available."""


def error(status: int, code: str | None, words: str = "No.", **more: object) -> EndpointAnswer:
    """
    An `ErrorResponse`.
    """
    body = {"error": words, **({} if code is None else {"error_code": code}), **more}
    return EndpointAnswer(status=status, body=json.dumps(body).encode())


def rejection(asked: EndpointRequest) -> EndpointAnswer | None:
    """
    Why a request does not get to the chain, if it does not.
    """
    if asked.path.partition("?")[0] != PATH or REGIONAL.fullmatch("".join(asked.values("host"))):
        return error(404, None)
    if asked.method != "POST":
        return replace(error(405, None), more=(("Allow", "POST"),))
    if not asked.authorized:
        return error(401, "unauthorized")
    types = [value.partition(";")[0].strip().lower() for value in asked.values("content-type")]
    if asked.body and types != ["application/json"]:
        return error(400, "client_error")
    return None if is_object(asked.body) else error(400, "client_error")


def is_object(body: bytes) -> bool:
    """
    Whether a body is a JSON object as RFC 8259 has it.
    """
    try:
        text = body.decode("utf-8")
        return isinstance(json.loads(text, parse_constant=_no_constant), dict)
    except (ValueError, RecursionError):
        return False


def _no_constant(name: str) -> float:
    """
    `NaN` is Python's.
    """
    raise ValueError(name)


def correct_endpoint(asked: EndpointRequest) -> EndpointAnswer:
    """
    A chain that takes any object and returns it, and gives errors on demand.
    """
    refusal = rejection(asked)
    if refusal is not None:
        return refusal
    for code in set(asked.values("x-emulate")) - {"ok"}:
        more = (("Retry-After", "1"),) if code == "rate_limited" else ()
        return replace(error(STATUS_OF_CODE[code], code, detail="As you wish."), more=more)
    return EndpointAnswer(status=200, body=asked.body)


def typed_endpoint(asked: EndpointRequest) -> EndpointAnswer:
    """
    A chain with a signature: it takes `names` and greets them, and neither echoes nor steers.
    """
    refusal = rejection(asked)
    if refusal is not None:
        return refusal
    names = json.loads(asked.body).get("names")
    if not isinstance(names, list):
        return error(400, "client_error", "names: Field required.")
    return EndpointAnswer(status=200, body=json.dumps({"greetings": len(names)}).encode())


class InvalidRequest(Exception):
    """
    Bytes that are no HTTP request.
    """


_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_FIELD_LINE = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e]*)?\r\n")
_HOST = re.compile(r"[A-Za-z0-9.-]*(?::[0-9]*)?|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")


class EndpointHandler(socketserver.StreamRequestHandler):
    """
    Reads requests to the letter of RFC 9112, hands them to a server, and writes its answers as they are.
    """

    disable_nagle_algorithm = True
    answer_function: AnswerFunction
    old = False
    """Whether the request under way is in HTTP/1.0."""

    def handle(self) -> None:
        with suppress(OSError):  # the client has gone
            while self.exchange():
                pass

    def exchange(self) -> bool:
        """Answer one request; whether another may follow."""
        try:
            asked = self.asked()
        except InvalidRequest:
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.linger()
            return False
        if asked is None:
            return False
        said = type(self).answer_function(asked)
        return self.answer(asked, said)

    def answer(self, asked: EndpointRequest, said: EndpointAnswer) -> bool:
        """Write one answer; whether the connection stays open."""
        options = {each.strip().lower() for value in asked.values("connection") for each in value.split(",")}
        closes = "close" in options or self.old or said.closes
        if said.raw is None and closes and not said.closes:
            said = replace(said, more=(*said.more, ("Connection", "close")))
        self.write(said.raw if said.raw is not None else answer_bytes(said, asked.method), said.byte_interval)
        if said.late:
            time.sleep(0.01)
            self.write(said.late, 0.0)
        return said.stays_open if said.raw is not None else not closes

    def asked(self) -> EndpointRequest | None:
        """The next request, its body whole; None where the connection ends before."""
        line = self.rfile.readline(65536)
        if line == b"\r\n":
            line = self.rfile.readline(65536)
        if not line:
            return None
        parts = _REQUEST_LINE.fullmatch(line)
        if parts is None:
            raise InvalidRequest
        method, target, minor = (part.decode("latin-1") for part in parts.groups())
        self.old = minor == "0"
        fields = self.fields()
        asked = EndpointRequest(method=method, path=_path(target), fields=fields, body=b"", version=f"HTTP/1.{minor}")
        self.check(asked)
        body = self.body(asked)
        return None if body is None else replace(asked, body=body)

    def fields(self) -> tuple[tuple[str, str], ...]:
        """Header fields, or trailer fields."""
        fields = []
        while (line := self.rfile.readline(65536)) != b"\r\n":
            parts = _FIELD_LINE.fullmatch(line)
            if parts is None:
                raise InvalidRequest
            fields.append((parts[1].decode("latin-1"), parts[2].decode("latin-1")))
        return tuple(fields)

    def check(self, asked: EndpointRequest) -> None:
        """Refuse a head that is ambiguous."""
        hosts, codings, lengths = (asked.values(name) for name in ("host", "transfer-encoding", "content-length"))
        wrong = len(hosts) > 1 or (not hosts and not self.old) or not all(map(_HOST.fullmatch, hosts))
        wrong |= bool(codings) and ([each.lower() for each in codings] != ["chunked"] or bool(lengths) or self.old)
        wrong |= len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,18}", each) for each in lengths)
        if wrong:
            raise InvalidRequest

    def body(self, asked: EndpointRequest) -> bytes | None:
        """The body; None where the connection ends before it does."""
        if "100-continue" in asked.values("expect"):
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if asked.values("transfer-encoding"):
            return self.chunks()
        length = int("".join(asked.values("content-length")) or 0)
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def chunks(self) -> bytes | None:
        """A body in chunks."""
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
                self.fields()
                return b"".join(pieces)
            piece = self.rfile.read(size)
            if len(piece) < size:
                return None
            if self.rfile.read(2) != b"\r\n":
                raise InvalidRequest
            pieces.append(piece)

    def write(self, content: bytes, byte_interval: float) -> None:
        """All at once, or byte by byte."""
        if not byte_interval:
            self.wfile.write(content)
            return
        for byte in content:
            self.wfile.write(bytes([byte]))
            time.sleep(byte_interval)

    def linger(self) -> None:
        """Read on for a moment, so that no reset destroys the answer."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.05)
            while self.connection.recv(65536):
                pass


def _path(target: str) -> str:
    """
    The path and query of a request target, in whichever form.
    """
    parts = re.fullmatch(r"https?://[^/]*(/.*)?", target, re.IGNORECASE)
    return target if parts is None else parts[1] or "/"


class _Listening(socketserver.ThreadingTCPServer):
    """
    A dozen connections at once are taken at once: beyond its backlog a listener drops them, and TCP tries again after 1 s.
    """

    request_queue_size = 128
    allow_reuse_address = True


class _Listening6(_Listening):
    address_family = socket.AF_INET6


_LISTENING = {False: _Listening, True: _Listening6}
"""By whether the host is an IPv6 address."""


@contextmanager
def serve(
    server: AnswerFunction,
    *,
    reading: type[EndpointHandler] = EndpointHandler,
    host: str = "127.0.0.1",
    certificate: Path | None = None,
) -> Iterator[str]:
    """
    The URL of a server, for as long as it is served; over TLS with a certificate.
    """
    handler = type("Serving", (reading,), {"answer_function": staticmethod(server)})
    with _LISTENING[":" in host]((host, 0), handler) as listening:
        listening.daemon_threads = True
        listening.block_on_close = False
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            name = f"[{host}]" if ":" in host else host
            yield f"http{'s' if certificate else ''}://{name}:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join()


def answer_bytes(said: EndpointAnswer, method: str = "POST") -> bytes:
    """
    An answer's bytes.
    """
    fields = [] if said.media_type is None else [("Content-Type", said.media_type)]
    fields += [] if said.request_id is None else [("X-Baseten-Request-Id", said.request_id)]
    fields += [*said.more, ("Content-Length", str(len(said.body)))]
    head = [f"HTTP/1.1 {said.status} Whatever", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (said.body if method != "HEAD" else b"")


def as_asgi_app(server: AnswerFunction) -> Callable[..., Awaitable[None]]:
    """
    A server as an ASGI app.
    """

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
        said = server(EndpointRequest(method=scope["method"], path=path, fields=fields, body=b"".join(pieces)))
        head = answer_bytes(said).partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        headers = [tuple(line.split(b": ", 1)) for line in head]
        await send({"type": "http.response.start", "status": said.status, "headers": headers})
        await send({"type": "http.response.body", "body": said.body})

    return app


# ------------------------------------------------------------------ one small lie each


def when(
    condition: Callable[[EndpointRequest], bool], answer: Callable[[EndpointRequest, EndpointAnswer], EndpointAnswer]
) -> AnswerFunction:
    """
    The honest endpoint, except that *answer* is given to requests on a condition, made of the honest answer.
    """
    return lambda asked: answer(asked, correct_endpoint(asked)) if condition(asked) else correct_endpoint(asked)


def on_status(status: int, answer: Callable[[EndpointAnswer], EndpointAnswer]) -> AnswerFunction:
    """
    The honest endpoint, except for its answers of one status that nobody asked for.
    """

    def server(asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        ours = (
            said.status == status
            and asked.method == "POST"
            and asked.path.startswith(PATH)
            and not asked.values("x-emulate")
        )
        return answer(said) if ours else said

    return server


def on_every_answer(answer: Callable[[EndpointAnswer], EndpointAnswer]) -> AnswerFunction:
    """
    The honest endpoint, except for all that it says.
    """
    return lambda asked: answer(correct_endpoint(asked))


def as_if(
    change: Callable[[EndpointRequest], EndpointRequest],
    condition: Callable[[EndpointRequest], bool] = lambda asked: True,
) -> AnswerFunction:
    """
    The honest endpoint, except that it takes requests on a condition for other ones.
    """
    return lambda asked: correct_endpoint(change(asked) if condition(asked) else asked)


def with_right_key(asked: EndpointRequest) -> EndpointRequest:
    """
    The same request with the right key.
    """
    kept = tuple((name, value) for name, value in asked.fields if name.lower() != "authorization")
    return replace(asked, fields=(*kept, ("Authorization", f"Api-Key {KEY}")))


def authorization_starts_with(asked: EndpointRequest, *beginnings: str) -> bool:
    """
    Whether the Authorization begins so.
    """
    return "".join(asked.values("authorization")).lower().startswith(tuple(beginnings))


def without_trailing_commas(asked: EndpointRequest) -> EndpointRequest:
    """
    What a forgiving parser would make of the body.
    """
    return replace(asked, body=asked.body.replace(b",}", b"}").replace(b",]", b"]"))


def at_another_path(path: str) -> AnswerFunction:
    """
    The honest endpoint at another path, and nowhere else.
    """

    def server(asked: EndpointRequest) -> EndpointAnswer:
        place, _, query = asked.path.partition("?")
        there = PATH if place == path else "/nowhere"
        return correct_endpoint(replace(asked, path=f"{there}?{query}"))

    return server


def requiring_bearer(asked: EndpointRequest) -> EndpointAnswer:
    """
    The honest endpoint, except that it wants `Bearer` where the document has `Api-Key`.
    """
    swapped = {"api-key": "Refused", "bearer": "Api-Key"}
    fields = []
    for name, value in asked.fields:
        scheme, blank, rest = value.partition(" ")
        known = name.lower() == "authorization" and scheme.lower() in swapped
        fields.append((name, f"{swapped[scheme.lower()]}{blank}{rest}" if known else value))
    return correct_endpoint(replace(asked, fields=tuple(fields)))


class SwappedAnswers:
    """
    An endpoint that now and then gives a request the object of the one before it.
    """

    def __init__(self) -> None:
        self._last: bytes | None = None
        self._lock = threading.Lock()

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        if said.status != 200 or b'"number"' not in asked.body:
            return said
        with self._lock:
            self._last, before = asked.body, self._last
        return said if before is None else replace(said, body=before)


def duplicate_request_ids() -> AnswerFunction:
    """
    An endpoint whose request ids come in pairs.
    """
    numbers = itertools.count()
    return on_every_answer(lambda said: replace(said, request_id=f"id-{next(numbers) // 2}"))


def sometimes_busy() -> AnswerFunction:
    """
    An honest endpoint that is busy for one request in seven, and says so as documented.
    """
    numbers = itertools.count(1)
    busy = itertools.cycle([error(429, "rate_limited"), error(503, "model_not_ready"), error(502, None)])
    lock = threading.Lock()

    def server(asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        with lock:
            if said.status == 200 and next(numbers) % 7 == 0:
                return replace(next(busy), request_id=said.request_id)
        return said

    return server
