"""The names that a schema gives to the members of an input."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chainproof.json_text import JSON

from .schema import Schema

_COMBINING = ("allOf", "anyOf", "oneOf")
_SINGLE = ("if", "then", "else")
_OPEN = ("additionalProperties", "unevaluatedProperties")


def unnamed_members(schema: Schema, value: dict[str, JSON]) -> frozenset[str]:
    """
    The names of members that the schema neither names nor describes. A Python call rejects them, pydantic ignores them.

    A schema that names no member at all describes any object, and so does one that it cannot be read from.
    """
    documents = (schema.document, *schema.alternatives)
    parts = [part for document in documents for part in _parts(document, document, set())]
    names = {name for part in parts for name in _names(part, "properties")}
    if not names or any(part.get(keyword) not in (None, False) for part in parts for keyword in _OPEN):
        return frozenset()
    patterns = [pattern for part in parts for pattern in _names(part, "patternProperties")]
    return frozenset(
        name for name in value if name not in names and not any(_matches(pattern, name) for pattern in patterns)
    )


def _parts(document: JSON, root: dict[str, JSON], seen: set[str]) -> Iterator[dict[str, JSON]]:
    """The schema and those that it applies to the same value."""
    if not isinstance(document, dict):
        return
    yield document
    reference = document.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        seen.add(reference)
        yield from _parts(_referenced(reference, root), root, seen)
    for keyword in _COMBINING:
        branches = document.get(keyword)
        for branch in branches if isinstance(branches, list) else ():
            yield from _parts(branch, root, seen)
    for keyword in _SINGLE:
        yield from _parts(document.get(keyword), root, seen)


def _referenced(reference: str, root: dict[str, JSON]) -> JSON:
    """The schema that a pointer into the document names; an open one for other references."""
    if reference == "#":
        return root
    value: JSON = root if reference.startswith("#/") else None
    for step in reference.removeprefix("#/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {"additionalProperties": True}


def _names(part: dict[str, JSON], keyword: str) -> Iterator[str]:
    """The names of the members of a keyword's object."""
    members = part.get(keyword)
    yield from members if isinstance(members, dict) else ()


def _matches(pattern: str, name: str) -> bool:
    """True if a pattern matches a name, or cannot be read."""
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return True
