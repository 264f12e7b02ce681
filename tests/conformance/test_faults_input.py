"""
Whoever takes what is no JSON object, refuses one that is, or returns another than was sent, is caught for that.
"""

from __future__ import annotations

import html
import json
import re
import struct
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import unquote_plus

import pytest

from chainproof.conformance import options as settings_file
from chainproof.conformance.options import Depth

from .conftest import RunSuite
from .directly import INPUT_CHECKS, run_suite_in_process
from .endpoints import AnswerFunction, EndpointAnswer, EndpointRequest, as_if, correct_endpoint, error, is_object, when

Value = object


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyEndpoint:
    """
    A server that breaks one clause in one way.
    """

    name: str
    breaks: set[str]
    """The clauses for which it is caught, and no others."""
    server: AnswerFunction
    options: dict[str, object] = field(default_factory=dict)


# ------------------------------------------------------------------ what comes back


def changed(
    *,
    string: Callable[[str], Value] | None = None,
    number: Callable[[int | float], Value] | None = None,
    array: Callable[[list[Value]], Value] | None = None,
    members: Callable[[dict[str, Value]], Value] | None = None,
    other: Callable[[Value], Value] | None = None,
) -> Callable[[Value], Value]:
    """
    What a chain makes of a value, from what it makes of each kind, the innermost first.
    """

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


def returning(change: Callable[[Value], Value]) -> AnswerFunction:
    """
    The honest endpoint, except that it returns what it has made of an object.
    """

    def server(asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        if said.status != 200:
            return said
        try:
            made = change(json.loads(asked.body))
            return replace(said, body=json.dumps(made, allow_nan=False).encode("utf-8", "surrogatepass"))
        except RecursionError:
            return said
        except (ValueError, OverflowError):
            return replace(error(400, "client_error"), request_id=said.request_id)

    return server


def strings(change: Callable[[str], Value]) -> AnswerFunction:
    """
    The honest endpoint, except for what it makes of strings.
    """
    return returning(changed(string=change))


def numbers(change: Callable[[int | float], Value]) -> AnswerFunction:
    """
    The honest endpoint, except for what it makes of numbers.
    """
    return returning(changed(number=change))


def arrays(change: Callable[[list[Value]], Value]) -> AnswerFunction:
    """
    The honest endpoint, except for what it makes of arrays.
    """
    return returning(changed(array=change))


def members(change: Callable[[dict[str, Value]], Value]) -> AnswerFunction:
    """
    The honest endpoint, except for what it makes of objects.
    """
    return returning(changed(members=change))


def names(change: Callable[[str], str]) -> AnswerFunction:
    """
    The honest endpoint, except for what it makes of names.
    """
    return members(lambda value: {change(name): member for name, member in value.items()})


def without(unwanted: Callable[[Value], bool]) -> AnswerFunction:
    """
    The honest endpoint, except for members whose values it drops.
    """
    return members(lambda value: {name: member for name, member in value.items() if not unwanted(member)})


def unwrapped(*wrappers: str) -> AnswerFunction:
    """
    The honest endpoint, except that it takes what stands in the only member for the whole.
    """

    def change(value: Value) -> Value:
        assert isinstance(value, dict)
        inner = next((value[name] for name in wrappers if list(value) == [name]), value)
        return inner if isinstance(inner, dict) else value

    return returning(change)


def clamped(low: int, high: int) -> AnswerFunction:
    """
    The honest endpoint, except for integers beyond its own.
    """
    return numbers(lambda value: min(max(value, low), high) if isinstance(value, int) else value)


def wrapped_around(bits: int) -> AnswerFunction:
    """
    The honest endpoint, except for integers that do not fit.
    """

    def change(value: float) -> Value:
        return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1) if isinstance(value, int) else value

    return numbers(change)


def as_single(value: float) -> Value:
    """
    A fraction in 32 bits.
    """
    if isinstance(value, int) or abs(value) > 3e38:
        return value
    return float(struct.unpack("f", struct.pack("f", value))[0])


def as_number(text: str) -> Value:
    """
    A string that looks like a number, as one.
    """
    return int(text) if re.fullmatch(r"-?[1-9][0-9]{0,17}", text) else text


_MOJIBAKE = {"é": "Ã©"}

