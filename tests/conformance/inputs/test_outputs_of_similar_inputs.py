"""Chains that return something other than their input: defects that show only if outputs for similar inputs are compared."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chainproof.chain_schema.schema import Schema
from chainproof.contract import clauses

from ..conftest import RunSuite, checks_named
from ..endpoints import (
    AnswerFunction,
    EndpointAnswer,
    EndpointRequest,
    error,
    gateway,
    json_output,
    typed_chain,
)

Value = dict[str, Any]
Output = Callable[[Value], Value]

SEARCH = Schema(
    source="search.json",
    document={
        "type": "object",
        "properties": {
            "query": {"type": "string", "maxLength": 2000},
            "language": {"enum": ["en", "de", "fr"], "default": "en"},
            "min_score": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
            "limit": {"type": "integer", "minimum": 1, "maximum": 20, "default": 4},
        },
        "required": ["query"],
    },
)
DEFAULTS: Value = {"language": "en", "min_score": 0, "limit": 4}
IMAGE = Schema(
    source="image.json",
    document={
        "type": "object",
        "properties": {
            "image": {"type": "string", "pattern": "^([A-Za-z0-9+/]{4}){1,500}[A-Za-z0-9+/]{2}==$"},
            "dpi": {"type": "integer", "minimum": 72, "maximum": 1200},
        },
        "required": ["image", "dpi"],
    },
)


def digits(*parts: object) -> int:
    """A number that depends on all parts."""
    return zlib.crc32(json.dumps(parts).encode())


def search(value: Value) -> Value:
    """Hits whose scores are below the highest value of `min_score`."""
    value = {**DEFAULTS, **value}
    hits = [
        {"id": number, "language": value["language"], "score": 0.9 / number} for number in range(1, value["limit"] + 1)
    ]
    return {
        "title": f"{value['language']}: {value['query']}",
        "hits": [hit for hit in hits if hit["score"] >= value["min_score"]],
    }


def render(value: Value) -> Value:
    """The number of bytes of an image, and how bright its last ones are."""
    content = base64.b64decode(value["image"][:-4] + "AAAA")
    return {"size": len(content), "brightness": sum(content[-12:]), "dpi": value["dpi"]}


def served(answer: Output, schema: Schema = SEARCH) -> AnswerFunction:
    """An endpoint whose chain has this output for each input that matches the schema."""
    return typed_chain(schema, lambda value: json_output(answer(value)))


def cached(output: Output, key: Callable[[Value], object]) -> Output:
    """The same with a cache."""
    outputs: dict[str, Value] = {}
    return lambda value: outputs.setdefault(json.dumps(key(value)), output(value))


EQUAL = "equal_inputs_get_equal_answers"
WHOLE = "answers_depend_on_the_whole_input"
CONCURRENT = "concurrent_inputs_get_their_own_answers"


def lines(run_suite: RunSuite, server: object, name: str, schema: Schema = SEARCH) -> list[str]:
    """The findings of one check."""
    return run_suite(server, checks=checks_named(name), input_schema=schema).lines


FAULTY: dict[str, tuple[str, Output]] = {
    "the chain has another default": (EQUAL, lambda value: search({"limit": 3, **value})),
    "the body replaces the output": (EQUAL, lambda value: {**search(value), **value}),
    "cached without an argument that the output names beside the query": (
        WHOLE,
        cached(lambda value: {"title": search(value)["title"]}, lambda value: value["query"]),
    ),
    "cached by the beginning of the query": (
        WHOLE,
        cached(
            lambda value: {"words": len(value["query"]), "end": value["query"][-1:]},
            lambda value: [value["query"][:200], value.get("limit")],
        ),
    ),
}
CORRECT: dict[str, tuple[str, Output]] = {
    "the output replaces the body": (EQUAL, lambda value: {**value, **search(value)}),
    "the output names the arguments that are set": (EQUAL, lambda value: {**search(value), "request": value}),
    "only the beginning of the query is read": (WHOLE, lambda value: search({**value, "query": value["query"][:100]})),
    "cached by the whole input": (WHOLE, cached(search, lambda value: sorted(value.items(), key=str))),
}


def test_a_mixed_up_answer_shows_the_member_and_the_other_input(run_suite: RunSuite) -> None:
    """So that the owner of the chain can tell whose data it is."""
    earlier: list[dict[str, Any]] = []

    def mixed_up(value: dict[str, Any]) -> dict[str, Any]:
        earlier.append(value)
        shown = earlier[-2] if len(earlier) > 60 and len(earlier) % 5 == 0 else value
        return {**search(value), "title": search(shown)["title"]}

    result = run_suite(served(mixed_up), checks=checks_named(CONCURRENT), input_schema=SEARCH)
    (found,) = result.finding_recorder.findings

    assert clauses.ANSWER_MATCHES_REQUEST.id == found.clause
    assert re.match(r'`title` has a text that only another request has: \{"query"', found.actual)


@pytest.mark.parametrize("name", FAULTY)
def test_different_outputs_show_a_fault(name: str, run_suite: RunSuite) -> None:
    """The check has one finding."""
    check_name, output = FAULTY[name]

    assert len(lines(run_suite, served(output), check_name)) == 1


@pytest.mark.parametrize("name", CORRECT)
def test_correct_chains_have_no_findings(name: str, run_suite: RunSuite) -> None:
    """Neither do those whose outputs look similar to those of the faulty ones."""
    check_name, output = CORRECT[name]

    assert lines(run_suite, served(output), check_name) == []


def test_the_end_of_a_file_in_base64_is_changed(run_suite: RunSuite) -> None:
    """Padding ends a file, so that characters after it change nothing."""
    server = served(cached(render, lambda value: [value["image"][:100], value["dpi"]]), IMAGE)

    assert lines(run_suite, server, WHOLE, IMAGE) != []
    assert lines(run_suite, served(render, IMAGE), WHOLE, IMAGE) == []


def test_an_argument_that_hides_the_output_is_changed(run_suite: RunSuite) -> None:
    """A least score that no hit has would hide that the language of the hits is cached."""

    def hidden(value: Value) -> Value:
        return {"hits": search({**value, "min_score": 0})["hits"] if value.get("min_score", 0) < 0.01 else []}

    server = served(cached(hidden, lambda value: [value["query"], value.get("min_score")]))

    assert lines(run_suite, server, WHOLE) != []


def test_a_conversation_that_an_argument_clears_is_found(run_suite: RunSuite) -> None:
    """Identifiers that are cut off after 20 characters are found with a chain that can clear its history."""
    schema = replace(
        SEARCH,
        document={
            "type": "object",
            "properties": {
                "conversation_id": {"type": "string", "minLength": 1, "maxLength": 64},
                "message": {"type": "string", "minLength": 1, "maxLength": 100},
                "clear": {"enum": [True]},
            },
            "required": ["conversation_id", "message"],
        },
    )
    histories: dict[str, list[str]] = {}

    def remember(value: Value) -> Value:
        history = histories.setdefault(value["conversation_id"][:20], [])
        if value.get("clear"):
            history.clear()
        history.append(value["message"])
        return {"history": history[-3:]}

    assert lines(run_suite, served(remember, schema), WHOLE, schema) != []


def test_an_invalid_input_must_not_fail_others(run_suite: RunSuite) -> None:
    """A chain that processes requests in batches loses all of a batch if one of them is invalid."""
    moments: list[float] = [0]

    def answer(request: EndpointRequest) -> EndpointAnswer:
        correct = served(search)(request)
        if correct.status == 400 and request.authorized:
            moments.append(time.monotonic())
        time.sleep(0.003)  # requests of other threads arrive meanwhile: real threads have no clock to replace
        is_lost = correct.status == 200 and time.monotonic() - moments[-1] < 0.003
        return error(500, "internal_baseten_error") if is_lost else correct

    assert lines(run_suite, answer, CONCURRENT) != []


def test_outputs_of_the_first_requests_are_not_compared(run_suite: RunSuite) -> None:
    """
    The requests that find out which inputs are accepted overlap. If their outputs are wrong, those of later requests are not
    called a matter of chance.
    """
    file, lock = {"query": ""}, threading.Lock()

    def swapped(value: Value) -> Value:
        file["query"] = value["query"]
        time.sleep(0.004)  # other threads overwrite the file meanwhile: real threads have no clock to replace
        with lock:
            return {"score": digits(file["query"], value.get("language"), value.get("limit"))}

    assert lines(run_suite, served(swapped), CONCURRENT) != []


TEXTS = Schema(
    source="texts.json",
    document={
        "type": "object",
        "properties": {"texts": {"type": "array", "items": {"type": "string", "maxLength": 40}, "minItems": 1}},
        "required": ["texts"],
    },
)
SCORES: dict[str, tuple[Output, bool]] = {
    "each item alone": (lambda value: {"scores": [digits(text) for text in value["texts"]]}, False),
    "equal items once": (lambda value: {"scores": [digits(text) for text in dict.fromkeys(value["texts"])]}, False),
    "with the number of the item": (
        lambda value: {"scores": [f"{number}: {digits(text)}" for number, text in enumerate(value["texts"])]},
        False,
    ),
    "nothing for the second one": (
        lambda value: {
            "scores": [digits(text) if text not in value["texts"][:at] else 0 for at, text in enumerate(value["texts"])]
        },
        True,
    ),
}


@pytest.mark.parametrize("name", SCORES)
def test_equal_items_have_equal_results(name: str, run_suite: RunSuite) -> None:
    """If the result of an item does not depend on its place, then two equal items have the same one."""
    output, is_faulty = SCORES[name]

    assert bool(lines(run_suite, served(output, TEXTS), "large_inputs_get_complete_answers", TEXTS)) == is_faulty


@pytest.mark.parametrize("limit", [100, 1000])
def test_a_limit_of_results_is_noted(limit: int, run_suite: RunSuite) -> None:
    """A chain may answer only the first items of a long array, which is no finding, but the report says so."""
    server = served(lambda value: {"scores": [digits(text) for text in value["texts"][:limit]]}, TEXTS)
    result = run_suite(server, checks=checks_named("large_inputs_get_complete_answers"), input_schema=TEXTS)

    assert result.lines == []
    noted = [note for note in result.finding_recorder.coverage.notes if "129 items of `texts` have 100 results" in note]
    assert bool(noted) == (limit == 100)


def test_offsets_with_minutes_are_sent(run_suite: RunSuite) -> None:
    """Not only offsets of whole hours."""
    document = {
        "type": "object",
        "properties": {
            "start": {"type": "string", "format": "date-time"},
            "add": {"type": "string", "format": "duration"},
        },
        "required": ["start"],
    }
    schema = replace(SEARCH, document=document)
    sent: set[str] = set()

    def remember(value: Value) -> Value:
        sent.update(str(item) for item in value.values())
        return {"start": value["start"]}

    lines(run_suite, served(remember, schema), "values_at_their_bounds_are_accepted", schema)
    assert any(text.endswith("+05:30") for text in sent)


def test_a_number_of_users_may_grow(run_suite: RunSuite) -> None:
    """A chain that ranks players counts those that it has seen. No argument of one sticks to the next."""
    schema = replace(
        SEARCH,
        document={
            "type": "object",
            "properties": {
                "player": {"type": "string", "minLength": 1, "maxLength": 30},
                "score": {"type": "number", "minimum": 0, "maximum": 1e6},
                "mode": {"enum": ["solo", "duo"]},
            },
            "required": ["player", "score"],
        },
    )
    scores: dict[str, float] = {}

    def rank(value: Value) -> Value:
        best = scores[value["player"]] = max(value["score"], scores.get(value["player"], 0))
        return {"best": best, "players": len(scores)}

    assert lines(run_suite, served(rank, schema), "arguments_of_one_request_do_not_affect_the_next", schema) == []


def test_a_rejection_must_not_affect_the_same_text_with_valid_arguments(run_suite: RunSuite) -> None:
    """A chain that remembers the query of a rejected input rejects it later too."""
    rejected: set[object] = set()

    def answer(value: Value) -> EndpointAnswer:
        if not SEARCH.accepts(value):
            rejected.add(str(value.get("query")))
        is_accepted = SEARCH.accepts(value) and value["query"] not in rejected
        return json_output({"hits": []}) if is_accepted else error(400, "client_error")

    assert lines(run_suite, gateway(answer), EQUAL) != []


def test_inputs_with_invalid_arguments_must_not_use_up_the_target(run_suite: RunSuite) -> None:
    """A chain that keeps a place for each input that it rejects, before it validates the next one, has none left."""
    places = threading.Semaphore(24)

    def answer(value: Value) -> EndpointAnswer:
        if not places.acquire(blocking=False):
            return error(500, "internal_baseten_error")
        if not SEARCH.accepts(value):
            return error(400, "client_error")
        places.release()
        return json_output({"hits": []})

    assert lines(run_suite, gateway(answer), "bad_requests_do_not_use_up_the_target") != []
