"""
Faults of the chain, or of whoever carries its output: what comes back is not what was sent.
"""

from __future__ import annotations

import html
import json
import math
import re
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import ECHO_EXACT, ERROR_ON_DEMAND, OUTPUT_JSON, OUTPUT_OBJECT, UNIQUE_MEMBER_NAMES
from chainproof.json_text import JSON

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, RequestContext, error, with_body

_at = FaultRegistrar(stage=FaultStage.CHAIN)

Change = Callable[[JSON], JSON]


def _alters(change: Callable[[dict[str, JSON]], object]) -> DecideHook:
    """
    A chain whose output is its input, changed. Whatever the change leaves alone comes back byte for byte.
    """

    def decide(context: RequestContext) -> Answer:
        correct_answer = context.correct_answer()
        if correct_answer.status != 200:
            return correct_answer
        try:
            value = json.loads(correct_answer.body)
            before, after = json.dumps(value), json.dumps(change(value))
        except (ValueError, RecursionError):
            return correct_answer
        return correct_answer if before == after else with_body(correct_answer, after.encode())

    return decide


def _each(change: Change) -> Callable[[dict[str, JSON]], JSON]:
    """
    A change of every value, the innermost first.
    """

    def walk(value: JSON) -> JSON:
        if isinstance(value, dict):
            return change({name: walk(item) for name, item in value.items()})
        if isinstance(value, list):
            return change([walk(item) for item in value])
        return change(value)

    return lambda value: {name: walk(item) for name, item in value.items()}


def _text(change: Callable[[str], JSON]) -> DecideHook:
    """
    Every string is changed.
    """
    return _alters(_each(lambda value: change(value) if isinstance(value, str) else value))


def _number(change: Callable[[float], JSON]) -> DecideHook:
    """
    Every number is changed.
    """

    def changed(value: JSON) -> JSON:
        return change(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    return _alters(_each(changed))


def _without(dropped: Callable[[JSON], bool]) -> DecideHook:
    """
    Members of some values are dropped.
    """

    def change(value: JSON) -> JSON:
        return {name: item for name, item in value.items() if not dropped(item)} if isinstance(value, dict) else value

    return _alters(lambda value: change(_each(change)(value)))


def _names(change: Callable[[str], str | None]) -> DecideHook:
    """
    Names of members are changed, or dropped with their members.
    """

    def renamed(value: JSON) -> JSON:
        if not isinstance(value, dict):
            return value
        return {new: item for name, item in value.items() if (new := change(name)) is not None}

    return _alters(lambda value: renamed(_each(renamed)(value)))


def _list(change: Callable[[list[JSON]], JSON]) -> DecideHook:
    """
    Arrays are changed.
    """
    return _alters(_each(lambda value: change(value) if isinstance(value, list) else value))


def _short(value: float) -> JSON:
    """
    A number as a float of 32 bits.
    """
    try:
        near = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return value
    return value if isinstance(value, int) and value == near else float(near)


def _cut(value: JSON, depth: int) -> JSON:
    """
    A value without what lies deeper.
    """
    if isinstance(value, dict | list) and depth == 0:
        return None
    if isinstance(value, dict):
        return {name: _cut(item, depth - 1) for name, item in value.items()}
    return [_cut(item, depth - 1) for item in value] if isinstance(value, list) else value


def _numeric(text: str) -> JSON:
    """
    A string of digits as their number.
    """
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else text


def _double(value: float) -> JSON:
    """
    An integer as the nearest double.
    """
    return int(float(value)) if isinstance(value, int) and 1 << 53 < abs(value) < 1 << 1000 else value


def _six(value: float) -> JSON:
    """
    A fraction with six digits.
    """
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


def _sixty_four(value: float) -> JSON:
    """
    An integer cut to 64 bits.
    """
    return ((value + (1 << 63)) % (1 << 64)) - (1 << 63) if isinstance(value, int) else value


def _camel(name: str) -> str:
    """
    A name in the manner of Java's.
    """
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


_at.add_table(
    ECHO_EXACT,
    rows={
        "rounds-integers": ("Integers beyond 2^53 are rounded to doubles.", _number(_double)),
        "rounds-fractions": ("Fractions keep six digits.", _number(_six)),
        "small-numbers-to-zero": (
            "Numbers below 1e-5 become 0.",
            _number(lambda value: 0.0 if 0 < abs(value) < 1e-5 else value),
        ),
        "normalizes-nfc": ("Strings are normalized to NFC.", _text(lambda text: unicodedata.normalize("NFC", text))),
        "trims-strings": ("Strings are trimmed.", _text(str.strip)),
        "escapes-html": ("Strings are escaped for HTML.", _text(html.escape)),
        "decodes-percent": ("Percent signs are decoded as in a URL.", _text(unquote)),
        "unescapes-backslashes": ("Two backslashes become one.", _text(lambda text: text.replace("\\\\", "\\"))),
        "truncates-at-nul": ("Strings end at the first zero.", _text(lambda text: text.partition("\0")[0])),
        "drops-control-characters": (
            "Control characters are dropped.",
            _text(lambda text: re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text)),
        ),
        "breaks-surrogates": (
            "Characters beyond the basic plane become U+FFFD.",
            _text(lambda text: re.sub("[\U00010000-\U0010ffff]", "\ufffd", text)),
        ),
        "coerces-digits": ("Strings of digits become numbers.", _text(_numeric)),
        "empty-strings-to-null": ("Empty strings become null.", _text(lambda text: text or None)),
        "nulls-dropped": ("Members that are null are dropped.", _without(lambda value: value is None)),
        "booleans-to-numbers": (
            "true and false become 1 and 0.",
            _alters(_each(lambda value: int(value) if isinstance(value, bool) else value)),
        ),
        "names-lower-cased": ("Names are written in lower case.", _names(str.lower)),
        "empty-name-dropped": ("The member of the empty name is dropped.", _names(lambda name: name or None)),
        "proto-dropped": (
            "The member `__proto__` is dropped.",
            _names(lambda name: None if name == "__proto__" else name),
        ),
        "members-capped": (
            "Of an object's members the first 100 come back.",
            _alters(lambda value: dict(list(value.items())[:100])),
        ),
        "arrays-capped": ("Of an array's items the first 100 come back.", _list(lambda value: value[:100])),
        "nested-arrays-flattened": (
            "Arrays in arrays are joined.",
            _list(lambda value: [inner for item in value for inner in (item if isinstance(item, list) else [item])]),
        ),
        "truncates-depth": (
            "What lies deeper than eight levels is null.",
            _alters(lambda value: _cut(value, 8)),
        ),
        "wraps-output": ("The output comes back as the member `output`.", _alters(lambda value: {"output": value})),
    },
)


