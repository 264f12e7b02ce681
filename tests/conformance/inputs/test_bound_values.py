"""Inputs with texts, names and values of every kind that a schema accepts, and what is found with them."""

from __future__ import annotations

import hashlib
import html
import itertools
import json
import re
import struct
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

import pytest

from chainproof.chain_schema.inputs import InputGenerator
from chainproof.chain_schema.schema import Schema
from chainproof.conformance.inputs.bound_values import (
    bound_inputs,
    large_inputs,
    with_small_numbers,
    without_optional_members,
)
from chainproof.conformance.probing.outputs import item_results

from ..conftest import RunSuite, checks_named
from ..endpoints import AnswerFunction, EndpointAnswer, error, json_output, typed_chain

Value = dict[str, Any]

PROPERTIES: Value = {
    "text": {"type": "string", "minLength": 1, "maxLength": 40},
    "counts": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 100}, "maxItems": 9},
    "weights": {"type": "object", "additionalProperties": {"type": "number"}},
    "scale": {"type": "number", "minimum": 1, "maximum": 8},
}
SCHEMA = Schema(
    source="totals.json", document={"type": "object", "properties": PROPERTIES, "required": ["text", "counts"]}
)


def total(value: Value) -> Value:
    """The output of a chain that adds numbers: 0 for the simplest input, whatever the scale."""
    return {"text": value["text"], "total": sum(value["counts"]) * value.get("scale", 1)}


def serving(answer: Callable[[Value], Value | None], schema: Schema = SCHEMA) -> AnswerFunction:
    """An endpoint whose outputs come from a function; None is a failure. Inputs that do not match the schema are rejected."""

    def output(value: Value) -> EndpointAnswer:
        found = answer(value)
        return error(500, None) if found is None else json_output(found)

    return typed_chain(schema, output)


def failing_for(condition: Callable[[Value], bool]) -> Callable[[Value], Value | None]:
    """A chain that fails for some inputs."""
    return lambda value: None if condition(value) else total(value)


FAILURES: dict[str, Callable[[Value], bool]] = {
    "a text of spaces": lambda value: not value["text"].strip(),
    "a line break": lambda value: "\n" in value["text"],
    "a control character": lambda value: "\x1b" in value["text"],
    "a letter that is two in lower case": lambda value: len(value["text"].lower()) > len(value["text"]),
    "a digit that is no decimal digit": lambda value: any(char.isdigit() > char.isdecimal() for char in value["text"]),
    "a joiner": lambda value: "\u200d" in value["text"],
    "markup": lambda value: "<" in value["text"],
    "the word null": lambda value: value["text"] == "null",
    "a number as text": lambda value: value["text"].isdigit(),
    "one item": lambda value: len(value["counts"]) == 1,
    "an empty name": lambda value: "" in value.get("weights", {}),
    "a name beyond ASCII": lambda value: any(not name.isascii() for name in value.get("weights", {})),
    "a long name": lambda value: any(len(name) > 64 for name in value.get("weights", {})),
    "many names": lambda value: len(value.get("weights", {})) > 50,
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_at_a_permitted_value_is_found(name: str, run_suite: RunSuite) -> None:
    """Texts of every kind, names of every kind, and many names."""
    result = run_suite(
        serving(failing_for(FAILURES[name])),
        input_schema=SCHEMA,
        checks=checks_named("values_at_their_bounds_are_accepted"),
    )

    assert result.clauses & {"status", "object-accepted"}, result.lines


def test_correct_chain_has_no_findings(run_suite: RunSuite) -> None:
    """All these inputs are valid."""
    checks = checks_named("values_at_their_bounds_are_accepted", "arguments_of_one_request_do_not_affect_the_next")

    assert [] == run_suite(serving(total), input_schema=SCHEMA, checks=checks).lines


def test_argument_that_sticks_is_found_behind_other_values(run_suite: RunSuite) -> None:
    """The simplest input hides it: its output is 0 with any scale."""
    earlier: Value = {}

    def sticky(value: Value) -> Value:
        if "scale" in value:
            earlier["scale"] = value["scale"]
        return total({**earlier, **value})

    checks = checks_named("arguments_of_one_request_do_not_affect_the_next")
    result = run_suite(serving(sticky), input_schema=SCHEMA, checks=checks)

    assert {"request-isolation"} == result.clauses, result.lines


COMMENTS = Schema(
    source="comments.json",
    document={
        "$defs": {
            "comment": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "replies": {"type": "array", "items": {"$ref": "#/$defs/comment"}},
                },
                "required": ["text"],
            }
        },
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/comment"}},
        "required": ["root"],
    },
)


