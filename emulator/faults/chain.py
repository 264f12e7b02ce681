"""Chain faults: the output is not the input, or errors are reported wrongly."""

from __future__ import annotations

import html
import json
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import ECHO_EXACT, ERROR_ON_DEMAND, OUTPUT_JSON, OUTPUT_OBJECT, UNIQUE_MEMBER_NAMES
from chainproof.json_text import JSON, is_number

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, RequestContext, error, with_body

_faults = FaultRegistrar(stage=FaultStage.CHAIN)

Change = Callable[[JSON], JSON]


def _changed_output(change: Callable[[dict[str, JSON]], object]) -> DecideHook:
    """A hook that changes the output. Outputs that the change leaves equal, or with infinite numbers, stay byte-identical."""

    def decide(context: RequestContext) -> Answer:
        answer = context.correct_answer()
        if answer.status != 200:
            return answer
        try:
            value = json.loads(answer.body)
            before, after = json.dumps(value), json.dumps(change(value), allow_nan=False)
        except (ValueError, RecursionError):
            return answer
        return answer if before == after else with_body(answer, after.encode())

    return decide


def _every_value(change: Change) -> Callable[[dict[str, JSON]], JSON]:
    """A change applied to every value, innermost first."""

    def walk(value: JSON) -> JSON:
        if isinstance(value, dict):
            return change({name: walk(item) for name, item in value.items()})
        if isinstance(value, list):
            return change([walk(item) for item in value])
        return change(value)

    return lambda value: {name: walk(item) for name, item in value.items()}


def _strings(change: Callable[[str], JSON]) -> DecideHook:
    """A hook that changes every string."""
    return _changed_output(_every_value(lambda value: change(value) if isinstance(value, str) else value))


def _numbers(change: Callable[[float], JSON]) -> DecideHook:
    """A hook that changes every number."""

    def change_number(value: JSON) -> JSON:
        return change(value) if is_number(value) else value

    return _changed_output(_every_value(change_number))


def _members_dropped(dropped: Callable[[JSON], bool]) -> DecideHook:
    """A hook that drops members with certain values."""

    def change(value: JSON) -> JSON:
        return {name: item for name, item in value.items() if not dropped(item)} if isinstance(value, dict) else value

    return _changed_output(lambda value: change(_every_value(change)(value)))


def _member_names(change: Callable[[str], str | None]) -> DecideHook:
    """A hook that renames members; None drops the member."""

    def renamed(value: JSON) -> JSON:
        if not isinstance(value, dict):
            return value
        return {new: item for name, item in value.items() if (new := change(name)) is not None}

    return _changed_output(lambda value: renamed(_every_value(renamed)(value)))


def _arrays(change: Callable[[list[JSON]], JSON]) -> DecideHook:
    """A hook that changes every array."""
    return _changed_output(_every_value(lambda value: change(value) if isinstance(value, list) else value))


def _truncated(value: JSON, depth: int) -> JSON:
    """A value with everything below *depth* replaced by null."""
    if isinstance(value, dict | list) and depth == 0:
        return None
    if isinstance(value, dict):
        return {name: _truncated(item, depth - 1) for name, item in value.items()}
    return [_truncated(item, depth - 1) for item in value] if isinstance(value, list) else value


def _digits_as_number(text: str) -> JSON:
    """A string of digits as a number."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else text


def _as_double(value: float) -> JSON:
    """A large integer rounded to the nearest double."""
    return int(float(value)) if isinstance(value, int) and 1 << 53 < abs(value) < 1 << 1000 else value


def _six_digits(value: float) -> JSON:
    """A fraction with six significant digits."""
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


_faults.add_table(
    ECHO_EXACT,
    rows={
        "rounds-integers": ("Integers beyond 2^53 are rounded to doubles.", _numbers(_as_double)),
        "rounds-fractions": ("Fractions are rounded to six significant digits.", _numbers(_six_digits)),
        "small-numbers-to-zero": (
            "Numbers below 1e-5 become 0.",
            _numbers(lambda value: 0.0 if 0 < abs(value) < 1e-5 else value),
        ),
        "normalizes-nfc": ("Strings are normalized to NFC.", _strings(lambda text: unicodedata.normalize("NFC", text))),
        "trims-strings": ("Strings are trimmed.", _strings(str.strip)),
        "escapes-html": ("Strings are HTML-escaped.", _strings(html.escape)),
        "decodes-percent": ("Strings are percent-decoded.", _strings(unquote)),
        "unescapes-backslashes": ("Two backslashes become one.", _strings(lambda text: text.replace("\\\\", "\\"))),
        "truncates-at-nul": ("Strings end at the first NUL.", _strings(lambda text: text.partition("\0")[0])),
        "drops-control-characters": (
            "Control characters are dropped.",
            _strings(lambda text: re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text)),
        ),
        "breaks-surrogates": (
            "Characters beyond U+FFFF become U+FFFD.",
            _strings(lambda text: re.sub("[\U00010000-\U0010ffff]", "\ufffd", text)),
        ),
        "coerces-digits": ("Strings of digits become numbers.", _strings(_digits_as_number)),
        "empty-strings-to-null": ("Empty strings become null.", _strings(lambda text: text or None)),
        "nulls-dropped": ("Members with the value null are dropped.", _members_dropped(lambda value: value is None)),
        "booleans-to-numbers": (
            "true and false become 1 and 0.",
            _changed_output(_every_value(lambda value: int(value) if isinstance(value, bool) else value)),
        ),
        "names-lower-cased": ("Member names are lower-cased.", _member_names(str.lower)),
        "empty-name-dropped": ("A member with the empty name is dropped.", _member_names(lambda name: name or None)),
        "proto-dropped": (
            "The member `__proto__` is dropped.",
            _member_names(lambda name: None if name == "__proto__" else name),
        ),
        "members-capped": (
            "Objects keep their first 100 members.",
            _changed_output(lambda value: dict(list(value.items())[:100])),
        ),
        "arrays-capped": ("Arrays keep their first 100 items.", _arrays(lambda value: value[:100])),
        "nested-arrays-flattened": (
            "Nested arrays are flattened.",
            _arrays(lambda value: [inner for item in value for inner in (item if isinstance(item, list) else [item])]),
        ),
        "truncates-depth": (
            "Values nested deeper than eight levels become null.",
            _changed_output(lambda value: _truncated(value, 8)),
        ),
        "wraps-output": (
            "The output is wrapped in a member `output`.",
            _changed_output(lambda value: {"output": value}),
        ),
    },
)


@_faults.on_decide(ECHO_EXACT)
def output_empty(context: RequestContext) -> Answer:
    """The output is always the empty object."""
    answer = context.correct_answer()
    return with_body(answer, b"{}") if answer.status == 200 else answer


@_faults.on_decide(ECHO_EXACT)
def text_after_pairs_lost(context: RequestContext) -> Answer:
    """Text between an escaped surrogate pair and a later escape is lost, as with Ruby's json 2.17.0."""
    changed = re.sub(rb'(\\u[dD][89abAB]..\\u[dD][c-fC-F]..)[^"\\]+(?=\\)', rb"\1", context.body)
    return context.serve_body(changed if changed != context.body else None)


