"""Finds arguments whose 0 or false a chain takes for none, and files in base64 that come back as other ones."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from chainproof.chain_schema.error_text import format_path
from chainproof.contract import clauses
from chainproof.json_text import JSON, is_number

from ...inputs.input_variations import Place, encoded, leaf_places, value_at, with_value, without_member
from ...judging.output_comparison import Leaves, OutputSign, Path, format_output_path
from ..input_source import InputSource
from ..outputs.difference_confirmation import send_alone
from ..requester import Requester

_MAX_ARGUMENTS = 8
_OTHER_NUMBERS = (1, 2, 3, 5, 0.5, 0.25, 10, 100)
"""Numbers of which two are sent to find out whether the chain returns them."""
_FILE_SIZES = (48, 120_000)
"""Bytes of files: a short one has every character of base64, a long one does not fit into common buffers."""
_FIRST_BYTES = 12
"""Bytes that no other file begins with."""


def judge_replaced_values(requester: Requester, source: InputSource) -> None:
    """
    Record 0 or false that comes back as if the argument was absent, where other values come back as they are, by the name of the
    argument. `value or default` in Python and `value || default` in JavaScript do that.
    """
    for place in islice(_optional_places(source), _MAX_ARGUMENTS):
        own = replace(source, value=_with_single_items(source.value, place))
        current = value_at(own.value, place)
        falsy: JSON = 0 if is_number(current) else False
        others = (True,) if isinstance(current, bool) else tuple(_other_numbers(own, place))
        if own.accepts(with_value(own.value, place, falsy)) and others:
            _judge_falsy(requester, own, place, falsy, others)


def _optional_places(source: InputSource) -> Iterator[Place]:
    """The numbers and booleans that may be absent, arguments before those of nested objects and of the first items of arrays."""
    for place in sorted(leaf_places(source.value), key=len):
        current = value_at(source.value, place)
        if not isinstance(place[-1], str) or not (is_number(current) or isinstance(current, bool)):
            continue
        value = _with_single_items(source.value, place) if all(each in (0, str(each)) for each in place) else None
        if value is not None and source.accepts(value) and source.accepts(without_member(value, place)):
            yield place


def _with_single_items(value: JSON, place: Place) -> JSON:
    """The input with one item in each array around a place: a chain may return several in another order."""
    for index, each in enumerate(place):
        if each == 0:
            value = with_value(value, place[:index], [value_at(value, place[: index + 1])])
    return value


def _other_numbers(source: InputSource, place: Place) -> Iterator[JSON]:
    """Two numbers that are accepted; none if there are not two."""
    found = [each for each in _OTHER_NUMBERS if source.accepts(with_value(source.value, place, each))]
    yield from found[:2] if len(found) > 1 else ()


def _judge_falsy(
    requester: Requester, source: InputSource, place: Place, falsy: JSON, others: tuple[JSON, ...]
) -> None:
    """Record one such value of one argument."""
    value = with_value(source.value, place, falsy)

    def returned(changed: JSON) -> dict[Path, object]:
        output = send_alone(requester, encoded(changed), f"values of `{format_path(place)}`")
        named = ((path, values) for path, values in (output or {}).items() if path[-1:] == place[-1:])
        return {path: values[0] for path, values in named if len(values) == 1}

    by_other = [(other, returned(with_value(source.value, place, other))) for other in others]
    found, usual = returned(value), returned(without_member(source.value, place))
    for path, instead in found.items():
        if path not in usual or any(not _equals(known.get(path), other) for other, known in by_other):
            continue
        if _equals(instead, falsy) or instead != usual[path] or isinstance(instead, str):
            return
        label = f"`{format_path(place)}` {encoded(falsy).decode()}"
        text = f"{encoded(instead).decode()} at `{format_output_path(path)}`, as without the argument"  # type: ignore[arg-type]  # a JSON value
        if is_number(instead):
            # Some chains document 0 as a sign for the default.
            requester.note(f"{label} gives {text}. That is wrong unless 0 stands for the default, so it is no finding")
        else:
            record_replaced(requester, value, label, text, (path, (instead,)))
        return


def _equals(first: object, second: object) -> bool:
    """True if two values are equal and of the same type."""
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def judge_returned_files(requester: Requester, source: InputSource) -> None:
    """Record files in base64 that come back in another alphabet or without their end, where other files come back unchanged."""
    for place in source.places:
        if _takes_only_base64(source, place):
            _judge_file(requester, source, place)


def _takes_only_base64(source: InputSource, place: Place) -> bool:
    """True if a text must be base64, which the schema or the model says: it has groups of four characters."""
    texts = ("AAAA", "+/A=", "AAAAAAAA", "A", "AAAAA")
    accepted = [source.accepts(with_value(source.value, place, text)) for text in texts]
    return accepted == [True, True, True, False, False] and isinstance(value_at(source.value, place), str)


def _judge_file(requester: Requester, source: InputSource, place: Place) -> None:
    """Record whether files come back as they were sent, if a first one does."""
    path: Path | None = None
    for size in (_FIRST_BYTES, *_FILE_SIZES):
        content = b"\x12" * size if size == _FIRST_BYTES else _file(source, size)
        text = base64.b64encode(source.rng.randbytes(_FIRST_BYTES).replace(b"\xff", b"\0") + content).decode()
        if path is None:
            text = text.replace("+", "A").replace("/", "A")
        value = with_value(source.value, place, text)
        if not source.accepts(value):
            return
        output = send_alone(requester, encoded(value), f"a file of {size} bytes as `{format_path(place)}`") or {}
        if path is None:
            path = next((each for each, values in output.items() if text in values), None)
            if path is None:
                return
            continue
        problem = _problem(text, output, path)
        if problem is not None:
            record_replaced(
                requester, value, f"a file of {size} bytes as `{format_path(place)}`", problem, (path, output[path])
            )
            return


def _file(source: InputSource, size: int) -> bytes:
    """Bytes that have every character of base64."""
    every = bytes(range(256)) + b"\xfb\xef\xbe\xff\xff\xff"
    return (
        (every * (size // len(every) + 1))[:size]
        if size > len(every)
        else b"\xfb\xef\xbe\xff\xff\xff" + source.rng.randbytes(size)
    )


def _problem(sent: str, output: Leaves, path: Path) -> str | None:
    """How a returned file differs from the one that was sent; None if it is another one altogether."""
    values = output.get(path, ())
    returned = re.sub(r"\s", "", values[0]).rstrip("=") if len(values) == 1 and isinstance(values[0], str) else ""
    plain = sent.rstrip("=")
    if returned == plain.replace("+", "-").replace("/", "_"):
        return f"base64 in the alphabet for URLs at `{format_output_path(path)}`"
    if _FIRST_BYTES < len(returned) < len(plain) and plain.startswith(returned):
        return f"{len(returned):,} instead of {len(plain):,} characters of base64 at `{format_output_path(path)}`"
    return None


def record_replaced(requester: Requester, value: JSON, label: str, found: str, sign: OutputSign) -> None:
    """Enter a value that came back as another one. *sign* is what the output has."""
    requester.record_clause(
        clauses.ECHO_EXACT,
        requester.build_request(encoded(value), label=label),
        expected="the value that was sent, as for other values",
        actual=found,
        sign=sign,
    )