def levels_of(comment: Value) -> int:
    """The levels of a comment and its replies."""
    return 1 + max(map(levels_of, comment.get("replies", [])), default=0)


@pytest.mark.parametrize(
    ("most_levels", "status", "is_found"),
    [(8, 502, True), (8, 400, True), (10, 400, False), (25, 502, True), (1000, 502, False)],
)
def test_chain_that_fails_at_deep_values_is_found(
    most_levels: int, status: int, *, is_found: bool, run_suite: RunSuite
) -> None:
    """A schema cannot say how deep comments may be, so a chain may reject very deep ones. It may not fail at them."""

    def count(value: Value) -> EndpointAnswer:
        levels = levels_of(value["root"])
        code = "client_error" if status == 400 else "application_error"
        return error(status, code) if levels > most_levels else json_output({"levels": levels})

    checks = checks_named("values_at_their_bounds_are_accepted")
    result = run_suite(typed_chain(COMMENTS, count), input_schema=COMMENTS, checks=checks)

    assert ({"object-accepted"} if is_found else set()) == result.clauses, result.lines


REFERENCES = {
    "integers": {"type": "integer"},
    "integers and texts": {"type": ["integer", "string"], "maxLength": 50},
    "numbers": {"type": "number"},
}


@pytest.mark.parametrize(
    ("kind", "read", "is_found"),
    [
        ("integers", lambda value: value, False),
        ("integers", float, True),
        ("integers", lambda value: int(struct.unpack("f", struct.pack("f", min(value, 2**40)))[0]), True),
        ("integers", lambda value: (value + 2**31) % 2**32 - 2**31, True),
        ("integers", lambda value: min(value, 2**31 - 1), False),
        ("integers", lambda value: value + 1, False),
        ("integers and texts", lambda value: value, False),
        ("integers and texts", lambda value: int(value) if str(value).isdigit() else value, True),
        ("integers and texts", lambda value: value[:4] if isinstance(value, str) else value, False),
        ("numbers", float, False),
    ],
)
def test_values_that_come_back_are_compared(
    kind: str, read: Callable[[Any], Any], is_found: bool, run_suite: RunSuite
) -> None:
    """An integer that loses digits and a text that becomes a number are found, if other values come back unchanged."""
    document = {"type": "object", "properties": {"id": REFERENCES[kind]}, "required": ["id"]}
    schema = Schema(source="references.json", document=document)
    endpoint = serving(lambda value: {"reference": read(value["id"]), "kind": kind}, schema)

    checks = checks_named("values_at_their_bounds_are_accepted")
    result = run_suite(endpoint, input_schema=schema, checks=checks)

    assert ({"echo-exact"} if is_found else set()) == result.clauses, result.lines


AMOUNTS = Schema(
    source="amounts.json",
    document={
        "type": "object",
        "properties": {"amount": {"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,2})?$"}},
        "required": ["amount"],
    },
)


