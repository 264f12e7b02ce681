"""Numbers that a schema permits: those that a chain must not fail at, and those that not every language's types have."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.chain_schema.loading import load_input_schema
from chainproof.chain_schema.schema import Schema
from chainproof.conformance.judging.expectation import Terms, is_rejection_left_open
from chainproof.conformance.judging.json_equality import JsonNumber, ObjectMembers, parse_exactly
from chainproof.conformance.judging.rejectable_inputs import number_of_some_types, value_of_some_types

from ..conftest import RunSuite, SuiteResult, checks_named
from ..endpoints import EndpointAnswer, EndpointRequest, error, rejection

Value = dict[str, Any]

DOCUMENT: Value = {
    "type": "object",
    "properties": {
        "amounts": {"type": "array", "items": {"type": "number"}},
        "share": {"type": "number", "minimum": 0, "maximum": 1},
        "count": {"type": "integer"},
        "method": {"enum": ["max", "median", "mean"]},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**40},
    },
    "required": ["amounts"],
}
SCHEMA = Schema(source="totals.json", document=DOCUMENT)
BOUNDS = checks_named("values_at_their_bounds_are_accepted")


def served(
    answer: Callable[[Value], Value], read: Callable[[bytes], Value] = json.loads
) -> Callable[..., EndpointAnswer]:
    """An endpoint with these outputs, that answers 400 if the input cannot be read, and 500 if there is no output."""

    def endpoint(request: EndpointRequest) -> EndpointAnswer:
        if (rejected := rejection(request)) is not None:
            return rejected
        try:
            value = read(request.body)
        except (ValueError, TypeError):
            return error(400, "client_error")
        if not SCHEMA.accepts(json.loads(request.body)):
            return error(400, "client_error")
        try:
            return EndpointAnswer(status=200, body=json.dumps(answer(value)).encode())
        except (ArithmeticError, ValueError):
            return error(500, "application_error")

    return endpoint


def total(value: Value) -> Value:
    """The output of a correct chain: null for a sum that no number is."""
    found = sum(map(float, value["amounts"]))
    return {"total": found if math.isfinite(found) else None}


def run(run_suite: RunSuite, server: Callable[..., EndpointAnswer], schema: Schema = SCHEMA) -> SuiteResult:
    """The result of sending values at their bounds."""
    return run_suite(server, input_schema=schema, checks=BOUNDS)


def exact_total(value: Value) -> Value:
    """Fails if the sum is no number."""
    return {"total": float(sum(map(int, value["amounts"])))}


def mean(value: Value) -> Value:
    """Fails if the sum for a mean is no number."""
    is_mean = value.get("method") == "mean"
    return exact_total(value) if is_mean else {"total": max(value["amounts"], default=0)}


def in_64_bits(value: Value) -> Value:
    """Fails at a count that does not fit."""
    return total(value) | {"count": int(value.get("count", 0)).to_bytes(8, signed=True).hex()}


DEFECTS: dict[str, tuple[Callable[[Value], Value], str]] = {
    "a sum that is no number is an error": (exact_total, "status"),
    "a sum that is no number is infinite": (lambda value: {"total": sum(map(float, value["amounts"]))}, "output-json"),
    "a sum that is no number is an error with another word": (mean, "status"),
    "an integer beyond 64 bits is an error": (in_64_bits, "status"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_at_large_numbers_is_found(run_suite: RunSuite, name: str) -> None:
    """The schema gives no bounds, so that any number is valid."""
    answer, clause = DEFECTS[name]

    result = run(run_suite, served(answer))

    assert clause in result.clauses, result.lines


def as_int32(text: str) -> int:
    """A number as a decoder for int32 reads it. Raises ValueError for all others."""
    number = int(text)
    if not -(2**31) <= number < 2**31:
        raise ValueError(text)
    return number


def as_float32(text: str) -> float:
    """A number as a decoder for float32 reads it. Raises ValueError for all others."""
    number = float(text)
    if abs(number) > 3.5e38:
        raise ValueError(text)
    return number


def read_typed(body: bytes) -> Value:
    """An input as a typed language reads it: `count` and `seed` are integers, and `amounts` are not."""

    def typed(members: ObjectMembers) -> Value:
        convert = {"count": as_int32, "seed": int}
        return {
            name: [as_float32(each) for each in member]
            if isinstance(member, list)
            else convert.get(name, as_float32)(member)
            for name, member in members
            if isinstance(member, list | JsonNumber)
        }

    return typed(parse_exactly(body))  # type: ignore[arg-type]  # an object, or else a TypeError


def test_a_typed_language_is_not_accused(run_suite: RunSuite) -> None:
    """It rejects `6.0` as an integer, and what 32 bits do not have. The report says so."""
    result = run(run_suite, served(total, read_typed))

    notes = " ".join(result.finding_recorder.coverage.notes)
    assert ([], "such as 6.0" in notes, "beyond those of 32 bits" in notes) == (result.lines, True, True)


def test_a_number_within_the_bounds_of_the_schema_is_accepted(run_suite: RunSuite) -> None:
    """A maximum of 2^40 says that the chain takes integers of more than 32 bits."""

    def read(body: bytes) -> Value:
        value = json.loads(body)
        as_int32(str(int(value.get("seed", 0))))
        return value  # type: ignore[no-any-return]  # an object

    assert "object-accepted" in run(run_suite, served(total, read)).clauses


INPUTS: dict[bytes, bool] = {
    b'{"amounts":[1.0,2e3],"share":1.0}': False,
    b'{"amounts":[1e39]}': True,
    b'{"amounts":[1,1e39]}': True,
    b'{"amounts":[],"count":6.0}': True,
    b'{"amounts":[],"count":60e-1}': True,
    b'{"amounts":[],"count":6}': False,
    b'{"amounts":[],"count":-2147483649}': False,
    b'{"amounts":[],"count":-1099511627777}': True,
    b'{"amounts":[],"seed":1099511627776}': False,
    b'{"amounts":[': False,
}


@pytest.mark.parametrize("body", INPUTS)
def test_numbers_that_not_every_type_has(body: bytes) -> None:
    """Whole numbers written with a fraction where the schema permits none, and numbers beyond 32 bits and those of the schema."""
    assert INPUTS[body] is (number_of_some_types(SCHEMA, body) is not None)


def test_a_model_says_which_numbers_it_accepts() -> None:
    """Nothing is left open if the schema is that of a class, whose model decides what is accepted."""
    schema = load_input_schema(f"{Path(__file__).parents[2]}/ordinary_chain/app.py:Chain")

    assert number_of_some_types(schema, b'{"amounts":[],"count":6.0}') is None


def test_a_decoder_may_read_a_whole_number_beyond_64_bits_as_a_fraction(tmp_path: Path) -> None:
    """A chain with orjson hands its model such a number as a fraction, which the model rejects. An int of Python has any size."""
    (tmp_path / "sized.py").write_text(
        "from pydantic import BaseModel\nclass Sized(BaseModel):\n    size: int\n    share: float = 0\n"
    )
    schema = load_input_schema(f"{tmp_path}/sized.py:Sized")

    def is_left_open(number: str) -> bool:
        return number_of_some_types(schema, f'{{"size":{number},"share":1e308}}'.encode()) is not None

    numbers = ("-9223372036854775809", "18446744073709551616", "-9223372036854775808", "18446744073709551615", "6.0")
    assert list(map(is_left_open, numbers)) == [True, True, False, False, False]


FAR_TIMES = {
    b'{"at":"9999-12-31T23:59:59.999999Z"}': True,
    b'{"at":"0001-01-01"}': True,
    b'{"at":"1679-01-01 00:00:00"}': True,
    b'{"at":"2260-01-01T00:00:00+02:00"}': True,
    b'{"at":"1680-01-01T00:00:00Z"}': False,
    b'{"at":"2259-12-31T23:59:59Z"}': False,
    b'{"at":"2024-02-29"}': False,
    b'{"at":"9999-12-31 is a text"}': False,
}


@pytest.mark.parametrize("body", FAR_TIMES)
def test_times_that_a_chain_may_be_unable_to_calculate_with(body: bytes) -> None:
    """A class accepts the first and the last time of its type, to which a chain can add nothing."""
    model = load_input_schema(f"{Path(__file__).parents[2]}/ordinary_chain/app.py:Chain")
    for schema in (SCHEMA, model):
        assert FAR_TIMES[body] is (value_of_some_types(schema, body) is not None)


def test_a_rejected_time_far_from_now_is_no_violation() -> None:
    """A chain that adds a duration may reject the last time of its type, and no other."""
    document = {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}}}
    terms = Terms(key=None, input_schema=Schema(source="times.json", document=document))

    assert is_rejection_left_open(terms, b'{"at":"9999-12-31T23:59:59.999999Z"}')
    assert not is_rejection_left_open(terms, b'{"at":"2024-12-31T23:59:59.999999Z"}')


LONG_TEXTS = {
    '{"name":"🙂🙂🙂"}': True,
    '{"name":"\\ud83d\\ude42\\ud83d\\ude42\\ud83d\\ude42"}': True,
    '{"name":"🙂🙂."}': True,
    '{"name":"🙂🙂"}': False,
    '{"name":"\u6f22\u6f22\u6f22\u6f22"}': False,
    '{"name":"🙂🙂🙂🙂🙂"}': False,
}


@pytest.mark.parametrize("body", LONG_TEXTS)
def test_texts_that_are_too_long_in_utf_16_only(body: str, tmp_path: Path) -> None:
    """JavaScript, Java and C# count code units where JSON Schema counts code points. A class of Python counts code points."""
    schema = Schema(source="names.json", document={"properties": {"name": {"type": "string", "maxLength": 4}}})
    (tmp_path / "named.py").write_text(
        "from pydantic import BaseModel, Field\nclass Named(BaseModel):\n    name: str = Field(max_length=4)\n"
    )
    model = load_input_schema(f"{tmp_path}/named.py:Named")

    assert LONG_TEXTS[body] is (value_of_some_types(schema, body.encode()) is not None)
    assert value_of_some_types(model, body.encode()) is None
