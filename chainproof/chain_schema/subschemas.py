"""Where schemas stand inside a schema. Nothing else in it is one: not `const`, `enum`, `default`, `examples` or `x-…`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_SCHEMA = frozenset(
    {
        "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
        "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
"""Keywords whose value is a schema."""
_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
"""Keywords whose value is a list of schemas."""
_MAP = frozenset({"$defs", "definitions", "dependentSchemas", "dependencies", "patternProperties", "properties"})
"""Keywords whose value maps names to schemas; `dependencies` may map to lists of names."""


def map_subschemas(schema: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a schema with *change* applied to each schema directly inside it."""
    if not isinstance(schema, dict):
        return schema
    return {keyword: _mapped(keyword, value, change) for keyword, value in schema.items()}


def _mapped(keyword: str, value: Any, change: Callable[[Any], Any]) -> Any:
    """The value of a keyword, with the schemas in it changed."""
    if keyword in _LIST and isinstance(value, list):
        return [change(item) for item in value]
    if keyword in _SCHEMA and isinstance(value, dict | bool):
        return change(value)
    if keyword in _MAP and isinstance(value, dict):
        return {name: change(item) if isinstance(item, dict | bool) else item for name, item in value.items()}
    return value


def subschemas(schema: Any) -> list[Any]:
    """The schemas directly inside a schema."""
    found: list[Any] = []
    map_subschemas(schema, found.append)
    return found
