"""
Annotations, such as TypedDicts, as schemas of JSON: whether a value has the type of one, where it differs, and the JSON Schema.

For JSON that another process has written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

_PLAIN: dict[Any, frozenset[type]] = {
    int: frozenset({int}),
    float: frozenset({int, float}),
    bool: frozenset({bool}),
    str: frozenset({str}),
    type(None): frozenset({type(None)}),
}
"""The types of values, by annotation. A bool is no number, as in JSON."""

_MAX_INTEGER = 2**53
"""Integers beyond it are not exact in every JSON parser (RFC 8259 §6), and no count is as large."""

_SCHEMA_TYPES: dict[Any, str] = {int: "integer", float: "number", bool: "boolean", str: "string", type(None): "null"}
"""The type names of JSON Schema."""

_FOUND = {**_SCHEMA_TYPES, list: "array", dict: "object"}


def has_type(value: object, annotation: Any) -> bool:
    """
    Whether a JSON value has the type of an annotation: a plain type, list, dict, union or TypedDict of them.

    Other annotations are not checked. Keys that a TypedDict does not name are allowed.
    """
    plain = _PLAIN.get(annotation)
    if plain is not None:
        return type(value) in plain and (annotation is not int or abs(value) <= _MAX_INTEGER)  # type: ignore[arg-type]  # an int
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is list:
        return type(value) is list and _all_have_type(value, parts[0])
    if origin is dict:
        return type(value) is dict and _all_have_type(value, parts[0]) and _all_have_type(value.values(), parts[1])
    if origin in (Union, UnionType):
        return any(has_type(value, part) for part in parts)
    return not is_typeddict(annotation) or _has_members(value, annotation)


def mismatch(value: object, annotation: Any) -> str | None:
    """
    The first place where a JSON value differs from an annotation, and how; None if it has its type.

    >>> mismatch([1, "x"], list[int])
    '/1: expected integer, found string'
    """
    if has_type(value, annotation):
        return None
    for name, member, kind in _parts(value, annotation):
        if not has_type(member, kind):
            rest = mismatch(member, kind) or ""
            return f"/{name}{rest if rest.startswith('/') else f': {rest}'}"
    if type(value) is dict and is_typeddict(annotation):
        return f"`{min(_members(annotation)[0] - value.keys())}` is missing"
    if type(value) is int and abs(value) > _MAX_INTEGER:
        return f"expected at most {_MAX_INTEGER}, found {value}"
    return f"expected {_in_words(annotation)}, found {_FOUND[type(value)]}"


def _parts(value: object, annotation: Any) -> Iterator[tuple[object, object, Any]]:
    """The parts of a value that have an annotation, each with its name and its annotation."""
    origin, kinds = get_origin(annotation), get_args(annotation)
    if origin is list and isinstance(value, list):
        yield from ((number, item, kinds[0]) for number, item in enumerate(value))
    elif isinstance(value, dict):
        members = dict(_members(annotation)[1]) if is_typeddict(annotation) else {}
        any_kind = kinds[1] if origin is dict else Any
        yield from ((name, item, members.get(name, any_kind)) for name, item in value.items())


def _in_words(annotation: Any) -> str:
    """An annotation in the words of JSON Schema."""
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(map(_in_words, get_args(annotation)))
    return _SCHEMA_TYPES.get(annotation) or ("array" if get_origin(annotation) is list else "object")


def json_schema(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of an object whose members have these annotations, by name."""
    definitions: dict[str, dict[str, Any]] = {}
    members = {name: _schema(annotation, definitions) for name, annotation in annotations.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": members,
        "$defs": dict(sorted(definitions.items())),
    }


def _schema(annotation: Any, definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The schema of an annotation. Those of TypedDicts are added to *definitions*."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation in _SCHEMA_TYPES:
        return {"type": _SCHEMA_TYPES[annotation]}
    if origin is list:
        return {"type": "array", "items": _schema(parts[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(parts[1], definitions)}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(part, definitions) for part in parts]}
    if not is_typeddict(annotation):
        return {}
    name = annotation.__name__.removesuffix("Data")
    if name not in definitions:
        definitions[name] = {}  # a TypedDict may contain itself
        required, members = _members(annotation)
        definitions[name] |= {
            "description": " ".join((annotation.__doc__ or "").split()),
            "type": "object",
            "required": sorted(required),
            "properties": {member: _schema(kind, definitions) for member, kind in members},
        }
    return {"$ref": f"#/$defs/{name}"}


def _all_have_type(values: Any, annotation: Any) -> bool:
    plain = _PLAIN.get(annotation)
    if plain is not None and plain.issuperset(map(type, values)):
        return annotation is not int or not values or -_MAX_INTEGER <= min(values) <= max(values) <= _MAX_INTEGER
    return plain is None and all(has_type(value, annotation) for value in values)


def _has_members(value: object, annotation: Any) -> bool:
    """Whether a value is an object with the members of a TypedDict."""
    required, members = _members(annotation)
    if type(value) is not dict or not required <= value.keys():
        return False
    return all(has_type(value[name], kind) for name, kind in members if name in value)


@cache
def _members(annotation: Any) -> tuple[frozenset[str], tuple[tuple[str, Any], ...]]:
    """The required names of a TypedDict, and the annotation of each of its members."""
    hints = get_type_hints(annotation, include_extras=True)
    # With postponed annotations, __required_keys__ also has the members that are NotRequired.
    optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired} | annotation.__optional_keys__
    members = tuple(
        (name, get_args(hint)[0] if get_origin(hint) is NotRequired else hint) for name, hint in hints.items()
    )
    return frozenset(hints.keys() - optional), members
