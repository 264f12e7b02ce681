"""Endpoints that read and write JSON in any way that RFC 8259 allows have no findings."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from chainproof.conformance import options as settings_file
from chainproof.conformance.judging.json_equality import duplicate_names
from chainproof.conformance.options import Depth

from ..endpoints import AnswerFunction, EndpointAnswer, EndpointRequest, correct_endpoint, error
from ..in_process import INPUT_CHECKS, run_suite_in_process

Value = object


def writing(write: Callable[[bytes], bytes]) -> AnswerFunction:
    """The correct endpoint with another serialization of its outputs."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        try:
            return answer if answer.status != 200 else replace(answer, body=write(answer.body))
        except (ValueError, RecursionError):
            return error(400, "client_error")

    return server


def written_by_python(**options: object) -> AnswerFunction:
    """The correct endpoint as Python's json writes it, except that it rejects infinity."""

    def write(body: bytes) -> bytes:
        return json.dumps(json.loads(body), allow_nan=False, **options).encode("utf-8", "replace")  # type: ignore[arg-type]  # its keywords

    return writing(write)


def as_javascript(value: Value) -> Value:
    """A value as JavaScript holds it: 1.0 is 1, numbers beyond a double are null, and indices come first."""
    if isinstance(value, dict):
        numeric = sorted((name for name in value if re.fullmatch("0|[1-9][0-9]{0,8}", name)), key=int)
        return {name: as_javascript(value[name]) for name in dict.fromkeys((*numeric, *value))}
    if isinstance(value, list):
        return [as_javascript(item) for item in value]
    if isinstance(value, float):
        return None if abs(value) == float("inf") else int(value) if value.is_integer() and abs(value) < 1e21 else value
    return value


