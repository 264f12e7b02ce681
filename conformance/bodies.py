"""
Bodies: valid objects in every spelling, near misses of JSON, JSON that is no object.

The texts are written here and not by `json.dumps`, which never sends a raw UTF-8 byte, a blank in front, a `1E5` or a
`-0`. What a receiver may refuse all the same (RFC 8259 §4, §6, §8.2, §9) is decided from the text, by `jsonvalue`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from chainproof.jsontext import Malformed, TooDeep, parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """
    A request's body, and what is special about it, to complete "status 400 to …".
    """

    label: str
    content: bytes


# ------------------------------------------------------------------ any object, in any spelling

_BLANKS = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n  "])

_ESCAPED = [*(rf"\{character}" for character in 'nrtbf"/'), "\\\\"]


def _surrogates(code_point: int) -> str:
    """
    A character beyond the basic plane as two escapes.
    """
    high, low = divmod(code_point - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04X}"


_CHARACTERS = st.one_of(
    st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters='"\\'),
    st.sampled_from([*_ESCAPED, "\\u0000", "é", "𝄞", "\u2028", "\ufeff", "\x7f"]),
    st.one_of(st.integers(0, 0xD7FF), st.integers(0xE000, 0xFFFF)).map(lambda code: f"\\u{code:04x}"),
    st.integers(0x10000, 0x10FFFF).map(_surrogates),
)

_STRINGS = st.lists(_CHARACTERS, max_size=8).map(lambda pieces: '"' + "".join(pieces) + '"')

_NUMBERS = st.one_of(
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["-0", "-0.0", "1E5", "1.0e+2", "5e-324", "1.7976931348623157e308", "9007199254740993", "1" * 30]),
)

_SCALARS = st.one_of(st.sampled_from(["null", "true", "false"]), _NUMBERS, _STRINGS)


@st.composite
def _arrays(draw: DrawFn, values: SearchStrategy[str]) -> str:
    """
    An array's text.
    """
    items = draw(st.lists(values, max_size=4))
    return "[" + ",".join(draw(_BLANKS) + item + draw(_BLANKS) for item in items) + "]"


@st.composite
def _objects(draw: DrawFn, values: SearchStrategy[str]) -> str:
    """
    An object's text, no name twice, however it is spelled.
    """
    members = draw(st.lists(st.tuples(_STRINGS, values), max_size=5, unique_by=lambda member: json.loads(member[0])))
    return (
        "{" + ",".join(f"{draw(_BLANKS)}{name}{draw(_BLANKS)}:{draw(_BLANKS)}{value}" for name, value in members) + "}"
    )


_VALUES = st.recursive(_SCALARS, lambda values: st.one_of(_arrays(values), _objects(values)), max_leaves=12)


@st.composite
def objects(draw: DrawFn) -> Body:
    """
    Any JSON object.
    """
    text = draw(_BLANKS) + draw(_objects(_VALUES)) + draw(_BLANKS)
    return Body(label="a generated object", content=text.encode())


def others() -> SearchStrategy[Body]:
    """
    Any JSON value that is no object.
    """
    texts = st.one_of(_SCALARS, _arrays(_VALUES))
    return st.tuples(_BLANKS, texts, _BLANKS).map(lambda parts: _labelled("".join(parts)))


def _labelled(text: str) -> Body:
    """
    A value that is no object, by its kind.
    """
    value = parse_json(text.encode())
    words = next(words for kind, words in _KINDS.items() if isinstance(value, kind))
    return Body(label=f"{words} as the body", content=text.encode())


_KINDS: dict[type, str] = {
    bool: "a boolean",
    type(None): "null",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
}

# ------------------------------------------------------------------ objects worth asking about by name


def _nested(depth: int, opening: str, middle: str, closing: str) -> bytes:
    """
    So many levels of the same.
    """
    return (opening * depth + middle + closing * depth).encode()


def _object(*members: str) -> bytes:
    """
    An object's text from its members' texts.
    """
    return ("{" + ",".join(members) + "}").encode()


SPELLINGS: tuple[Body, ...] = (
    Body(label="an empty object", content=b"{}"),
    Body(label="an object with blanks around it", content=b" \r\n\t{ } \n"),
    Body(label="an object with an empty name", content=_object('"":""')),
    Body(label="an object with raw UTF-8", content=_object('"naïve — ünïcode":"日本語 𝄞 🙂 \u200b\u202e"')),
    Body(label="an object with escapes", content=_object(r'"a\u0000b":"\"\\\/\b\f\n\r\t\u00e9\uD834\uDD1E"')),
    Body(label="an object with a raw DEL and U+2028", content=_object('"x":"\x7f\u2028\u2029\ufffe"')),
    Body(
        label="an object with names that mean something to languages", content=_object('"__proto__":{"constructor":1}')
    ),
    Body(label="an object with numbers in every spelling", content=_object('"x":[1E5,1.0e+2,-0,-0.0,0.1,1e-7,5e-324]')),
    Body(label="an object with large integers", content=_object('"x":[9007199254740993,-18446744073709551617]')),
    Body(label="an object with an integer of 300 digits", content=_object(f'"x":{"9" * 300}')),
    Body(label="an object with true beside 1 and 1.0", content=_object('"x":[true,1,1.0,"1",false,0,null]')),
    Body(label="an object of 300 members", content=_object(*(f'"m{number}":{number}' for number in range(300)))),
    Body(label="an array of 5000 items in an object", content=_object('"x":[' + ",".join(["0"] * 5000) + "]")),
    Body(label="a string of 64 KiB in an object", content=_object('"x":"' + "a" * 65536 + '"')),
    Body(label="objects nested 50 deep", content=_nested(49, '{"a":', "{}", "}")),
    Body(label="arrays nested 50 deep in an object", content=b'{"a":' + _nested(49, "[", "", "]") + b"}"),
)
"""Objects that any receiver of JSON takes."""

DISCRETIONARY: tuple[Body, ...] = (
    Body(label="an object with a name twice", content=_object('"a":1', '"a":2')),
    Body(label="an object behind a byte order mark", content=b"\xef\xbb\xbf{}"),
    Body(label="an object with a lone surrogate", content=_object(r'"x":"\ud800"')),
    Body(label="an object with a number beyond a double", content=_object('"x":1e999')),
    Body(label="an object with an integer of 5000 digits", content=_object(f'"x":{"9" * 5000}')),
    Body(label="objects nested 500 deep", content=_nested(499, '{"a":', "{}", "}")),
    Body(label="arrays nested 10000 deep in an object", content=b'{"a":' + _nested(10_000, "[", "", "]") + b"}"),
    Body(label="10000 opening brackets as the body", content=b"[" * 10_000),
    Body(label="a string of 2 MiB in an object", content=_object('"x":"' + "a" * 2**21 + '"')),
)
"""Bodies that a receiver may refuse, or give up on; what it says must be documented all the same."""

# ------------------------------------------------------------------ nearly JSON

_MEMBERS: dict[str, bytes] = {
    "NaN": b'"x":NaN',
    "Infinity": b'"x":Infinity',
    "-Infinity": b'"x":-Infinity',
    "Python's None": b'"x":None',
    "Python's True": b'"x":True',
    "undefined": b'"x":undefined',
    "a number with a leading zero": b'"x":01',
    "a number with a plus sign": b'"x":+1',
    "a number without its first digit": b'"x":.5',
    "a number that ends in a point": b'"x":1.',
    "a number without an exponent behind its E": b'"x":1e',
    "a hexadecimal number": b'"x":0x1F',
    "a string in single quotes": b"\"x\":'y'",
    "a name in single quotes": b"'x':1",
    "a name without quotes": b"x:1",
    "a number as a name": b"1:1",
    "a member without a colon": b'"x" 1',
    "a member without a value": b'"x":',
    "a name alone": b'"x"',
    "an unknown escape": rb'"x":"\x41"',
    "an escape cut short": rb'"x":"\u12"',
    "a raw line break in a string": b'"x":"a\nb"',
    "a raw tab in a string": b'"x":"a\tb"',
    "a raw NUL in a string": b'"x":"a\x00b"',
    "a string without its end": b'"x":"y',
    "an array with a trailing comma": b'"x":[1,]',
    "an array without a comma": b'"x":[1 2]',
    "an array closed by a brace": b'"x":[1}',
    "a comment": b'/* why */ "x":1',
    "a trailing comma": b'"x":1,',
    "two commas": b'"x":1,,"y":2',
    "a byte that is not UTF-8": b'"x":"\xff"',
    "UTF-8 cut short": b'"x":"\xe2\x82"',
    "an overlong UTF-8 sequence": b'"x":"\xc0\xaf"',
    "a surrogate in UTF-8": b'"x":"\xed\xa0\x80"',
    "Latin-1": b'"x":"caf\xe9"',
}
"""Members that make an object no JSON, whatever else it holds."""

_WHOLES: dict[str, tuple[bytes, bytes]] = {
    "a letter behind it": (b"", b"x"),
    "a closing brace behind it": (b"", b"}"),
    "another object behind it": (b"", b"{}"),
    "a comma behind it": (b"", b","),
    "a comment behind it": (b"", b" // why"),
    "a NUL behind it": (b"", b"\x00"),
    "a comma before it": (b",", b""),
    "a form feed before it": (b"\x0c", b""),
    "a no-break space before it": (b"\xc2\xa0", b""),
    "a closing bracket before it": (b"]", b""),
    "a JavaScript guard before it": (b")]}',\n", b""),
}
"""What makes a JSON object no JSON text when it stands around it."""

_OTHERWISE: tuple[Body, ...] = (
    Body(label="blanks as the body", content=b" \r\n\t"),
    Body(label="a comma as the body", content=b"{,}"),
    Body(label="an object in UTF-16", content='{"a":1}'.encode("utf-16")),
    Body(label="an object in UTF-32", content='{"a":1}'.encode("utf-32-le")),
    Body(label="a form as the body", content=b"a=1&b=2"),
    Body(label="XML as the body", content=b"<a>1</a>"),
    Body(label="YAML as the body", content=b"a: 1"),
    Body(label="an opening brace as the body", content=b"{"),
    Body(label="a NUL as the body", content=b"\x00"),
)


def _with_member(text: bytes, name: str) -> Body:
    """
    A valid object made invalid by one more member.
    """
    inside = text.strip()[1:-1]
    separator = b"," if inside.strip() else b""
    return Body(label=f"an object with {name}", content=b"{" + inside + separator + _MEMBERS[name] + b"}")


def _with_surroundings(text: bytes, name: str) -> Body:
    """
    A valid object made invalid by what stands around it.
    """
    before, behind = _WHOLES[name]
    return Body(label=f"an object with {name}", content=before + text + behind)


def _cut(text: bytes, share: float) -> Body:
    """
    The beginning of an object: no beginning of one is JSON.
    """
    text = text.strip()
    return Body(label="an object cut short", content=text[: max(1, int(share * len(text)))])


NEAR_MISSES: tuple[Body, ...] = (
    *(_with_member(b'{"a":1}', name) for name in _MEMBERS),
    *(_with_surroundings(b'{"a":1}', name) for name in _WHOLES),
    _cut(b'{"a":1}', 0.9),
    *_OTHERWISE,
)
"""Every near miss once, in its plainest form."""


@st.composite
def malformed(draw: DrawFn) -> Body:
    """
    Any near miss, made from any object.
    """
    text = draw(objects()).content
    kind = draw(st.sampled_from([*_MEMBERS, *_WHOLES, ""]))
    if kind in _MEMBERS:
        return _with_member(text, kind)
    if kind in _WHOLES:
        return _with_surroundings(text, kind)
    return _cut(text, draw(st.floats(0.0, 1.0, exclude_max=True)))


def labelled(content: bytes | None) -> str:
    """
    What any body is, in the words of this file.
    """
    if content is None:
        return "a request without a body"
    value = parse_json(content)
    if value is Malformed.EMPTY:
        return "blanks as the body" if content else "an empty body"
    if isinstance(value, Malformed | TooDeep):
        return "bytes that are no JSON"
    if isinstance(value, dict):
        return "a generated object" if value else "an empty object"
    return _labelled(content.decode()).label


VALUES: tuple[Body, ...] = tuple(
    _labelled(text) for text in ("[]", "[{}]", "null", "true", "false", "0", "-1.5e3", '""', '"{}"', " [ ] ")
)
"""Every kind of JSON value that is no object."""