ALTERED: tuple[tuple[str, AnswerFunction], ...] = (
    ("strings trimmed", strings(str.strip)),
    ("blanks at the end of a string dropped", strings(lambda text: text.rstrip(" "))),
    ("blanks run together", strings(lambda text: re.sub(" +", " ", text))),
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
    ("backslashes taken for escapes", strings(lambda text: text.replace("\\n", "\n"))),
    ("escapes taken twice", strings(lambda text: text.replace("\\u0041", "A"))),
    ("percent escapes taken", strings(unquote_plus)),
    ("line ends turned", strings(lambda text: text.replace("\r\n", "\n"))),
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
    ("nothing beyond the basic plane", strings(lambda text: re.sub("[\U00010000-\U0010ffff]", "\ufffd", text))),
    ("nothing beyond Latin-1", strings(lambda text: text.encode("latin-1", "replace").decode("latin-1"))),
    ("nothing beyond ASCII", strings(lambda text: text.encode("ascii", "ignore").decode())),
    ("UTF-8 taken for Latin-1", strings(lambda text: text.replace("é", "Ã©"))),
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
    ("fractions of 6 places", numbers(lambda value: round(value, 6))),
    ("fractions as integers", numbers(lambda value: int(value) if abs(value) < 1e6 else value)),
    ("fractions as strings", numbers(lambda value: str(value) if isinstance(value, float) else value)),
    ("subnormals flushed", numbers(lambda value: 0.0 if 0 < abs(value) < 2.3e-308 else value)),
    ("negative numbers as positive ones", numbers(abs)),
    ("small numbers as zero", numbers(lambda value: 0 if abs(value) < 1e-6 else value)),
    ("0 and 1 as booleans", numbers(lambda value: bool(value) if value in (0, 1) else value)),
    ("zero as null", numbers(lambda value: value or None)),
    ("booleans as numbers", returning(changed(other=lambda value: int(value) if isinstance(value, bool) else value))),
    ("booleans as strings", returning(changed(other=lambda value: str(value) if isinstance(value, bool) else value))),
    ("null as an empty string", returning(changed(other=lambda value: "" if value is None else value))),
    ("null members dropped", without(lambda value: value is None)),
    ("empty arrays dropped", without(lambda value: value == [])),
    ("empty objects dropped", without(lambda value: value == {})),
    ("empty strings dropped", without(lambda value: value == "")),
    ("false dropped", without(lambda value: value is False)),
    ("whatever is falsy dropped", without(lambda value: not value)),
    ("names in lower case", names(str.lower)),
    ("names in camel case", names(lambda name: re.sub("_([a-z])", lambda found: found[1].upper(), name))),
    ("names in snake case", names(lambda name: re.sub("(?<=[a-z])([A-Z])", r"_\1", name).lower())),
    ("names trimmed", names(str.strip)),
    ("dashes in names turned", names(lambda name: name.replace("-", "_"))),
    ("dots in names replaced", names(lambda name: name.replace(".", "_"))),
    ("brackets in names taken apart", names(lambda name: name.replace("[0]", "").replace("[]", ""))),
    ("slashes in names escaped", names(lambda name: name.replace("/", "~1"))),
    ("names cut at 255", names(lambda name: name[:255])),
    ("names cut at NUL", names(lambda name: name.partition("\x00")[0])),
    ("an empty name replaced", names(lambda name: name or "_empty_")),
    ("names of numbers written anew", names(lambda name: "1" if name == "01" else name)),
    ("`__proto__` dropped", members(lambda value: {k: v for k, v in value.items() if k != "__proto__"})),
    ("`constructor` dropped", members(lambda value: {k: v for k, v in value.items() if k != "constructor"})),
    ("`self` dropped", members(lambda value: {k: v for k, v in value.items() if k != "self"})),
    ("names with a dollar dropped", members(lambda value: {k: v for k, v in value.items() if not k.startswith("$")})),
    ("private names dropped", members(lambda value: {k: v for k, v in value.items() if not k.startswith("_")})),
    (
        "what may be secret masked",
        members(lambda value: {k: "***" if "password" in k else v for k, v in value.items()}),
    ),
    ("`id` made anew", members(lambda value: value | ({"id": "new"} if "id" in value else {}))),
    ("`data` unwrapped", unwrapped("data")),
    ("`inputs` unwrapped", unwrapped("inputs", "model_input")),
    ("`body` unwrapped", unwrapped("body")),
    ("a member more", returning(lambda value: {**value, "took_ms": 3})),  # type: ignore[dict-item]  # an object
    ("300 members at most", members(lambda value: dict(list(value.items())[:299]))),
    ("5000 members at most", members(lambda value: dict(list(value.items())[:5000]))),
    ("arrays sorted", arrays(lambda items: sorted(items, key=repr))),
    ("arrays the other way round", arrays(lambda items: items[::-1])),
    ("equal items dropped", arrays(lambda items: [item for at, item in enumerate(items) if item not in items[:at]])),
    ("an array of one item unwrapped", arrays(lambda items: items[0] if len(items) == 1 else items)),
    ("null items dropped", arrays(lambda items: [item for item in items if item is not None])),
    ("empty arrays as null", arrays(lambda items: items or None)),
    ("empty arrays as objects", arrays(lambda items: items or {})),
    ("arrays of 1000 items", arrays(lambda items: items[:1000])),
    ("arrays made flat", arrays(lambda items: [each for item in items for each in (item if isinstance(item, list) else [item])])),
    ("an array in place of indices", members(lambda value: list(value.values()) if set(value) == {"0", "1", "2"} else value)),
    ("empty objects as null", members(lambda value: value or None) ),
    ("empty objects as arrays", members(lambda value: value or [])),
)  # fmt: skip  # one line for each


