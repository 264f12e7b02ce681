"""The user's slow input, of a chain with required arguments."""

from __future__ import annotations

import json

import pytest

from chainproof.chain_schema.schema import Schema

from ..conftest import RunSuite, checks_named
from ..endpoints import EndpointAnswer, error, json_output, typed_chain

SCHEMA = Schema(
    source="greeting.json",
    document={"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}, "required": ["name"]},
)
LATE = checks_named("late_answers_do_not_reach_the_next_request")
SLOW = b'{"name":"somebody who waits"}'


class Greeting:
    """Greets by name. A slow name is answered 504, and *is_late* says whether the next request gets its output."""

    def __init__(self, *, is_late: bool) -> None:
        self._is_late = is_late
        self._late: str | None = None

    def __call__(self, value: dict[str, str]) -> EndpointAnswer:
        """The answer to an input."""
        if value == json.loads(SLOW):
            self._late = value["name"]
            return error(504, "timeout")
        name, self._late = (self._late if self._is_late else None) or value["name"], None
        return json_output({"greeting": f"Hello {name}, good day"})


@pytest.mark.parametrize("is_late", [True, False])
def test_the_output_for_a_slow_input_is_recognised_in_the_next_answer(run_suite: RunSuite, *, is_late: bool) -> None:
    """It was never received, so that only its texts show whose it is."""
    result = run_suite(
        typed_chain(SCHEMA, Greeting(is_late=is_late)), input_schema=SCHEMA, slow_input=SLOW, checks=LATE
    )

    assert is_late is ("answer-matches-request" in result.clauses), result.lines
    assert is_late or not result.findings


def test_a_slow_input_that_is_rejected_is_noted(run_suite: RunSuite) -> None:
    """It shows nothing, and the user should know."""
    result = run_suite(
        typed_chain(SCHEMA, Greeting(is_late=False)),
        input_schema=SCHEMA,
        slow_input=b'{"name":""}',
        checks=LATE,
    )

    assert any("--slow-payload is answered 400" in note for note in result.finding_recorder.coverage.notes)
