"""Which schemas the members of an object and the items of an array have to match, and how many there may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chainproof.json_text import is_number

from .patterns import is_found
from .references import Node, SchemaReader

Nodes = tuple[Node, ...]
"""Schemas that a value has to match together, without alternatives."""


def most(nodes: Nodes, keyword: str) -> int:
    """The largest value of a keyword that sets a lower bound; 0 if there is none."""
    return max([0, *(int(node.get(keyword)) for node in nodes if is_number(node.get(keyword)))])


def least(nodes: Nodes, keyword: str) -> int | None:
    """The smallest value of a keyword that sets an upper bound; None if there is none."""
    return min((int(node.get(keyword)) for node in nodes if is_number(node.get(keyword))), default=None)


def unique(names: Iterable[str]) -> list[str]:
    """Names without repetition, in order."""
    return list(dict.fromkeys(names))


# ------------------------------------------------------------------ objects


def required_names(nodes: Nodes) -> list[str]:
    """The properties that are required."""
    lists = (node.get("required") for node in nodes)
    return unique(name for names in lists if isinstance(names, list) for name in names)


def declared_names(nodes: Nodes) -> list[str]:
    """The properties that the schemas name, unless no value is allowed."""
    tables = [node.get("properties", {}) for node in nodes]
    return unique(name for table in tables for name in table if all(other.get(name) is not False for other in tables))


def dependent_names(nodes: Nodes, name: str) -> Iterator[str]:
    """The properties that a property requires."""
    for node in nodes:
        for keyword in ("dependentRequired", "dependencies"):
            names = node.get(keyword, {}).get(name)
            if isinstance(names, list):
                yield from names
            if isinstance(names, str):  # draft 4 and older
                yield names


def dependent_schemas(reader: SchemaReader, nodes: Nodes, name: str) -> Iterator[Node]:
    """The schemas that an object has to match because of one of its properties."""
    for node in nodes:
        for keyword in ("dependentSchemas", "dependencies"):
            schema = node.get(keyword, {}).get(name)
            if isinstance(schema, dict | bool):
                yield reader.child(node, schema)


def member_schemas(reader: SchemaReader, nodes: Nodes, name: str) -> Iterator[Node]:
    """The schemas that the value of a property has to match."""
    is_evaluated = False
    for node in nodes:
        own = list(_own_member_schemas(node, name))
        if not own and "additionalProperties" in node.schema:
            own = [node.schema["additionalProperties"]]
        is_evaluated |= bool(own)
        yield from (reader.child(node, schema) for schema in own)
    if not is_evaluated:
        yield from (reader.child(node, node.get("unevaluatedProperties", True)) for node in nodes)


def _own_member_schemas(node: Node, name: str) -> Iterator[Any]:
    """The schemas in `properties` and `patternProperties` of one schema."""
    if name in node.get("properties", {}):
        yield node.schema["properties"][name]
    for pattern, schema in node.get("patternProperties", {}).items():
        if is_found(pattern, name):
            yield schema


def name_patterns(nodes: Nodes) -> list[str]:
    """The patterns of property names for which values are allowed."""
    return [
        pattern
        for node in nodes
        for pattern, schema in node.get("patternProperties", {}).items()
        if schema is not False
    ]


# ------------------------------------------------------------------ arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The items that an array may have."""

    reader: SchemaReader
    nodes: Nodes

    @property
    def prefix_length(self) -> int:
        """The number of items that have a schema of their own."""
        return max((len(_prefix(node)) for node in self.nodes), default=0)

    @property
    def low(self) -> int:
        """The smallest number of items."""
        return max(most(self.nodes, "minItems"), self.contained)

    @property
    def high(self) -> int | None:
        """The largest number of items; None for no limit."""
        closed = [len(_prefix(node)) for node in self.nodes if _rest(node) is False]
        limits = [limit for limit in (least(self.nodes, "maxItems"), *closed) if limit is not None]
        if not limits and any(node.get("unevaluatedItems") is False for node in self.nodes):
            limits = (
                [max(self.prefix_length, self.contained)] if all(_rest(node) is None for node in self.nodes) else []
            )
        return min(limits, default=None)

    @property
    def contained(self) -> int:
        """How many items have to match `contains`."""
        return max((int(node.get("minContains", 1)) for node in self._containing), default=0)

    @property
    def _containing(self) -> list[Node]:
        return [node for node in self.nodes if "contains" in node.schema and node.draft >= 6]

    def schemas(self, index: int) -> Iterator[Node]:
        """The schemas that an item has to match."""
        is_evaluated = False
        for node in self.nodes:
            prefix, rest = _prefix(node), _rest(node)
            schema = prefix[index] if index < len(prefix) else rest
            if schema is not None:
                is_evaluated = True
                yield self.reader.child(node, schema)
        if not is_evaluated:
            yield from (self.reader.child(node, node.get("unevaluatedItems", True)) for node in self.nodes)

    def contains_schemas(self) -> Iterator[Node]:
        """The schemas that some items have to match."""
        return (self.reader.child(node, node.schema["contains"]) for node in self._containing)

    @property
    def limits_contained(self) -> bool:
        """True if not every item may match `contains`."""
        return any("maxContains" in node.schema for node in self._containing)

    @property
    def are_unique(self) -> bool:
        """True if no two items may be equal."""
        return any(node.get("uniqueItems") is True for node in self.nodes)


def _prefix(node: Node) -> list[Any]:
    """The schemas of the first items: `prefixItems`, before draft 2020-12 a list of `items`."""
    prefix = node.get("prefixItems") if node.draft >= 20 else node.get("items")
    return prefix if isinstance(prefix, list) else []


def _rest(node: Node) -> Any:
    """The schema of the other items; None if there is none."""
    if node.draft < 20 and isinstance(node.get("items"), list):
        return node.get("additionalItems")
    rest = node.get("items")
    return None if isinstance(rest, list) else rest