def at_the_top(server: AnswerFunction) -> AnswerFunction:
    """
    The same, save that what it makes of the whole is an object all the same.
    """

    def kept(asked: EndpointRequest) -> EndpointAnswer:
        said = server(asked)
        return said if said.status != 200 or said.body.startswith(b"{") else replace(said, body=b'{"a":1}')

    return kept


# ------------------------------------------------------------------ what is refused


def lenient(mended: Callable[[bytes], bytes]) -> AnswerFunction:
    """
    The honest endpoint, except that it mends a body that is no object before it looks at it.
    """
    return as_if(
        lambda asked: replace(asked, body=mended(asked.body)),
        lambda asked: asked.authorized and bool(asked.body) and not is_object(asked.body),
    )


def replaced(pattern: bytes, by: bytes, flags: int = 0) -> AnswerFunction:
    """
    The honest endpoint, except that it takes something for something else.
    """
    return lenient(lambda body: re.sub(pattern, by, body, flags=flags))


def decoded(codec: str, errors: str = "strict") -> AnswerFunction:
    """
    The honest endpoint, except for how it decodes what is not UTF-8.
    """

    def mended(body: bytes) -> bytes:
        try:
            return body.decode(codec, errors).encode("utf-8", "replace")
        except UnicodeError:
            return body

    return lenient(mended)


def detected(body: bytes) -> bytes:
    """
    As Python's json finds out in which UTF a body is.
    """
    try:
        return body.decode(json.detect_encoding(body)).encode()
    except UnicodeError:
        return body


def balanced(body: bytes) -> bytes:
    """
    An object cut short, with what it lacks behind it.
    """
    for end in (b"}", b"]}", b'"}', b"null}", b'"]}', b"}}"):
        if is_object(body + end):
            return body + end
    return body


def first_of_several(body: bytes) -> bytes:
    """
    The first value of a text, whatever stands behind it.
    """
    try:
        text = body.decode()
        return text[: json.JSONDecoder(parse_constant=None).raw_decode(text)[1]].encode()
    except ValueError:
        return body


def only_the_beginning(size: int) -> AnswerFunction:
    """
    The honest endpoint, except that it looks at no more than the beginning of a large body.
    """
    return when(
        lambda asked: asked.authorized and len(asked.body) > size and correct_endpoint(asked).status == 400,
        lambda asked, said: EndpointAnswer(status=200, body=b"{}"),
    )