@_faults.on_decide(UNIQUE_MEMBER_NAMES)
def member_duplicated(context: RequestContext) -> Answer:
    """The first member of the output is written twice."""
    answer = context.correct_answer()
    match = re.match(rb'\s*\{\s*("(?:[^"\\]|\\.)*"\s*:\s*(?:-?\d+|"[^"\\]*"|true|false|null))\s*[,}]', answer.body)
    if answer.status != 200 or match is None:
        return answer
    return with_body(answer, b"{" + match[1] + b"," + answer.body.lstrip()[1:])


@_faults.on_decide(OUTPUT_OBJECT)
def output_in_array(context: RequestContext) -> Answer:
    """The output is wrapped in an array."""
    answer = context.correct_answer()
    return with_body(answer, b"[" + answer.body + b"]") if answer.status == 200 else answer


@_faults.on_decide(OUTPUT_OBJECT)
def output_double_encoded(context: RequestContext) -> Answer:
    """The output is a string that contains the JSON text."""
    answer = context.correct_answer()
    return with_body(answer, json.dumps(answer.body.decode()).encode()) if answer.status == 200 else answer


@_faults.on_decide(OUTPUT_OBJECT, needs_echo=True)
def output_null(context: RequestContext) -> Answer:
    """The empty object is returned as null."""
    answer = context.correct_answer()
    return with_body(answer, b"null") if answer.status == 200 and answer.body.strip() == b"{}" else answer


@_faults.on_decide(OUTPUT_JSON, needs_echo=True)
def output_infinity(context: RequestContext) -> Answer:
    """Numbers beyond the range of a double are written as Infinity."""
    answer = context.correct_answer()
    overflowing = re.compile(rb"(?<=[\[:,\s])-?\d+(?:\.\d+)?[eE]\+?(?:[4-9]\d\d|\d{4,})")
    return with_body(answer, overflowing.sub(b"Infinity", answer.body)) if answer.status == 200 else answer


@_faults.on_decide(ERROR_ON_DEMAND)
def one_code_for_all(context: RequestContext) -> Answer:
    """Every 502, 503 and 504 becomes a 502 with the code `internal_baseten_error`."""
    answer = context.correct_answer()
    return error(answer, 502, "internal_baseten_error") if answer.status in (502, 503, 504) else answer


@_faults.on_decide(ERROR_ON_DEMAND)
def retries_hide_429(context: RequestContext) -> Answer:
    """A 429 becomes a 503, as from a gateway that gives up retrying."""
    answer = context.correct_answer()
    return error(answer, 503, "model_unavailable") if answer.status == 429 else answer


@_faults.on_decide(ERROR_ON_DEMAND)
def errors_are_swallowed(context: RequestContext) -> Answer:
    """Errors of the chain are answered 200, with the error as output."""
    answer = context.correct_answer()
    return replace(answer, status=200) if answer.status in (502, 503, 504) else answer


# ------------------------------------------------------------------ gateways that change what they understand


def _direct_members(change: Change) -> DecideHook:
    """A hook that changes the values of the input's own members, and nothing in them."""
    return _changed_output(lambda value: {name: change(item) for name, item in value.items()})


def _counted_as_array(value: JSON) -> JSON:
    """An object whose names count from 0 as an array, as in PHP."""
    is_counted = isinstance(value, dict) and len(value) > 1 and list(value) == [str(at) for at in range(len(value))]
    return list(value.values()) if is_counted and isinstance(value, dict) else value


_faults.add_table(
    ECHO_EXACT,
    rows={
        "masks-card-numbers": (
            "Strings of 16 digits that begin with 4 become asterisks.",
            _strings(lambda text: "*" * 16 if re.fullmatch("4[0-9]{15}", text) else text),
        ),
        "substitutes-variables": (
            "`${HOME}` in strings is replaced by a path.",
            _strings(lambda text: text.replace("${HOME}", "/home/chain")),
        ),
        "members-coerced": (
            'Members with the values "true" and "false" become booleans; values inside of arrays and objects do not.',
            _direct_members(lambda value: value == "true" if value in ("true", "false") else value),
        ),
        "counted-names-to-array": (
            "Objects inside the input whose names count from 0 become arrays.",
            _changed_output(_every_value(_counted_as_array)),
        ),
    },
)
