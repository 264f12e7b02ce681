"""The draft of JSON Schema by which a document is read."""

from __future__ import annotations

import json

import jsonschema_rs

from chainproof.json_text import JSON

from .error_text import SchemaError, format_path, one_line, truncated

_CHANGED: dict[str, tuple[str, ...]] = {
    "items": ("https://json-schema.org/draft/2019-09/schema", "http://json-schema.org/draft-07/schema#"),
    "$id": ("http://json-schema.org/draft-07/schema#",),
    "exclusiveMinimum": ("http://json-schema.org/draft-04/schema#",),
    "exclusiveMaximum": ("http://json-schema.org/draft-04/schema#",),
}
"""
The keywords that older drafts define in another way, and the drafts with that way, newest first.

Only for these keywords is an older draft tried. It ignores newer keywords, so it would hide any other mistake.
"""

_READ_IN_ALL = frozenset({"dependentRequired", "dependentSchemas"})
"""Keywords that generators read in a schema of any draft, although older drafts ignore them."""

_TYPES = "null, boolean, integer, number, string, array, object"
_NEWEST = {"$ref": "https://json-schema.org/draft/2020-12/schema"}


def with_dialect(document: dict[str, JSON], source: str) -> dict[str, JSON]:
    """
    The document, with a `$schema` if it has none and is valid by an older draft only. Raises SchemaError.

    A tuple as an array of `items` is valid up to draft 2019-09, `exclusiveMinimum: true` in draft 4 alone.
    """
    first = _error(document)
    if first is None and "$schema" not in document:
        return document
    mistakes = _mistakes(document)
    ignored = sorted(_READ_IN_ALL & mistakes.keys())
    if first is None:
        if not ignored:
            return document
        first = mistakes[ignored[0]]
    elif "$schema" not in document and mistakes.keys() <= _CHANGED.keys():
        for dialect in dict.fromkeys(dialect for each in sorted(mistakes) for dialect in _CHANGED[each]):
            dated: dict[str, JSON] = {"$schema": dialect, **document}
            if _error(dated) is None:
                return dated
    raise SchemaError(f"{source} is not a JSON Schema: {first}")


def _mistakes(document: dict[str, JSON]) -> dict[str, str]:
    """The keywords (or names) in which the newest draft finds a mistake, each with one of its mistakes."""
    errors = jsonschema_rs.validator_for(_NEWEST, offline=True).iter_errors(document)
    return {str(error.instance_path[-1]): _reason(error) for error in errors if error.instance_path}


def _error(document: dict[str, JSON]) -> str | None:
    """Why a document is not a schema, in one line; None if it is one."""
    try:
        jsonschema_rs.validator_for(document, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    """The reason in one line."""
    if not isinstance(error, jsonschema_rs.ValidationError):
        text = one_line(str(error))
        return "it is nested too deeply to be read" if text == "Recursion limit reached" else text
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Referencing):
        return f"{one_line(error.message)}; every $ref must point into the schema itself"
    path, message = format_path(error.instance_path), error.message
    if isinstance(
        error.kind, jsonschema_rs.ValidationErrorKind.AnyOf
    ):  # its message names a keyword that the user did not write
        expected = f"one of {_TYPES}" if error.instance_path[-1] == "type" else "another value"
        message = f"expected {expected}, found {truncated(json.dumps(error.instance))}"
    return one_line(f"`{path}`: {message}" if path else message)
