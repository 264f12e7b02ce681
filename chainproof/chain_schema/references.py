"""
Resolves the references in a schema as each draft defines them: `$ref`, `$dynamicRef` and `$recursiveRef`, also by `$id` or
anchor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import jsonschema_rs

from chainproof.json_text import JSON

from .subschemas import map_subschemas

_BASE = "json-schema:///"
"""The address of a document that has no `$id`."""

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_IDENTIFIERS = ("$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$defs", "definitions")
_FIRST_WITH_SIBLINGS = 19
"""Up to draft 7, a schema with `$ref` has no other keywords."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A schema inside a document."""

    schema: Any
    """True, False or an object."""
    resolver: jsonschema_rs.Resolver
    """Resolves the references in it."""
    draft: int
    """4, 6, 7, 19 or 20."""

    def get(self, keyword: str, default: Any = None) -> Any:
        """The value of a keyword; *default* if the schema is boolean or does not have it."""
        return self.schema.get(keyword, default) if isinstance(self.schema, dict) else default


@dataclass(slots=True)
class SchemaReader:
    """Gives the parts of a document with their references."""

    document: dict[str, JSON]
    root: Node = field(init=False)
    _registry: jsonschema_rs.Registry = field(init=False, repr=False)
    _found: dict[tuple[str, tuple[str, ...], str], Node | None] = field(init=False, repr=False, default_factory=dict)
    _nodes: dict[int, Node] = field(init=False, repr=False, default_factory=dict)
    _validators: dict[int, tuple[Node, jsonschema_rs.Validator | None]] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._registry = jsonschema_rs.Registry([(_BASE, self.document)])
        start = self._registry.resolver(_BASE)
        draft = start.lookup("#").draft
        # Not the contents that the resolver gives: their members are sorted.
        self.root = self.child(Node(self.document, start, draft), self.document)

    def child(self, parent: Node, schema: Any) -> Node:
        """A schema directly inside another one. Its `$id` changes the base of its references."""
        if not isinstance(schema, dict):
            return Node(schema, parent.resolver, parent.draft)
        # Each object of the document is one node, so that what is computed for it can be kept.
        if id(schema) not in self._nodes:
            self._nodes[id(schema)] = self._child(parent, schema)
        return self._nodes[id(schema)]

    def _child(self, parent: Node, schema: dict[str, Any]) -> Node:
        """A schema that was not read before."""
        name = "id" if parent.draft == 4 else "$id"
        address = schema.get(name)
        if not isinstance(address, str) or address.startswith("#") or is_reference_alone(schema, parent.draft):
            return Node(schema, parent.resolver, parent.draft)
        found = self._lookup(parent.resolver, address)
        return (
            Node(schema, found.resolver, found.draft)
            if found is not None
            else Node(schema, parent.resolver, parent.draft)
        )

    def targets(self, node: Node) -> Iterator[Node]:
        """
        The schemas that the references of a schema lead to. One that is not in the document accepts anything here; the
        validator knows the drafts themselves.
        """
        for keyword in _REFERENCES:
            reference = node.get(keyword)
            if isinstance(reference, str):
                found = self._lookup(node.resolver, reference)
                if found is not None:
                    yield found if keyword == "$ref" else self._outermost(found, reference, keyword)

    def accepts(self, node: Node, value: JSON) -> bool:
        """True if a value matches a schema inside the document, or the schema cannot be validated alone."""
        if isinstance(node.schema, bool):
            return node.schema
        if id(node.schema) not in self._validators:
            # With the node, so that the id of its schema is not used again.
            self._validators[id(node.schema)] = node, self._validator(node)
        validator = self._validators[id(node.schema)][1]
        try:
            return validator is None or validator.is_valid(value)
        except ValueError:  # half a surrogate pair, or nested too deeply
            return True

    def _validator(self, node: Node) -> jsonschema_rs.Validator | None:
        """The validator of a schema inside the document; None if it cannot be validated alone."""
        try:
            if node.schema is self.document:
                return jsonschema_rs.validator_for(self.document, validate_formats=True, offline=True)
            return jsonschema_rs.validator_for(
                self.alone(node), registry=self._registry, validate_formats=True, offline=True
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
            return None

    def alone(self, node: Node) -> dict[str, Any]:
        """A schema that can be read outside its document; its references are absolute."""
        return {**self._absolute(node), "$schema": _DIALECTS[node.draft]}

    def _absolute(self, node: Node) -> Any:
        """A copy of a schema whose references do not depend on its place."""
        copy = map_subschemas(node.schema, lambda inner: self._absolute(self.child(node, inner)))
        if not isinstance(copy, dict):
            return copy
        for keyword in _IDENTIFIERS:  # the registry has them already
            copy.pop(keyword, None)
        for keyword in _REFERENCES:
            if isinstance(copy.get(keyword), str):
                copy[keyword] = _joined(node.resolver.base_uri, copy[keyword])
        return copy

    def _lookup(self, resolver: jsonschema_rs.Resolver, reference: str) -> Node | None:
        """The schema that a reference leads to; None if it is not in the document."""
        key = resolver.base_uri, tuple(resolver.dynamic_scope), reference
        if key not in self._found:
            try:
                found = resolver.lookup(reference)
                self._found[key] = Node(found.contents, found.resolver, found.draft)
            except (jsonschema_rs.ReferencingError, ValueError):
                self._found[key] = None
        return self._found[key]

    def _outermost(self, first: Node, reference: str, keyword: str) -> Node:
        """The outermost schema on the way with the same dynamic anchor; the first one if it has none."""
        anchor = reference.partition("#")[2]
        mark = ("$dynamicAnchor", anchor) if keyword == "$dynamicRef" else ("$recursiveAnchor", True)
        if first.get(mark[0]) != mark[1]:
            return first
        for address in reversed(first.resolver.dynamic_scope):
            found = self._lookup(self._registry.resolver(address), f"#{anchor}")
            if found is not None and found.get(mark[0]) == mark[1]:
                return found
        return first


def _joined(base: str, reference: str) -> str:
    """A reference as an absolute address."""
    return base.partition("#")[0] + reference if reference.startswith("#") else urljoin(base, reference)


def is_reference_alone(schema: dict[str, Any], draft: int) -> bool:
    """True if the keywords beside `$ref` do not count."""
    return draft < _FIRST_WITH_SIBLINGS and "$ref" in schema


_DIALECTS = {
    4: "http://json-schema.org/draft-04/schema#",
    6: "http://json-schema.org/draft-06/schema#",
    7: "http://json-schema.org/draft-07/schema#",
    19: "https://json-schema.org/draft/2019-09/schema",
    20: "https://json-schema.org/draft/2020-12/schema",
}