@pytest.mark.parametrize(
    ("read", "is_found"),
    [
        (str, False),
        (float, False),
        (lambda text: f"{float(text):.4f}", False),
        (lambda text: str(min(float(text), 1e6)), False),
        (lambda text: str(struct.unpack("f", struct.pack("f", float(text)))[0]), True),
        (lambda text: f"{float(text):.8g}", True),
    ],
)
def test_decimal_numbers_that_come_back_are_compared(
    read: Callable[[str], Any], *, is_found: bool, run_suite: RunSuite
) -> None:
    """A decimal number that loses its last digits is found. It may come back in another form."""
    endpoint = serving(lambda value: {"amount": read(value["amount"])}, AMOUNTS)

    checks = checks_named("values_at_their_bounds_are_accepted")
    result = run_suite(endpoint, input_schema=AMOUNTS, checks=checks)

    assert ({"echo-exact"} if is_found else set()) == result.clauses, result.lines


TEXTS = {
    "returned as it is": (str, False),
    "escaped for HTML": (html.escape, False),
    "escaped for HTML twice": (lambda text: html.escape(html.escape(text)), True),
    "decoded as Latin-1": (lambda text: text.encode("utf-8", "surrogatepass").decode("latin-1"), True),
    "without characters beyond U+FFFF": (
        lambda text: "".join(char if ord(char) < 2**16 else "?" for char in text),
        True,
    ),
    "cut off at a NUL character": (lambda text: text.partition("\0")[0], True),
    "escapes read again": (lambda text: text.replace("\\n", "\n").replace("\\\\", "\\"), True),
    "cut off after 30 bytes": (lambda text: text.encode()[:30].decode("utf-8", "replace"), True),
    "cut off after 31 UTF-16 units": (lambda text: text.encode("utf-16-le")[:62].decode("utf-16-le", "replace"), True),
    "decoded like a form": (unquote_plus, True),
    "read like YAML": (lambda text: {"true": True, "no": False}.get(text, text), True),
    "numbers read as numbers": (lambda text: float(text) if text.isdecimal() else text, True),
    "cut off after 30 characters": (lambda text: text[:30], False),
    "without markup": (lambda text: re.sub("<[^>]*>", "", text), False),
    "without control characters": (lambda text: re.sub("[\x00-\x1f]", "", text), False),
    "without characters beyond ASCII": (lambda text: text.encode("ascii", "ignore").decode(), False),
    "one line, in lower case": (lambda text: text.splitlines()[0].strip().lower() if text.strip() else "", False),
    "the first word": (lambda text: re.split(r"\W+", text)[0], False),
    "composed": (lambda text: unicodedata.normalize("NFKC", text), False),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_that_come_back_are_compared(name: str, run_suite: RunSuite) -> None:
    """A text that was converted wrongly is found, and one that was shortened or cleaned on purpose is not."""
    read, is_found = TEXTS[name]
    endpoint = serving(lambda value: {**total(value), "text": read(value["text"])})
    checks = checks_named("values_at_their_bounds_are_accepted")
    result = run_suite(endpoint, input_schema=SCHEMA, checks=checks)

    assert ({"echo-exact"} if is_found else set()) == result.clauses, result.lines


@pytest.mark.parametrize(
    ("divide", "is_found"),
    [
        (lambda text: re.findall(r"\w+|\W", text), False),
        (lambda text: re.findall(r"\w+", text), False),
        (lambda text: re.findall(r"\w+|\W", text.partition("\0")[0]), True),
    ],
)
def test_words_of_a_text_are_no_text_that_was_cut(
    divide: Callable[[str], list[str]], *, is_found: bool, run_suite: RunSuite
) -> None:
    """A chain that returns tokens divides a text where it has an unusual character. If it loses those behind it, that is found."""
    endpoint = serving(lambda value: {"total": 0, "words": divide(value["text"])})
    checks = checks_named("values_at_their_bounds_are_accepted")
    result = run_suite(endpoint, input_schema=SCHEMA, checks=checks)

    assert ({"echo-exact"} if is_found else set()) == result.clauses, result.lines


@pytest.mark.parametrize(
    ("key", "read", "is_found"),
    [
        (lambda text: unicodedata.normalize("NFC", text), str, True),
        (str.casefold, str, True),
        (str, str, False),
        (str, lambda text: unicodedata.normalize("NFC", text).casefold(), False),
        (str, str.swapcase, False),
    ],
)
def test_a_cache_that_normalizes_its_keys_is_found(
    key: Callable[[str], str], read: Callable[[str], str], is_found: bool, run_suite: RunSuite
) -> None:
    """A chain that normalizes texts itself is correct."""
    cache: Value = {}

    def cached(value: Value) -> Value:
        rest = {name: item for name, item in value.items() if name != "text"}
        return cache.setdefault((key(value["text"]), json.dumps(rest)), total({**value, "text": read(value["text"])}))

    checks = checks_named("answers_depend_on_the_whole_input")
    result = run_suite(serving(cached), input_schema=SCHEMA, checks=checks)

    assert ({"answer-matches-request"} if is_found else set()) == result.clauses, result.lines


@pytest.mark.parametrize(("characters", "is_found"), [(50, True), (100_000, False)])
def test_a_cache_of_counts_by_the_beginning_of_a_text_is_found(
    characters: int, *, is_found: bool, run_suite: RunSuite
) -> None:
    """The output does not have the end of the text, but depends on how long it is."""
    document = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    schema, cache = Schema(source="a chain", document=document), dict[str, str]()

    def count(value: Value) -> Value:
        text = cache.setdefault(value["text"][:characters], value["text"])
        return {"summary": text[:20], "words": len(text.split())}

    checks = checks_named("answers_depend_on_the_whole_input")
    result = run_suite(serving(count, schema), input_schema=schema, checks=checks)

    assert ({"answer-matches-request"} if is_found else set()) == result.clauses, result.lines


@pytest.mark.parametrize(
    ("key", "is_found"),
    [(lambda value: value, True), (str, True), (lambda value: (type(value), value), False)],
    ids=["by equality", "by text", "by type and value"],
)
def test_a_cache_that_does_not_tell_types_apart_is_found(
    key: Callable[[Any], object], is_found: bool, run_suite: RunSuite
) -> None:
    """In Python, 1 equals True, and the text of 1 equals "1"."""
    document = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "wanted": {"type": ["integer", "boolean", "string"]}},
        "required": ["text", "wanted"],
    }
    schema, cache = Schema(source="a chain", document=document), dict[object, Value]()

    def cached(value: Value) -> Value:
        output = {"text": value["text"], "wanted": json.dumps(value["wanted"])}
        return cache.setdefault((value["text"], key(value["wanted"])), output)

    checks = checks_named("answers_depend_on_the_whole_input")
    result = run_suite(serving(cached, schema), input_schema=schema, checks=checks)

    assert ({"answer-matches-request"} if is_found else set()) == result.clauses, result.lines


