"""Objects of any members, and times with an offset, that a chain returns: as they were sent, or as other ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from chainproof.chain_schema.schema import Schema

from ..conftest import RunSuite, checks_named
from ..endpoints import AnswerFunction, EndpointAnswer, json_output, typed_chain

Value = dict[str, Any]
SCHEMA = Schema(
    source="event.json",
    document={
        "type": "object",
        "properties": {
            "start": {"type": "string", "format": "date-time"},
            "labels": {"type": "object"},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
        "required": ["start", "labels"],
    },
)
BOUNDS = checks_named("values_at_their_bounds_are_accepted")


def as_texts(part: Any) -> Any:
    """The values of an object as texts, as in a form."""
    return {name: part[name] if isinstance(part[name], dict | list) else str(part[name]) for name in part}


def without_objects(part: Any) -> Any:
    """A value in a language that has arrays only."""
    if isinstance(part, dict):
        return {name: without_objects(item) for name, item in part.items()} or []
    return [without_objects(item) for item in part] if isinstance(part, list) else part


DEFECTS: dict[str, Callable[[Value], Value]] = {
    "empty objects as arrays": lambda value: {**value, "labels": without_objects(value["labels"])},
    "an empty object of numbers as an array": lambda value: {**value, "counts": value.get("counts") or []},
    "members as texts": lambda value: {**value, "labels": as_texts(value["labels"])},
    "numbers as texts": lambda value: {**value, "counts": as_texts(value.get("counts", {}))},
    "booleans as numbers": lambda value: {
        **value,
        "labels": {name: int(item) if isinstance(item, bool) else item for name, item in value["labels"].items()},
    },
    "times with their digits in UTC": lambda value: {**value, "start": f"{value['start'][:19]}Z"},
    "times with their digits in UTC, among others": lambda value: {
        "starts": [f"{value['start'][:19]}Z", "2031-03-05T21:46:13", "2000-01-01T00:00:00Z"]
    },
}
CORRECT: dict[str, Callable[[Value], Value]] = {
    "as they are": lambda value: value,
    "without empty values": lambda value: {
        **value,
        "labels": {name: item for name, item in value["labels"].items() if item not in (None, "", {}, [])} or None,
    },
    "times without an offset": lambda value: {**value, "start": value["start"][:19]},
    "times without an offset, beside others": lambda value: {"starts": [value["start"][:19], "2000-01-01T00:00:00Z"]},
    "numbers as fractions": lambda value: {
        **value,
        "labels": {
            name: float(item) if isinstance(item, int) and not isinstance(item, bool) and abs(item) < 2**53 else item
            for name, item in value["labels"].items()
        },
    },
    "nothing": lambda value: {"number": len(value["labels"])},
}


def served(answer: Callable[[Value], Value]) -> AnswerFunction:
    """An endpoint with these outputs."""
    return typed_chain(SCHEMA, lambda value: json_output(answer(value)))


@pytest.mark.parametrize("name", DEFECTS)
def test_a_value_that_comes_back_as_another_is_found(run_suite: RunSuite, name: str) -> None:
    """PHP, forms, stores of texts, and offsets that are ignored."""
    result = run_suite(served(DEFECTS[name]), input_schema=SCHEMA, checks=BOUNDS)

    assert {"echo-exact"} == result.clauses, result.lines


@pytest.mark.parametrize("name", CORRECT)
def test_a_chain_that_changes_values_on_purpose_is_not_accused(run_suite: RunSuite, name: str) -> None:
    """It may leave out what is empty, and shorten times."""
    assert [] == run_suite(served(CORRECT[name]), input_schema=SCHEMA, checks=BOUNDS).lines


RECORDS = Schema(
    source="records.json",
    document={
        "type": "object",
        "properties": {
            "records": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "weight": {"type": "number"},
                        "new": {"type": "boolean"},
                    },
                    "required": ["name"],
                },
            }
        },
        "required": ["records"],
    },
)


def records(weight: Callable[[Value], Any], *, is_sorted: bool = False) -> AnswerFunction:
    """An endpoint that returns its records with these weights, the new ones first if they are sorted."""

    def answer(value: Value) -> EndpointAnswer:
        found = [{"weight": weight(each), "new": bool(each.get("new"))} for each in value["records"]]
        return json_output({"records": sorted(found, key=lambda each: not each["new"]) if is_sorted else found})

    return typed_chain(RECORDS, answer)


def test_a_zero_in_an_item_that_comes_back_as_if_it_was_absent_is_found(run_suite: RunSuite) -> None:
    """`item.get("weight") or None`."""
    result = run_suite(records(lambda each: each.get("weight") or None), input_schema=RECORDS, checks=BOUNDS)

    assert {"echo-exact"} == result.clauses, result.lines


def test_items_that_are_sorted_by_a_boolean_are_not_mistaken(run_suite: RunSuite) -> None:
    """Another item comes first if one has false, or none."""
    endpoint = records(lambda each: each.get("weight"), is_sorted=True)

    assert [] == run_suite(endpoint, input_schema=RECORDS, checks=BOUNDS).lines


TEXTS = Schema(
    source="text.json",
    document={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)
NORMALIZED: dict[str, Callable[[str], str]] = {
    "without spaces at their ends": str.strip,
    "with composed characters": lambda text: unicodedata.normalize("NFC", text),
    "with other line ends": lambda text: text.replace("\r\n", "\n"),
    "": str.upper,
}


@pytest.mark.parametrize("how", NORMALIZED)
def test_normalized_texts_are_noted(run_suite: RunSuite, how: str) -> None:
    """Nobody can tell a chain that does so on purpose from a gateway that should not, so it is no finding."""
    endpoint = typed_chain(TEXTS, lambda value: json_output({"text": NORMALIZED[how](value["text"])}))
    result = run_suite(endpoint, checks=BOUNDS, input_schema=TEXTS)
    notes = [each for each in result.finding_recorder.coverage.notes if "come back" in each]

    assert [] == result.lines
    assert [f"texts of `text` come back {how}" for how in (how,) if how] == [each.partition(".")[0] for each in notes]
