"""Inputs that a chain accepts: read from a file, kept as written, found by asking."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.conformance.inputs.chain_inputs import (
    ChainInputs,
    initial_inputs,
    load_payload_file,
    padded,
    with_member,
)
from chainproof.conformance.inputs.input_search import MAX_ATTEMPTS, InputSearch
from chainproof.contract.answer import Answer
from chainproof.errors import UsageError
from chainproof.json_text import JSON

_Validate = Callable[[dict[str, object]], str | list[object] | None]
"""The error of a chain for an input; None if it accepts the input."""


def _rejection(error: object) -> Answer:
    return Answer(status=400, headers=(), body=json.dumps(error).encode())


def _found(validate: _Validate) -> bytes | None:
    """The input that the search finds for a chain; None if it gives up."""
    search, body = InputSearch(), b"{}"
    for _ in range(MAX_ATTEMPTS):
        error = validate(json.loads(body))
        if error is None:
            return body
        following = search.next_input(_rejection({"error": error} if isinstance(error, str) else {"detail": error}))
        if following is None:
            return None
        body = following
    return None


_TYPES = {"list": list, "string": str, "integer": int, "boolean": bool, "dictionary": dict}


def _pydantic_like(**arguments: str) -> _Validate:
    """A chain that rejects inputs as the service's own server does, with one line for each argument."""

    def validate(value: dict[str, object]) -> str | None:
        lines = [f"  `{name}`: Field required." for name in arguments if name not in value]
        lines += [
            f"  `{name}`: Input should be a valid {kind}."
            for name, kind in arguments.items()
            if name in value and not isinstance(value[name], _TYPES[kind])
        ]
        return "Input Parsing Error:\n" + "\n".join(lines) if lines else None

    return validate


def _fastapi_like(value: dict[str, object]) -> list[object] | None:
    """A chain with a nested model that rejects inputs as FastAPI does."""
    options = value.get("options")
    if not isinstance(options, dict):
        message = "Input should be a valid dictionary" if "options" in value else "Field required"
        return [{"type": "missing", "loc": ["body", "options"], "msg": message}]
    if not isinstance(options.get("limit"), int):
        message = "Input should be a valid integer" if "limit" in options else "Field required"
        return [{"type": "missing", "loc": ["body", "options", "limit"], "msg": message}]
    if not options["limit"] >= 5:
        return [{"loc": ["body", "options", "limit"], "msg": "Input should be greater than or equal to 5"}]
    return None


def _python_like(value: dict[str, object]) -> str | None:
    """A chain that calls a Python function with the input."""
    missing = [repr(name) for name in ("text", "size") if name not in value]
    if missing:
        return f"TypeError: run_remote() missing {len(missing)} required positional arguments: {' and '.join(missing)}"
    return None if isinstance(value["size"], int | str) else "no"


@pytest.mark.parametrize(
    "validate",
    [_pydantic_like(names="list", count="integer", loud="boolean"), _fastapi_like, _python_like],
    ids=["service", "fastapi", "python"],
)
def test_the_search_follows_the_errors_of_a_chain_to_an_accepted_input(validate: _Validate) -> None:
    """The search follows the errors of a chain to an input that it accepts."""
    found = _found(validate)
    assert found is not None
    assert validate(json.loads(found)) is None


@pytest.mark.parametrize(
    "message",
    [
        "String should match pattern '^[0-9]{5}$'",
        "zip: 'Ada' does not match '^[0-9]{5}$'",
        'must match pattern "^[0-9]{5}$"',
    ],
    ids=["pydantic", "jsonschema", "ajv"],
)
def test_the_search_finds_a_text_for_a_pattern(message: str) -> None:
    """The error names the pattern."""

    def validate(value: dict[str, object]) -> list[object] | None:
        if re.search("^[0-9]{5}$", str(value.get("zip"))):
            return None
        return [{"loc": ["body", "zip"], "msg": message if "zip" in value else "Field required"}]

    found = _found(validate)
    assert found is not None
    assert validate(json.loads(found)) is None


@given(st.text(max_size=200))
def test_any_text_may_stand_in_place_of_a_pattern(text: str) -> None:
    """Such as a pattern of another language, or one that is very slow to match."""
    errors: list[JSON] = [{"loc": ["body", "zip"], "msg": f"String should match pattern '{text}'"}]

    assert InputSearch().next_input(_rejection({"detail": errors})) is not None


def test_the_search_gives_up_when_errors_name_nothing() -> None:
    """An error that names no argument ends the search."""
    assert InputSearch().next_input(_rejection({"error": "Bad request."})) is None


def test_payloads_keep_the_bytes_of_the_file(tmp_path: Path) -> None:
    """Each non-empty line is a payload with the bytes of the file; only line ends are removed."""
    lines = [b'{"id":123456789012345678901234567890}', b' {"a":1,"a":2} ', '{"é":1e5}'.encode()]
    path = tmp_path / "inputs.jsonl"
    path.write_bytes(lines[0] + b"\n\n" + lines[1] + b"\r\n" + lines[2])
    assert load_payload_file(str(path)) == tuple(lines)


def test_a_schema_in_place_of_payloads_is_a_usage_error(tmp_path: Path) -> None:
    """No run sends a schema as an input."""
    path = tmp_path / "in.json"
    path.write_text('{"type": "object", "properties": {"names": {}}}', encoding="utf-8")
    with pytest.raises(UsageError, match="use --input-schema"):
        load_payload_file(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a":1}\n[1]\n', "line 2 of .*: expected a JSON object, found an array"),
        (b'{"a":1}\n\n{"a":NaN}\n', "line 3 of .*: expected finite numbers, found NaN"),
        (b'\xef\xbb\xbf{"a":1}\n', "line 1 of .*byte order mark"),
        (b"\n", "found none"),
        (b'{"a":"\xff"}\n', "line 1"),
    ],
)
def test_payload_file_errors_name_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    """An unusable line is reported with its number."""
    path = tmp_path / "inputs.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_payload_file(str(path))


def test_a_missing_payload_file_is_a_usage_error() -> None:
    """A file that cannot be read is reported with its name."""
    with pytest.raises(UsageError, match=r"nowhere\.jsonl"):
        load_payload_file("nowhere.jsonl")


def test_distinct_inputs_differ() -> None:
    """Distinct inputs are as many as wanted for a chain that accepts any object, else as many as are known."""
    rng = random.Random(1)
    assert len(set(ChainInputs(any_object=True).distinct(12, rng))) == 12
    known = initial_inputs(payloads=(b'{"a":1}', b'{"a":2}', b'{"a":1}'))
    assert set(known.distinct(12, rng)) == {b'{"a":1}', b'{"a":2}'}


@pytest.mark.parametrize("text", [b"{}", b'{"a":[1]}', b' {"a":1 } '])
def test_changed_inputs_stay_objects(text: bytes) -> None:
    """Padding changes the size only, and an added member comes last."""
    value = json.loads(text)
    assert json.loads(padded(text, 100)) == value
    assert len(padded(text, 100)) == 100
    assert json.loads(with_member(text, b'"x":1')) == {**value, "x": 1}