LENIENT: tuple[tuple[str, AnswerFunction], ...] = (
    ("trailing commas in arrays", replaced(rb",\s*\]", b"]")),
    ("trailing commas in objects", replaced(rb",\s*\}", b"}")),
    ("empty items", replaced(rb",,", b",")),
    ("comments of C", replaced(rb"/\*.*?\*/", b"", re.DOTALL)),
    ("comments to the line's end", replaced(rb"//[^\n\"]*(\n|(?=\}))", b"")),
    ("comments behind a hash", replaced(rb"#[^\n\"]*\n", b"")),
    ("NaN", replaced(rb"\bNaN\b", b"null")),
    ("Infinity", replaced(rb"-?\bInfinity\b", b"null")),
    ("Python's words", replaced(rb"\b(None|True|False)\b", b"null")),
    ("upper-case words", replaced(rb"\b(NULL|TRUE|FALSE)\b", b"null")),
    ("undefined", replaced(rb"\bundefined\b", b"null")),
    ("any word", replaced(rb"(?<=:)[a-z]+(?=[,}])", b"null")),
    ("leading zeros", replaced(rb"(?<=[:,\[-])0+(?=[0-9])", b"")),
    ("plus signs", replaced(rb"(?<=[:,\[])\+(?=[0-9])", b"")),
    ("a point at the beginning", replaced(rb"(?<=[:,\[-])\.(?=[0-9])", b"0.")),
    ("a point at the end", replaced(rb"(?<=[0-9])\.(?=[,}\]])", b"")),
    ("hexadecimal numbers", replaced(rb"0x[0-9A-Fa-f]+", b"1")),
    ("octal numbers", replaced(rb"0o[0-7]+", b"1")),
    ("binary numbers", replaced(rb"0b[01]+", b"1")),
    ("underscores in numbers", replaced(rb"(?<=[0-9])_(?=[0-9])", b"")),
    ("half an exponent", replaced(rb"(?<=[0-9])[eE][+-]?(?=[,}\]])", b"")),
    ("large integers' mark", replaced(rb"(?<=[0-9])n(?=[,}\]])", b"")),
    ("single quotes", replaced(rb"'([^'\"]*)'", rb'"\1"')),
    ("names without quotes", replaced(rb"([{,])([a-z]+):", rb'\1"\2":')),
    ("numbers as names", replaced(rb"([{,])([0-9]+):", rb'\1"\2":')),
    ("raw control characters", replaced(rb"[\x01-\x1f]", b"")),
    ("raw tabs", replaced(rb"\t", b"")),
    ("raw line feeds", replaced(rb"\n", b"")),
    ("raw NULs", replaced(rb"\x00", b"")),
    ("one raw control character", replaced(rb"\x1f", b"")),
    ("escapes of a byte", replaced(rb"\\x[0-9a-f]{2}", b"")),
    ("escapes in braces", replaced(rb"\\u\{[0-9a-f]+\}", b"")),
    ("escaped apostrophes", replaced(rb"\\'", b"'")),
    ("any escape", replaced(rb"\\(?![\"\\/bfnrtu])", b"")),
    ("octal escapes", replaced(rb"\\[0-7]+", b"")),
    ("half an escape", replaced(rb"\\u[0-9a-f]{0,3}(?=\")", b"")),
    ("bad UTF-8 replaced", decoded("utf-8", "replace")),
    ("bad UTF-8 dropped", decoded("utf-8", "ignore")),
    ("Latin-1", decoded("latin-1")),
    ("surrogates in UTF-8", lenient(lambda body: re.sub(rb"\xed[\xa0-\xbf][\x80-\xbf]", b"?", body))),
    ("overlong UTF-8", lenient(lambda body: re.sub(rb"[\xc0\xc1][\x80-\xbf]", b"?", body))),
    ("code points beyond Unicode", lenient(lambda body: body.replace(b"\xf4\x90\x80\x80", b"?"))),
    ("any UTF", lenient(detected)),
    ("UTF-16 behind its mark", lenient(lambda body: detected(body) if body[:2] in (b"\xff\xfe", b"\xfe\xff") else body)),
    ("whatever stands behind", lenient(first_of_several)),
    ("a line feed and more behind", lenient(lambda body: body.partition(b"\n")[0])),
    ("NULs behind", lenient(lambda body: body.rstrip(b"\x00"))),
    ("a NUL and more behind", lenient(lambda body: body.partition(b"\x00")[0])),
    ("one brace more", lenient(lambda body: body[:-1])),
    ("semicolons behind", lenient(lambda body: body.rstrip(b";"))),
    ("blanks of Unicode", lenient(lambda body: body.decode("utf-8", "replace").strip("\u00a0\u2028\ufeff").encode())),
    ("blanks of C", lenient(lambda body: re.sub(rb"[\x0b\x0c]", b"", body))),
    ("a guard before it", lenient(lambda body: body.removeprefix(b")]}',\n"))),
    ("a record separator", lenient(lambda body: body.lstrip(b"\x1e"))),
    ("a function's call", lenient(lambda body: re.sub(rb"^callback\((.*)\)$", rb"\1", body, flags=re.DOTALL))),
    ("a form's field", lenient(lambda body: body.removeprefix(b"data="))),
    ("a fence", lenient(lambda body: body.removeprefix(b"```json\n").removesuffix(b"\n```"))),
    ("a double byte order mark", lenient(lambda body: body.replace(b"\xef\xbb\xbf", b""))),
    ("semicolons between members", replaced(rb";(?=\")", b",")),
    ("equals signs", replaced(rb"\"(=>?)(?=[0-9])", b'":')),
    ("members without a comma", replaced(rb"(?<=[0-9])\s+\"", b',"')),
    ("a member without a value", replaced(rb":(?=[,}])", b":null")),
    ("a name alone", replaced(rb",\"x\"\}", b',"x":1}')),
    ("what is cut short", lenient(balanced)),
    ("one bracket for another", replaced(rb"\[1\}", b"[1]}")),
    ("blanks as an empty object", lenient(lambda body: body.strip() or b"{}")),
    ("whatever lies beyond 64 KiB", only_the_beginning(65_536)),
    ("whatever lies deep", when(
        lambda asked: asked.authorized and asked.body.startswith(b'{"a":[{"a":[{"a":[') and correct_endpoint(asked).status == 400,
        lambda asked, said: EndpointAnswer(status=200, body=b"{}"),
    )),
    ("whatever starts and ends with braces", when(
        lambda asked: asked.authorized and asked.body[:1] + asked.body[-1:] == b"{}" and correct_endpoint(asked).status == 400,
        lambda asked, said: EndpointAnswer(status=200, body=b"{}"),
    )),
)  # fmt: skip  # one line for each


