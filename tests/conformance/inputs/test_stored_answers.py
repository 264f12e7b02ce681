"""A chain that returns what it has stored for another caller: asking which inputs it accepts must not hide that."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from chainproof.chain_schema.schema import Schema
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.inputs.chain_schema import ChainSchema
from chainproof.conformance.inputs.input_variations import unique_places
from chainproof.conformance.judging.finding_recorder import FindingRecorder
from chainproof.conformance.options import Settings
from chainproof.conformance.probing.input_source import InputSource, input_source
from chainproof.conformance.probing.outputs.request_isolation import judge_similar_inputs
from chainproof.conformance.runner.input_discovery import discover_inputs
from chainproof.contract.clauses import ANSWER_MATCHES_REQUEST, ANSWER_REPEATABLE

from ..conftest import RunSuite, checks_named
from ..endpoints import (
    AnswerFunction,
    EndpointAnswer,
    error,
    gateway,
    json_output,
    typed_chain,
)
from ..in_process import InProcessClient, make_requester

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
WHOLE = checks_named("answers_depend_on_the_whole_input")
STICKING = checks_named("arguments_of_one_request_do_not_affect_the_next")
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


def served(output: Callable[[Value], Value]) -> AnswerFunction:
    """An endpoint whose chain has this output, and which answers 500 if the chain raises an exception."""

    def answer(value: Value) -> EndpointAnswer:
        try:
            return json_output(output(value))
        except IndexError:
            return error(500, "application_error")

    return typed_chain(SCHEMA, answer)


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
    result = run_suite(served(stored(output)), checks=WHOLE, input_schema=SCHEMA)

    assert result.clauses - {"status"} == LEAK


class Clock:
    """A clock of a server, on which time passes only while the checks pause."""

    def __init__(self) -> None:
        self.now = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def stored_for_a_moment(output: Callable[[Value], Value], clock: Clock) -> Callable[[Value], Value]:
    """A gateway that gives the first output to all requests of the next 50 ms."""
    stored: list[tuple[float, Value]] = []

    def answer(value: Value) -> Value:
        if not stored or clock.now - stored[-1][0] > 0.05:
            stored.append((clock.now, output(value)))
        return stored[-1][1]

    return answer


def test_outputs_that_are_stored_for_a_moment_are_mixed_up(run_suite: RunSuite) -> None:
    """All values of the outputs seem to depend on the time. They depend on which of two inputs came first."""
    schema_only = {"echo": False, "steerable": False, "payloads": (PAYLOAD,), "input_schema": SCHEMA}

    clock = Clock()

    result = run_suite(served(stored_for_a_moment(forgiving, clock)), checks=WHOLE, pause=clock.advance, **schema_only)

    assert result.clauses == LEAK


_CLOCK = Clock()
_COUNTED = itertools.count()
MOMENTS: dict[str, Callable[[Value], Value]] = {
    "equal outputs": lambda value: {"results": []},
    "the time only": lambda value: {"moment": int(_CLOCK.now * 10)},
    "the number of requests": lambda value: {"number": next(_COUNTED) // 2},
}


@pytest.mark.parametrize("name", MOMENTS)
def test_outputs_without_anything_of_the_input_are_not_called_mixed_up(run_suite: RunSuite, name: str) -> None:
    """Two inputs one after the other have equal outputs, and later ones have others."""
    options = {"echo": False, "steerable": False, "payloads": (PAYLOAD,), "input_schema": SCHEMA}

    assert run_suite(served(MOMENTS[name]), checks=WHOLE, pause=_CLOCK.advance, **options).clauses == set()


def test_outputs_that_never_change_exercise_nothing(run_suite: RunSuite) -> None:
    """Nothing is known about a store if no changed value changes the output, also if no answer had data of another request."""
    result = run_suite(served(lambda _: {"results": []}), checks=MIXED_UP, payloads=(PAYLOAD,))

    count = result.finding_recorder.exercise_count
    assert set(result.skipped) == {each.name for each in MIXED_UP[:2]}
    assert (count(ANSWER_MATCHES_REQUEST), count(ANSWER_REPEATABLE) > 0) == (0, True)


def test_arguments_that_stick_are_found_without_a_schema(run_suite: RunSuite) -> None:
    """The check sees the first effect of an input, although it has to ask whether the input is accepted."""
    kept: Value = {"language": "en"}

    def answer(value: Value) -> EndpointAnswer:
        if not isinstance(value.get("text"), str) or not isinstance(value.get("language", ""), str):
            return error(400, "client_error")
        kept.update(value)
        return json_output({"language": kept["language"]})

    payloads = (b'{"text":"a"}', b'{"text":"a","language":"en"}')
    result = run_suite(gateway(answer), checks=STICKING, payloads=payloads)

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


EMBED_SCHEMA = Schema(
    source="embed.json",
    document={
        "type": "object",
        "properties": {
            "texts": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "normalize": {"type": "boolean"},
        },
        "required": ["texts"],
    },
)
PAIR_SCHEMA = Schema(
    source="pair.json",
    document={
        "type": "object",
        "properties": {"first": {"type": "string"}, "last": {"type": "string"}, "normalize": {"type": "boolean"}},
        "required": ["first", "last"],
    },
)


def number_of(*values: Any) -> float:
    """A number that depends on all of some values."""
    return int.from_bytes(hashlib.sha256(json.dumps(values).encode()).digest()[:6]) / 2**48


def embed(value: Value) -> Value:
    """A vector for each text, all of which depends on it."""
    return {"embeddings": [[number_of(text, index) for index in range(8)] for text in value["texts"]]}


def scored(value: Value) -> Value:
    """A number that depends on both texts, and one that the answer has alone."""
    return {"id": random.random(), "score": number_of(value["first"], value["last"])}


def ran(
    run_suite: RunSuite, schema: Schema, output: Callable[[Value], Value], key: Callable[[Value], object]
) -> set[str]:
    """The violated clauses of a chain that stores its outputs by this key."""
    stored: dict[object, Value] = {}

    def answer(value: Value) -> EndpointAnswer:
        found = stored.setdefault(key(value), output(value))
        found = {**found, "id": random.random()} if "id" in found else found
        return json_output(found)

    return run_suite(typed_chain(schema, answer), checks=WHOLE, input_schema=schema).clauses


SEPARATORS = ("", " ", ",", "|", "\n")


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_cache_whose_key_joins_the_texts_of_an_array_is_found(run_suite: RunSuite, separator: str) -> None:
    """Everything in the output depends on each text, so that only the number of vectors shows whose they are."""
    assert (
        ran(run_suite, EMBED_SCHEMA, embed, lambda value: (value.get("normalize"), separator.join(value["texts"])))
        == LEAK
    )


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_cache_whose_key_joins_two_arguments_is_found(run_suite: RunSuite, separator: str) -> None:
    """The whole output depends on both, so that only an input that is new to the cache shows what its own output is."""

    def key(value: Value) -> object:
        return (value.get("normalize"), f"{value['first']}{separator}{value['last']}")

    assert ran(run_suite, PAIR_SCHEMA, scored, key) == LEAK


def test_a_cache_whose_key_sorts_words_is_found(run_suite: RunSuite) -> None:
    """Texts with the same words in another order are other texts."""

    def key(value: Value) -> object:
        return (value.get("normalize"), *(" ".join(sorted(value[name].split())) for name in ("first", "last")))

    assert ran(run_suite, PAIR_SCHEMA, scored, key) == LEAK


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_chain_that_joins_texts_itself_is_no_cache(run_suite: RunSuite, separator: str) -> None:
    """Equal outputs are right if they depend on the joined text only, also with a whole key."""

    def joined(value: Value) -> Value:
        return {"score": number_of(separator.join(value["texts"]))}

    def named(value: Value) -> Value:
        return {"score": number_of(value["first"] + separator + value["last"])}

    assert (set(), set()) == (ran(run_suite, EMBED_SCHEMA, joined, str), ran(run_suite, PAIR_SCHEMA, named, str))


def test_a_cache_is_found_although_many_words_of_its_texts_are_equal_by_chance(run_suite: RunSuite) -> None:
    """Each of the words is one of few, so that some of them seem to depend on the style only."""
    document = {
        "type": "object",
        "properties": {"prompt": {"type": "string"}, "style": {"enum": ["plain", "vivid"]}},
        "required": ["prompt", "style"],
    }

    def written(value: Value) -> Value:
        numbers = (number_of(value["prompt"], value["style"], index) for index in range(90))
        return {"text": " ".join("abcd"[int(4 * number)] for number in numbers), "style": value["style"]}

    schema = Schema(source="written.json", document=document)
    assert ran(run_suite, schema, written, lambda value: value["prompt"]) == LEAK
    assert ran(run_suite, schema, written, str) == set()


def test_values_of_a_few_by_chance_are_no_store() -> None:
    """A value that is one of three by chance may change and stay the same as if a store decided, but not that often."""
    rng = random.Random(1)
    noisy = served(lambda value: {**forgiving(value), "queue_position": rng.randrange(3)})
    client = InProcessClient(noisy)
    recorder = FindingRecorder(None, client.target, 1)
    chain_schema = ChainSchema(input_schema=SCHEMA, minimal_input=PAYLOAD)
    requester = make_requester(client, recorder, settings=Settings(seed=1), chain_schema=chain_schema)
    discover_inputs(requester)
    for number in range(40):
        judge_similar_inputs(requester, input_source(requester, f"chance {number}"), 4)

    assert () == recorder.findings
