"""
An endpoint that serves the typed chain, and faulty and unusual forms of it.

Like `tests/conformance/endpoints.py`, it shares no code with the emulator.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
import threading
import time
import unicodedata
import uuid
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError, validate_call

from ..conformance.endpoints import EndpointAnswer, EndpointRequest, error, rejection
from .orders import Orders, Priority

Value = dict[str, Any]
"""An input or an output."""

_NAMES = ("items", "address", "priority", "discount", "note", "gift")
_RUN = validate_call(Orders().run_remote)


def quote(value: Value) -> Value:
    """The output for an input. Raises ValidationError."""
    named = {name: value[name] for name in _NAMES if name in value}
    return _RUN(**named).model_dump(mode="json")


class TypedEndpoint:
    """The correct endpoint. Subclasses change one step."""

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        """The answer to a request."""
        rejected = rejection(request)
        if rejected is not None:
            return rejected
        try:
            return self.answer(request, json.loads(request.body))
        except ValidationError as invalid:
            return error(400, "client_error", f"{invalid.error_count()} arguments are invalid.")
        except RecursionError:
            return error(400, "client_error", "Too deep.")

    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        """The answer to a JSON object."""
        del request
        return EndpointAnswer(status=200, body=json.dumps(self.output(value)).encode())

    def output(self, value: Value) -> Value:
        """The output for an input."""
        return quote(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedFault:
    """A faulty form of the typed chain."""

    name: str
    found_as: frozenset[str]
    """Ids of the clauses of which at least one must have a finding."""
    create: Callable[[], TypedEndpoint]


FAULTS: list[TypedFault] = []
MIXED_UP = frozenset({"answer-matches-request"})
UNSTABLE = frozenset({"answer-repeatable", "answer-matches-request", "request-isolation"})
NOT_ACCEPTED = frozenset({"object-accepted", "status"})
WRONG_OUTPUT = frozenset({"output-schema", "output-json", "output-object"})


def fault(name: str, found_as: frozenset[str]) -> Callable[[type[TypedEndpoint]], type[TypedEndpoint]]:
    """Decorator that registers a faulty endpoint."""

    def add(cls: type[TypedEndpoint]) -> type[TypedEndpoint]:
        FAULTS.append(TypedFault(name=name, found_as=found_as, create=cls))
        return cls

    return add


# ------------------------------------------------------------------ caches


class Cached(TypedEndpoint):
    """Caches outputs by a key."""

    def __init__(self, key: Callable[[EndpointRequest, Value], object]) -> None:
        self._key = key
        self._outputs: dict[str, Value] = {}

    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        output = quote(value)
        key = json.dumps(self._key(request, value), sort_keys=True)
        return EndpointAnswer(status=200, body=json.dumps(self._outputs.setdefault(key, output)).encode())


def _without(value: Any, *names: str) -> Any:
    """The value without members of some names, at any depth."""
    if isinstance(value, dict):
        return {name: _without(item, *names) for name, item in value.items() if name not in names}
    return [_without(item, *names) for item in value] if isinstance(value, list) else value


CACHE_KEYS: dict[str, Callable[[EndpointRequest, Value], object]] = {
    "cached by the first argument": lambda request, value: next(iter(value.items())),
    "cached by items only": lambda request, value: value["items"],
    "cached without the address": lambda request, value: _without(value, "address"),
    "cached without the nested city": lambda request, value: _without(value, "city"),
    "cached without tags": lambda request, value: _without(value, "tags"),
    "cached without optional arguments": lambda request, value: [value["items"], value["address"]],
    "cached without letter case": lambda request, value: json.dumps(value, sort_keys=True).lower(),
    "cached by the length of the body": lambda request, value: len(request.body),
    "cached by the first 40 bytes": lambda request, value: request.body[:40].decode("utf-8", "replace"),
    "cached by the number of items": lambda request, value: [len(value["items"]), _without(value, "items")],
    "cached by joined texts": lambda request, value: [
        value["address"]["recipient"] + value["address"]["city"],
        _without(value, "recipient", "city"),
    ],
    "cached by texts joined by a bar": lambda request, value: [
        f"{value['address']['recipient']}|{value['address']['city']}",
        _without(value, "recipient", "city"),
    ],
    "cached by the set of tags": lambda request, value: [
        [sorted(set(item.get("tags", []))) for item in value["items"]],
        _without(value, "tags"),
    ],
    "cached with prices rounded to cents": lambda request, value: [
        [round(item["unit_price"], 2) for item in value["items"]],
        _without(value, "unit_price"),
    ],
    "cached with integers rounded to tens": lambda request, value: [
        [item["quantity"] // 10 for item in value["items"]],
        _without(value, "quantity"),
    ],
}
FAULTS.extend(
    TypedFault(name=name, found_as=MIXED_UP | UNSTABLE, create=lambda key=key: Cached(key))
    for name, key in CACHE_KEYS.items()
)

# ------------------------------------------------------------------ state


@fault("answers are swapped under concurrency", MIXED_UP)
class Swapped(TypedEndpoint):
    """The output is kept in a variable that concurrent requests share."""

    def output(self, value: Value) -> Value:
        self.shared = quote(value)
        time.sleep(0.004)
        return self.shared


@fault("large orders are swapped under concurrency", MIXED_UP)
class LargeSwapped(TypedEndpoint):
    """Orders of many items take longer, and share a variable."""

    def output(self, value: Value) -> Value:
        if len(value["items"]) < 5:
            return quote(value)
        self.shared = quote(value)
        time.sleep(0.01)  # the work on a large order: other requests arrive meanwhile
        return self.shared


@fault("compressed answers are swapped under concurrency", MIXED_UP)
class CompressedSwapped(TypedEndpoint):
    """A gateway compresses concurrent answers in one buffer."""

    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        answer = super().answer(request, value)
        if "gzip" not in request.values("accept-encoding"):
            return answer
        self.shared = gzip.compress(answer.body, 1)
        time.sleep(0.004)  # real threads have no clock to replace
        return replace(answer, body=self.shared, extra_fields=(("Content-Encoding", "gzip"),))


@fault("the end of a long output follows an error", MIXED_UP | {"error-json"})
class KeepsLongOutputs(TypedEndpoint):
    """A buffer with a long output is used for the next error without being emptied."""

    left = b""

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = super().__call__(request)
        left, self.left = self.left, answer.body
        is_spoilt = answer.status == 400 and len(left) > 3000
        return replace(answer, body=answer.body + left[len(answer.body) :]) if is_spoilt else answer


@fault("one member is shared under concurrency", MIXED_UP)
class SharedMember(TypedEndpoint):
    """One argument is kept in an attribute of the chain."""

    def output(self, value: Value) -> Value:
        output = quote(value)
        self.greeting = output["greeting"]
        time.sleep(0.004)
        return {**output, "greeting": self.greeting}


@fault("optional arguments stick", UNSTABLE)
class Sticky(TypedEndpoint):
    """An optional argument that is absent keeps the value of an earlier request."""

    def __init__(self) -> None:
        self._earlier: Value = {}

    def output(self, value: Value) -> Value:
        quote(value)
        optional = {name: item for name, item in value.items() if name in ("priority", "discount", "note", "gift")}
        self._earlier |= {name: item for name, item in optional.items() if item is not None}
        return quote({**self._earlier, **value})


@fault("a mutable default grows", UNSTABLE)
class MutableDefault(TypedEndpoint):
    """Tags are collected in a list that all requests share."""

    def __init__(self) -> None:
        self._tags: Counter[str] = Counter()

    def output(self, value: Value) -> Value:
        output = quote(value)
        self._tags.update(tag for item in value["items"] for tag in item.get("tags", []))
        return {**output, "tags": dict(self._tags)}


class Remembering(TypedEndpoint, ABC):
    """Remembers the recipient of the latest order, whether or not that was valid."""

    def __init__(self) -> None:
        self._latest = ""

    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        address = value.get("address")
        earlier, latest = self._latest, address.get("recipient") if isinstance(address, dict) else None
        self._latest = latest if isinstance(latest, str) else earlier
        return self.answer_after(earlier, request, value)

    @abstractmethod
    def answer_after(self, earlier: str, request: EndpointRequest, value: Value) -> EndpointAnswer:
        """The answer after an order of an *earlier* recipient."""


@fault("large orders greet an earlier recipient", MIXED_UP)
class GreetsEarlierRecipient(Remembering):
    def answer_after(self, earlier: str, request: EndpointRequest, value: Value) -> EndpointAnswer:
        output = quote(value)
        if len(value["items"]) >= 4:
            output["greeting"] = f"Dear {earlier[:30]}"
        return EndpointAnswer(status=200, body=json.dumps(output).encode())


@fault("errors name an earlier recipient", MIXED_UP)
class ErrorsNameEarlierRecipient(Remembering):
    def answer_after(self, earlier: str, request: EndpointRequest, value: Value) -> EndpointAnswer:
        try:
            return super(Remembering, self).answer(request, value)
        except ValidationError:
            return error(400, "client_error", f"The order of {earlier.upper()} is invalid.")


class Numbered(TypedEndpoint):
    """Counts the requests that the chain gets."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def number(self) -> int:
        """The number of the request."""
        with self._lock:
            return next(self._numbers)


