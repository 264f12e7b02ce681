"""Whether a JSON value has the type of an annotation, such as a TypedDict: for JSON that another process has written."""

from __future__ import annotations

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


def has_type(value: object, annotation: Any) -> bool:
    """
    Whether a JSON value has the type of an annotation: a plain type, list, dict, union or TypedDict of them.

    Other annotations are not checked. Keys that a TypedDict does not name are allowed.
    """
    plain = _PLAIN.get(annotation)
    if plain is not None:
        return type(value) in plain
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is list:
        return type(value) is list and _all_have_type(value, parts[0])
    if origin is dict:
        return type(value) is dict and _all_have_type(value, parts[0]) and _all_have_type(value.values(), parts[1])
    if origin in (Union, UnionType):
        return any(has_type(value, part) for part in parts)
    return not is_typeddict(annotation) or _has_members(value, annotation)


def _all_have_type(values: Any, annotation: Any) -> bool:
    plain = _PLAIN.get(annotation)
    if plain is not None:
        return plain.issuperset(map(type, values))
    return all(has_type(value, annotation) for value in values)


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
