"""The checks find endpoints that accept invalid bodies, reject valid ones, or return another object than the one sent."""

from __future__ import annotations

import html
import json
import re
import struct
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import unquote_plus

import pytest

from chainproof.conformance import options as settings_file
from chainproof.conformance.options import Depth

from ..conftest import RunSuite
from ..endpoints import AnswerFunction, EndpointAnswer, EndpointRequest, as_if, correct_endpoint, error, is_object, when
from ..in_process import INPUT_CHECKS, run_suite_in_process
from ..sampling import ALL, sample
from .faulty_endpoints import FaultyEndpoint, changed_if, faults

Value = object


# ------------------------------------------------------------------ outputs


def change_values(
    *,
    string: Callable[[str], Value] | None = None,
    number: Callable[[int | float], Value] | None = None,
    array: Callable[[list[Value]], Value] | None = None,
    members: Callable[[dict[str, Value]], Value] | None = None,
    other: Callable[[Value], Value] | None = None,
) -> Callable[[Value], Value]:
    """A function that changes a value from the inside out, with one change for each type."""

    def change(value: Value) -> Value:
        if isinstance(value, dict):
            inner = {name: change(member) for name, member in value.items()}
            return members(inner) if members else inner
        if isinstance(value, list):
            items = [change(item) for item in value]
            return array(items) if array else items
        if isinstance(value, str):
            return string(value) if string else value
        if isinstance(value, bool) or value is None:
            return other(value) if other else value
        assert isinstance(value, int | float)
        return number(value) if number else value

    return change


def returning_changed(change: Callable[[Value], Value]) -> AnswerFunction:
    """The correct endpoint, which returns a changed object."""

    def server(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        if answer.status != 200:
            return answer
        try:
            result_value = change(json.loads(request.body))
            return replace(answer, body=json.dumps(result_value, allow_nan=False).encode("utf-8", "surrogatepass"))
        except RecursionError:
            return answer
        except (ValueError, OverflowError):
            return replace(error(400, "client_error"), request_id=answer.request_id)

    return server


def strings(change: Callable[[str], Value]) -> AnswerFunction:
    """The correct endpoint with changed strings."""
    return returning_changed(change_values(string=change))


def numbers(change: Callable[[int | float], Value]) -> AnswerFunction:
    """The correct endpoint with changed numbers."""
    return returning_changed(change_values(number=change))


def arrays(change: Callable[[list[Value]], Value]) -> AnswerFunction:
    """The correct endpoint with changed arrays."""
    return returning_changed(change_values(array=change))


def members(change: Callable[[dict[str, Value]], Value]) -> AnswerFunction:
    """The correct endpoint with changed objects."""
    return returning_changed(change_values(members=change))


def names(change: Callable[[str], str]) -> AnswerFunction:
    """The correct endpoint with changed names."""
    return members(lambda value: {change(name): member for name, member in value.items()})


def without(unwanted: Callable[[Value], bool]) -> AnswerFunction:
    """The correct endpoint, which drops members with some values."""
    return members(lambda value: {name: member for name, member in value.items() if not unwanted(member)})


def unwrapped(*wrappers: str) -> AnswerFunction:
    """The correct endpoint, which replaces an object by the value of its only member."""

    def change(value: Value) -> Value:
        assert isinstance(value, dict)
        inner = next((value[name] for name in wrappers if list(value) == [name]), value)
        return inner if isinstance(inner, dict) else value

    return returning_changed(change)


def clamped(low: int, high: int) -> AnswerFunction:
    """The correct endpoint with clamped integers."""
    return numbers(lambda value: min(max(value, low), high) if isinstance(value, int) else value)


def wrapped_around(bits: int) -> AnswerFunction:
    """The correct endpoint with integers that overflow."""

    def change(value: float) -> Value:
        return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1) if isinstance(value, int) else value

    return numbers(change)


def as_single(value: float) -> Value:
    """A fraction as a 32-bit float."""
    if isinstance(value, int) or abs(value) > 3e38:
        return value
    return float(struct.unpack("f", struct.pack("f", value))[0])


def as_number(text: str) -> Value:
    """A string that looks like an integer, as one."""
    return int(text) if re.fullmatch(r"-?[1-9][0-9]{0,17}", text) else text


_MOJIBAKE = {"é": "Ã©"}