@fault("every 25th output is that of an earlier request", MIXED_UP)
class Stale(Numbered):
    last: Value | None = None

    def output(self, value: Value) -> Value:
        output = quote(value)
        stale, self.last = self.last, output
        return stale if stale is not None and self.number() % 25 == 0 else output


@fault("every 30th output has a wrong total", UNSTABLE)
class WrongNowAndThen(Numbered):
    def output(self, value: Value) -> Value:
        output = quote(value)
        return {**output, "total": output["total"] + 1} if self.number() % 30 == 0 else output


@fault("one of three workers has an old version", UNSTABLE)
class OldWorker(Numbered):
    def output(self, value: Value) -> Value:
        output = quote(value)
        return {**output, "greeting": output["greeting"].replace("Dear", "Hello")} if self.is_old() else output

    def is_old(self) -> bool:
        """Whether the request is served by the old worker: a share of connections in the long run."""
        return self.number() % 60 in (7, 8)


@fault("the answer is wrong after an invalid input", UNSTABLE)
class WrongAfterInvalid(TypedEndpoint):
    was_invalid = False

    def output(self, value: Value) -> Value:
        try:
            output = quote(value)
        except ValidationError:
            self.was_invalid = True
            raise
        if self.was_invalid:
            output["item_count"] += 1
        self.was_invalid = False
        return output


