"""
Inputs that the chain accepts, and how one change is put into them.

Every probe is an input that this chain accepts with one change, so that the answer is about the change. What is known at
first comes from `--input-schema`, `--payloads` or `--echo`; `runner.input_discovery` asks the target for the rest.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

import orjson

from chainproof.errors import UsageError
from chainproof.json_text import parse_object
from chainproof.text_files import read_file
from chainproof.workload.payloads import payload_lines

UNNAMED_MEMBER = "chainproof"
"""Name of the member that probes add to an input; no signature has it."""

HARMLESS_VALUE = '{"a":["é",1.5,true,null]}'.encode()
"""A value of every type. A chain that accepts it in an unnamed member ignores that member."""

HARMLESS_TEXT = "Ada, Grüße, 日本".encode()
"""A text in several scripts. A chain that accepts it in place of a string accepts any text there."""

_ANY_OBJECTS = (b"{}", b'{"a":1}', b'{"names":["Ada"]}')
"""Objects of which a chain that accepts any object accepts one, even if it has a defect."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_TOKEN = re.compile(_STRING.pattern + rb"|([{}\[\]:,])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The text of an accepted input around a part that is replaced."""

    before: bytes
    after: bytes

    def put(self, text: bytes) -> bytes:
        """The input with another text in that part."""
        return self.before + text + self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainInputs:
    """Inputs of one chain. At first they are candidates; after `input_discovery` the chain has accepted them."""

    base: bytes = b"{}"
    """The simplest input. Probes are this input with one change."""
    rich: bytes = b"{}"
    """An input with as many arguments as possible; the base if no other is known."""
    others: tuple[bytes, ...] = ()
    """Further inputs."""
    any_object: bool = False
    """Whether the chain accepts every JSON object, as an echo chain does."""
    is_accepted: bool | None = None
    """Whether the chain has accepted the base; None until it has been asked."""
    ignores_unnamed: bool = False
    """Whether the chain has accepted the base with a member that its signature does not name."""
    free_text: Place | None = None
    """A string argument in which the chain has accepted another text."""

    @property
    def value_place(self) -> Place | None:
        """Where any JSON value can stand; None if the chain accepts no member that its signature does not name."""
        if self.any_object:
            return Place(before=b'{"a":', after=b"}")
        if not self.ignores_unnamed:
            return None
        return Place(before=with_member(self.base, f'"{UNNAMED_MEMBER}":'.encode())[:-1], after=b"}")

    @property
    def text_place(self) -> Place | None:
        """Where any characters of a JSON string can stand."""
        place = self.value_place
        if self.any_object:
            return Place(before=b'{"x":"', after=b'"}')
        return self.free_text if place is None else Place(before=place.before + b'"', after=b'"' + place.after)

    def embed(self, text: bytes) -> bytes | None:
        """
        An input that contains an object, or an almost valid one, with the whitespace around it; None if the chain accepts
        none that does.
        """
        if self.any_object:
            return text
        place, core = self.value_place, text.removeprefix(_BYTE_ORDER_MARK).strip(b" \t\r\n")
        if place is None:
            return None
        before, _, after = text.partition(core)
        return before + place.put(core) + after

    @property
    def known(self) -> tuple[bytes, ...]:
        """All known inputs, each once, the base first."""
        return tuple(dict.fromkeys((self.base, self.rich, *self.others)))

    def distinct(self, count: int, rng: random.Random) -> tuple[bytes, ...]:
        """At most *count* different inputs: as many as are known, or as wanted if the chain accepts any object."""
        if self.any_object:
            return tuple(self.unique(rng, 40 * number) for number in range(count))
        known = self.known
        return tuple(rng.sample(known, min(count, len(known))))

    def unique(self, rng: random.Random, size: int = 0) -> bytes:
        """
        An input that no other request has, if the chain accepts any object; else any of the known ones.

        It has at least *size* bytes.
        """
        if not self.any_object:
            return padded(self.rich if size else rng.choice(self.known), size)
        token = f"{rng.getrandbits(64):016x}"
        # Multi-byte characters and escapes, so that chunk boundaries fall into them.
        return (
            orjson.dumps({"token": token, "text": "Grüße, 日本, 😀", "padding": "x" * size})[:-1]
            + rb',"escaped":"\u00e9\n"}'
        )


def initial_inputs(
    *, minimal_input: bytes = b"{}", payloads: tuple[bytes, ...] = (), any_object: bool = False
) -> ChainInputs:
    """The inputs to try: payloads of the user first, else one from the schema, else an empty object."""
    if payloads:
        return ChainInputs(
            base=payloads[0],
            rich=max(payloads, key=len),
            others=payloads,
            any_object=any_object,
        )
    others = _ANY_OBJECTS if any_object else ()
    return ChainInputs(base=minimal_input, rich=minimal_input, others=others, any_object=any_object)


def with_member(text: bytes, member: bytes) -> bytes:
    """
    A JSON object with one more member at its end.

    >>> with_member(b'{"names":["Ada"]} ', b'"x":1')
    b'{"names":["Ada"],"x":1}'
    >>> with_member(b"{}", b'"x":1')
    b'{"x":1}'
    """
    inside = text.strip()[1:-1].rstrip()
    return b"{" + inside + (b"," if inside.strip() else b"") + member + b"}"


def string_places(text: bytes) -> tuple[Place, ...]:
    """
    The places of the string values of a JSON text.

    >>> string_places(b'{"names":["Ada"]}')
    (Place(before=b'{"names":["', after=b'"]}'),)
    """
    return tuple(
        Place(before=text[: match.start() + 1], after=text[match.end() - 1 :])
        for match in _STRING.finditer(text)
        if not text[match.end() :].lstrip().startswith(b":")
    )


def spaced(text: bytes, whitespace: bytes) -> bytes:
    """
    A JSON text with whitespace wherever it is allowed.

    >>> spaced(b'{"a":1}', b" ")
    b' { "a" : 1 } '
    """
    return _TOKEN.sub(lambda match: whitespace + match[0] + whitespace if match[1] else match[0], text)


def padded(text: bytes, size: int) -> bytes:
    """
    A JSON object with whitespace before its last brace, so that it has at least *size* bytes.

    >>> padded(b'{"a":1}', 10)
    b'{"a":1   }'
    """
    text = text.strip()
    return text[:-1] + b" " * (size - len(text)) + b"}"


def load_payload_file(text: str) -> tuple[bytes, ...]:
    """The inputs in a JSONL file, each with the bytes that the file has. Raises UsageError."""
    return tuple(_payload(line, f"line {number} of {text}") for number, line in payload_lines(Path(text)))


def load_slow_payload(text: str) -> bytes:
    """The JSON object in a file, with the bytes that the file has. Raises UsageError."""
    return _payload(read_file(Path(text), "the payload").strip(), text)


def _payload(text: bytes, location: str) -> bytes:
    """The text itself. Raises UsageError if it is not a JSON object."""
    try:
        parse_object(text)
    except ValueError as error:
        raise UsageError(f"{location}: {error}") from None
    return text
