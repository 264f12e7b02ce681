"""Choose among the alternatives of a schema: which branch of `anyOf`, `oneOf` and `if`, and what `not` leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from .references import Node, SchemaReader, is_reference_alone
from .subschemas import subschemas

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
"""Simplest first."""

Choose = Callable[[list[Node]], Node]
"""Chooses one of several schemas. Raises Unsatisfiable if all of them are `false`."""

_MAX_STEPS = 2000
_MAX_NEGATED = 100
"""Alternatives of `oneOf` whose opposites are followed; of more, the validator finds a value that matches two."""
_MAX_NEGATED_PARTS = 5000
"""Schemas and enumerated values in a schema whose opposite is written."""
_ENDLESS = 1000
"""The height of a schema that leads to itself without an end."""


class Unsatisfiable(Exception):  # it says what the schema is, and never leaves this package
    """No value was found for a schema. The message says what stands in the way, or is empty."""


class TooLarge(Unsatisfiable):
    """The value has become too large or too deep. Another attempt at a part of it would not help."""


@dataclass(slots=True)
class Alternatives:
    """Turns schemas into conjunctions of schemas without alternatives."""

    reader: SchemaReader
    work: int = 0
    """How many schemas were followed so far: a measure of time that does not depend on the machine."""
    _heights: dict[int, int] = field(init=False, repr=False, default_factory=dict)
    _negations: dict[int, Node | None] = field(init=False, repr=False, default_factory=dict)
    _kept: list[Node] = field(init=False, repr=False, default_factory=list)
    """Nodes of the two tables, so that the ids of their schemas are not used again."""

    def conjunction(self, nodes: Iterable[Node], choose: Choose) -> tuple[Node, ...]:
        """
        The schemas that a value has to match together, after following references and choosing one alternative of each
        kind with *choose*. Raises Unsatisfiable.
        """
        todo, found, seen = list(nodes), list[Node](), set[int]()
        while todo:
            node = todo.pop()
            if node.schema is False:
                raise Unsatisfiable
            if len(seen) > _MAX_STEPS:
                raise Unsatisfiable(f"more than {_MAX_STEPS} schemas apply to one value")
            if node.schema is True or id(node.schema) in seen:
                continue
            seen.add(id(node.schema))
            before = len(todo)
            todo.extend(self.reader.targets(node))
            if not is_reference_alone(node.schema, node.draft):
                todo.extend(self._parts(node, choose))
                found.append(node)
            self.work += 1 + len(todo) - before
        return tuple(found)

    def _parts(self, node: Node, choose: Choose) -> Iterator[Node]:
        """What the combining keywords of a schema add to it."""
        yield from self._children(node, "allOf")
        if "anyOf" in node.schema:
            yield choose(self._children(node, "anyOf"))
        if "oneOf" in node.schema:
            choices = self._children(node, "oneOf")
            chosen = choose(choices)
            yield chosen
            if len(choices) <= _MAX_NEGATED:  # values of so many rarely match two
                yield from self.negated(choice for choice in choices if choice is not chosen)
        if "if" in node.schema and node.draft >= 7:
            yield from self._condition(node, choose)
        if "not" in node.schema:
            yield from self.negated([self._child(node, "not")])

    def _condition(self, node: Node, choose: Choose) -> Iterator[Node]:
        """`if` with `then`, or the opposite of `if` with `else`."""
        condition, then, otherwise = (self._child(node, keyword) for keyword in ("if", "then", "else"))
        if choose([otherwise, then]) is then:
            yield from (condition, then)
        else:
            yield otherwise
            yield from self.negated([condition])

    def _child(self, node: Node, keyword: str) -> Node:
        """The schema that a keyword has; anything without it."""
        return self.reader.child(node, node.schema.get(keyword, True))

    def _children(self, node: Node, keyword: str) -> list[Node]:
        return [self.reader.child(node, part) for part in node.schema.get(keyword, ())]

    def negated(self, nodes: Iterable[Node]) -> Iterator[Node]:
        """The opposites of schemas, as far as they are known. The others are left to the validator."""
        for node in nodes:
            if isinstance(node.schema, bool):
                yield Node(not node.schema, node.resolver, node.draft)
                continue
            if id(node.schema) not in self._negations:
                self._kept.append(node)
                self._negations[id(node.schema)] = self._negation(node)
            negation = self._negations[id(node.schema)]
            if negation is not None:
                yield negation

    def _negation(self, node: Node) -> Node | None:
        """A schema of the values that do not match another one; None if that cannot be written, or would be large."""
        if not self._is_small(node):
            return None
        absolute = self.reader.alone(node)
        try:
            written: Any = jsonschema_rs.canonicalize(absolute, offline=True).negate().to_json_schema()
        except Exception:  # noqa: BLE001  # responsible: the library, which has limits; the validator decides in the end
            return None
        text = json.dumps(written)
        # A second negation would lead back, and a reference would have lost its document.
        if '"$ref"' in text or '"not"' in text:
            return None
        root = self.reader.root
        return Node(written, root.resolver, 20)

    def _is_small(self, node: Node) -> bool:
        """True if a schema has few parts, with those that its references lead to, each time anew: so the library reads it."""
        todo, parts = [node], 0
        while todo:
            part = todo.pop()
            parts += 1 + len(part.get("enum", ()))
            if parts > _MAX_NEGATED_PARTS:
                return False
            todo.extend(self.reader.targets(part))
            todo.extend(self.reader.child(part, inner) for inner in subschemas(part.schema))
        return True

    def height(self, node: Node) -> int:
        """How many levels the simplest value of a schema has, 0 for a scalar. Raises nothing: endless schemas are very high."""
        if not isinstance(node.schema, dict):
            return 0 if node.schema else _ENDLESS
        key = id(node.schema)
        if key not in self._heights:
            self._kept.append(node)
            self._heights[key] = _ENDLESS  # as long as it is being computed, it leads to itself
            self._heights[key] = min(self._height(node), _ENDLESS)
        return self._heights[key]

    def _height(self, node: Node) -> int:
        """The height of a schema whose own height is not known yet."""
        parts = [self.height(target) for target in self.reader.targets(node)]
        if is_reference_alone(node.schema, node.draft):
            return max(parts, default=0)
        parts += [self.height(part) for part in self._children(node, "allOf")]
        for keyword in ("anyOf", "oneOf"):
            if keyword in node.schema:
                parts.append(min((self.height(part) for part in self._children(node, keyword)), default=_ENDLESS))
        if "const" in node.schema or "enum" in node.schema:
            return max(parts, default=0)
        return max([self._own_height(node), *parts])

    def _own_height(self, node: Node) -> int:
        """The height by type, required properties and required items."""
        types = node.schema.get("type", [])
        simplest = min(([types] if isinstance(types, str) else types), key=TYPES.index, default="null")
        if simplest not in ("array", "object"):
            return 0
        required = set(node.schema.get("required", ())) if simplest == "object" else set()
        properties = node.schema.get("properties", {})
        inner = [properties[name] for name in properties if name in required]
        if simplest == "array" and node.schema.get("minItems", 0) > 0 and isinstance(node.schema.get("items"), dict):
            inner.append(node.schema["items"])
        return 1 + max((self.height(self.reader.child(node, part)) for part in inner), default=0)