@fault("an absent priority counts as high", UNSTABLE)
class OtherDefault(TypedEndpoint):
    def output(self, value: Value) -> Value:
        return quote({"priority": "high", **value})


@fault("members of an order replace those of the quote", UNSTABLE)
class Replaceable(TypedEndpoint):
    def output(self, value: Value) -> Value:
        output = quote(value)
        return {**output, **{name: item for name, item in value.items() if name in output and name not in _NAMES}}


@fault("an invalid order fails those processed with it", NOT_ACCEPTED)
class FailsTogether(TypedEndpoint):
    invalid_at = 0.0

    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        try:
            answer = super().answer(request, value)
        except ValidationError:
            self.invalid_at = time.monotonic()
            raise
        time.sleep(0.004)  # orders of other threads arrive meanwhile: real threads have no clock to replace
        is_lost = time.monotonic() - self.invalid_at < 0.004
        return error(500, "internal_baseten_error") if is_lost else answer


@fault("chunked inputs lose the optional arguments", UNSTABLE)
class ChunkedLosesArguments(TypedEndpoint):
    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        if request.values("transfer-encoding"):
            value = {name: item for name, item in value.items() if name in ("items", "address")}
            value["address"] = {**value["address"], "city": ""} if isinstance(value.get("address"), dict) else None
        return super().answer(request, value)


# ------------------------------------------------------------------ inputs that are rejected or fail


