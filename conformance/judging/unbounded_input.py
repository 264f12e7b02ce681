"""Large numbers in an input, which may decide how long the chain works, such as `delay` or `repeats`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chainproof.json_text import JSON, is_number, parse_json

from ..inputs.chain_inputs import UNNAMED_MEMBER


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeNumber:
    """A number in an input, and where it stands."""

    path: tuple[str, ...]
    """Names of the members that lead to it; `*` for any item of an array."""
    value: float

    @property
    def name(self) -> str:
        """The path as people write it."""
        return ".".join(self.path)


def large_numbers(body: bytes, least: float) -> tuple[LargeNumber, ...]:
    """
    The numbers in an input that are at least *least*, the largest first. Those in a member that the chain ignores do not count.

    >>> [each.name for each in large_numbers(b'{"delay":60,"chainproof":{"delay":60}}', 30)]
    ['delay']
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        return ()
    arguments: JSON = {name: member for name, member in value.items() if name != UNNAMED_MEMBER}
    return tuple(sorted(_numbers(arguments, least), key=lambda each: each.value, reverse=True))


def _numbers(value: JSON, least: float) -> Iterator[LargeNumber]:
    """The numbers in a JSON value that are at least *least*."""
    pending: list[tuple[JSON, tuple[str, ...]]] = [(value, ())]
    while pending:
        each, where = pending.pop()
        if isinstance(each, dict):
            pending += [(member, (*where, name)) for name, member in each.items()]
        elif isinstance(each, list):
            pending += [(item, (*where, "*")) for item in each]
        elif is_number(each) and each >= least:
            yield LargeNumber(path=where, value=_as_float(each))


def _as_float(number: float) -> float:
    """A number as a float; infinite if it is too large."""
    try:
        return float(number)
    except OverflowError:
        return float("inf")