def failing(condition: Callable[[EndpointRequest], bool], said: EndpointAnswer) -> AnswerFunction:
    """
    The honest endpoint, except for what it says to requests on a condition, let in as they are.
    """
    return when(
        lambda asked: asked.authorized and condition(asked),
        lambda asked, honestly: replace(said, request_id=honestly.request_id),
    )


def refusing(condition: Callable[[EndpointRequest], bool], said: EndpointAnswer | None = None) -> AnswerFunction:
    """
    The honest endpoint, except that it refuses objects on a condition.
    """
    return failing(
        lambda asked: correct_endpoint(asked).status == 200 and condition(asked), said or error(400, "client_error")
    )


_BRACKETS = re.compile(rb"[\[\]{}]")


def depth(body: bytes) -> int:
    """
    How deep the brackets of a body go, whatever they are.
    """
    most = here = 0
    for mark in _BRACKETS.findall(body):
        here += 1 if mark in b"{[" else -1
        most = max(most, here)
    return most


def has(*texts: bytes) -> Callable[[EndpointRequest], bool]:
    """
    Whether a body has one of these.
    """
    return lambda asked: any(text in asked.body for text in texts)


def values(asked: EndpointRequest, name: str) -> str:
    """
    A field's values.
    """
    return ",".join(asked.values(name))


def longest(value: Value) -> int:
    """
    The most digits of an integer.
    """
    if isinstance(value, dict | list):
        return max(map(longest, value.values() if isinstance(value, dict) else value), default=0)
    return len(str(abs(value))) if isinstance(value, int) else 0


def any_of(value: Value, wanted: Callable[[Value], bool]) -> bool:
    """
    Whether a value, or one within it, is wanted.
    """
    inner: Iterable[Value] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return wanted(value) or any(any_of(each, wanted) for each in inner)


def some(wanted: Callable[[Value], bool]) -> Callable[[EndpointRequest], bool]:
    """
    Whether a body has a value that is wanted.
    """

    def found(asked: EndpointRequest) -> bool:
        try:
            return any_of(json.loads(asked.body), wanted)
        except (RecursionError, ValueError):
            return False

    return found


def name_of(wanted: Callable[[str], bool]) -> Callable[[EndpointRequest], bool]:
    """
    Whether a body has a name that is wanted.
    """
    return some(lambda value: isinstance(value, dict) and any(map(wanted, value)))


