"""
Request bodies with labels: JSON values that are not objects, and bodies that a receiver may accept or reject.

The texts are written by hand, because `json.dumps` never writes raw UTF-8, leading whitespace, `1E5` or `-0`. What a
receiver may reject (RFC 8259 §4, §6, §8.2, §9) is decided from the text, by `json_equality`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from chainproof.json_text import InvalidJson, TooComplex, parse_json

from .chain_inputs import padded, spaced


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyCase:
    """A request body and its label, which completes "status 400 to …"."""

    label: str
    content: bytes


def nested(depth: int, before: str, middle: str, after: str) -> bytes:
    """An object or array nested *depth* levels deep."""
    return (before * depth + middle + after * depth).encode()


def json_object(*members: str) -> bytes:
    """The text of an object, from the texts of its members."""
    return ("{" + ",".join(members) + "}").encode("utf-8", "surrogatepass")


# ------------------------------------------------------------------ JSON other than objects

_TYPE_LABELS: dict[type, str] = {
    bool: "a boolean",
    type(None): "null",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
}


def non_object(text: str) -> BodyCase:
    """A JSON value that is not an object, labelled with its type."""
    value = parse_json(text.encode())
    label = next(label for kind, label in _TYPE_LABELS.items() if isinstance(value, kind))
    return BodyCase(label=f"{label} as the body", content=text.encode())


def describe_body(content: bytes | None) -> str:
    """The label of any body."""
    if content is None:
        return "a request without a body"
    value = parse_json(content)
    if value is InvalidJson.EMPTY:
        return "whitespace as the body" if content else "an empty body"
    if isinstance(value, InvalidJson | TooComplex):
        return "a body that is not JSON"
    if isinstance(value, dict):
        return "a generated object" if value else "an empty object"
    return non_object(content.decode()).label


NON_OBJECTS: tuple[BodyCase, ...] = (
    *map(non_object, ("[]", "[{}]", '[{"a":1}]', '[{"a":1},{"b":2}]', '[["a",1]]', '["a",1]', "[[]]", "[null]", " [ ] ")),
    *map(non_object, ("null", "true", "false", " null ", "\r\n\ttrue\n", "0", "1", "-0", "-1.5e3", "1E5", "9" * 30, " 7\n")),
    *map(non_object, ('""', '"a"', '"null"', '"a\\u0000b"', '"é"', ' "a" ', "\n[]\n", '"{"', '"[]"', '"a=1&b=2"')),
    *(
        BodyCase(label="a string that contains an object", content=content)
        for content in (b'"{}"', rb'"{\"a\":1}"', rb'  "{\"a\":[1,2]}"  ', rb'"\u007b\u007d"', rb'"{\"a\":\"{\\\"b\\\":1}\"}"')
    ),
    BodyCase(label="an array of 70 KiB", content=b'[{"a":"' + b"a" * 70_000 + b'"}]'),
    BodyCase(label="a string of 70 KiB", content=b'"' + b"a" * 70_000 + b'"'),
    BodyCase(label="64 KiB of whitespace and an array", content=b" " * 65536 + b"[]"),
    BodyCase(label="64 KiB of whitespace and null", content=b"\n" * 65536 + b"null"),
)  # fmt: skip  # similar values share a line
"""JSON values of every type except object."""


def non_objects_around(text: bytes) -> tuple[BodyCase, ...]:
    """JSON values other than objects that contain an object."""
    string = json.dumps(text.decode()).encode()
    return (
        BodyCase(label="an array as the body", content=b"[" + text + b"]"),
        BodyCase(label="an array as the body", content=b"[" + text + b"," + text + b"]"),
        BodyCase(label="an array as the body", content=b"[[" + text + b"]]"),
        BodyCase(label="a string that contains an object", content=string),
    )


def spaced_inputs(text: bytes) -> tuple[BodyCase, ...]:
    """An object with whitespace wherever it is allowed, and with much of it."""
    return (
        *(
            BodyCase(label=f"{name} wherever whitespace is allowed", content=spaced(text, whitespace))
            for name, whitespace in (("a space", b" "), ("a tab", b"\t"), ("a line feed", b"\n"), ("CRLF", b"\r\n"))
        ),
        BodyCase(label="64 KiB of whitespace before an object", content=b" \t\r\n" * 16384 + text),
        BodyCase(label="64 KiB of whitespace after an object", content=text + b"\n\r\t " * 16384),
        BodyCase(label="64 KiB of whitespace inside an object", content=padded(text, 65536)),
    )


# ------------------------------------------------------------------ up to the receiver

_SURROGATES = {
    "a lone high surrogate": r"\ud800",
    "a lone low surrogate": r"\udc00",
    "a high surrogate before a letter": r"\ud83da",
    "a surrogate pair in the wrong order": r"\ude00\ud83d",
    "two high surrogates": r"\ud83d\ud83d\ude00",
}

IMPLEMENTATION_DEFINED: tuple[BodyCase, ...] = (
    BodyCase(label="an object with a duplicate name", content=json_object('"a":1', '"a":2')),
    BodyCase(label="an object with a duplicate name, once escaped", content=json_object('"a":1', r'"\u0061":2')),
    BodyCase(label="an object with the same name three times", content=json_object('"a":1', '"a":null', '"a":{"b":2}')),
    BodyCase(label="a nested object with a duplicate name", content=json_object('"x":[{"a":1,"b":2,"a":1}]')),
    BodyCase(label="an object after a byte order mark", content=b"\xef\xbb\xbf{}"),
    *(BodyCase(label=f"an object with {name}", content=json_object(f'"x":"{text}"')) for name, text in _SURROGATES.items()),
    BodyCase(label="an object with a lone surrogate in a name", content=json_object(r'"\ud800":1')),
    *(
        BodyCase(label=f"an object with the number {number}", content=json_object(f'"x":{number}'))
        for number in ("1e999", "-1e400", "1e-400", "-1e-999", "1e-99999999999999999999")
    ),
    *(
        BodyCase(label=f"an object with an integer of {digits} digits", content=json_object(f'"x":{"9" * digits}'))
        for digits in (309, 400, 700, 1000, 5000)
    ),
    BodyCase(label="objects nested 500 deep", content=nested(499, '{"a":', "{}", "}")),
    BodyCase(label="arrays nested 10000 deep in an object", content=b'{"a":' + nested(10_000, "[", "", "]") + b"}"),
    BodyCase(label="10000 `[` as the body", content=b"[" * 10_000),
)  # fmt: skip  # one line each
"""Bodies that a receiver may accept or reject, but only with a documented answer."""
