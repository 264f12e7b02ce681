"""Limits the work that a schema makes for a validator: a few lines of references may multiply it without end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .error_text import SchemaError, format_path, truncated
from .references import Node, SchemaReader

_MAX_APPLIED = 100_000
"""Schemas that a validator may have to apply to one value; it takes about 0.1 s for them."""
_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLE = ("not", "if", "then", "else")


def require_little_work(document: dict[str, Any], source: str) -> None:
    """Raise SchemaError, with the place, if too many schemas apply to one value."""
    reader = SchemaReader(document)
    counts: dict[int, int] = {}
    todo: list[tuple[tuple[str | int, ...], Node]] = [((), reader.root)]
    while todo:
        path, node = todo.pop()
        if isinstance(node.schema, dict) and _applied(reader, node, counts) > _MAX_APPLIED:
            raise SchemaError(
                f"{source}: expected at most {_MAX_APPLIED} schemas for one value, found more at "
                f"`{truncated(format_path(path)) or '#'}`: its references lead to the same schemas again and again"
            )
        members = node.schema.items() if isinstance(node.schema, dict) else enumerate(node.schema)
        # Parts that are not schemas are counted too; that changes no result.
        todo.extend(
            ((*path, name), reader.child(node, part)) for name, part in members if isinstance(part, dict | list)
        )


def _applied(reader: SchemaReader, node: Node, counts: dict[int, int]) -> int:
    """How many schemas apply to a value, each as often as it is reached. *counts* has those of the schemas so far."""
    todo = [node]
    while todo:
        current = todo[-1]
        parts = [part for part in _in_place(reader, current) if isinstance(part.schema, dict)]
        if id(current.schema) not in counts:
            counts[id(current.schema)] = 0  # until it is known: a circle is followed once
            new = [part for part in parts if id(part.schema) not in counts]
            if new:
                todo.extend(new)
                continue
        todo.pop()
        if not counts[id(current.schema)]:
            total = 1 + sum(counts.get(id(part.schema), 0) for part in parts)
            counts[id(current.schema)] = min(total, 2 * _MAX_APPLIED)
    return counts[id(node.schema)]


def _in_place(reader: SchemaReader, node: Node) -> Iterator[Node]:
    """The schemas that apply to the same value as another one."""
    yield from reader.targets(node)
    for keyword in _LISTS:
        parts = node.get(keyword)
        yield from (reader.child(node, part) for part in (parts if isinstance(parts, list) else ()))
    yield from (reader.child(node, node.schema[keyword]) for keyword in _SINGLE if keyword in node.schema)
    dependent = node.get("dependentSchemas")
    yield from (reader.child(node, part) for part in (dependent.values() if isinstance(dependent, dict) else ()))
