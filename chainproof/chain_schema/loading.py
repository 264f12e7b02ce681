"""Load the schemas that `--input-schema` and `--output-schema` name: a JSON Schema file, a class with `run_remote`, or a pydantic model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, RootModel

from chainproof.errors import UsageError
from chainproof.json_text import JSON, InvalidJson, TooComplex, parse_json, why_invalid
from chainproof.text_files import read_file

from .class_import import load_class
from .entrypoint import hint_errors, load_entrypoint, output_model
from .error_text import SchemaError, format_path, truncated
from .formats import with_content_formats
from .model_check import InputSchemaGenerator, ModelCheck, OutputSchemaGenerator, reads_own_output, without_formats
from .schema import Schema
from .validation_cost import require_little_work

_MAX_CONTAINERS = 22_000
"""Objects and arrays in a schema. A conformance run takes up to 12 KB for each, and less than 400 MB in all."""
_MAX_VALUES = 120_000
"""Members of all objects and arrays. A conformance run takes up to 2 KB for each."""


def load_input_schema(text: str) -> Schema:
    """
    The schema of a chain's input, from a JSON Schema file, the parameters of `run_remote`, or a pydantic model. Raises SchemaError.

    Of a class, an input has to be accepted by the model of its parameters as well. Null is accepted only where a type hint
    allows it: the service passes any other null to `run_remote`, which does not expect it.
    """
    if _names_json_file(text):
        return _schema_from_file(text, of_input=True)
    model = _named_model(text) or load_entrypoint(text).hinted_model
    with hint_errors(text):
        document = model.model_json_schema(schema_generator=InputSchemaGenerator)
    return Schema(source=text, document=cast(dict[str, JSON], document), model=ModelCheck(model=model))


def load_output_schema(text: str) -> Schema:
    """
    The schema of a chain's output, from a JSON Schema file, the return type of `run_remote`, or a pydantic model. Raises SchemaError.

    Of a class, the model of the return type decides. The derived schema adds only that types are not coerced.
    """
    if _names_json_file(text):
        return _schema_from_file(text, of_input=False)
    named = _named_model(text)
    model = load_entrypoint(text).output_model if named is None else output_model(named.__name__, named)
    return _output_schema(model, text)


def _named_model(text: str) -> type[BaseModel] | None:
    """The pydantic model that a text names, such as the body of a FastAPI route; None for another class. Raises SchemaError."""
    cls = load_class(text)
    return cls if issubclass(cls, BaseModel) and not hasattr(cls, "run_remote") else None


def _output_schema(model: type[RootModel[Any]] | None, text: str) -> Schema:
    """The schema of the return type. Raises SchemaError for a stream."""
    if model is None:
        raise SchemaError(
            f"{text}: run_remote returns a stream, and a stream has no JSON Schema. Leave out --output-schema"
        )
    with hint_errors(text):
        # The service writes fields by their name, unless the class says otherwise.
        written = [
            model.model_json_schema(mode="serialization", by_alias=by_alias, schema_generator=OutputSchemaGenerator)
            for by_alias in (False, True)
        ]
        # What a type reads may be more than what it writes: numbers for a Decimal.
        read = model.model_json_schema(mode="validation", schema_generator=InputSchemaGenerator)
        decides = reads_own_output(model)
    documents = [cast(dict[str, JSON], without_formats(document)) for document in (*written, read)]
    return Schema(
        source=text,
        document=documents[0],
        alternatives=tuple(documents[1:]),
        model=ModelCheck(model=model, by_name=True) if decides else None,
    )


def _names_json_file(text: str) -> bool:
    """True if the text names a JSON file, False for a class. Raises SchemaError for anything else."""
    if ":" not in text and not text.endswith(".json"):
        raise SchemaError(f"expected FILE.json, FILE.py:Class or package.module:Class, found {text!r}")
    return text.endswith(".json")


def _schema_from_file(text: str, *, of_input: bool) -> Schema:
    """The schema in a JSON file. Inputs have to be readable by any chain, outputs may be what Python writes. Raises SchemaError."""
    try:
        content = read_file(Path(text), "the schema")
    except UsageError as error:
        raise SchemaError(str(error)) from None
    value = parse_json(content)
    if isinstance(value, InvalidJson | TooComplex) or not isinstance(value, dict):
        problem = why_invalid(content, value) if isinstance(value, InvalidJson) else "not a JSON object"
        raise SchemaError(f"{text} is not a JSON Schema: expected a JSON object, the file is {problem}")
    _require_readable_size(value, text)
    _require_finite_numbers(value, text)
    document = with_content_formats(value) if of_input else value
    schema = Schema(source=text, document=document, allows_naive_times=not of_input, checks_all_formats=of_input)
    require_little_work(schema.document, text)
    return schema


def _require_readable_size(document: dict[str, JSON], text: str) -> None:
    """Raise SchemaError if validators of a schema would take too much memory. Names its largest part."""
    sizes = list(_sizes(document))
    counts = (
        (len(sizes), _MAX_CONTAINERS, "objects and arrays"),
        (sum(size for size, _ in sizes), _MAX_VALUES, "values"),
    )
    for number, limit, what in counts:
        if number > limit:
            size, place = max(sizes)
            raise SchemaError(
                f"{text}: expected a schema of at most {limit} {what}, found {number}; the largest is `{place}`, with {size} members"
            )


def _require_finite_numbers(document: dict[str, JSON], text: str) -> None:
    """Raise SchemaError if a number of a schema, such as 1e400, is beyond a double, with which validators calculate."""
    for value, path in _containers(document):
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for name, member in members:
            if isinstance(member, float) and math.isinf(member):
                place = truncated(format_path((*path, name)))
                raise SchemaError(f"{text}: expected numbers up to 1.8e308, found a larger one at `{place}`")


def _sizes(document: JSON) -> Iterator[tuple[int, str]]:
    """The number of members and the place of each object and array."""
    return ((len(value), truncated(format_path(path))) for value, path in _containers(document))


def _containers(document: JSON) -> Iterator[tuple[dict[str, JSON] | list[JSON], tuple[str | int, ...]]]:
    """Each object and array of a document, and its path."""
    todo: list[tuple[JSON, tuple[str | int, ...]]] = [(document, ())]
    while todo:
        value, path = todo.pop()
        if isinstance(value, dict | list):
            yield value, path
            members = value.items() if isinstance(value, dict) else enumerate(value)
            todo.extend((member, (*path, name)) for name, member in members if isinstance(member, dict | list))