def in_javascript(body: bytes) -> bytes:
    """An object as JSON.stringify writes it."""
    text = json.dumps(as_javascript(json.loads(body)), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def first_of_duplicates(body: bytes) -> bytes:
    """The object with the first value of each duplicate name."""
    return json.dumps(json.loads(body, object_pairs_hook=lambda pairs: dict(reversed(pairs))), allow_nan=False).encode()


def slashes_escaped(body: bytes) -> bytes:
    """The object as PHP writes it."""
    return json.dumps(json.loads(body), allow_nan=False).replace("/", r"\/").encode()


def rejecting(condition: Callable[[bytes], bool], answer: EndpointAnswer | None = None) -> AnswerFunction:
    """The correct endpoint, which rejects bodies that RFC 8259 lets it reject."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        correct = correct_endpoint(request)
        if correct.status != 200 or not condition(request.body):
            return correct
        return replace(answer or error(400, "client_error"), request_id=correct.request_id)

    return server


def nesting_depth(body: bytes) -> int:
    """The nesting depth of a valid body."""
    deepest_level = level = 0
    for mark in re.findall(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', body):
        level += (mark in b"{[") - (mark in b"}]")
        deepest_level = max(deepest_level, level)
    return deepest_level


def beyond_a_double(body: bytes) -> bool:
    """True if a number would become infinity."""
    numbers: list[float] = []
    json.loads(body, parse_float=lambda text: numbers.append(float(text)))
    return any(abs(number) == float("inf") for number in numbers)


def has_lone_surrogate(body: bytes) -> bool:
    """True if a string of a body has half of a surrogate pair."""
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        pass
    return False


def ignoring_byte_order_mark(request: EndpointRequest) -> EndpointAnswer:
    """The correct endpoint, which ignores a byte order mark as RFC 8259 §8.1 allows."""
    return correct_endpoint(replace(request, body=request.body.removeprefix(b"\xef\xbb\xbf")))


def decompressing(request: EndpointRequest) -> EndpointAnswer:
    """The correct endpoint, which decompresses gzip."""
    if request.values("content-encoding") == ["gzip"]:
        try:
            return correct_endpoint(replace(request, body=gzip.decompress(request.body)))
        except (OSError, EOFError):
            return error(400, "client_error")
    return correct_endpoint(request)


def accepting_json_types(request: EndpointRequest) -> EndpointAnswer:
    """The correct endpoint, which accepts `text/json` and `+json`, as ASP.NET and FastAPI do."""
    media_type = "".join(request.values("content-type")).partition(";")[0].strip().lower()
    if media_type == "text/json" or media_type.endswith("+json"):
        fields = tuple(each for each in request.fields if each[0].lower() != "content-type")
        return correct_endpoint(replace(request, fields=(*fields, ("Content-Type", "application/json"))))
    return correct_endpoint(request)


SERIALIZATIONS: dict[str, AnswerFunction] = {
    "as Python writes it": written_by_python(),
    "as Python writes it, unescaped": written_by_python(ensure_ascii=False),
    "sorted, on several lines": written_by_python(sort_keys=True, indent=2),
    "without whitespace": written_by_python(separators=(",", ":")),
    "as JavaScript writes it": writing(in_javascript),
    "as PHP writes it": writing(slashes_escaped),
    "with the first of duplicate names": writing(first_of_duplicates),
    "with a line feed after it": writing(lambda body: body + b"\n"),
}

LIMITS: dict[str, Callable[[bytes], bool]] = {
    "duplicate names": lambda body: bool(duplicate_names(body)),
    "lone surrogates": has_lone_surrogate,
    "numbers beyond a double": beyond_a_double,
    "integers beyond a double": lambda body: re.search(rb"(?<![0-9.])[0-9]{309}", body) is not None,
    "more than 64 levels": lambda body: nesting_depth(body) > 64,
    "more than 100 levels": lambda body: nesting_depth(body) > 100,
    "names of 50000 characters": lambda body: re.search(rb'[{,]"[^"\\]{50000}', body) is not None,
    "20000 members": lambda body: body.count(b'":') > 20_000,
}
"""What RFC 8259 lets a server reject."""

OTHER_VARIANTS: dict[str, AnswerFunction] = {
    "rejecting bodies beyond 1 MB": rejecting(lambda body: len(body) > 1_000_000, error(400, "payload_too_large")),
    "accepting a byte order mark": ignoring_byte_order_mark,
    "decompressing gzip": decompressing,
    "accepting other JSON media types": accepting_json_types,
    "rejecting all of these": rejecting(lambda body: any(exceeds(body) for exceeds in LIMITS.values())),
}

CORRECT_VARIANTS = SERIALIZATIONS | OTHER_VARIANTS | {f"rejecting {name}": rejecting(LIMITS[name]) for name in LIMITS}

ALL = os.environ.get("CHAINPROOF_SAMPLE") == "all"
SAMPLE = (
    "with the first of duplicate names",
    "sorted, on several lines",
    "as PHP writes it",
    "as JavaScript writes it",  # also unescaped and without whitespace
    *OTHER_VARIANTS,
)
"""One of each kind. `CHAINPROOF_SAMPLE=all` tests every variant."""


@pytest.mark.parametrize("name", CORRECT_VARIANTS if ALL else SAMPLE)
def test_what_the_standards_allow_has_no_findings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other serializations and permitted rejections have no findings."""
    monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, Depth.QUICK, 25)
    has_large_bodies = ALL or name.startswith(("rejecting", "as JavaScript"))
    checks = [check for check in INPUT_CHECKS if has_large_bodies or check.module != "limits"]
    result = run_suite_in_process(CORRECT_VARIANTS[name], checks=checks, depth=Depth.QUICK)

    assert [] == result.lines


STANDARD = ("as JavaScript writes it", "as Python writes it", "rejecting more than 64 levels")


@pytest.mark.skipif(not ALL, reason="needs CHAINPROOF_SAMPLE=all")
@pytest.mark.parametrize("name", STANDARD)
def test_standard_depth_has_no_findings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows of all tables are tested, with 25 generated examples."""
    monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, Depth.STANDARD, 25)

    assert [] == run_suite_in_process(CORRECT_VARIANTS[name]).lines
