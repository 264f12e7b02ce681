"""Rewrite a schema of any draft for readers that know draft 2020-12 alone, and references only as pointers into one document."""

from __future__ import annotations

from typing import Any

from chainproof.json_text import JSON

from .references import Node, SchemaReader, is_reference_alone
from .subschemas import map_subschemas

_DROPPED = frozenset(
    {
        "$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$defs", "definitions",
        "$dynamicRef", "$recursiveRef", "$ref",
    }
)  # fmt: skip


def draft_2020_12_document(document: dict[str, JSON], pointer: str) -> dict[str, Any]:
    """The schema as draft 2020-12, to be placed at a JSON pointer: every reference is `$ref` to `POINTER/$defs/NUMBER`."""
    return _Rewriter(SchemaReader(document), pointer).document()


class _Rewriter:
    """Rewrites one document."""

    def __init__(self, reader: SchemaReader, pointer: str) -> None:
        self._reader = reader
        self._pointer = pointer
        self._names: dict[int, str] = {}
        self._definitions: dict[str, Any] = {}

    def document(self) -> dict[str, Any]:
        """The rewritten root, with all definitions."""
        root = self._rewritten(self._reader.root)
        return {**root, "$defs": self._definitions} if self._definitions else root

    def _rewritten(self, node: Node) -> Any:
        """A schema with its references replaced and its keywords renamed."""
        if isinstance(node.schema, bool):
            return node.schema
        references = [{"$ref": self._address(target)} for target in self._reader.targets(node)]
        if is_reference_alone(node.schema, node.draft):
            return references[0] if references else {}
        kept = {keyword: value for keyword, value in node.schema.items() if keyword not in _DROPPED}
        copy = _renamed(
            map_subschemas(kept, lambda inner: self._rewritten(self._reader.child(node, inner))), node.draft
        )
        if len(references) == 1:
            return {**references[0], **copy}
        return {**copy, "allOf": [*references, *copy.get("allOf", ())]} if references else copy

    def _address(self, target: Node) -> str:
        """Where the target of a reference is in the new document."""
        if id(target.schema) not in self._names:
            name = self._names[id(target.schema)] = str(len(self._names))
            self._definitions[name] = self._rewritten(target)
        return f"{self._pointer}/$defs/{self._names[id(target.schema)]}"


def _renamed(schema: dict[str, Any], draft: int) -> dict[str, Any]:
    """The keywords of an older draft under the names of draft 2020-12."""
    if draft >= 20:
        return schema
    if isinstance(schema.get("items"), list):
        schema["prefixItems"] = schema.pop("items")
        if "additionalItems" in schema:
            schema["items"] = schema.pop("additionalItems")
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and inclusive in schema:
            schema[exclusive] = schema.pop(inclusive)
    for name, value in schema.pop("dependencies", {}).items():
        keyword = "dependentRequired" if isinstance(value, list) else "dependentSchemas"
        schema.setdefault(keyword, {})[name] = value
    return schema