REFUSED: tuple[tuple[str, AnswerFunction], ...] = (
    ("no depth beyond 32", refusing(lambda asked: depth(asked.body) > 32)),
    ("no depth beyond 63", refusing(lambda asked: depth(asked.body) > 63)),
    ("no body beyond 64 KiB", refusing(lambda asked: len(asked.body) > 65_536)),
    ("no body beyond 100 kB", refusing(lambda asked: len(asked.body) > 102_400, error(400, "payload_too_large"))),
    ("no body beyond 512 KiB", refusing(lambda asked: len(asked.body) > 2**19, error(400, "payload_too_large"))),
    ("no more than 1000 members", refusing(some(lambda value: isinstance(value, dict) and len(value) > 1000))),
    ("no more than 10000 items", refusing(some(lambda value: isinstance(value, list) and len(value) > 10_000))),
    ("no name beyond 255", refusing(name_of(lambda name: len(name) > 255))),
    ("no integer of 20 digits", refusing(some(lambda value: isinstance(value, int) and abs(value) >= 10**19))),
    ("no integer beyond 64 bits", refusing(some(lambda value: isinstance(value, int) and abs(value) >= 2**64))),
    ("no `__proto__`", refusing(has(b'"__proto__"'))),
    ("no empty name", refusing(name_of(lambda name: not name))),
    ("no dollar in a name", refusing(name_of(lambda name: name.startswith("$")))),
    ("no dot in a name", refusing(name_of(lambda name: "." in name))),
    ("no `self`", refusing(name_of(lambda name: name == "self"), error(502, "application_error"))),
    ("no NUL", refusing(has(b"\\u0000"))),
    ("no DEL", refusing(has(b"\x7f"))),
    ("no noncharacter", refusing(has("\uffff".encode(), "\ufffe".encode()))),
    ("no surrogate pair", refusing(has(b"\\ud83d", b"\\uD83D"))),
    ("no raw character beyond the basic plane", refusing(lambda asked: re.search(rb"[\xf0-\xf4]", asked.body) is not None)),
    ("no escape in upper case", refusing(lambda asked: re.search(rb"\\u[0-9]*[A-F]", asked.body) is not None)),
    ("no escaped slash", refusing(has(rb"\/"))),
    ("no U+2028", refusing(has("\u2028".encode()))),
    ("no negative zero", refusing(has(b"-0,", b"-0]", b"-0}"))),
    ("no capital E", refusing(lambda asked: re.search(rb"[0-9]E[0-9+-]", asked.body) is not None)),
    ("no plus in an exponent", refusing(lambda asked: re.search(rb"[0-9][eE]\+", asked.body) is not None)),
    ("no subnormal", refusing(has(b"5e-324"))),
    ("no carriage return", refusing(has(b"\r"))),
    ("no tab between tokens", refusing(has(b"{\t"))),
    ("no blank before it", refusing(lambda asked: asked.body[:1] in b" \t\r\n")),
    ("no blank behind it", refusing(lambda asked: asked.body[-1:] in b" \t\r\n")),
    ("no 64 KiB of blanks", refusing(has(b" \t\r\n" * 9000, b"\n\r\t " * 9000))),
    ("no names apart by letter case", refusing(has(b'"MYNAME"'))),
    ("no empty object", refusing(lambda asked: asked.body == b"{}")),
    ("no null", refusing(lambda asked: asked.body == b'{"a":null}')),
    ("no array", refusing(some(lambda value: isinstance(value, list)))),
    ("no Accept of a part", refusing(lambda asked: values(asked, "accept") == "application/*;q=0.8")),
    ("no Accept of everything", refusing(lambda asked: values(asked, "accept") == "*/*")),
    ("no browser", refusing(lambda asked: values(asked, "accept").startswith("text/html,"))),
    ("no other language", refusing(lambda asked: bool(values(asked, "content-language")))),
    ("no query", refusing(lambda asked: "?x=1" in asked.path)),
    ("no long field", refusing(lambda asked: len(values(asked, "x-chainproof")) > 1024)),
    ("no cookie", refusing(lambda asked: bool(values(asked, "cookie")))),
    ("no unknown origin", refusing(lambda asked: bool(values(asked, "origin")))),
)  # fmt: skip  # one line for each


def with_names_twice(body: bytes) -> bytes:
    """
    An object with a name twice.
    """
    return body.rstrip()[:-1] + b',"id":1,"id":1}' if len(body.strip()) > 2 else b'{"id":1,"id":1}'


