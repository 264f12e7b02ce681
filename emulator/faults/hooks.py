"""
Fault hooks: the places where a fault or a variant changes the behaviour of the emulator.

Hooks are functions over requests, answers and bytes; none of them touches a socket.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto

import orjson

from chainproof.clock import Seconds
from chainproof.contract.addresses import address_of
from chainproof.contract.answer import Answer
from chainproof.contract.openapi import METHOD
from chainproof.json_text import JSON, parse_json

from ..behaviour.request import ReceivedRequest

JSON_TYPE = "application/json"


@dataclass(slots=True, kw_only=True)
class Memory:
    """State that a faulty endpoint keeps between requests. The correct endpoint keeps none."""

    count: Counter[str] = field(default_factory=Counter)
    answers: dict[bytes, Answer] = field(default_factory=dict)
    bodies: deque[bytes] = field(default_factory=lambda: deque(maxlen=16))
    """Bodies of the last 16 requests that were answered 200."""
    outputs: deque[bytes] = field(default_factory=lambda: deque(maxlen=16))
    """The correct outputs for the last 16 such requests."""
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def next_number(self) -> int:
        """Count a request; its number, from 1."""
        self.count["requests"] += 1
        return self.count["requests"]

    def every_nth(self, number: int, event: str) -> bool:
        """Count *event*; True for every *number*-th occurrence."""
        self.count[event] += 1
        return self.count[event] % number == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """One request, and access to the correct answer for it or for another request."""

    request: ReceivedRequest
    key: bytes
    """The right API key."""
    serve: Callable[[ReceivedRequest], Answer]
    """Returns the correct answer to a request."""
    memory: Memory
    """State of the whole endpoint."""
    connection: Memory
    """State of this connection."""
    position: int
    """Position of the request on its connection, from 1."""
    in_flight: int
    """Number of earlier requests of this connection that are still unanswered."""
    concurrent: tuple[ReceivedRequest, ...]
    """Unanswered requests of other connections."""
    now: Seconds
    known_answer: list[Answer] = field(default_factory=list)
    """The correct answer, once it was computed."""

    @property
    def body(self) -> bytes:
        """The body of the request."""
        return self.request.body

    def correct_answer(self) -> Answer:
        """The correct answer to the request, always the same object with the same request id."""
        if not self.known_answer:
            self.known_answer.append(self.serve(self.request))
        return self.known_answer[0]

    def authorization(self) -> bytes:
        """The value of Authorization; empty without one."""
        return b", ".join(self.request.fields(b"authorization"))

    def has_valid_key(self) -> bool:
        """Whether the request has the right key in the right form."""
        return self.authorization() == b"Api-Key " + self.key

    def targets_operation(self) -> bool:
        """Whether method and path are those of the operation."""
        return self.request.method == METHOD.encode() and is_operation_path(self.request.path)

    def value(self) -> object:
        """The body parsed as JSON, or an `InvalidJson` or `TooComplex` value."""
        return parse_json(self.body)

    def field(self, name: bytes) -> bytes:
        """The value of a header field, given in lower case; empty without one."""
        return b", ".join(self.request.fields(name))

    def serve_authenticated(self, when: bool = True) -> Answer:  # noqa: FBT001, FBT002  # reads well: serve_authenticated(condition)
        """The answer with the right key in place of the one received if *when*, else the correct answer."""
        return (
            self.serve(with_field(self.request, b"authorization", b"Api-Key " + self.key))
            if when
            else self.correct_answer()
        )

    def output_for(self, other: ReceivedRequest) -> bytes:
        """The output for another request; empty if that is not answered 200."""
        answer = self.serve(other)
        return answer.body if answer.status == 200 else b""

    def serve_body(self, body: bytes | None) -> Answer:
        """The answer to another body; the correct answer if *body* is None."""
        return self.correct_answer() if body is None else self.serve(replace(self.request, body=body, length=len(body)))


def is_operation_path(path: bytes) -> bool:
    """Whether a path is one of the operation's addresses."""
    return address_of(path.decode("latin-1")) is not None


