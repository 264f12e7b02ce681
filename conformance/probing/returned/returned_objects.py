"""
Finds values that come back as values of another type, if the chain returns an object whose members may have any name.

PHP and Lua have one type for arrays and objects, so that `{}` comes back as `[]`. A store of texts makes a text of a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from chainproof.chain_schema.error_text import format_path
from chainproof.json_text import JSON, is_number

from ...inputs.bound_values import member_places
from ...inputs.input_variations import Place, encoded, unique_text, value_at, with_value
from ...judging.output_comparison import Leaves, Path, format_output_path
from ..input_source import InputSource
from ..outputs.difference_confirmation import send_alone
from ..requester import Requester
from .replaced_values import record_replaced

_MAX_PLACES = 6
_LENGTH = 10
"""Characters of a name that no other member has."""
_SAMPLES: tuple[JSON, ...] = ({}, [], 7, 0, 2.5, True, False, None, "", "007", "true", "null")
"""Values that come back as others if they are stored as text, or in a language with fewer types."""


def judge_returned_objects(requester: Requester, source: InputSource) -> None:
    """Record members of free names that come back with another type, in each object that the chain returns."""
    for place in islice(_places(source), _MAX_PLACES):
        name = unique_text(source.rng, _LENGTH)
        samples: tuple[JSON, ...] = (unique_text(source.rng, _LENGTH), source.rng.randrange(10**6, 10**7))
        values = (with_value(source.value, place, {name: sample}) for sample in samples)
        value = next(filter(source.accepts, values), None)
        if value is None:
            continue
        label = f"an object of any members as `{format_path(place)}`"
        path = _returned_at(send_alone(requester, encoded(value), label), name, value_at(value, (*place, name)))
        if path is not None and not _judge_members(requester, source, place, path, label):
            _judge_empty(requester, source, place, path)


def _places(source: InputSource) -> Iterator[Place]:
    """Where an object with a member of any name may be."""
    for place in member_places(source.value):
        changed = (with_value(source.value, place, {"anyname": sample}) for sample in ("x", 7))
        if not isinstance(value_at(source.value, place), list) and any(map(source.accepts, changed)):
            yield place


def _returned_at(output: Leaves | None, name: str, item: JSON) -> Path | None:
    """Where the output has the object with this member; None if it has not. The member may be a text already."""
    found = (
        path for path, values in (output or {}).items() if path[-1:] == (name,) and values in ((item,), (str(item),))
    )
    return next((path[:-1] for path in found), None)


def _judge_members(requester: Requester, source: InputSource, place: Place, path: Path, label: str) -> bool:
    """Record members that come back with another type. True after a violation."""
    members = {unique_text(source.rng, _LENGTH): sample for sample in _SAMPLES}
    members = {
        name: sample
        for name, sample in members.items()
        if source.accepts(with_value(source.value, place, {name: sample}))
    }
    value = with_value(source.value, place, members)
    if not members or not source.accepts(value):
        return False
    output = send_alone(requester, encoded(value), label) or {}
    for name, sample in members.items():
        for returned in output.get((*path, name), ()):
            if has_other_type(sample, returned):
                sign = ((*path, name), output[*path, name])
                record_replaced(requester, value, label, _difference(path, sample, returned), sign)
                return True
    return False


def _judge_empty(requester: Requester, source: InputSource, place: Place, path: Path) -> None:
    """Record an empty object that comes back as an empty array."""
    value = with_value(source.value, place, {})
    if not source.accepts(value):
        return
    label = f"an empty object as `{format_path(place)}`"
    found = (send_alone(requester, encoded(value), label) or {}).get(path, ())
    for returned in found:
        if has_other_type({}, returned):
            record_replaced(requester, value, label, _difference(path, {}, returned), (path, found))


def has_other_type(sent: JSON, returned: object) -> bool:
    """
    True if a value came back with another type, and as what it is if it is converted carelessly. A chain may leave out null and
    empty values on purpose.

    >>> has_other_type({}, []), has_other_type(7, "7"), has_other_type(True, 1), has_other_type("007", 7)
    (True, True, True, True)
    >>> has_other_type({}, None), has_other_type(7, 7.0), has_other_type(None, "None"), has_other_type("x", "X")
    (False, False, True, False)
    """
    if isinstance(sent, dict | list):
        return returned == ({} if isinstance(sent, list) else []) or returned in ("{}", "[]")
    if isinstance(sent, bool):
        return not isinstance(returned, bool) and returned in (int(sent), str(sent), str(sent).lower())
    if sent is None:
        return returned in ("None", "null", "undefined", "nil", "NULL")
    if isinstance(sent, str):
        return (
            bool(sent)
            and not isinstance(returned, str)
            and returned is not None
            and not isinstance(returned, dict | list)
        )
    return is_number(sent) and isinstance(returned, str) and returned in (str(sent), str(float(sent)))


def _difference(path: Path, sent: JSON, returned: object) -> str:
    """What came back instead of what was sent."""
    found = encoded(returned).decode()  # type: ignore[arg-type]  # a JSON value
    return f"{found} instead of {encoded(sent).decode()} in `{format_output_path(path)}`"