def typed(condition: Callable[[str], bool]) -> AnswerFunction:
    """
    The honest endpoint, except that it takes media types on a condition for JSON.
    """

    def change(asked: EndpointRequest) -> EndpointRequest:
        fields = tuple(each for each in asked.fields if each[0].lower() != "content-type")
        return replace(asked, fields=(*fields, ("Content-Type", "application/json")))

    return as_if(change, lambda asked: condition(values(asked, "content-type")))


def first_object(body: bytes) -> bytes:
    """
    The object in an array of one.
    """
    found = re.fullmatch(rb"\s*\[(\{.*\})\]\s*", body, re.DOTALL)
    return found[1] if found else body


def object_in_string(body: bytes) -> bytes:
    """
    The object that a string holds.
    """
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else body


SEVERAL: tuple[FaultyEndpoint, ...] = (
    FaultyEndpoint(name="a name twice in an error", breaks={"unique-member-names"}, server=when(
        lambda asked: correct_endpoint(asked).status == 400,
        lambda asked, said: replace(said, body=b'{"error":"No.","error":"Never."}'),
    )),
    FaultyEndpoint(name="a name twice, once escaped", breaks={"unique-member-names"}, server=when(
        lambda asked: correct_endpoint(asked).status == 400,
        lambda asked, said: replace(said, body=rb'{"error":"No.","x":{"id":1,"\u0069d":2}}'),
    )),
    FaultyEndpoint(name="a name twice in an output", breaks={"unique-member-names"}, server=when(
        lambda asked: correct_endpoint(asked).status == 200,
        lambda asked, said: replace(said, body=with_names_twice(said.body)),
    )),
    FaultyEndpoint(name="an array around one object", breaks={"non-object-rejected"}, server=lenient(first_object)),
    FaultyEndpoint(name="a string that holds an object", breaks={"non-object-rejected"}, server=lenient(object_in_string)),
    FaultyEndpoint(name="null as an empty object", breaks={"non-object-rejected"}, server=lenient(
        lambda body: b"{}" if body.strip() == b"null" else body
    )),
    FaultyEndpoint(name="an empty string as an empty object", breaks={"non-object-rejected"}, server=lenient(
        lambda body: b"{}" if body.strip() == b'""' else body
    )),
    FaultyEndpoint(name="an array of pairs as an object", breaks={"non-object-rejected"}, server=lenient(
        lambda body: b"{}" if body.startswith(b"[[") else body
    )),
    FaultyEndpoint(name="a large array as an object", breaks={"non-object-rejected"}, server=lenient(
        lambda body: b"{}" if len(body) > 65_536 and body[:1] == b"[" and body[-1:] == b"]" else body
    )),
    FaultyEndpoint(name="whatever has JSON in its media type", breaks={"media-type-required"}, server=typed(
        lambda value: "json" in value.lower()
    )),
    FaultyEndpoint(name="whatever begins like application/json", breaks={"media-type-required"}, server=typed(
        lambda value: value.lower().startswith("application/json")
    )),
    FaultyEndpoint(name="no media type at all", breaks={"media-type-required"}, server=typed(lambda value: not value)),
    FaultyEndpoint(name="any text", breaks={"media-type-required"}, server=typed(lambda value: value.startswith("text/"))),
    FaultyEndpoint(name="forms", breaks={"media-type-required"}, server=failing(
        lambda asked: "urlencoded" in values(asked, "content-type"), EndpointAnswer(status=200, body=b'{"a":"1"}')
    )),
    FaultyEndpoint(name="quoted charsets refused", breaks={"media-type-parameters"}, server=failing(
        lambda asked: '"utf-8"' in values(asked, "content-type").lower(), error(400, "client_error")
    )),
    FaultyEndpoint(name="letter case of the media type", breaks={"media-type-parameters"}, server=failing(
        lambda asked: values(asked, "content-type") == "Application/JSON", error(400, "client_error")
    )),
    FaultyEndpoint(name="errors for browsers", breaks={"error-media-type"}, server=when(
        lambda asked: "text/html" in values(asked, "accept") and correct_endpoint(asked).status == 400,
        lambda asked, said: replace(said, media_type="text/html", body=b"<h1>400</h1>"),
    )),
    FaultyEndpoint(name="outputs for browsers", breaks={"output-media-type"}, server=when(
        lambda asked: "text/html" in values(asked, "accept") and correct_endpoint(asked).status == 200,
        lambda asked, said: replace(said, media_type="text/html", body=b"<pre>{}</pre>"),
    )),
    FaultyEndpoint(name="a part where a range was asked for", breaks={"status"}, server=failing(
        lambda asked: bool(values(asked, "range")), EndpointAnswer(status=206, body=b"{}")
    )),
    FaultyEndpoint(name="415 to a charset", breaks={"status"}, server=failing(
        lambda asked: "iso-8859-1" in values(asked, "content-type"), error(415, "client_error")
    )),
    FaultyEndpoint(name="500 to great depth", breaks={"status"}, server=failing(
        lambda asked: depth(asked.body) > 900, error(500, None)
    )),
    FaultyEndpoint(name="500 to many digits", breaks={"status"}, server=failing(
        lambda asked: len(asked.body) > 4300 and asked.body[5:4305].isdigit(), error(500, None)
    )),
    FaultyEndpoint(name="500 to a lone surrogate", breaks={"status"}, server=failing(has(rb"\ud800"), error(500, None))),
    FaultyEndpoint(name="500 to a number next to nothing", breaks={"status"}, server=failing(has(b"e-999"), error(500, None))),
    FaultyEndpoint(name="413 to a large body", breaks={"status"}, server=failing(
        lambda asked: len(asked.body) > 2**22, error(413, "payload_too_large")
    )),
    FaultyEndpoint(name="a crash at great depth", breaks={"request-answered"}, server=failing(
        lambda asked: depth(asked.body) > 20_000, EndpointAnswer(status=0, raw=b"")
    )),
    FaultyEndpoint(name="a crash at a large body", breaks={"request-answered"}, server=failing(
        lambda asked: len(asked.body) > 2**22, EndpointAnswer(status=0, raw=b"")
    )),
    FaultyEndpoint(name="a crash at many members", breaks={"request-answered"}, server=failing(
        lambda asked: asked.body.count(b'"') > 100_000, EndpointAnswer(status=0, raw=b"")
    )),
    FaultyEndpoint(name="a number that is none as output", breaks={"output-json"}, server=when(
        lambda asked: correct_endpoint(asked).status == 200 and b"e-999" in asked.body,
        lambda asked, said: replace(said, body=b'{"x":-Infinity}'),
    )),
)  # fmt: skip  # one paragraph for each