@_at.on_decide(ECHO_EXACT)
def output_empty(context: RequestContext) -> Answer:
    """The output is always the empty object."""
    correct_answer = context.correct_answer()
    return with_body(correct_answer, b"{}") if correct_answer.status == 200 else correct_answer


@_at.on_decide(UNIQUE_MEMBER_NAMES)
def member_duplicated(context: RequestContext) -> Answer:
    """The first member is written twice."""
    correct_answer = context.correct_answer()
    found = re.match(
        rb'\s*\{\s*("(?:[^"\\]|\\.)*"\s*:\s*(?:-?\d+|"[^"\\]*"|true|false|null))\s*[,}]', correct_answer.body
    )
    if correct_answer.status != 200 or found is None:
        return correct_answer
    return with_body(correct_answer, b"{" + found[1] + b"," + correct_answer.body.lstrip()[1:])


@_at.on_decide(OUTPUT_OBJECT)
def output_in_array(context: RequestContext) -> Answer:
    """The output comes back in an array."""
    correct_answer = context.correct_answer()
    return (
        with_body(correct_answer, b"[" + correct_answer.body + b"]") if correct_answer.status == 200 else correct_answer
    )


@_at.on_decide(OUTPUT_OBJECT)
def output_double_encoded(context: RequestContext) -> Answer:
    """The output comes back as a string that holds its JSON text."""
    correct_answer = context.correct_answer()
    return (
        with_body(correct_answer, json.dumps(correct_answer.body.decode()).encode())
        if correct_answer.status == 200
        else correct_answer
    )


@_at.on_decide(OUTPUT_OBJECT)
def output_null(context: RequestContext) -> Answer:
    """An empty object comes back as null."""
    correct_answer = context.correct_answer()
    return (
        with_body(correct_answer, b"null")
        if correct_answer.status == 200 and correct_answer.body.strip() == b"{}"
        else correct_answer
    )


@_at.on_decide(OUTPUT_JSON)
def output_infinity(context: RequestContext) -> Answer:
    """Numbers beyond a double come back as Infinity."""
    correct_answer = context.correct_answer()
    beyond = re.compile(rb"(?<=[\[:,\s])-?\d+(?:\.\d+)?[eE]\+?(?:[4-9]\d\d|\d{4,})")
    return (
        with_body(correct_answer, beyond.sub(b"Infinity", correct_answer.body))
        if correct_answer.status == 200
        else correct_answer
    )


@_at.on_decide(ERROR_ON_DEMAND)
def one_code_for_all(context: RequestContext) -> Answer:
    """Whatever goes wrong in the chain is an `internal_baseten_error` with 502."""
    correct_answer = context.correct_answer()
    return (
        error(correct_answer, 502, "internal_baseten_error")
        if correct_answer.status in (502, 503, 504)
        else correct_answer
    )


@_at.on_decide(ERROR_ON_DEMAND)
def retries_hide_429(context: RequestContext) -> Answer:
    """A 429 is answered 503, as by a gateway that gives up waiting."""
    correct_answer = context.correct_answer()
    return error(correct_answer, 503, "model_unavailable") if correct_answer.status == 429 else correct_answer


@_at.on_decide(ERROR_ON_DEMAND)
def errors_are_swallowed(context: RequestContext) -> Answer:
    """What the chain fails at is answered 200 with the error as the output."""
    correct_answer = context.correct_answer()
    return replace(correct_answer, status=200) if correct_answer.status in (502, 503, 504) else correct_answer