ALTERING: tuple[tuple[str, AnswerFunction], ...] = (
    ("strings trimmed", strings(str.strip)),
    ("trailing spaces dropped", strings(lambda text: text.rstrip(" "))),
    ("repeated spaces merged", strings(lambda text: re.sub(" +", " ", text))),
    ("NFC", strings(lambda text: unicodedata.normalize("NFC", text))),
    ("NFD", strings(lambda text: unicodedata.normalize("NFD", text))),
    ("NFKC", strings(lambda text: unicodedata.normalize("NFKC", text))),
    ("NFC of names", names(lambda name: unicodedata.normalize("NFC", name))),
    ("lower case", strings(str.lower)),
    ("upper case of one letter", strings(lambda text: text.replace("ß", "SS"))),
    ("HTML escaped", strings(lambda text: html.escape(text, quote=False))),
    ("HTML unescaped", strings(html.unescape)),
    ("quotation marks escaped", strings(lambda text: text.replace("'", "\\'"))),
    ("tags stripped", strings(lambda text: re.sub("<[a-z]+>", "", text))),
    ("templates filled in", strings(lambda text: text.replace("{{7*7}}", "49"))),
    ("variables filled in", strings(lambda text: text.replace("${7*7}", "49"))),
    ("formats filled in", strings(lambda text: text.replace("%s", ""))),
    ("backslashes decoded as escapes", strings(lambda text: text.replace("\\n", "\n"))),
    ("escapes decoded twice", strings(lambda text: text.replace("\\u0041", "A"))),
    ("percent-encoding decoded", strings(unquote_plus)),
    ("CRLF turned into LF", strings(lambda text: text.replace("\r\n", "\n"))),
    ("tabs turned into spaces", strings(lambda text: text.replace("\t", " "))),
    ("control characters dropped", strings(lambda text: re.sub("[\x00-\x08\x0e-\x1f]", "", text))),
    ("C1 controls dropped", strings(lambda text: re.sub("[\x80-\x9f]", "", text))),
    ("DEL dropped", strings(lambda text: text.replace("\x7f", ""))),
    ("cut at NUL", strings(lambda text: text.partition("\x00")[0])),
    ("byte order marks dropped", strings(lambda text: text.replace("\ufeff", ""))),
    ("zero-width characters dropped", strings(lambda text: re.sub("[\u200b\u200d]", "", text))),
    ("bidi controls dropped", strings(lambda text: text.replace("\u202e", ""))),
    ("variation selectors dropped", strings(lambda text: text.replace("\ufe0f", ""))),
    ("noncharacters replaced", strings(lambda text: re.sub("[\ufffe\uffff]", "\ufffd", text))),
    ("one code point replaced", strings(lambda text: text.replace("\ufdd0", "\ufffd"))),
    ("one code point of a far plane replaced", strings(lambda text: text.replace("\U000e1234", "?"))),
    ("U+2028 dropped", strings(lambda text: text.replace("\u2028", "\n"))),
    ("characters beyond U+FFFF replaced", strings(lambda text: re.sub("[\U00010000-\U0010ffff]", "\ufffd", text))),
    ("characters outside Latin-1 replaced", strings(lambda text: text.encode("latin-1", "replace").decode("latin-1"))),
    ("non-ASCII characters dropped", strings(lambda text: text.encode("ascii", "ignore").decode())),
    ("UTF-8 read as Latin-1", strings(lambda text: text.replace("é", "Ã©"))),
    ("strings cut at 255", strings(lambda text: text[:255])),
    ("long strings shortened", strings(lambda text: text[:500_000])),
    ("numbers in strings as numbers", strings(as_number)),
    ("true in strings as true", strings(lambda text: text == "true" or text)),
    ("null in strings as null", strings(lambda text: None if text == "null" else text)),
    ("empty strings as null", strings(lambda text: text or None)),
    ("dates in another form", strings(lambda text: text.replace("2020-01-01T00:00:00Z", "2020-01-01T00:00:00+00:00"))),
    ("base64 decoded", strings(lambda text: text.replace("aGVsbG8=", "hello"))),
    ("JSON in strings parsed", strings(lambda text: json.loads(text) if text == '{"a":1}' else text)),
    ("secrets masked", strings(lambda text: "***" if text == "secret" else text)),
    ("integers as doubles", numbers(lambda value: int(float(value)) if isinstance(value, int) else value)),
    ("integers of 32 bits", wrapped_around(32)),
    ("integers of 64 bits", wrapped_around(64)),
    ("integers clamped to 64 bits", clamped(-(2**63), 2**63 - 1)),
    ("unsigned integers of 64 bits", clamped(-(2**63), 2**64 - 1)),
    ("integers of 128 bits", wrapped_around(128)),
    ("large integers as strings", numbers(lambda value: str(value) if abs(value) > 2**53 else value)),
    ("very large integers cut", numbers(lambda value: value // 10**100 if abs(value) > 10**250 else value)),
    ("fractions of 32 bits", numbers(as_single)),
    ("fractions of 15 digits", numbers(lambda value: float(f"{value:.15g}") if 0 < abs(value) < 1e300 else value)),
    ("fractions rounded to 6 places", numbers(lambda value: round(value, 6))),
    ("fractions as integers", numbers(lambda value: int(value) if abs(value) < 1e6 else value)),
    ("fractions as strings", numbers(lambda value: str(value) if isinstance(value, float) else value)),
    ("subnormals flushed", numbers(lambda value: 0.0 if 0 < abs(value) < 2.3e-308 else value)),
    ("negative numbers as positive ones", numbers(abs)),
    ("small numbers as zero", numbers(lambda value: 0 if abs(value) < 1e-6 else value)),
    ("0 and 1 as booleans", numbers(lambda value: bool(value) if value in (0, 1) else value)),
    ("zero as null", numbers(lambda value: value or None)),
    ("booleans as numbers", returning_changed(change_values(other=lambda value: int(value) if isinstance(value, bool) else value))),
    ("booleans as strings", returning_changed(change_values(other=lambda value: str(value) if isinstance(value, bool) else value))),
    ("null as an empty string", returning_changed(change_values(other=lambda value: "" if value is None else value))),
    ("null members dropped", without(lambda value: value is None)),
    ("empty arrays dropped", without(lambda value: value == [])),
    ("empty objects dropped", without(lambda value: value == {})),
    ("empty strings dropped", without(lambda value: value == "")),
    ("false dropped", without(lambda value: value is False)),
    ("falsy values dropped", without(lambda value: not value)),
    ("names in lower case", names(str.lower)),
    ("names in camel case", names(lambda name: re.sub("_([a-z])", lambda found: found[1].upper(), name))),
    ("names in snake case", names(lambda name: re.sub("(?<=[a-z])([A-Z])", r"_\1", name).lower())),
    ("names trimmed", names(str.strip)),
    ("dashes in names replaced", names(lambda name: name.replace("-", "_"))),
    ("dots in names replaced", names(lambda name: name.replace(".", "_"))),
    ("brackets in names removed", names(lambda name: name.replace("[0]", "").replace("[]", ""))),
    ("slashes in names escaped", names(lambda name: name.replace("/", "~1"))),
    ("names cut at 255", names(lambda name: name[:255])),
    ("names cut at NUL", names(lambda name: name.partition("\x00")[0])),
    ("an empty name replaced", names(lambda name: name or "_empty_")),
    ("numeric names normalised", names(lambda name: "1" if name == "01" else name)),
    ("`__proto__` dropped", members(lambda value: {k: v for k, v in value.items() if k != "__proto__"})),
    ("`constructor` dropped", members(lambda value: {k: v for k, v in value.items() if k != "constructor"})),
    ("`self` dropped", members(lambda value: {k: v for k, v in value.items() if k != "self"})),
    ("names with a dollar dropped", members(lambda value: {k: v for k, v in value.items() if not k.startswith("$")})),
    ("private names dropped", members(lambda value: {k: v for k, v in value.items() if not k.startswith("_")})),
    (
        "passwords masked",
        members(lambda value: {k: "***" if "password" in k else v for k, v in value.items()}),
    ),
    ("`id` replaced", members(lambda value: value | ({"id": "new"} if "id" in value else {}))),
    ("`data` unwrapped", unwrapped("data")),
    ("`inputs` unwrapped", unwrapped("inputs", "model_input")),
    ("`body` unwrapped", unwrapped("body")),
    ("an added member", returning_changed(lambda value: {**value, "took_ms": 3})),  # type: ignore[dict-item]  # an object
    ("members after the 299th dropped", members(lambda value: dict(list(value.items())[:299]))),
    ("members after the 5000th dropped", members(lambda value: dict(list(value.items())[:5000]))),
    ("arrays sorted", arrays(lambda items: sorted(items, key=repr))),
    ("arrays reversed", arrays(lambda items: items[::-1])),
    ("equal items dropped", arrays(lambda items: [item for at, item in enumerate(items) if item not in items[:at]])),
    ("an array of one item unwrapped", arrays(lambda items: items[0] if len(items) == 1 else items)),
    ("null items dropped", arrays(lambda items: [item for item in items if item is not None])),
    ("empty arrays as null", arrays(lambda items: items or None)),
    ("empty arrays as objects", arrays(lambda items: items or {})),
    ("items after the 1000th dropped", arrays(lambda items: items[:1000])),
    ("arrays flattened", arrays(lambda items: [each for item in items for each in (item if isinstance(item, list) else [item])])),
    ("an array instead of an object with indices", members(lambda value: list(value.values()) if set(value) == {"0", "1", "2"} else value)),
    ("empty objects as null", members(lambda value: value or None) ),
    ("empty objects as arrays", members(lambda value: value or [])),
)  # fmt: skip  # one line each


def with_object_output(server: AnswerFunction) -> AnswerFunction:
    """The same endpoint, but its outputs stay objects."""

    def server_with_objects(request: EndpointRequest) -> EndpointAnswer:
        answer = server(request)
        return answer if answer.status != 200 or answer.body.startswith(b"{") else replace(answer, body=b'{"a":1}')

    return server_with_objects


# ------------------------------------------------------------------ accepted and rejected bodies


def lenient(repair: Callable[[bytes], bytes]) -> AnswerFunction:
    """The correct endpoint, which repairs an invalid body before it parses it."""
    return as_if(
        lambda request: replace(request, body=repair(request.body)),
        lambda request: request.authorized and bool(request.body) and not is_object(request.body),
    )


def replaced(pattern: bytes, by: bytes, flags: int = 0) -> AnswerFunction:
    """The correct endpoint, which replaces a pattern in an invalid body."""
    return lenient(lambda body: re.sub(pattern, by, body, flags=flags))


def decoded(codec: str, errors: str = "strict") -> AnswerFunction:
    """The correct endpoint, which decodes invalid UTF-8 in another way."""

    def repair(body: bytes) -> bytes:
        try:
            return body.decode(codec, errors).encode("utf-8", "replace")
        except UnicodeError:
            return body

    return lenient(repair)


def detected(body: bytes) -> bytes:
    """The body decoded from the UTF that Python's json detects."""
    try:
        return body.decode(json.detect_encoding(body)).encode()
    except UnicodeError:
        return body


def balanced(body: bytes) -> bytes:
    """A truncated object, completed."""
    for end in (b"}", b"]}", b'"}', b"null}", b'"]}', b"}}"):
        if is_object(body + end):
            return body + end
    return body


def first_of_several(body: bytes) -> bytes:
    """The first JSON value of a text."""
    try:
        text = body.decode()
        return text[: json.JSONDecoder(parse_constant=None).raw_decode(text)[1]].encode()
    except ValueError:
        return body


def validating_only(size: int) -> AnswerFunction:
    """The correct endpoint, which does not validate the end of a large body."""
    return when(
        lambda request: request.authorized and len(request.body) > size and correct_endpoint(request).status == 400,
        lambda request, answer: EndpointAnswer(status=200, body=b"{}"),
    )


LENIENT: tuple[tuple[str, AnswerFunction], ...] = (
    ("trailing commas in arrays", replaced(rb",\s*\]", b"]")),
    ("trailing commas in objects", replaced(rb",\s*\}", b"}")),
    ("empty items", replaced(rb",,", b",")),
    ("block comments", replaced(rb"/\*.*?\*/", b"", re.DOTALL)),
    ("line comments", replaced(rb"//[^\n\"]*(\n|(?=\}))", b"")),
    ("hash comments", replaced(rb"#[^\n\"]*\n", b"")),
    ("NaN", replaced(rb"\bNaN\b", b"null")),
    ("Infinity", replaced(rb"-?\bInfinity\b", b"null")),
    ("Python constants", replaced(rb"\b(None|True|False)\b", b"null")),
    ("upper-case constants", replaced(rb"\b(NULL|TRUE|FALSE)\b", b"null")),
    ("undefined", replaced(rb"\bundefined\b", b"null")),
    ("any word", replaced(rb"(?<=:)[a-z]+(?=[,}])", b"null")),
    ("leading zeros", replaced(rb"(?<=[:,\[-])0+(?=[0-9])", b"")),
    ("plus signs", replaced(rb"(?<=[:,\[])\+(?=[0-9])", b"")),
    ("a leading decimal point", replaced(rb"(?<=[:,\[-])\.(?=[0-9])", b"0.")),
    ("a trailing decimal point", replaced(rb"(?<=[0-9])\.(?=[,}\]])", b"")),
    ("hexadecimal numbers", replaced(rb"0x[0-9A-Fa-f]+", b"1")),
    ("octal numbers", replaced(rb"0o[0-7]+", b"1")),
    ("binary numbers", replaced(rb"0b[01]+", b"1")),
    ("underscores in numbers", replaced(rb"(?<=[0-9])_(?=[0-9])", b"")),
    ("an incomplete exponent", replaced(rb"(?<=[0-9])[eE][+-]?(?=[,}\]])", b"")),
    ("BigInt suffixes", replaced(rb"(?<=[0-9])n(?=[,}\]])", b"")),
    ("single quotes", replaced(rb"'([^'\"]*)'", rb'"\1"')),
    ("names without quotes", replaced(rb"([{,])([a-z]+):", rb'\1"\2":')),
    ("numbers as names", replaced(rb"([{,])([0-9]+):", rb'\1"\2":')),
    ("raw control characters", replaced(rb"[\x01-\x1f]", b"")),
    ("raw tabs", replaced(rb"\t", b"")),
    ("raw line feeds", replaced(rb"\n", b"")),
    ("raw NULs", replaced(rb"\x00", b"")),
    ("one raw control character", replaced(rb"\x1f", b"")),
    ("byte escapes", replaced(rb"\\x[0-9a-f]{2}", b"")),
    ("escapes with braces", replaced(rb"\\u\{[0-9a-f]+\}", b"")),
    ("escaped apostrophes", replaced(rb"\\'", b"'")),
    ("any escape", replaced(rb"\\(?![\"\\/bfnrtu])", b"")),
    ("octal escapes", replaced(rb"\\[0-7]+", b"")),
    ("an incomplete escape", replaced(rb"\\u[0-9a-f]{0,3}(?=\")", b"")),
    ("invalid UTF-8 replaced", decoded("utf-8", "replace")),
    ("invalid UTF-8 dropped", decoded("utf-8", "ignore")),
    ("Latin-1", decoded("latin-1")),
    ("surrogates in UTF-8", lenient(lambda body: re.sub(rb"\xed[\xa0-\xbf][\x80-\xbf]", b"?", body))),
    ("overlong UTF-8", lenient(lambda body: re.sub(rb"[\xc0\xc1][\x80-\xbf]", b"?", body))),
    ("code points above U+10FFFF", lenient(lambda body: body.replace(b"\xf4\x90\x80\x80", b"?"))),
    ("any UTF", lenient(detected)),
    ("UTF-16 with a byte order mark", lenient(lambda body: detected(body) if body[:2] in (b"\xff\xfe", b"\xfe\xff") else body)),
    ("text after the object", lenient(first_of_several)),
    ("a line feed and text after the object", lenient(lambda body: body.partition(b"\n")[0])),
    ("NULs after the object", lenient(lambda body: body.rstrip(b"\x00"))),
    ("a NUL and text after the object", lenient(lambda body: body.partition(b"\x00")[0])),
    ("an extra brace", lenient(lambda body: body[:-1])),
    ("semicolons after the object", lenient(lambda body: body.rstrip(b";"))),
    ("Unicode whitespace", lenient(lambda body: body.decode("utf-8", "replace").strip("\u00a0\u2028\ufeff").encode())),
    ("form feeds and vertical tabs", lenient(lambda body: re.sub(rb"[\x0b\x0c]", b"", body))),
    ("a JSON hijacking guard", lenient(lambda body: body.removeprefix(b")]}',\n"))),
    ("a record separator", lenient(lambda body: body.lstrip(b"\x1e"))),
    ("a JSONP call", lenient(lambda body: re.sub(rb"^callback\((.*)\)$", rb"\1", body, flags=re.DOTALL))),
    ("a form field", lenient(lambda body: body.removeprefix(b"data="))),
    ("a Markdown code fence", lenient(lambda body: body.removeprefix(b"```json\n").removesuffix(b"\n```"))),
    ("a double byte order mark", lenient(lambda body: body.replace(b"\xef\xbb\xbf", b""))),
    ("semicolons between members", replaced(rb";(?=\")", b",")),
    ("equals signs", replaced(rb"\"(=>?)(?=[0-9])", b'":')),
    ("members without a comma", replaced(rb"(?<=[0-9])\s+\"", b',"')),
    ("a member without a value", replaced(rb":(?=[,}])", b":null")),
    ("a name without a value", replaced(rb",\"x\"\}", b',"x":1}')),
    ("truncated objects", lenient(balanced)),
    ("mismatched brackets", replaced(rb"\[1\}", b"[1]}")),
    ("whitespace as an empty object", lenient(lambda body: body.strip() or b"{}")),
    ("errors after 64 KiB", validating_only(65_536)),
    ("errors deep inside", when(
        lambda request: request.authorized and request.body.startswith(b'{"a":[{"a":[{"a":[') and correct_endpoint(request).status == 400,
        lambda request, answer: EndpointAnswer(status=200, body=b"{}"),
    )),
    ("any text in braces", when(
        lambda request: request.authorized and request.body[:1] + request.body[-1:] == b"{}" and correct_endpoint(request).status == 400,
        lambda request, answer: EndpointAnswer(status=200, body=b"{}"),
    )),
)  # fmt: skip  # one line each


def failing(condition: Callable[[EndpointRequest], bool], answer: EndpointAnswer) -> AnswerFunction:
    """The correct endpoint with another answer to authenticated requests that meet a condition."""
    return when(
        lambda request: request.authorized and condition(request),
        lambda request, correct: replace(answer, request_id=correct.request_id),
    )


def rejecting(condition: Callable[[EndpointRequest], bool], answer: EndpointAnswer | None = None) -> AnswerFunction:
    """The correct endpoint, which rejects objects that meet a condition."""
    return failing(
        lambda request: correct_endpoint(request).status == 200 and condition(request),
        answer or error(400, "client_error"),
    )


_BRACKETS = re.compile(rb"[\[\]{}]")


def depth(body: bytes) -> int:
    """The nesting depth of a body's brackets, valid or not."""
    deepest = level = 0
    for mark in _BRACKETS.findall(body):
        level += 1 if mark in b"{[" else -1
        deepest = max(deepest, level)
    return deepest


def contains_text(*texts: bytes) -> Callable[[EndpointRequest], bool]:
    """A condition: the body contains one of these texts."""
    return lambda request: any(text in request.body for text in texts)


def values(request: EndpointRequest, name: str) -> str:
    """The values of a header field, joined."""
    return ",".join(request.values(name))


def longest(value: Value) -> int:
    """The largest number of digits of an integer."""
    if isinstance(value, dict | list):
        return max(map(longest, value.values() if isinstance(value, dict) else value), default=0)
    return len(str(abs(value))) if isinstance(value, int) else 0


def any_of(value: Value, condition: Callable[[Value], bool]) -> bool:
    """True if a value, or one inside it, meets a condition."""
    inner: Iterable[Value] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return condition(value) or any(any_of(each, condition) for each in inner)


def contains_value(condition: Callable[[Value], bool]) -> Callable[[EndpointRequest], bool]:
    """A condition: the body contains a value that meets another condition."""

    def contains(request: EndpointRequest) -> bool:
        try:
            return any_of(json.loads(request.body), condition)
        except (RecursionError, ValueError):
            return False

    return contains


def contains_name(condition: Callable[[str], bool]) -> Callable[[EndpointRequest], bool]:
    """A condition: the body contains a name that meets another condition."""
    return contains_value(lambda value: isinstance(value, dict) and any(map(condition, value)))


REJECTING: tuple[tuple[str, AnswerFunction], ...] = (
    ("nesting beyond 32 rejected", rejecting(lambda request: depth(request.body) > 32)),
    ("nesting beyond 63 rejected", rejecting(lambda request: depth(request.body) > 63)),
    ("bodies beyond 64 KiB rejected", rejecting(lambda request: len(request.body) > 65_536)),
    ("bodies beyond 100 kB rejected", rejecting(lambda request: len(request.body) > 102_400, error(400, "payload_too_large"))),
    ("bodies beyond 512 KiB rejected", rejecting(lambda request: len(request.body) > 2**19, error(400, "payload_too_large"))),
    ("more than 1000 members rejected", rejecting(contains_value(lambda value: isinstance(value, dict) and len(value) > 1000))),
    ("more than 10000 items rejected", rejecting(contains_value(lambda value: isinstance(value, list) and len(value) > 10_000))),
    ("names beyond 255 characters rejected", rejecting(contains_name(lambda name: len(name) > 255))),
    ("integers of 20 digits rejected", rejecting(contains_value(lambda value: isinstance(value, int) and abs(value) >= 10**19))),
    ("integers beyond 64 bits rejected", rejecting(contains_value(lambda value: isinstance(value, int) and abs(value) >= 2**64))),
    ("`constructor` rejected", rejecting(contains_name(lambda name: name == "constructor"))),
    ("`__proto__` answered with an exception", rejecting(contains_text(b'"__proto__"'), error(502, "application_error"))),
    ("an empty name rejected", rejecting(contains_name(lambda name: not name))),
    ("a dollar sign in a name rejected", rejecting(contains_name(lambda name: name.startswith("$")))),
    ("a dot in a name rejected", rejecting(contains_name(lambda name: "." in name))),
    ("`self` rejected", rejecting(contains_name(lambda name: name == "self"), error(502, "application_error"))),
    ("NUL rejected", rejecting(contains_text(b"\\u0000"))),
    ("DEL rejected", rejecting(contains_text(b"\x7f"))),
    ("noncharacters rejected", rejecting(contains_text("\uffff".encode(), "\ufffe".encode()))),
    ("surrogate pairs rejected", rejecting(contains_text(b"\\ud83d", b"\\uD83D"))),
    ("unescaped characters beyond U+FFFF rejected", rejecting(lambda request: re.search(rb"[\xf0-\xf4]", request.body) is not None)),
    ("upper-case escapes rejected", rejecting(lambda request: re.search(rb"\\u[0-9]*[A-F]", request.body) is not None)),
    ("escaped slashes rejected", rejecting(contains_text(rb"\/"))),
    ("U+2028 rejected", rejecting(contains_text("\u2028".encode()))),
    ("negative zero rejected", rejecting(contains_text(b"-0,", b"-0]", b"-0}"))),
    ("a capital E rejected", rejecting(lambda request: re.search(rb"[0-9]E[0-9+-]", request.body) is not None)),
    ("a plus sign in an exponent rejected", rejecting(lambda request: re.search(rb"[0-9][eE]\+", request.body) is not None)),
    ("subnormal numbers rejected", rejecting(contains_text(b"5e-324"))),
    ("carriage returns rejected", rejecting(contains_text(b"\r"))),
    ("tabs between tokens rejected", rejecting(contains_text(b"{\t"))),
    ("leading whitespace rejected", rejecting(lambda request: request.body[:1] in b" \t\r\n")),
    ("trailing whitespace rejected", rejecting(lambda request: request.body[-1:] in b" \t\r\n")),
    ("64 KiB of whitespace rejected", rejecting(contains_text(b" \t\r\n" * 9000, b"\n\r\t " * 9000))),
    ("names that differ in letter case rejected", rejecting(contains_text(b'"MYNAME"'))),
    ("an empty object rejected", rejecting(lambda request: request.body == b"{}")),
    ("a null member rejected", rejecting(lambda request: request.body == b'{"a":null}')),
    ("arrays rejected", rejecting(contains_value(lambda value: isinstance(value, list)))),
    ("Accept with a range rejected", rejecting(lambda request: values(request, "accept") == "application/*;q=0.8")),
    ("Accept with everything rejected", rejecting(lambda request: values(request, "accept") == "*/*")),
    ("a browser's Accept rejected", rejecting(lambda request: values(request, "accept").startswith("text/html,"))),
    ("Content-Language rejected", rejecting(lambda request: bool(values(request, "content-language")))),
    ("a query rejected", rejecting(lambda request: "?x=1" in request.path)),
    ("a long header field rejected", rejecting(lambda request: len(values(request, "x-chainproof")) > 1024)),
    ("cookies rejected", rejecting(lambda request: bool(values(request, "cookie")))),
    ("Origin rejected", rejecting(lambda request: bool(values(request, "origin")))),
)  # fmt: skip  # one line each


def with_duplicate_name(body: bytes) -> bytes:
    """An object with a duplicate name."""
    return body.rstrip()[:-1] + b',"id":1,"id":1}' if len(body.strip()) > 2 else b'{"id":1,"id":1}'


def accepting_media_types(condition: Callable[[str], bool]) -> AnswerFunction:
    """The correct endpoint, which accepts other media types as JSON."""

    def change(request: EndpointRequest) -> EndpointRequest:
        fields = tuple(each for each in request.fields if each[0].lower() != "content-type")
        return replace(request, fields=(*fields, ("Content-Type", "application/json")))

    return as_if(change, lambda request: condition(values(request, "content-type")))


def first_object(body: bytes) -> bytes:
    """The only object of an array."""
    found = re.fullmatch(rb"\s*\[(\{.*\})\]\s*", body, re.DOTALL)
    return found[1] if found else body


def object_in_string(body: bytes) -> bytes:
    """The object inside a string."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else body


OTHER_SERVERS = {
    "prototype-members": {
        "`__proto__` rejected": rejecting(contains_text(b'"__proto__"')),
        "`constructor` with `prototype` rejected": rejecting(contains_text(b'"prototype":{')),
    },
    "unique-member-names": {
        "a duplicate name in an error": changed_if(
            lambda request: correct_endpoint(request).status == 400, body=b'{"error":"No.","error":"Not again."}'
        ),
        "a duplicate name, once escaped": changed_if(
            lambda request: correct_endpoint(request).status == 400, body=rb'{"error":"No.","x":{"id":1,"\u0069d":2}}'
        ),
        "a duplicate name in an output": when(
            lambda request: correct_endpoint(request).status == 200,
            lambda request, answer: replace(answer, body=with_duplicate_name(answer.body)),
        ),
    },
    "non-object-rejected": {
        "an array around one object": lenient(first_object),
        "a string that contains an object": lenient(object_in_string),
        "null as an empty object": lenient(lambda body: b"{}" if body.strip() == b"null" else body),
        "an empty string as an empty object": lenient(lambda body: b"{}" if body.strip() == b'""' else body),
        "an array of pairs as an object": lenient(lambda body: b"{}" if body.startswith(b"[[") else body),
        "a large array as an object": lenient(
            lambda body: b"{}" if len(body) > 65_536 and body[:1] == b"[" and body[-1:] == b"]" else body
        ),
    },
    "media-type-required": {
        "any media type with 'json' accepted": accepting_media_types(lambda value: "json" in value.lower()),
        "any media type starting with application/json accepted": accepting_media_types(
            lambda value: value.lower().startswith("application/json")
        ),
        "any text type accepted": accepting_media_types(lambda value: value.startswith("text/")),
        "forms accepted": failing(
            lambda request: "urlencoded" in values(request, "content-type"),
            EndpointAnswer(status=200, body=b'{"a":"1"}'),
        ),
    },
    "media-type-missing": {"a missing media type accepted": accepting_media_types(lambda value: not value)},
    "media-type-parameters": {
        "quoted charsets rejected": failing(
            lambda request: '"utf-8"' in values(request, "content-type").lower(), error(400, "client_error")
        ),
        "upper-case media types rejected": failing(
            lambda request: values(request, "content-type") == "Application/JSON", error(400, "client_error")
        ),
    },
    "error-media-type": {
        "HTML errors for browsers": changed_if(
            lambda request: "text/html" in values(request, "accept") and correct_endpoint(request).status == 400,
            media_type="text/html",
            body=b"<h1>400</h1>",
        ),
    },
    "output-media-type": {
        "HTML outputs for browsers": changed_if(
            lambda request: "text/html" in values(request, "accept") and correct_endpoint(request).status == 200,
            media_type="text/html",
            body=b"<pre>{}</pre>",
        ),
    },
    "range-ignored": {
        "a part of the output for a Range": failing(
            lambda request: bool(values(request, "range")),
            EndpointAnswer(status=206, body=b"{", extra_fields=(("Content-Range", "bytes 0-0/2"),)),
        ),
    },
    "status": {
        "206 for a Range": failing(
            lambda request: bool(values(request, "range")), EndpointAnswer(status=206, body=b"{}")
        ),
        "415 for a charset": failing(
            lambda request: "iso-8859-1" in values(request, "content-type"), error(415, "client_error")
        ),
        "500 for deep nesting": failing(lambda request: depth(request.body) > 900, error(500, None)),
        "500 for many digits": failing(
            lambda request: len(request.body) > 4300 and request.body[5:4305].isdigit(), error(500, None)
        ),
        "500 for a lone surrogate": failing(contains_text(rb"\ud800"), error(500, None)),
        "500 for a tiny number": failing(contains_text(b"e-999"), error(500, None)),
        "413 for a large body": failing(lambda request: len(request.body) > 2**22, error(413, "payload_too_large")),
    },
    "request-answered": {
        "a crash on deep nesting": failing(
            lambda request: depth(request.body) > 20_000, EndpointAnswer(status=0, raw=b"")
        ),
        "a crash on a large body": failing(
            lambda request: len(request.body) > 2**22, EndpointAnswer(status=0, raw=b"")
        ),
        "a crash on many members": failing(
            lambda request: request.body.count(b'"') > 100_000, EndpointAnswer(status=0, raw=b"")
        ),
    },
    "output-json": {
        "-Infinity as output": changed_if(
            lambda request: correct_endpoint(request).status == 200 and b"e-999" in request.body,
            body=b'{"x":-Infinity}',
        ),
    },
}

FAULTS = faults(
    {
        "echo-exact": {name: with_object_output(server) for name, server in ALTERING},
        "invalid-json-rejected": {f"accepts {name}": server for name, server in LENIENT},
        "object-accepted": dict(REJECTING),
    }
    | OTHER_SERVERS
)


@pytest.fixture(autouse=True)
def _few_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generate one example only: the tables alone must find these faults."""
    for depth_setting in (Depth.QUICK, Depth.STANDARD):
        monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, depth_setting, 1)


@pytest.mark.parametrize("fault", sample(FAULTS, lambda fault: fault.breaks), ids=lambda fault: fault.name)
def test_a_fault_is_reported_for_its_clause_only(fault: FaultyEndpoint) -> None:
    """The checks of its clause report a fault, and for no other clause."""
    result = run_suite_in_process(fault.server, clause_ids=fault.breaks, stop_at_first=True, **fault.options)

    assert fault.breaks == result.clauses, result.lines


@pytest.mark.parametrize("fault", FAULTS[:: 20 if ALL else 60], ids=lambda fault: fault.name)
def test_all_input_checks_report_no_other_clause(fault: FaultyEndpoint) -> None:
    """All checks of input together report no other clause."""
    result = run_suite_in_process(fault.server, checks=INPUT_CHECKS, depth=Depth.QUICK)

    assert result.clauses <= fault.breaks, result.lines
    assert len(result.findings) <= 5, result.lines


@pytest.mark.parametrize(
    "name", ["strings trimmed", "arrays rejected", "accepts any word", "a duplicate name in an error"]
)
def test_a_fault_is_also_found_over_a_connection(name: str, run_suite: RunSuite) -> None:
    """Faults found in process are also found over a socket."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    checks = [check for check in INPUT_CHECKS if fault.breaks & {clause.id for clause in check.clauses}]

    assert fault.breaks == run_suite(fault.server, checks=checks, examples=1).clauses