FAULTS: tuple[FaultyEndpoint, ...] = (
    *(FaultyEndpoint(name=name, breaks={"echo-exact"}, server=at_the_top(server)) for name, server in ALTERED),
    *(
        FaultyEndpoint(name=f"takes {name}", breaks={"invalid-json-rejected"}, server=server)
        for name, server in LENIENT
    ),
    *(FaultyEndpoint(name=name, breaks={"object-accepted"}, server=server) for name, server in REFUSED),
    *SEVERAL,
)


@pytest.fixture(autouse=True)
def _few_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Tables first: what is drawn finds more, and is none of these tests' business.
    """
    for depth_ in (Depth.QUICK, Depth.STANDARD):
        monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, depth_, 1)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_caught_for_its_clause(fault: FaultyEndpoint) -> None:
    """
    By the checks that uphold it, and for no other clause.
    """
    examined = run_suite_in_process(fault.server, clause_ids=fault.breaks, stop_at_first=True, **fault.options)

    assert fault.breaks == examined.clauses, examined.lines


@pytest.mark.parametrize("fault", FAULTS[::20], ids=lambda fault: fault.name)
def test_no_other_check_accuses_of_anything_else(fault: FaultyEndpoint) -> None:
    """
    Whatever else is asked about input shows the same clause.
    """
    examined = run_suite_in_process(fault.server, checks=INPUT_CHECKS, depth=Depth.QUICK)

    assert examined.clauses <= fault.breaks, examined.lines
    assert len(examined.findings) <= 5, examined.lines


@pytest.mark.parametrize("name", ["strings trimmed", "no array", "takes any word", "a name twice in an error"])
def test_a_fault_is_seen_over_a_connection_too(name: str, run_suite: RunSuite) -> None:
    """
    What is seen without a socket between is seen with one.
    """
    fault = next(fault for fault in FAULTS if fault.name == name)
    checks = [check for check in INPUT_CHECKS if fault.breaks & {clause.id for clause in check.clauses}]

    assert fault.breaks == run_suite(fault.server, checks=checks, examples=1).clauses