def with_field(request: ReceivedRequest, name: bytes, value: bytes | None) -> ReceivedRequest:
    """The request with one header field replaced, or removed if *value* is None."""
    fields = tuple(field for field in request.headers if field[0] != name)
    return replace(request, headers=fields if value is None else (*fields, (name, value)))


def with_header(answer: Answer, name: str, *values: str) -> Answer:
    """The answer with one header field replaced by *values*; without values it is removed."""
    fields = tuple(field for field in answer.headers if field[0].lower() != name.lower())
    return replace(answer, headers=(*fields, *((name, value) for value in values)))


def with_body(answer: Answer, body: bytes, media_type: str = "") -> Answer:
    """The answer with another body, and another media type unless that is empty."""
    answer = replace(answer, body=body)
    return with_header(answer, "Content-Type", media_type) if media_type else answer


def error(answer: Answer, status: int, code: str | None) -> Answer:
    """An error with the request id of *answer*."""
    body = {"error": "The request cannot be served."}
    if code is not None:
        body["error_code"] = code
    return with_body(replace(answer, status=status), orjson.dumps(body), JSON_TYPE)


def rejects(matches: Callable[[RequestContext], object], status: int = 400) -> DecideHook:
    """A hook that answers some valid requests with an error."""
    code = "client_error" if status == 400 else None

    def decide(context: RequestContext) -> Answer:
        answer = context.correct_answer()
        return error(answer, status, code) if answer.status == 200 and matches(context) else answer

    return decide


def with_members(answer: Answer, **changes: JSON) -> Answer:
    """An error with members changed or added. A body that is not an object is returned unchanged."""
    value = parse_json(answer.body)
    return replace(answer, body=orjson.dumps({**value, **changes})) if isinstance(value, dict) else answer


class ConnectionEnd(Enum):
    """How a connection ends when it does not follow the headers."""

    CLOSE = auto()
    RESET = auto()
    KEEP_OPEN = auto()
    """The connection stays open, and further requests are ignored."""


Step = bytes | Seconds | ConnectionEnd
"""Bytes to send, seconds to wait, or a way to end the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingAnswer:
    """One answer before it is sent."""

    head: bytes
    """Status line and header fields, including the empty line."""
    body: bytes
    answer: Answer | None
    """None for `100 Continue`."""
    request: ReceivedRequest | None
    """None for bytes that were not a valid request."""
    close: bool
    """Whether the connection closes after the answer."""
    memory: Memory
    connection: Memory

    @property
    def wire(self) -> bytes:
        """Head and body."""
        return self.head + self.body

    @property
    def status(self) -> int:
        """The status code; 100 for `100 Continue`."""
        return 100 if self.answer is None else self.answer.status

    def lines(self) -> list[bytes]:
        """The lines of the head, without line ends and without the empty line."""
        return self.head[:-4].split(b"\r\n")


def head_from_lines(lines: list[bytes]) -> bytes:
    """The bytes of a head with these lines."""
    return b"\r\n".join(lines) + b"\r\n\r\n"


def without_lines(lines: list[bytes], *names: bytes) -> list[bytes]:
    """The lines of a head without certain header fields; names in lower case."""
    return [line for line in lines if line.partition(b":")[0].lower() not in names]


DecideHook = Callable[[RequestContext], Answer]
WaitHook = Callable[[RequestContext], Seconds]
SendHook = Callable[[OutgoingAnswer], Iterator[Step]]
ReadHook = Callable[[bytes, bool], bytes]
"""From the bytes received, and whether a request starts with them, to the bytes to parse."""

AbortHook = Callable[[Memory, bytes], None]
"""Called when a connection is lost in the middle of a request, with the part of the body that has arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultHook:
    """The changes that a fault or variant makes. None means the correct behaviour."""

    read: ReadHook | None = None
    """Changes the bytes received before they are parsed."""
    decide: DecideHook | None = None
    """Returns the answer."""
    wait: WaitHook | None = None
    """Returns additional service time in seconds."""
    send: SendHook | None = None
    """Sends the answer."""
    abort: AbortHook | None = None
    """Takes note of an aborted request."""
    accepts_truncated_body: Callable[[list[tuple[bytes, bytes]]], bool] | None = None
    """Returns, for the header fields of a request, whether its body may end before its length."""