def test_a_cache_that_ignores_the_time_of_a_day_is_found(run_suite: RunSuite) -> None:
    """A text of a form is varied by its last digit."""
    document = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "since": {"type": "string", "format": "date-time"}},
        "required": ["text", "since"],
    }
    schema, cache = Schema(source="a chain", document=document), dict[object, Value]()

    def cached(value: Value) -> Value:
        return cache.setdefault((value["text"], value["since"][:10]), {**value, "since": value["since"].upper()})

    checks = checks_named("answers_depend_on_the_whole_input")
    result = run_suite(serving(cached, schema), input_schema=schema, checks=checks)

    assert {"answer-matches-request"} == result.clauses, result.lines


@pytest.mark.parametrize("seed", range(8))
def test_one_of_two_values_that_depends_on_the_whole_input_is_no_cache(seed: int, run_suite: RunSuite) -> None:
    """Such as the reason why a generated text ends: by chance, similar inputs have the same one several times."""

    def generated(value: Value) -> Value:
        digest = hashlib.sha256(f"{seed} {value['text']}".encode()).digest()
        return {"text": "", "total": 0, "reason": "stop" if digest[0] % 40 <= sum(value["counts"]) % 40 else "length"}

    checks = checks_named("answers_depend_on_the_whole_input")
    result = run_suite(serving(generated), input_schema=SCHEMA, checks=checks, seed=seed)

    assert [] == result.lines


