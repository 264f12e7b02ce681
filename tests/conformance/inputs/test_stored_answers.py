"""A chain that returns what it has stored for another caller: asking which inputs it accepts must not hide that."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from chainproof.chain_schema.schema import Schema
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.inputs.input_variations import unique_places
from chainproof.conformance.probing.input_source import InputSource
from chainproof.contract.clauses import ANSWER_MATCHES_REQUEST, ANSWER_REPEATABLE

from ..conftest import RunSuite
from ..endpoints import EndpointAnswer, EndpointRequest, error, rejection

Value = dict[str, Any]
PAYLOAD = b'{"question":"Q1 abc","documents":["a document of Alice"],"top_k":1}'
SCHEMA = Schema(
    source="rerank.json",
    document={
        "type": "object",
        "properties": {
            "question": {"type": "string"},
            "documents": {"type": "array", "items": {"type": "string"}},
            "top_k": {"type": "integer"},
        },
        "required": ["question", "documents", "top_k"],
    },
)
WHOLE = tuple(each for each in ALL_CHECKS if each.name == "answers_depend_on_the_whole_input")
STICKING = tuple(each for each in ALL_CHECKS if each.name == "arguments_of_one_request_do_not_affect_the_next")
MIXED_UP = tuple(
    each
    for name in (
        "concurrent_inputs_get_their_own_answers",
        "answers_depend_on_the_whole_input",
        "no_answer_contains_data_of_another_request",
    )
    for each in ALL_CHECKS
    if each.name == name
)
LEAK = {"answer-matches-request"}


def rerank(value: Value) -> Value:
    """The documents with their scores. Raises IndexError if more are wanted than there are."""
    scored = [{"text": each, "score": len(each)} for each in value["documents"]]
    return {"results": [scored[number] for number in range(value["top_k"])]}


def forgiving(value: Value) -> Value:
    """The same without the exception."""
    return rerank({**value, "top_k": min(value["top_k"], len(value["documents"]))})


def served(output: Callable[[Value], Value]) -> Callable[[EndpointRequest], EndpointAnswer]:
    """An endpoint whose chain has this output, and which answers 500 if the chain raises an exception."""

    def answer(request: EndpointRequest) -> EndpointAnswer:
        if (rejected := rejection(request)) is not None:
            return rejected
        value = json.loads(request.body)
        if not SCHEMA.accepts(value):
            return error(400, "client_error")
        try:
            return EndpointAnswer(status=200, body=json.dumps(output(value)).encode())
        except IndexError:
            return error(500, "application_error")

    return answer


def with_documents_by_question(output: Callable[[Value], Value]) -> Callable[[Value], Value]:
    """A chain that stores the documents of each question."""
    stored: dict[str, list[str]] = {}
    return lambda value: output({**value, "documents": stored.setdefault(value["question"], value["documents"])})


def with_outputs_by_question(output: Callable[[Value], Value]) -> Callable[[Value], Value]:
    """A chain that stores the output for each question."""
    stored: dict[str, Value] = {}

    def answer(value: Value) -> Value:
        if value["question"] not in stored:
            stored[value["question"]] = output(value)
        return stored[value["question"]]

    return answer


@pytest.mark.parametrize("schema", [None, SCHEMA])
@pytest.mark.parametrize("output", [forgiving, rerank])
@pytest.mark.parametrize("stored", [with_documents_by_question, with_outputs_by_question])
def test_stored_answers_of_other_callers_are_found(
    run_suite: RunSuite,
    stored: Callable[[Callable[[Value], Value]], Callable[[Value], Value]],
    output: Callable[[Value], Value],
    schema: Schema | None,
) -> None:
    """With and without a schema, and although the chain answers many inputs with 500."""
    options = {"echo": False, "steerable": False, "payloads": (PAYLOAD,), "input_schema": schema}

    result = run_suite(served(stored(output)), checks=WHOLE, **options)

    assert result.clauses - {"status"} == LEAK


@pytest.mark.parametrize("output", [forgiving, rerank])
@pytest.mark.parametrize("schema", [None, SCHEMA])
def test_a_chain_without_a_store_has_no_such_finding(
    run_suite: RunSuite, schema: Schema | None, output: Callable[[Value], Value]
) -> None:
    """The outputs of this chain depend on the whole input."""
    options = {"echo": False, "steerable": False, "payloads": (PAYLOAD,), "input_schema": schema}

    result = run_suite(served(output), checks=WHOLE, **options)

    assert (result.clauses - {"status"}, result.skipped) == (set(), {})


@pytest.mark.parametrize("output", [forgiving, rerank])
@pytest.mark.parametrize("stored", [with_documents_by_question, with_outputs_by_question])
def test_stored_answers_are_found_with_nothing_but_a_schema(
    run_suite: RunSuite,
    stored: Callable[[Callable[[Value], Value]], Callable[[Value], Value]],
    output: Callable[[Value], Value],
) -> None:
    """A generated `top_k` leaves the output empty, as every negative one and 0 do, or is answered with 500."""
    result = run_suite(served(stored(output)), echo=False, steerable=False, checks=WHOLE, input_schema=SCHEMA)

    assert result.clauses - {"status"} == LEAK


def test_outputs_that_never_change_exercise_nothing(run_suite: RunSuite) -> None:
    """Nothing is known about a store if no changed value changes the output, also if no answer had data of another request."""
    result = run_suite(
        served(lambda _: {"results": []}), echo=False, steerable=False, checks=MIXED_UP, payloads=(PAYLOAD,)
    )

    count = result.finding_recorder.exercise_count
    assert set(result.skipped) == {each.name for each in MIXED_UP[:2]}
    assert (count(ANSWER_MATCHES_REQUEST), count(ANSWER_REPEATABLE) > 0) == (0, True)


def test_arguments_that_stick_are_found_without_a_schema(run_suite: RunSuite) -> None:
    """The check sees the first effect of an input, although it has to ask whether the input is accepted."""
    kept: Value = {"language": "en"}

    def answer(request: EndpointRequest) -> EndpointAnswer:
        if (rejected := rejection(request)) is not None:
            return rejected
        value = json.loads(request.body)
        if not isinstance(value.get("text"), str) or not isinstance(value.get("language", ""), str):
            return error(400, "client_error")
        kept.update(value)
        return EndpointAnswer(status=200, body=json.dumps({"language": kept["language"]}).encode())

    payloads = (b'{"text":"a"}', b'{"text":"a","language":"en"}')
    result = run_suite(answer, echo=False, steerable=False, checks=STICKING, payloads=payloads)

    assert "request-isolation" in result.clauses


def test_a_target_is_never_asked_about_the_input_that_is_sent_later() -> None:
    """It is asked once about an example with other unique values, so that the input itself stays new."""
    asked: list[str] = []

    def accepts(value: object) -> bool:
        asked.append(json.dumps(value))
        return True

    value: Value = {"question": "a", "documents": ["b", "c"], "top_k": 1}
    rng = random.Random(3)
    source = InputSource(
        value=value, accepts=accepts, places=unique_places(value, accepts, rng), words=(), rng=rng, is_asked=True
    )

    first, second = source.unique(), source.unique()

    texts = {str(each) for each in (first, second) for each in (each["question"], *each["documents"], each["top_k"])}
    assert len(texts) == 8
    assert not [text for text in texts for each in asked if text in each]
