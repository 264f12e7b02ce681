"""
Who reads and writes JSON in a way that RFC 8259 allows is accused of nothing.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from chainproof.conformance import options as settings_file
from chainproof.conformance.judging.json_equality import duplicate_names
from chainproof.conformance.options import Depth

from .directly import run_suite_in_process
from .endpoints import AnswerFunction, EndpointAnswer, EndpointRequest, correct_endpoint, error

Value = object


def returned(write: Callable[[bytes], bytes]) -> AnswerFunction:
    """
    The honest endpoint, except for how it writes what it returns.
    """

    def server(asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        try:
            return said if said.status != 200 else replace(said, body=write(said.body))
        except (ValueError, RecursionError):
            return error(400, "client_error")

    return server


def dumped(**options: object) -> AnswerFunction:
    """
    The honest endpoint as Python's json writes it, save that it refuses infinity.
    """

    def write(body: bytes) -> bytes:
        return json.dumps(json.loads(body), allow_nan=False, **options).encode("utf-8", "replace")  # type: ignore[arg-type]  # its keywords

    return returned(write)


def as_javascript(value: Value) -> Value:
    """
    Numbers with a fraction as JavaScript has them: 1.0 is 1, and what is beyond a double is null.
    """
    if isinstance(value, dict):
        numeric = sorted((name for name in value if re.fullmatch("0|[1-9][0-9]{0,8}", name)), key=int)
        return {name: as_javascript(value[name]) for name in dict.fromkeys((*numeric, *value))}
    if isinstance(value, list):
        return [as_javascript(item) for item in value]
    if isinstance(value, float):
        return None if abs(value) == float("inf") else int(value) if value.is_integer() and abs(value) < 1e21 else value
    return value


def in_javascript(body: bytes) -> bytes:
    """
    An object as JSON.stringify writes it.
    """
    text = json.dumps(as_javascript(json.loads(body)), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def first_of_twins(body: bytes) -> bytes:
    """
    Of a name that stands twice, the first.
    """
    return json.dumps(json.loads(body, object_pairs_hook=lambda pairs: dict(reversed(pairs))), allow_nan=False).encode()


def slashes_escaped(body: bytes) -> bytes:
    """
    As PHP writes it.
    """
    return json.dumps(json.loads(body), allow_nan=False).replace("/", r"\/").encode()


def refused_where(condition: Callable[[bytes], bool], said: EndpointAnswer | None = None) -> AnswerFunction:
    """
    The honest endpoint, except that it refuses what RFC 8259 lets it refuse.
    """

    def server(asked: EndpointRequest) -> EndpointAnswer:
        honestly = correct_endpoint(asked)
        if honestly.status != 200 or not condition(asked.body):
            return honestly
        return replace(said or error(400, "client_error"), request_id=honestly.request_id)

    return server


def deepest(body: bytes) -> int:
    """
    How deep a valid body goes.
    """
    most = here = 0
    for mark in re.findall(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', body):
        here += (mark in b"{[") - (mark in b"}]")
        most = max(most, here)
    return most


def beyond_a_double(body: bytes) -> bool:
    """
    Whether a number would become infinity.
    """
    found: list[float] = []
    json.loads(body, parse_float=lambda text: found.append(float(text)))
    return any(abs(number) == float("inf") for number in found)


_LONE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")


def behind_a_mark(asked: EndpointRequest) -> EndpointAnswer:
    """
    A byte order mark is passed over, as RFC 8259 §8.1 allows.
    """
    return correct_endpoint(replace(asked, body=asked.body.removeprefix(b"\xef\xbb\xbf")))


def decoding(asked: EndpointRequest) -> EndpointAnswer:
    """
    A body under gzip is taken for what it holds.
    """
    if asked.values("content-encoding") == ["gzip"]:
        try:
            return correct_endpoint(replace(asked, body=gzip.decompress(asked.body)))
        except (OSError, EOFError):
            return error(400, "client_error")
    return correct_endpoint(asked)


def with_more_types(asked: EndpointRequest) -> EndpointAnswer:
    """
    `text/json` and `+json` count as JSON, as in ASP.NET and FastAPI.
    """
    media_type = "".join(asked.values("content-type")).partition(";")[0].strip().lower()
    if media_type == "text/json" or media_type.endswith("+json"):
        fields = tuple(each for each in asked.fields if each[0].lower() != "content-type")
        return correct_endpoint(replace(asked, fields=(*fields, ("Content-Type", "application/json"))))
    return correct_endpoint(asked)


CORRECT_VARIANTS: dict[str, AnswerFunction] = {
    "as Python writes it": dumped(),
    "as Python writes it, raw": dumped(ensure_ascii=False),
    "sorted, and over many lines": dumped(sort_keys=True, indent=2),
    "without blanks": dumped(separators=(",", ":")),
    "as JavaScript writes it": returned(in_javascript),
    "as PHP writes it": returned(slashes_escaped),
    "with the first of two names": returned(first_of_twins),
    "with a line feed behind it": returned(lambda body: body + b"\n"),
    "to a byte order mark": behind_a_mark,
    "without names twice": refused_where(lambda body: bool(duplicate_names(body))),
    "without lone surrogates": refused_where(lambda body: _LONE.search(body) is not None),
    "without numbers beyond a double": refused_where(beyond_a_double),
    "without integers beyond a double": refused_where(lambda body: re.search(rb"(?<![0-9.])[0-9]{309}", body) is not None),
    "without more than 64 levels": refused_where(lambda body: deepest(body) > 64),
    "without more than 100 levels": refused_where(lambda body: deepest(body) > 100),
    "without a body of 1 MB": refused_where(lambda body: len(body) > 1_000_000, error(400, "payload_too_large")),
    "without a name of 50000 characters": refused_where(lambda body: re.search(rb'[{,]"[^"\\]{50000}', body) is not None),
    "without 20000 members": refused_where(lambda body: body.count(b'":') > 20_000),
    "under gzip": decoding,
    "under other media types": with_more_types,
}  # fmt: skip  # one line for each


@pytest.mark.parametrize("server", CORRECT_VARIANTS.values(), ids=CORRECT_VARIANTS)
def test_what_the_standards_allow_is_no_departure(server: AnswerFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    However it is written anew, and whatever is refused that may be.
    """
    monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, Depth.QUICK, 25)
    examined = run_suite_in_process(server, depth=Depth.QUICK)

    assert [] == examined.lines


@pytest.mark.parametrize("name", ["as Python writes it", "as JavaScript writes it", "without more than 64 levels"])
def test_standard_depth_accuses_nobody_either(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With every row of every table.
    """
    monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, Depth.STANDARD, 25)

    assert [] == run_suite_in_process(CORRECT_VARIANTS[name]).lines
