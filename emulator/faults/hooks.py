"""
How an endpoint can be bent away from the honest one: what a fault or a variant gets hold of, and what it may change.

Each works on nouns: a request and the honest answer to it, or the bytes of an answer. None knows a socket.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto

import orjson

from chainproof.clock import Seconds
from chainproof.contract.answer import Answer
from chainproof.contract.openapi import METHOD, PATH
from chainproof.json_text import JSON, parse_json

from ..behaviour.request import ReceivedRequest

JSON_TYPE = "application/json"


@dataclass(slots=True, kw_only=True)
class Memory:
    """
    What an endpoint remembers of earlier requests, where an honest one remembers nothing.
    """

    count: Counter[str] = field(default_factory=Counter)
    answers: dict[bytes, Answer] = field(default_factory=dict)
    bodies: deque[bytes] = field(default_factory=lambda: deque(maxlen=16))
    """Of the requests answered 200, the last ones."""
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def every_nth(self, number: int, what: str) -> bool:
        """Count *what*; whether this is the number-th, twice the number-th and so on."""
        self.count[what] += 1
        return self.count[what] % number == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """
    One request in the hands of a bend, and the honest answer to it or to another.
    """

    request: ReceivedRequest
    key: bytes
    """The right one."""
    serve: Callable[[ReceivedRequest], Answer]
    """What an honest endpoint says to a request."""
    memory: Memory
    """Of the whole endpoint."""
    connection: Memory
    """Of this connection."""
    position: int
    """How many requests this connection has brought, this one included."""
    in_flight: int
    """How many requests of this connection wait for their answers."""
    concurrent: tuple[ReceivedRequest, ...]
    """The requests of other connections that wait for theirs."""
    now: Seconds
    said: list[Answer] = field(default_factory=list)
    """The honest answer, once it has been asked for."""

    @property
    def body(self) -> bytes:
        """The request's body."""
        return self.request.body

    def correct_answer(self) -> Answer:
        """What an honest endpoint says: however often it is asked for, it is one answer, with one request id."""
        if not self.said:
            self.said.append(self.serve(self.request))
        return self.said[0]

    def authorization(self) -> bytes:
        """The Authorization header, where there is one."""
        return b", ".join(self.request.fields(b"authorization"))

    def has_valid_key(self) -> bool:
        """Whether the key is the right one in the right place."""
        return self.authorization() == b"Api-Key " + self.key

    def targets_operation(self) -> bool:
        """Whether the request is for the operation."""
        return self.request.method == METHOD.encode() and self.request.path == PATH.encode()

    def value(self) -> object:
        """What the body stands for, as JSON; None where it stands for nothing."""
        return parse_json(self.body)

    def field(self, name: bytes) -> bytes:
        """A header field of the request, the name in lower case; empty where there is none."""
        return b", ".join(self.request.fields(name))

    def serve_authenticated(self, when: bool = True) -> Answer:  # noqa: FBT001, FBT002  # read as: admitted when …
        """What is said with the right key in the place of whatever was given, when *when*; else the honest answer."""
        return (
            self.serve(with_field(self.request, b"authorization", b"Api-Key " + self.key))
            if when
            else self.correct_answer()
        )

    def serve_body(self, body: bytes | None) -> Answer:
        """What is said to another body in the place of this one; None for no other."""
        return self.correct_answer() if body is None else self.serve(replace(self.request, body=body, length=len(body)))


def with_field(request: ReceivedRequest, name: bytes, value: bytes | None) -> ReceivedRequest:
    """
    A request with one header field set, or taken out.
    """
    fields = tuple(field for field in request.headers if field[0] != name)
    return replace(request, headers=fields if value is None else (*fields, (name, value)))


def with_header(answer: Answer, name: str, *values: str) -> Answer:
    """
    An answer with one header field set, repeated, or taken out.
    """
    fields = tuple(field for field in answer.headers if field[0].lower() != name.lower())
    return replace(answer, headers=(*fields, *((name, value) for value in values)))


def with_body(answer: Answer, body: bytes, media_type: str = "") -> Answer:
    """
    An answer with another body.
    """
    answer = replace(answer, body=body)
    return with_header(answer, "Content-Type", media_type) if media_type else answer


def error(answer: Answer, status: int, code: str | None, message: str = "The request cannot be served.") -> Answer:
    """
    An error in the place of an answer, with its request id.
    """
    said = {"error": message} if code is None else {"error": message, "error_code": code}
    return with_body(replace(answer, status=status), orjson.dumps(said), JSON_TYPE)


def with_members(answer: Answer, **changes: JSON) -> Answer:
    """
    An error with other members; an answer that is no object stays.
    """
    value = parse_json(answer.body)
    return replace(answer, body=orjson.dumps({**value, **changes})) if isinstance(value, dict) else answer


class ConnectionEnd(Enum):
    """
    How the sending of an answer ends, where it is not as the answer says.
    """

    CLOSE = auto()
    RESET = auto()
    KEEP_OPEN = auto()
    """Whatever was said, the connection stays open, and nothing is heard on it any more."""


Step = bytes | Seconds | ConnectionEnd
"""Bytes to send, seconds to wait, or an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingAnswer:
    """
    One answer about to go over the wire.
    """

    head: bytes
    """To its empty line."""
    body: bytes
    answer: Answer | None
    """None for `100 Continue`."""
    request: ReceivedRequest | None
    """None where there was none."""
    close: bool
    """Whether the connection is to end behind it."""
    memory: Memory
    connection: Memory

    @property
    def wire(self) -> bytes:
        """All of it."""
        return self.head + self.body

    @property
    def status(self) -> int:
        """Its status."""
        return 100 if self.answer is None else self.answer.status

    def lines(self) -> list[bytes]:
        """The head's lines without their ends, the empty one left out."""
        return self.head[:-4].split(b"\r\n")


def head_from_lines(lines: list[bytes]) -> bytes:
    """
    A head of these lines.
    """
    return b"\r\n".join(lines) + b"\r\n\r\n"


def without_lines(lines: list[bytes], *names: bytes) -> list[bytes]:
    """
    A head's lines without those of some fields.
    """
    return [line for line in lines if line.partition(b":")[0].lower() not in names]


DecideHook = Callable[[RequestContext], Answer]
WaitHook = Callable[[RequestContext], Seconds]
SendHook = Callable[[OutgoingAnswer], Iterator[Step]]
ReadHook = Callable[[bytes, bool], bytes]
"""Bytes as they came, and whether a request begins with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultHook:
    """
    Where an endpoint is not the honest one; what is None is honest.
    """

    read: ReadHook | None = None
    """Before anything is parsed."""
    decide: DecideHook | None = None
    """What is said."""
    wait: WaitHook | None = None
    """How much longer it takes to say it."""
    send: SendHook | None = None
    """How it goes over the wire."""
    accepts_truncated_body: bool = False
    """Whether a body that is cut off counts for what came of it."""
