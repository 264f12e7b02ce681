"""Hypothesis strategies: inputs that a schema accepts, JSON objects in any form, other JSON values, and objects with an error."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import cast

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from chainproof.chain_schema.inputs import InputGenerator
from chainproof.chain_schema.instances import Style
from chainproof.chain_schema.schema import Schema
from chainproof.json_text import JSON

from . import invalid_json, valid_json
from .bodies import BodyCase, non_object
from .chain_inputs import ChainInputs, with_member
from .generated_inputs import SERIALIZERS, VALID_INPUT_LABEL

_MANY_VALUES = 100
"""Hypothesis draws the values of smaller inputs one by one. It gives up an input of a thousand values."""

_CHARACTERS = st.characters(exclude_categories=["Cs"])
"""
All characters that UTF-8 can encode. Naming the codec would be equivalent, but tests every code point: a second in
each run.
"""

_WHITESPACE = st.sampled_from(["", "", " ", "\n", "\t", "\r\n  "])


def _one_of(texts: Sequence[str]) -> SearchStrategy[str]:
    """One of many texts. `sampled_from` would list all of them in each of its error messages."""
    return st.integers(0, len(texts) - 1).map(lambda place: texts[place])


def _alternating(text: str) -> str:
    """A JSON string in which every other character is escaped."""
    pieces = (
        valid_json.escaped_json_string([ord(mark)]) if at % 2 else valid_json.json_string(mark)
        for at, mark in enumerate(text)
    )
    return '"' + "".join(piece[1:-1] for piece in pieces) + '"'


_STRING_FORMS: dict[str, Callable[[str], str]] = {
    "raw": valid_json.json_string,
    "escaped": lambda text: valid_json.escaped_json_string(map(ord, text)),
    "in upper case": lambda text: valid_json.escaped_json_string(map(ord, text), upper=True),
    "both": _alternating,
}


def _single_values(groups: tuple[valid_json.BodyGroup, ...]) -> list[str]:
    """The single values of some groups."""
    return [body.content.decode()[5:-1] for group in groups for body in group.single]


_STRINGS = st.one_of(
    st.tuples(st.sampled_from(list(_STRING_FORMS)), st.text(_CHARACTERS, max_size=12)).map(
        lambda drawn: _STRING_FORMS[drawn[0]](drawn[1])
    ),
    _one_of(_single_values(valid_json.STRINGS)),
)

_NAMES = st.one_of(_STRINGS, _one_of(valid_json.name_texts()))


_NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.tuples(
        st.integers(-(10**9), 10**9), st.sampled_from([".", "e", "E-", "e+", ".0E", ".5e-"]), st.integers(0, 99)
    ).map(lambda parts: "".join(map(str, parts))),
    _one_of(_single_values(valid_json.NUMBERS)),
)

_SCALARS = st.one_of(st.sampled_from(["null", "true", "false"]), _NUMBERS, _STRINGS)


@st.composite
def _arrays(draw: DrawFn, values: SearchStrategy[str]) -> str:
    """The text of an array."""
    items, whitespace = draw(st.lists(values, max_size=4)), draw(_WHITESPACE)
    return "[" + ",".join(whitespace + item + whitespace for item in items) + "]"


@st.composite
def _objects(draw: DrawFn, values: SearchStrategy[str]) -> str:
    """The text of an object without duplicate names, escaped or not."""
    members = draw(st.lists(st.tuples(_NAMES, values), max_size=5, unique_by=lambda member: json.loads(member[0])))
    whitespace, more_whitespace = draw(_WHITESPACE), draw(_WHITESPACE)
    return (
        "{"
        + ",".join(
            f"{whitespace}{name}{more_whitespace}:{whitespace}{value}{more_whitespace}" for name, value in members
        )
        + "}"
    )


_VALUES = st.recursive(_SCALARS, lambda values: st.one_of(_arrays(values), _objects(values)), max_leaves=8)


@st.composite
def json_objects(draw: DrawFn, inputs: ChainInputs) -> BodyCase:
    """An input with any JSON object in it; the base if the chain accepts none."""
    text = draw(_WHITESPACE) + draw(_objects(_VALUES)) + draw(_WHITESPACE)
    return BodyCase(label="a generated object", content=inputs.embed(text.encode()) or inputs.base)


def non_objects() -> SearchStrategy[BodyCase]:
    """Any JSON value other than an object."""
    texts = st.one_of(_SCALARS, _arrays(_VALUES))
    return st.tuples(_WHITESPACE, texts, _WHITESPACE).map(lambda parts: non_object("".join(parts)))


def _with_member(text: bytes, name: str) -> BodyCase:
    """A valid object made invalid by one more member."""
    placement = invalid_json.Placement(label_suffix="", before=with_member(text, b"")[:-1], after=b"}")
    return invalid_json.with_invalid_member(name, placement)


def _truncated(text: bytes, share: float) -> BodyCase:
    """The beginning of an object, which is never valid JSON."""
    text = text.strip()
    return BodyCase(label="a truncated object", content=text[: max(1, int(share * len(text)))])


@st.composite
def almost_json(draw: DrawFn, inputs: ChainInputs) -> BodyCase:
    """An input with any of the errors."""
    text = draw(json_objects(inputs)).content
    errors: list[SearchStrategy[Callable[[], BodyCase]]] = [
        _one_of(list(invalid_json.INVALID_SURROUNDINGS)).map(
            lambda name: lambda: invalid_json.with_invalid_surroundings(name, text)
        ),
        st.floats(0.0, 1.0, exclude_max=True).map(lambda share: lambda: _truncated(text, share)),
    ]
    if inputs.value_place is not None:
        members = _one_of(list(invalid_json.INVALID_MEMBERS))
        errors.insert(0, members.map(lambda name: lambda: _with_member(text, name)))
    return draw(st.one_of(errors))()


def valid_inputs(schema: Schema) -> SearchStrategy[JSON]:
    """Objects that the schema accepts. Hypothesis shrinks them to smaller ones, unless all of them are large."""
    generator = InputGenerator(schema)
    simple = generator.draw(random.Random(0), Style.SIMPLE)
    is_large = simple is not None and len(simple.positions) > _MANY_VALUES
    source = st.integers(0, 2**32).map(random.Random) if is_large else st.randoms(use_true_random=False)
    drawn = source.map(generator.draw)
    return drawn.filter(lambda found: found is not None).map(lambda found: cast(JSON, found.value if found else None))


def valid_input_bodies(schema: Schema) -> SearchStrategy[BodyCase]:
    """Valid inputs, each in one of the serializations."""
    serializers = st.sampled_from(list(SERIALIZERS.values()))
    return st.tuples(valid_inputs(schema), serializers).map(
        lambda drawn: BodyCase(label=VALID_INPUT_LABEL, content=drawn[1](drawn[0]))
    )