def _strings(value: Any) -> list[str]:
    """All strings of an input."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def _texts(value: Value) -> list[tuple[str, int]]:
    """The strings of an input with their upper bounds."""
    address = value["address"]
    found = [(address["recipient"], 60), (address["city"], 30), (value.get("note") or "", 200)]
    return found + [(item["name"], 40) for item in value["items"]]


REJECTED: dict[str, Callable[[EndpointRequest, Value], bool]] = {
    "length counted in bytes": lambda request, value: any(len(text.encode()) > most for text, most in _texts(value)),
    "length counted in UTF-16 units": lambda request, value: any(
        len(text.encode("utf-16-le")) // 2 > most for text, most in _texts(value)
    ),
    "longest name rejected": lambda request, value: any(len(item["name"]) >= 40 for item in value["items"]),
    "longest nested city rejected": lambda request, value: len(value["address"]["city"]) >= 30,
    "empty city rejected": lambda request, value: value["address"]["city"] == "",
    "one-character name rejected": lambda request, value: any(len(item["name"]) < 2 for item in value["items"]),
    "largest quantity rejected": lambda request, value: any(item["quantity"] >= 100 for item in value["items"]),
    "smallest quantity rejected": lambda request, value: any(item["quantity"] <= 1 for item in value["items"]),
    "largest price rejected": lambda request, value: any(item["unit_price"] >= 10_000 for item in value["items"]),
    "discount 0 rejected": lambda request, value: value.get("discount") == 0,
    "numbers with an exponent rejected": lambda request, value: b"e" in _number_text(request.body),
    "integers written 100.0 rejected": lambda request, value: any(
        isinstance(item["quantity"], float) for item in value["items"]
    ),
    "five tags rejected": lambda request, value: any(len(item.get("tags", [])) >= 5 for item in value["items"]),
    "an empty list of tags rejected": lambda request, value: any(item.get("tags") == [] for item in value["items"]),
    "the last country rejected": lambda request, value: value["address"]["country"] == "JP",
    "right-to-left text rejected": lambda request, value: any(
        unicodedata.bidirectional(char) in ("R", "AL") for text in _strings(value) for char in text
    ),
    "many items rejected": lambda request, value: len(value["items"]) > 500,
    "an explicit null rejected": lambda request, value: None in value.values(),
}


def _number_text(body: bytes) -> bytes:
    """The body without its strings."""
    return (
        b"".join(part for index, part in enumerate(body.replace(b'\\"', b"").split(b'"')) if index % 2 == 0)
        .replace(b"true", b"")
        .replace(b"false", b"")
    )


class Rejecting(TypedEndpoint):
    """Rejects or fails on some valid inputs."""

    def __init__(self, condition: Callable[[EndpointRequest, Value], bool], status: int = 400) -> None:
        self._condition = condition
        self._status = status

    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        answer = super().answer(request, value)
        if not self._condition(request, value):
            return answer
        code = {400: "client_error", 502: "application_error"}.get(self._status)
        return replace(error(self._status, code), request_id=answer.request_id)


FAULTS.extend(
    TypedFault(name=name, found_as=NOT_ACCEPTED, create=lambda condition=condition: Rejecting(condition))
    for name, condition in REJECTED.items()
)
FAILING: dict[str, tuple[int, Callable[[EndpointRequest, Value], bool]]] = {
    "500 for a gift of high priority": (500, lambda request, value: bool(value.get("gift")) and value.get("priority") == "high"),
    "502 for JP with a discount": (502, lambda request, value: value["address"]["country"] == "JP" and bool(value.get("discount"))),
    "502 for names in a JavaScript object": (502, lambda request, value: any(item["name"] == "constructor" for item in value["items"])),
    "500 for characters beyond the BMP": (500, lambda request, value: any(ord(c) > 0xFFFF for t in _strings(value) for c in t)),
    "500 for outputs above 64 KiB": (500, lambda request, value: len(json.dumps(quote(value))) > 65_536),
}  # fmt: skip  # one line each
FAULTS.extend(
    TypedFault(name=name, found_as=NOT_ACCEPTED, create=lambda status=status, when=when: Rejecting(when, status))
    for name, (status, when) in FAILING.items()
)

# ------------------------------------------------------------------ wrong outputs


class Changed(TypedEndpoint):
    """Changes some outputs."""

    def __init__(self, change: Callable[[Value, Value], object]) -> None:
        self._change = change

    def output(self, value: Value) -> Any:
        return self._change(value, quote(value))


OUTPUTS: dict[str, Callable[[Value, Value], object]] = {
    "a failure is reported as 200": lambda value, output: (
        {"error": "no delivery"} if value["address"]["country"] == "FR" else output
    ),
    "total is a string for large orders": lambda value, output: (
        {**output, "total": str(output["total"])} if output["total"] > 5_000 else output
    ),
    "note_length is the string null": lambda value, output: {**output, "note_length": output["note_length"] or "null"},
    "tags of one kind are a list": lambda value, output: (
        {**output, "tags": list(output["tags"])} if len(output["tags"]) == 1 else output
    ),
    "infinite totals": lambda value, output: {
        **output,
        "total": float("inf") if output["total"] > 5_000 else output["total"],
    },
    "NaN for a discount": lambda value, output: {
        **output,
        "total": float("nan") if value.get("discount") else output["total"],
    },
    "a member is missing for gifts": lambda value, output: (
        {name: item for name, item in output.items() if name != "days"} if output["is_gift"] else output
    ),
    "lines are null for many items": lambda value, output: {
        **output,
        "lines": output["lines"] if len(output["lines"]) < 100 else None,
    },
}
FAULTS.extend(
    TypedFault(name=name, found_as=WRONG_OUTPUT, create=lambda change=change: Changed(change))
    for name, change in OUTPUTS.items()
)
LINES: dict[str, Callable[[list[Value]], list[Value]]] = {
    "the last incomplete batch of 32 is lost": lambda lines: (
        lines if len(lines) < 32 else lines[: len(lines) // 32 * 32]
    ),
    "results from the 17th item on are those of the items before": lambda lines: [
        lines[number - (number >= 16)] for number in range(len(lines))
    ],
    "the last result is repeated above 64 items": lambda lines: lines + lines[-1:] if len(lines) > 64 else lines,
    "results of more than 32 items are in the order of completion": lambda lines: (
        sorted(lines, key=lambda line: line["label"][::-1]) if len(lines) > 32 else lines
    ),
}
FAULTS.extend(
    TypedFault(
        name=name,
        found_as=MIXED_UP,
        create=lambda change=change: Changed(lambda value, output: {**output, "lines": change(output["lines"])}),
    )
    for name, change in LINES.items()
)


@fault("outputs above 64 KiB are cut off", frozenset({"output-json"}))
class CutOff(TypedEndpoint):
    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        answer = super().answer(request, value)
        return replace(answer, body=answer.body[:65_536])


@fault("compressed outputs above 8 KiB are cut off", frozenset({"content-coding", "output-json"}))
class CompressedCutOff(TypedEndpoint):
    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        answer = super().answer(request, value)
        if "gzip" not in "".join(request.values("accept-encoding")) or len(answer.body) <= 8_192:
            return answer
        return replace(answer, body=gzip.compress(answer.body)[:-20], extra_fields=(("Content-Encoding", "gzip"),))


@fault("raw deflate", frozenset({"content-coding"}))
class RawDeflate(TypedEndpoint):
    """Compresses outputs without the header and trailer of zlib."""

    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        answer = super().answer(request, value)
        if "deflate" not in "".join(request.values("accept-encoding")) or len(answer.body) < 5_000:
            return answer
        compressor = zlib.compressobj(wbits=-15)
        body = compressor.compress(answer.body) + compressor.flush()
        return replace(answer, body=body, extra_fields=(("Content-Encoding", "deflate"),))


@fault("large inputs are decoded in pieces", frozenset({"echo-exact"}))
class DecodedInPieces(TypedEndpoint):
    """A character that reaches into the next piece of the body becomes several replacement characters."""

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        starts = range(0, len(request.body), 4096)
        text = "".join(request.body[start : start + 4096].decode("utf-8", "replace") for start in starts)
        is_large = len(request.body) > 8_000
        return super().__call__(replace(request, body=text.encode()) if is_large else request)


# ------------------------------------------------------------------ correct forms


class Volatile(TypedEndpoint):
    """Some values differ between equal requests."""

    def __init__(self, change: Callable[[Value], Value]) -> None:
        self._change = change

    def output(self, value: Value) -> Value:
        return self._change(quote(value))


_RANDOM = random.Random(0)
_STARTED = time.monotonic()
_COUNTER = itertools.count()

VOLATILE: dict[str, Callable[[Value], Value]] = {
    "a time": lambda output: {**output, "generated": time.time()},
    "a time in seconds": lambda output: {**output, "generated": int(time.time())},
    "a time of two seconds": lambda output: {**output, "moment": int(time.time()) // 2},
    "an id": lambda output: {**output, "quote_number": str(uuid.uuid4())},
    "a counter": lambda output: {**output, "served": next(_COUNTER)},
    "a duration that is mostly 0": lambda output: {**output, "elapsed_ms": int(_RANDOM.random() > 0.9)},
    "random text": lambda output: {**output, "greeting": f"{_RANDOM.choice(('Dear', 'Hello', 'Hi'))} {_RANDOM.random()}"},
    "one of two words": lambda output: {**output, "greeting": _RANDOM.choice(("Dear", "Hello"))},
    "lines in random order": lambda output: {**output, "lines": _RANDOM.sample(output["lines"], len(output["lines"]))},
    "at most 50 lines": lambda output: {**output, "lines": output["lines"][:50]},
    "sorted lines": lambda output: {**output, "lines": sorted(output["lines"], key=lambda line: line["label"])},
    "every second line of many": lambda output: {
        **output, "lines": output["lines"][:: 1 + len(output["lines"]) // 20]
    },
    "sorted members": lambda output: dict(sorted(output.items())),
    "rounded fractions": lambda output: {**output, "total": output["total"] * (1 + _RANDOM.random() * 1e-12)},
    "totals without a fraction as integers": lambda output: {
        **output,
        "total": int(output["total"]) if output["total"].is_integer() and _RANDOM.random() < 0.5 else output["total"],
    },
}  # fmt: skip  # one line each


class RejectingUnnamed(TypedEndpoint):
    """Rejects arguments that the signature does not name, as a Python call does."""

    def output(self, value: Value) -> Value:
        if set(value) - set(_NAMES):
            quote({})
        return quote(value)


class Compressing(TypedEndpoint):
    """Compresses outputs if the client accepts that."""

    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        answer = super().answer(request, value)
        accepted = ",".join(request.values("accept-encoding")).replace(" ", "").split(",")
        if not {"gzip", "GZIP"} & set(accepted):
            return answer
        return replace(answer, body=gzip.compress(answer.body), extra_fields=(("Content-Encoding", "gzip"),))


class Chunked(TypedEndpoint):
    """Writes outputs in chunks."""

    def answer(self, request: EndpointRequest, value: Value) -> EndpointAnswer:
        answer = super().answer(request, value)
        pieces = [answer.body[start : start + 1000] for start in range(0, len(answer.body), 1000)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Baseten-Request-Id: {answer.request_id}\r\n"
        closes = "close" in "".join(request.values("connection"))
        head += "Connection: close\r\n" if closes or request.version == "HTTP/1.0" else ""
        if request.version == "HTTP/1.0":
            raw = f"{head}\r\n".encode() + answer.body
        else:
            raw = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + body
        return replace(answer, raw=raw, stays_open=not closes and request.version != "HTTP/1.0")


class Slow(TypedEndpoint):
    """Takes a while."""

    def output(self, value: Value) -> Value:
        time.sleep(0.003 + 0.002 * (len(value.get("note") or "") % 3))
        return quote(value)


class CorrectlyCached(Cached):
    """Caches outputs by the whole input."""

    def __init__(self) -> None:
        super().__init__(lambda request, value: value)


class Normalizing(TypedEndpoint):
    """Does not distinguish between spaces at the ends of a recipient."""

    def output(self, value: Value) -> Value:
        output = quote(value)
        return {**output, "greeting": output["greeting"].strip()}


CORRECT: dict[str, Callable[[], TypedEndpoint]] = {
    "plain": TypedEndpoint,
    "rejecting unnamed arguments": RejectingUnnamed,
    "compressing": Compressing,
    "chunked": Chunked,
    "slow": Slow,
    "correctly cached": CorrectlyCached,
    "normalizing": Normalizing,
    **{name: (lambda change=change: Volatile(change)) for name, change in VOLATILE.items()},
}

__all__ = ["CORRECT", "FAULTS", "Priority", "TypedEndpoint", "TypedFault"]