def test_some_concurrent_inputs_differ_in_one_value_only(run_suite: RunSuite) -> None:
    """A server may give the answer that it is working on to every request with the same text."""
    others: defaultdict[str, set[str]] = defaultdict(set)

    def remembering(value: Value) -> Value:
        others[value["text"]].add(json.dumps({**value, "text": ""}))
        return total(value)

    checks = checks_named("concurrent_inputs_get_their_own_answers")
    result = run_suite(serving(remembering), input_schema=SCHEMA, checks=checks)

    assert [] == result.lines
    assert 4 <= max(map(len, others.values()))


@pytest.mark.parametrize("required", [["text"], ["text", "shortest"]], ids=["with a default", "required"])
def test_large_outputs_are_found_although_an_argument_filters_them(required: list[str], run_suite: RunSuite) -> None:
    """The words of the text with at least so many characters: with large numbers there are none, however long the text is."""
    shortest = {"type": "integer", "minimum": 1, "maximum": 40}
    schema = Schema(
        source="words.json",
        document={
            "type": "object",
            "properties": {"text": {"type": "string", "maxLength": 300_000}, "shortest": shortest},
            "required": required,
        },
    )
    sizes: list[int] = []

    def words(value: Value) -> Value:
        output = {"words": [word for word in value["text"].split() if len(word) >= value.get("shortest", 1)]}
        sizes.append(len(json.dumps(output)))
        return output

    run_suite(
        serving(words, schema),
        input_schema=schema,
        checks=checks_named("large_inputs_get_complete_answers"),
    )

    assert max(sizes) > 65_536


