"""Combinations of values of different arguments: each two, and each three of those that change most."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import pytest

from chainproof.chain_schema.schema import Schema
from chainproof.conformance.inputs.input_variations import enumerated_words
from chainproof.conformance.inputs.value_combinations import pairs_of_values, triples_of_values
from chainproof.conformance.options import Depth

from ..conftest import RunSuite, checks_named
from ..endpoints import EndpointAnswer, error, json_output, typed_chain

Value = dict[str, Any]
DOCUMENT: Value = {
    "type": "object",
    "properties": {
        "method": {"enum": ["mean", "median", "weighted"]},
        "digits": {"type": "integer", "minimum": 0, "maximum": 12},
        "weights": {"type": "array", "items": {"type": "number"}},
        "exact": {"type": "boolean"},
        "unit": {"type": "string"},
    },
    "required": ["method", "digits", "weights", "exact"],
}
SCHEMA = Schema(source="mean.json", document=DOCUMENT)
VALUE: Value = {"method": "mean", "digits": 3, "weights": [1.5, 2.5], "exact": False, "unit": "m"}
TELLING: Value = {
    "method": ["mean", "median", "weighted"],
    "digits": [3, 0, 12],
    "weights": [[1.5, 2.5], []],
    "exact": [False, True],
}
COMBINATIONS = checks_named("combinations_of_values_are_accepted")


def test_every_three_telling_values_occur_together() -> None:
    """Those of an enumeration, the largest and the smallest number, an empty array, true and false."""
    inputs = triples_of_values(VALUE, SCHEMA.accepts, enumerated_words(DOCUMENT), DOCUMENT, 1000)

    values = [json.loads(each.content) for each in inputs]
    missing = [
        dict(zip(names, chosen, strict=True))
        for names in combinations(TELLING, 3)
        for chosen in product(*(TELLING[name] for name in names))
        if not any(all(value[name] == item for name, item in zip(names, chosen, strict=True)) for value in values)
    ]
    assert ([], True) == (missing, len(values) < 40)


def test_the_inputs_keep_to_the_schema_and_the_count() -> None:
    """They are as many as are wanted at most."""
    words = enumerated_words(DOCUMENT)
    triples = triples_of_values(VALUE, SCHEMA.accepts, words, DOCUMENT, 7)
    pairs = pairs_of_values(VALUE, SCHEMA.accepts, words, 5)

    assert (7, 5) == (len(triples), len(pairs))
    assert all(SCHEMA.accepts(json.loads(each.content)) for each in (*triples, *pairs))


FAILURES: dict[str, Callable[[Value], bool]] = {
    "a word, the largest number and an empty array": lambda value: (
        value["method"] == "weighted" and value["digits"] == 12 and not value["weights"]
    ),
    "a word, the smallest number and true": lambda value: (
        value["method"] == "median" and value["digits"] == 0 and value["exact"]
    ),
}


@pytest.mark.parametrize("depth", [Depth.QUICK, Depth.STANDARD])
@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_at_three_values_is_found(run_suite: RunSuite, name: str, depth: Depth) -> None:
    """The example is the input with no other changes than these."""

    def answer(value: Value) -> EndpointAnswer:
        return error(500, "application_error") if FAILURES[name](value) else json_output({})

    result = run_suite(typed_chain(SCHEMA, answer), input_schema=SCHEMA, checks=COMBINATIONS, depth=depth)

    assert {"status"} == result.clauses
