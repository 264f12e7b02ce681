"""
Finds the values of an input that a chain returns, and where they come back as other ones.

Which values a chain returns is learnt from its answers: a path of the output had the value of a place of the input in several
answers, each to another value.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from chainproof.chain_schema.error_text import format_path
from chainproof.json_text import JSON, is_number

from ...inputs.input_variations import (
    Place,
    encoded,
    leaf_places,
    lengthened,
    unique_text,
    value_at,
    with_value,
)
from ...judging.misread_values import UNUSUAL_TEXTS, is_cut_within_character, is_misread_number, is_misread_text
from ...judging.output_comparison import Leaves, Path, format_output_path
from ..input_source import InputSource
from ..outputs.difference_confirmation import send_alone
from ..requester import Requester
from .replaced_values import record_replaced

_RETURNED = 3
"""Answers in which an output value has to equal an input value before it counts as returned."""
_USUAL = 100
_LARGE_INTEGERS = (2**53 + 1, 2**63 - 1, -(2**53) - 1, 2**31 + 12_345, 2**32 + 54_321)
_NUMBERS_AS_TEXT = ("007", "1e3", "12345678")
_TYPED_TEXTS = ("007", "1e3", "true", "no")
"""Texts that are of another type in YAML, CSV or a query."""
_STEM = 8
"""Unique characters at the beginning of a text, by which it is recognised."""
_NORMALIZED: dict[str, Callable[[str], str]] = {
    "without spaces at their ends": str.strip,
    "with composed characters": partial(unicodedata.normalize, "NFC"),
    "with other line ends": lambda text: text.replace("\r\n", "\n"),
}
"""How texts may come back although they mean the same."""
_BETWEEN_WORDS = " - "
"""Characters at which chains cut texts on purpose, such as those that return tokens or the first word."""
_LONG_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Returned:
    """Where the output has a value of the input."""

    path: Path
    index: int

    def value_in(self, output: Leaves | None) -> object:
        """The returned value; None if there is none."""
        values = () if output is None else output.get(self.path, ())
        return values[self.index] if self.index < len(values) else None


def judge_returned_values(requester: Requester, source: InputSource) -> None:
    """
    Record values that come back as other ones: integers without some digits, and texts that were converted wrongly.

    Some chains return an argument only if another one is equal, such as two languages; and a place may take a text as well as
    another value.
    """
    texts = _with_texts(source)
    sources = {encoded(each.value): each for each in (source, texts, _with_equal_words(texts))}
    for each in sources.values():
        _judge_source(requester, each)


def _with_texts(source: InputSource) -> InputSource:
    """The source with texts in all places that take any text."""
    value = source.value
    for place in leaf_places(value):
        changed = with_value(value, place, unique_text(source.rng, _STEM))
        if not isinstance(value_at(value, place), str) and source.accepts(changed):
            value = changed
    return source if value == source.value else source.with_value(value)


def _with_equal_words(source: InputSource) -> InputSource:
    """The source with the same value of an enumeration in as many places as possible, if these are two or more."""
    places = [place for place in leaf_places(source.value) if value_at(source.value, place) in source.words]
    found: list[JSON] = []
    for word in source.words:
        value, count = source.value, 0
        for place in places:
            changed = with_value(value, place, word)
            value, count = (changed, count + 1) if source.accepts(changed) else (value, count)
        found += [value] if count > 1 else []
    return source.with_value(found[0]) if found else source


def _judge_source(requester: Requester, source: InputSource) -> None:
    """The same for one source of inputs."""
    returned = _returned_values(requester, source)
    for place, where in returned.items():
        _judge_numbers(requester, source, place, where)
        _judge_booleans(requester, source, place, where)
    texts = {place: where for place, where in returned.items() if isinstance(value_at(source.value, place), str)}
    _judge_typed_texts(requester, source, texts)
    for label, unusual in UNUSUAL_TEXTS.items():
        if texts and _judge_unusual_text(requester, source, texts, label, unusual):
            break
    _judge_long_texts(requester, source)
    _note_normalized_texts(requester, source, texts)


def _note_normalized_texts(requester: Requester, source: InputSource, texts: Mapping[Place, _Returned]) -> None:
    """Enter which texts come back normalized. A chain may do that on purpose, or a gateway by mistake."""
    stem = unique_text(source.rng, _STEM)
    value = source.value
    for place in texts:
        changed = with_value(value, place, f" {stem}e\u0301\r\n{stem[:2]} ")
        value = changed if source.accepts(changed) else value
    output = send_alone(requester, encoded(value), "texts that may be normalized") if texts else None
    found: dict[str, list[str]] = {}
    for place, where in texts.items():
        how = how_normalized(value_at(value, place), where.value_in(output))
        found.setdefault(how, []).append(f"`{format_path(place)}`")
    for how, places in found.items():
        if how:
            requester.note(
                f"texts of {', '.join(places)} come back {how}. A chain may do that, so it is no finding; if yours does not, "
                "something between it and its callers does"
            )


def how_normalized(sent: object, returned: object) -> str:
    r"""
    How a text that came back differs from an equal one that was sent; empty if it does not, or if it is not equal.

    >>> how_normalized(" a\r\nb", "a\nb"), how_normalized("a b", "a b"), how_normalized("a b", "b")
    ('without spaces at their ends, with other line ends', '', '')
    """
    if not isinstance(sent, str) or not isinstance(returned, str) or _normalized(sent) != _normalized(returned):
        return ""
    return ", ".join(
        how for how, change in _NORMALIZED.items() if change(sent) != sent and change(returned) == returned
    )


def _normalized(text: str) -> str:
    for change in _NORMALIZED.values():
        text = change(text)
    return text


def _returned_values(requester: Requester, source: InputSource) -> dict[Place, _Returned]:
    """The places of the input whose values the output has."""
    found = _places_with_output(requester, [source.unique() for _ in range(_RETURNED)], source.places)
    # Floats of 32 bits have the digits of small numbers only.
    numbers = [each for each in source.places if each not in found and is_number(value_at(source.value, each))]
    small = [_with_small_numbers(source, numbers, first) for first in range(11, 11 * (_RETURNED + 1), 11)]
    return found | (_places_with_output(requester, small, numbers) if numbers else {})


def _with_small_numbers(source: InputSource, places: Sequence[Place], first: int) -> JSON:
    """The input with different small numbers in these places."""
    value = source.value
    for number, place in enumerate(places, start=first):
        changed = with_value(value, place, number)
        value = changed if source.accepts(changed) else value
    return value


def _places_with_output(
    requester: Requester, values: Sequence[JSON], places: Sequence[Place]
) -> dict[Place, _Returned]:
    """Those places whose values the outputs have, each at the same place of each output."""
    outputs = [send_alone(requester, encoded(value), "an input with unique values") for value in values]
    found: dict[Place, _Returned] = {}
    for place in places:
        sent = [value_at(value, place) for value in values]
        if len(set(map(repr, sent))) < _RETURNED:
            continue
        for where in _positions(outputs[0], sent[0]):
            if [where.value_in(output) for output in outputs] == sent:
                found.setdefault(place, where)
    return found


def _positions(output: Leaves | None, value: JSON) -> Iterator[_Returned]:
    """Where an output has a value."""
    for path, values in (output or {}).items():
        for index, each in enumerate(values):
            if each == value and isinstance(each, bool) == isinstance(value, bool):
                yield _Returned(path=path, index=index)


def _judge_numbers(requester: Requester, source: InputSource, place: Place, where: _Returned) -> None:
    """Record an integer argument that comes back as another one, or a text as a number, if the argument takes texts too."""
    takes_integers, takes_fractions = (source.accepts(with_value(source.value, place, each)) for each in (_USUAL, 0.5))
    if not takes_integers or takes_fractions:
        return  # a large integer may be read as a double
    for sent in (*_LARGE_INTEGERS, *_NUMBERS_AS_TEXT):
        value = with_value(source.value, place, sent)
        if not source.accepts(value):
            continue
        output = send_alone(requester, encoded(value), f"{sent!r} in an argument")
        returned = where.value_in(output)
        if returned != sent and is_misread_number(sent, returned):
            label, found = f"{sent!r} as `{format_path(place)}`", f"{returned!r} instead of {sent!r}"
            _record(requester, value, label, where.path, found, output=output)
            return


def _judge_booleans(requester: Requester, source: InputSource, place: Place, where: _Returned) -> None:
    """Record a boolean that comes back as a number or a text, in a place that takes other values as well."""
    value = with_value(source.value, place, new=True)
    if not source.accepts(value):
        return
    output = send_alone(requester, encoded(value), "true in an argument")
    returned = where.value_in(output)
    if not isinstance(returned, bool) and returned in (1, "True", "true", "1"):
        label, found = f"true as `{format_path(place)}`", f"{returned!r} instead of true"
        _record(requester, value, label, where.path, found, output=output)


def _judge_typed_texts(requester: Requester, source: InputSource, texts: Mapping[Place, _Returned]) -> None:
    """Record a text that comes back as a number or a boolean."""
    for sent in _TYPED_TEXTS if texts else ():
        value = source.value
        places: list[Place] = []
        for place in texts:
            changed = with_value(value, place, sent)
            if source.accepts(changed) and not source.accepts(with_value(value, place, _USUAL)):
                value, places = changed, [*places, place]
        output = send_alone(requester, encoded(value), f"{sent!r} in every text") if places else None
        for place in places:
            returned = texts[place].value_in(output)
            if is_misread_number(sent, returned):
                label, found = f"{sent!r} as `{format_path(place)}`", f"{returned!r} instead of {sent!r}"
                _record(requester, value, label, texts[place].path, found, output=output)
                return


def _judge_unusual_text(
    requester: Requester, source: InputSource, texts: Mapping[Place, _Returned], label: str, unusual: str
) -> bool:
    """Record whether texts with an unusual part come back with another one. True after a violation."""
    value, stems = source.value, {}
    for place in texts:
        stem = unique_text(source.rng, _STEM)
        changed = with_value(value, place, f"{stem}{unusual}{stem[:2]}")
        if source.accepts(changed):
            value, stems[place] = changed, stem
    output = send_alone(requester, encoded(value), f"texts with {label}") if stems else None
    for place, stem in stems.items():
        returned = texts[place].value_in(output)
        is_misread = is_misread_text(stem, unusual, stem[:2], returned)
        is_divided = returned == stem and _divides_texts(requester, source, place, texts[place], output)
        if is_misread and not is_divided:
            found = f"{returned!r} instead of {value_at(value, place)!r}"
            _record(requester, value, f"{label} in `{format_path(place)}`", texts[place].path, found, output=output)
            return True
    return False


def _divides_texts(
    requester: Requester, source: InputSource, place: Place, where: _Returned, output: Leaves | None
) -> bool:
    """
    True if the chain divides texts into words, and does the same in an *output*: it has the first word of two, and the second one if
    it has that usually.
    """
    stem = unique_text(source.rng, _STEM)
    value = with_value(source.value, place, f"{stem}{_BETWEEN_WORDS}{stem[:2]}")
    usual = send_alone(requester, encoded(value), "a text of two words") if source.accepts(value) else None
    count = len((usual or {}).get(where.path, ()))
    return where.value_in(usual) == stem and (count == 1 or len((output or {}).get(where.path, ())) > 1)


def _judge_long_texts(requester: Requester, source: InputSource) -> None:
    """Record texts that the chain cuts off in the middle of a character, as one that counts bytes or UTF-16 units does."""
    places = tuple(place for place in source.places if isinstance(value_at(source.value, place), str))
    for shift in (0, 1):
        stems = {place: unique_text(source.rng, _STEM) + "x" * shift for place in places}
        value = source.value
        for place, stem in stems.items():
            short = with_value(value, place, stem)
            value = short if source.accepts(short) else value
            value = lengthened(value, (place,), source.accepts, _LONG_TEXT, filling="😀")
        output = send_alone(requester, encoded(value), "long texts of characters beyond U+FFFF")
        for path, leaves in (output or {}).items():
            for place in places:
                sent = str(value_at(value, place))
                cut = next((str(each) for each in leaves if is_cut_within_character(sent, each, least=_STEM)), None)
                if cut is not None:
                    _record(requester, value, "long texts", path, _damage(cut), output=output)
                    return


def _damage(text: str) -> str:
    """What is wrong with a text that was cut within a character."""
    count = text.count("\ufffd")
    if count > 1:
        return f"{count} replacement characters (U+FFFD) that were not sent"
    return f"a text that ends within a character: {text[-3:]!r}"


def _record(requester: Requester, value: JSON, label: str, path: Path, found: str, *, output: Leaves | None) -> None:
    """Enter a value that came back as another one in an output."""
    sign = (path, (output or {}).get(path, ()))
    record_replaced(requester, value, label, f"{found} at `{format_output_path(path)}`", sign)