@pytest.mark.parametrize(("seconds", "most"), [(0.001, 129), (20, 5)])
def test_no_more_items_are_sent_than_the_chain_can_process_in_time(
    seconds: float, most: int, run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as the time for few items tells: a chain may take some seconds for each item."""
    clock = itertools.count()
    monkeypatch.setattr(item_results, "monotonic", lambda: next(clock) * seconds)
    names = {"type": "array", "items": {"type": "string"}}
    document = {"type": "object", "properties": {"names": names}, "required": ["names"]}
    schema, sent = Schema(source="a chain", document=document), [0]

    def returned(value: Value) -> Value:
        sent.append(len(value["names"]) if len(set(value["names"])) == len(value["names"]) else 0)
        return value

    run_suite(
        serving(returned, schema),
        input_schema=schema,
        checks=checks_named("large_inputs_get_complete_answers"),
    )

    assert most == max(sent)


def test_only_objects_with_free_names_get_other_names() -> None:
    """A schema that ignores further members says nothing about their names, and a signature may reject them."""
    value = InputGenerator(SCHEMA).rich().value
    labels = [each.label for each in bound_inputs(value, SCHEMA.accepts, SCHEMA.document)]

    assert [label for label in labels if "names" in label] == [
        "`weights` with names of every kind",
        "`weights` with 100 names",
    ]


def test_members_that_may_be_absent_are_removed() -> None:
    """What remains is required."""
    value = {"text": "Ada", "counts": [1], "scale": 2, "weights": {"a": 1}}

    assert without_optional_members(value, SCHEMA.accepts, nested=False) == {"text": "Ada", "counts": [1]}
    assert without_optional_members(value, SCHEMA.accepts, nested=True) == {**value, "weights": {}}


def test_numbers_become_as_small_as_they_may_be() -> None:
    """But not negative: many chains take such numbers for none."""
    value = {"text": "Ada", "counts": [7, 8], "scale": 2.5, "weights": {"a": 3}}

    assert with_small_numbers(value, SCHEMA.accepts, (0, 1)) == {
        **value,
        "counts": [0, 0],
        "scale": 1,
        "weights": {"a": 0},
    }


@pytest.mark.parametrize(
    ("form", "last"),
    [
        ("date", "9999-12-31"),
        ("date-time", "9999-12-31T23:59:59.999999Z"),
        ("time", "23:59:59Z"),
        ("duration", "P2W"),
    ],
)
def test_the_first_and_last_instants_are_tried(form: str, last: str) -> None:
    """Such as the last date, whose next day does not exist."""
    document = {"type": "object", "properties": {"at": {"type": "string", "format": form}}, "required": ["at"]}
    schema = Schema(source="a chain", document=document)
    value = InputGenerator(schema).rich().value
    sent = {json.loads(each.content)["at"] for each in bound_inputs(value, schema.accepts, document)}

    assert last in sent, sent


def test_zero_is_sent_between_the_bounds() -> None:
    """For all numbers at once, and for each one."""
    number = {"type": "number", "minimum": -90, "maximum": 90}
    document = {"type": "object", "properties": {"latitude": number, "longitude": number}}
    accepts = Schema(source="a chain", document=document).accepts
    found = list(bound_inputs({"latitude": 52.5, "longitude": 13.4}, accepts, document))
    sent = [json.loads(part.content) for each in found for part in (each, *each.parts)]

    assert {"latitude": 0, "longitude": 0} in sent
    assert {"latitude": 0, "longitude": 13.4} in sent


def test_items_that_may_be_null_are_null() -> None:
    """Such as missing values of a time series."""
    items = {"type": "array", "items": {"type": ["number", "null"]}}
    document = {"type": "object", "properties": {"values": items, "name": {"type": "string"}}}
    accepts = Schema(source="a chain", document=document).accepts
    sent = [json.loads(each.content) for each in bound_inputs({"values": [1.5, 2], "name": "a"}, accepts, document)]

    assert {"values": [None, None], "name": "a"} in sent


def test_texts_of_a_form_are_as_long_and_as_short_as_they_may_be() -> None:
    """Such as article numbers with three to six digits."""
    number = {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,6}$"}
    document = {"type": "object", "properties": {"number": number}}
    accepts = Schema(source="a chain", document=document).accepts
    sent = [json.loads(each.content) for each in bound_inputs({"number": "AB-1234"}, accepts, document)]

    assert {"number": "AB-123444"} in sent
    assert {"number": "AB-123"} in sent


def test_values_of_every_permitted_type_are_sent() -> None:
    """Such as a text instead of a list of parts."""
    content = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["string", "integer", "boolean"]}}]}
    document = {"type": "object", "properties": {"content": content}, "required": ["content"]}
    accepts = Schema(source="a chain", document=document).accepts
    sent = [json.loads(each.content) for each in bound_inputs({"content": ["a", "b"]}, accepts, document)]

    assert [each for each in ("", " ", [True, True], [1, 1], []) if {"content": each} not in sent] == []


def test_base64_is_sent_with_and_without_padding() -> None:
    """Also as a large text, which characters of other kinds would make invalid."""
    pattern = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
    document = {
        "type": "object",
        "properties": {"image": {"type": "string", "pattern": pattern}},
        "required": ["image"],
    }
    schema = Schema(source="a chain", document=document)
    value = {"image": "TWFu"}
    sent = {json.loads(each.content)["image"] for each in bound_inputs(value, schema.accepts, document)}

    assert {0, 1, 2} == {text.count("=") for text in sent}
    assert any("+" in text and "/" in text for text in sent)
    assert all(len(each.content) > 4_000 for each in large_inputs(value, schema.accepts, 10_000))
    assert 1 == len(list(large_inputs(value, schema.accepts, 10_000)))


def test_bounds_of_nested_arrays_are_found_with_few_questions() -> None:
    """A schema that contains itself has many arrays, and each question about many items takes long."""
    value: Value = {"parts": []}
    for _ in range(30):
        value = {"parts": [value]}
    large: list[int] = []

    def accepts(changed: Any) -> bool:
        while isinstance(changed, dict) and isinstance(parts := changed.get("parts"), list) and parts:
            large.extend([len(parts)] if len(parts) > 1000 else [])
            changed = parts[0]
        return True

    list(bound_inputs(value, accepts, {}))
    assert 12 == len(large)
