"""The schema of a chain's input or output: which values are valid, and what is wrong with the others."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import jsonschema_rs

from chainproof.json_text import JSON

from .dialect import with_dialect
from .error_text import SchemaError, format_path, one_line, truncated
from .formats import TEXTS_OF_FORMATS
from .model_check import ModelCheck

MAX_ERRORS = 10
"""Errors that are reported for one value."""
_MAX_SCANNED = 1000
_LARGE = 2.0**63
"""Integers from here on are read as doubles, which a model does not take for integers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """
    A JSON Schema of draft 4 to 2020-12, and for a class the model from which it was derived. Raises SchemaError if it is
    invalid.

    The draft is the one that `$schema` names, else the newest one by which the schema is valid.
    """

    source: str
    """The file or class that the user named."""
    document: dict[str, JSON]
    alternatives: tuple[dict[str, JSON], ...] = ()
    """Other schemas; a value has to match one of them or `document`."""
    model: ModelCheck | None = None
    """A value has to be accepted by this model as well."""
    allows_naive_times: bool = False
    """True to accept a `date-time` or `time` without an offset, as Python writes one: schemas derived from type hints call it so."""
    checks_all_formats: bool = False
    """True to accept a text of a format like `base64` only if every reader of the format does, also where JSON Schema permits any."""
    _validators: tuple[jsonschema_rs.Validator, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "document", with_dialect(self.document, self.source))
        formats = (_NAIVE_TIMES if self.allows_naive_times else {}) | (
            TEXTS_OF_FORMATS if self.checks_all_formats else {}
        )
        validators = tuple(_validator(each, self.source, formats) for each in (self.document, *self.alternatives))
        object.__setattr__(self, "_validators", validators)

    def accepts(self, value: JSON) -> bool:
        """True if a value is valid, or nested too deeply to validate."""
        return self._accepts(value) or self._accepts(_sanitized(value))

    def surely_rejects(self, value: JSON) -> bool:
        """True if an invalid value is certain to be rejected. Where a model exists, it alone decides: it may read more."""
        return not self.model.accepts(value) if self.model is not None else not self.accepts(value)

    def errors(self, value: JSON) -> tuple[str, ...]:
        """At most `MAX_ERRORS` lines about an invalid value, which do not quote it; none if it is valid."""
        if self.accepts(value):
            return ()
        try:
            lines = {truncated(line) for line in self._error_lines(_sanitized(value))}
        except ValueError:
            return ("the value is invalid, but nested too deeply to say where",)
        # Sorted, since the validator visits the members of an object in any order.
        return tuple(sorted(lines)[:MAX_ERRORS])

    def _error_lines(self, value: JSON) -> Iterator[str]:
        """The errors by the schema, else those by the model."""
        if not self._matches(value):
            return map(_error_line, islice(self._validators[0].iter_errors(value), _MAX_SCANNED))
        return iter(self.model.errors(value) if self.model is not None else ())

    def _accepts(self, value: JSON) -> bool:
        """True if the unchanged value is valid, or nested too deeply to validate."""
        return self._matches(value) and (self.model is None or self.model.accepts(value))

    def _matches(self, value: JSON) -> bool:
        """True if the value matches the schema, whatever the model says."""
        return any(_matches(validator, value) for validator in self._validators)


def _matches(validator: jsonschema_rs.Validator, value: JSON) -> bool:
    """True if the value is valid, or nested too deeply to validate."""
    try:
        return validator.is_valid(value)
    except UnicodeEncodeError:  # a lone surrogate, which the validator cannot read
        return False
    except ValueError:  # the validator's limit on depth
        return True


def _validator(
    document: dict[str, JSON], source: str, formats: dict[str, Callable[[str], bool]]
) -> jsonschema_rs.Validator:
    """The validator of a schema. Its messages do not contain the value, since findings must not contain parts of a body."""
    try:
        return jsonschema_rs.validator_for(
            document, formats=formats, mask="the value", validate_formats=True, offline=True
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise SchemaError(f"{source} is not a JSON Schema: {one_line(str(error))}") from None


def _is_time(text: str) -> bool:
    """True for a time of RFC 3339 with or without an offset."""
    return _is_readable(dt.time, text)


def _is_date_time(text: str) -> bool:
    """True for a date and time of RFC 3339 with or without an offset."""
    return len(text) > _DATE_LENGTH and _is_readable(dt.datetime, text)


def _is_readable(kind: type[dt.time | dt.datetime], text: str) -> bool:
    try:
        kind.fromisoformat(text.replace("60", "59") if ":60" in text else text)  # a leap second
    except ValueError:
        return False
    return ":" in text


_DATE_LENGTH = len("2026-01-01")
_NAIVE_TIMES: dict[str, Callable[[str], bool]] = {"date-time": _is_date_time, "time": _is_time}


def _error_line(error: jsonschema_rs.ValidationError) -> str:
    """The message of an error, after its path."""
    path = format_path(error.instance_path)
    return f"`{path}`: {error.message}" if path else error.message


def _sanitized(value: JSON) -> JSON:
    """A copy that validator and model can read: without lone surrogates and numbers beyond floats, and with large integers."""
    root = [value]
    # Not recursive, since values may be nested more deeply than calls. Each item is a container and an index or name.
    todo: list[tuple[Any, Any]] = [(root, 0)]
    while todo:
        container, key = todo.pop()
        part = container[key]
        if isinstance(part, list):
            container[key] = copy = list(part)
            todo.extend((copy, index) for index in range(len(copy)))
        elif isinstance(part, dict):
            container[key] = named = {_sanitized_scalar(name): item for name, item in part.items()}
            todo.extend((named, name) for name in named)
        else:
            container[key] = _sanitized_scalar(part)
    return root[0]


def _sanitized_scalar(value: Any) -> Any:
    """The same for a string, number, boolean or null."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and math.isinf(value):
        return math.copysign(sys.float_info.max, value)
    if isinstance(value, float) and abs(value) >= _LARGE:
        return int(value)
    return value
