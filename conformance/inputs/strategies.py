"""
What Hypothesis draws: any object in any spelling, any other value, and any near miss of an object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from . import invalid_json, valid_json
from .bodies import BodyCase, non_object

_CHARACTERS = st.characters(exclude_categories=["Cs"])
"""All that UTF-8 can write. Naming the codec says the same, but tries it on every code point: a second of each run."""

_BLANKS = st.sampled_from(["", "", " ", "\n", "\t", "\r\n  "])


def _one_of(texts: Sequence[str]) -> SearchStrategy[str]:
    """
    One of many texts. `sampled_from` would write all of them into every message of its own.
    """
    return st.integers(0, len(texts) - 1).map(lambda place: texts[place])


def _alternating(text: str) -> str:
    """
    A string's text, every other character an escape.
    """
    pieces = (
        valid_json.escaped_json_string([ord(mark)]) if at % 2 else valid_json.json_string(mark)
        for at, mark in enumerate(text)
    )
    return '"' + "".join(piece[1:-1] for piece in pieces) + '"'


_WAYS: dict[str, Callable[[str], str]] = {
    "raw": valid_json.json_string,
    "escaped": lambda text: valid_json.escaped_json_string(map(ord, text)),
    "in upper case": lambda text: valid_json.escaped_json_string(map(ord, text), upper=True),
    "both": _alternating,
}


def _texts(sorts: tuple[valid_json.BodyGroup, ...]) -> list[str]:
    """
    The values that stand alone in the parts of some sorts.
    """
    return [part.content.decode()[5:-1] for group in sorts for part in group.single]


_STRINGS = st.one_of(
    st.tuples(st.sampled_from(list(_WAYS)), st.text(_CHARACTERS, max_size=12)).map(
        lambda drawn: _WAYS[drawn[0]](drawn[1])
    ),
    _one_of(_texts(valid_json.STRINGS)),
)

_NAMES = st.one_of(_STRINGS, _one_of(valid_json.name_texts()))


def _with_exponent(drawn: tuple[int, str, int]) -> str:
    """
    A number's text from its digits, what stands for the exponent, and that.
    """
    return f"{drawn[0]}{drawn[1]}{drawn[2]}"


_NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.tuples(
        st.integers(-(10**9), 10**9), st.sampled_from([".", "e", "E-", "e+", ".0E", ".5e-"]), st.integers(0, 99)
    ).map(_with_exponent),
    _one_of(_texts(valid_json.NUMBERS)),
)

_SCALARS = st.one_of(st.sampled_from(["null", "true", "false"]), _NUMBERS, _STRINGS)


@st.composite
def _arrays(draw: DrawFn, values: SearchStrategy[str]) -> str:
    """
    An array's text.
    """
    items, blank = draw(st.lists(values, max_size=4)), draw(_BLANKS)
    return "[" + ",".join(blank + item + blank for item in items) + "]"


@st.composite
def _objects(draw: DrawFn, values: SearchStrategy[str]) -> str:
    """
    An object's text, no name twice, however it is spelled.
    """
    members = draw(st.lists(st.tuples(_NAMES, values), max_size=5, unique_by=lambda member: json.loads(member[0])))
    blank, other = draw(_BLANKS), draw(_BLANKS)
    return "{" + ",".join(f"{blank}{name}{other}:{blank}{value}{other}" for name, value in members) + "}"


_VALUES = st.recursive(_SCALARS, lambda values: st.one_of(_arrays(values), _objects(values)), max_leaves=8)


@st.composite
def json_objects(draw: DrawFn) -> BodyCase:
    """
    Any JSON object.
    """
    text = draw(_BLANKS) + draw(_objects(_VALUES)) + draw(_BLANKS)
    return BodyCase(label="a generated object", content=text.encode())


def non_objects() -> SearchStrategy[BodyCase]:
    """
    Any JSON value that is no object.
    """
    texts = st.one_of(_SCALARS, _arrays(_VALUES))
    return st.tuples(_BLANKS, texts, _BLANKS).map(lambda parts: non_object("".join(parts)))


def _with_member(text: bytes, name: str) -> BodyCase:
    """
    A valid object made invalid by one more member.
    """
    inside = text.strip()[1:-1]
    separator = b"," if inside.strip() else b""
    placement = invalid_json.Placement(label_suffix="", before=b"{" + inside + separator, after=b"}")
    return invalid_json.with_invalid_member(name, placement)


def _cut(text: bytes, share: float) -> BodyCase:
    """
    The beginning of an object: no beginning of one is JSON.
    """
    text = text.strip()
    return BodyCase(label="an object cut short", content=text[: max(1, int(share * len(text)))])


@st.composite
def almost_json(draw: DrawFn) -> BodyCase:
    """
    Any near miss, made from any object.
    """
    text = draw(json_objects()).content
    way: Callable[[], BodyCase] = draw(
        st.one_of(
            _one_of(list(invalid_json.INVALID_MEMBERS)).map(lambda name: lambda: _with_member(text, name)),
            _one_of(list(invalid_json.INVALID_SURROUNDINGS)).map(
                lambda name: lambda: invalid_json.with_invalid_surroundings(name, text)
            ),
            st.floats(0.0, 1.0, exclude_max=True).map(lambda share: lambda: _cut(text, share)),
        )
    )
    return way()
