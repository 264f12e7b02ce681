"""Outputs are compared by the paths of their values."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.conformance.inputs.member_names import may_vary
from chainproof.conformance.judging.output_comparison import (
    agree_at,
    differing_paths,
    is_distinctive,
    leaves,
    without,
)

OUTPUTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(OUTPUTS, st.integers())
def test_the_order_of_members_does_not_matter(output: object, seed: int) -> None:
    """An output equals itself with its members in another order."""

    def shuffled(value: object) -> object:
        if isinstance(value, list):
            return [shuffled(item) for item in value]
        if isinstance(value, dict):
            names = list(value)
            random.Random(seed).shuffle(names)
            return {name: shuffled(value[name]) for name in names}
        return value

    assert not differing_paths(leaves(output), leaves(shuffled(output)))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ('{"a":1}', '{"a":1.0}', set()),
        ('{"a":0.30000000000000004}', '{"a":0.3}', set()),
        ('{"a":true}', '{"a":1}', {("a",)}),
        ('{"a":"1"}', '{"a":1}', {("a",)}),
        ('{"a":null}', "{}", {("a",), ()}),
        ('{"a":[1,2]}', '{"a":[2,1]}', {("a", "[]")}),
        ('{"a":[{"b":1},{"b":2}]}', '{"a":[{"b":1}]}', {("a", "[]", "b")}),
        ('{"a":[]}', '{"a":{}}', {("a",)}),
        ('{"a":1e400}', '{"a":1e400}', set()),
    ],
)
def test_differences_are_named_by_path(first: str, second: str, expected: set[tuple[str, ...]]) -> None:
    """Numbers may be written differently; types, counts and order must agree."""
    assert expected == differing_paths(leaves(json.loads(first)), leaves(json.loads(second)))


@given(st.lists(st.floats(-1, 1), min_size=32, max_size=64), st.integers())
def test_vectors_may_have_the_noise_of_a_gpu(components: list[float], seed: int) -> None:
    """The components of an embedding depend a little on what is computed in the same batch."""
    rng, largest = random.Random(seed), max(map(abs, components))
    noisy = [value + rng.uniform(-9e-3, 9e-3) * largest for value in components]
    moved = [components[0] + 2 * largest + 1, *components[1:]]

    assert not differing_paths(leaves({"a": components}), leaves({"a": noisy}))
    assert differing_paths(leaves({"a": components}), leaves({"a": moved}))
    assert {("a", "[]")} == differing_paths(leaves({"a": [8.5, 0.1]}), leaves({"a": [8.5, 0.101]}))


def test_ignored_paths_include_what_is_inside_them() -> None:
    """A path inside an ignored one is ignored too."""
    assert {("b",)} == without({("a", "x"), ("b",)}, {("a",)})


def test_outputs_agree_at_some_paths() -> None:
    """Only the given paths count."""
    first, second = leaves({"a": 1, "b": 2}), leaves({"a": 1, "b": 3})

    assert agree_at({("a",)}, first, second)
    assert not agree_at({("a",), ("b",)}, first, second)


@pytest.mark.parametrize(
    ("value", "expected"), [("Ada, Köln", True), ("no", False), (12345.5, True), (7, False), (True, False)]
)
def test_long_values_are_distinctive(value: object, expected: bool) -> None:
    """A short string or a small number may be equal by chance."""
    assert expected is is_distinctive({("a",)}, leaves({"a": value}))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("elapsedMs", True),
        ("generated_at", True),
        ("request_id", True),
        ("served_by_worker", True),
        ("total", False),
        ("amount", False),
        ("width", False),
        ("status", False),
    ],
)
def test_some_names_say_that_a_value_varies(name: str, expected: bool) -> None:
    """Durations, times, ids and names of machines may differ between equal requests."""
    assert expected is may_vary((name,))
