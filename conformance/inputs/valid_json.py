"""
Valid objects with labels: numbers, names, strings, structures and whitespace that some receivers misread.

Every receiver of JSON must accept them, which `json_equality` confirms. Similar values are sent in one object, and
one by one if that fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from .bodies import BodyCase, json_object, nested


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyGroup:
    """Values that are sent in one object, and one by one if that fails."""

    combined: BodyCase
    single: tuple[BodyCase, ...]


def _shortened(text: str) -> str:
    """The beginning of a text, short enough for a label."""
    return text if len(text) <= 40 else f"{text[:40]}… ({len(text)} characters)"


def _values(label: str, texts: Iterable[str]) -> BodyGroup:
    """Values in one object, each in an array, as a member and in an inner object; and each on its own."""
    unique = tuple(dict.fromkeys(texts))
    members = [f'"m{number}":{text}' for number, text in enumerate(unique)]
    places = (f'"x":[{",".join(unique)}]', *members, f'"y":{{{",".join(members)}}}')
    return BodyGroup(
        combined=BodyCase(label=label, content=json_object(*places)),
        single=tuple(
            BodyCase(
                label=f"{label}: {_shortened(text.encode('unicode_escape').decode())}",
                content=json_object(f'"x":{text}'),
            )
            for text in unique
        ),
    )


# ------------------------------------------------------------------ numbers

_POWERS = (7, 8, 15, 16, 24, 31, 32, 52, 53, 54, 62, 63, 64, 65, 127, 128)

_INTEGERS: tuple[str, ...] = tuple(
    str(sign * (2**power + step)) for power in _POWERS for step in (-1, 0, 1) for sign in (1, -1)
)

_LONG_INTEGERS: tuple[str, ...] = (
    *(f"1{'0' * zeros}" for zeros in (15, 16, 17, 19, 20, 21, 22, 23, 25, 30, 99, 299)),
    *(f"{'1234567890' * 100}"[:digits] for digits in (16, 17, 18, 19, 20, 21, 25, 30, 40, 50, 100, 200, 300)),
    *(f"-{'9' * digits}" for digits in (16, 17, 18, 19, 20, 21, 39, 50, 100, 300)),
)

_FRACTIONS: tuple[str, ...] = (
    *("0.1", "0.2", "0.3", "0.30000000000000004", "0.5", "1.5", "2.5", "-0.5", "1.1", "1.10", "100.00", "3.14159"),
    *("0.1234567890123456789", "1.7976931348623157", "2.2250738585072014", "9007199254740992.5", "4503599627370497.5"),
    *("123456789.123456789", "0.00001", "0.000001", "0.0000001", "0.00000001234", "-0.0000001", "1234567.8901234567"),
    *("16777217.0", "0.1000000014901161193847656250", "19.99", "0.07", "1.005", "4.35", "64.1", "1234.5678e0"),
    *("12345678901234567890.5", "0.000000000000000000001", "33.333333333333336", "99999999.99999999"),
)

_EXPONENTS: tuple[str, ...] = (
    *("1e5", "1E5", "1e+5", "1E+5", "1e-5", "1E-5", "1.0e+2", "1.5e3", "0e0", "0E+0", "0e999", "-0e-1", "1e0", "1e00"),
    *("1e005", "1E-007", "123e-2", "100e-2", "1e15", "1e16", "1e20", "1e21", "1e22", "1e23", "1e-6", "1e-7", "2e-7"),
    *("6.02214076e23", "1e100", "1e-100", "1e300", "1e308", "-1e308", "1.7976931348623157e308", "4.9e-324", "5e-324"),
    *("-5e-324", "2.2250738585072014e-308", "2.225073858507201e-308", "1e-310", "1e-323", "0.0e-999"),
)

_ZEROS: tuple[str, ...] = ("0", "-0", "0.0", "-0.0", "0.00", "0e1", "-0e+1", "0E-5")

NUMBERS: tuple[BodyGroup, ...] = (
    _values("integers around the powers of two", _INTEGERS),
    _values("integers of 16 to 300 digits", _LONG_INTEGERS),
    _values("fractions", _FRACTIONS),
    _values("numbers with exponents", _EXPONENTS),
    _values("zeros", _ZEROS),
    _values("small numbers", [str(number) for number in range(-20, 21)]),
)

# ------------------------------------------------------------------ strings


def json_string(value: str) -> str:
    """A JSON string with as few escapes as possible."""
    return json.dumps(value, ensure_ascii=False)


def escaped_json_string(code_points: Iterable[int], *, upper: bool = False) -> str:
    """A JSON string in which every character is escaped."""
    units = "".join(map(chr, code_points)).encode("utf-16-be", "surrogatepass")
    form = "\\u{:04X}" if upper else "\\u{:04x}"
    return '"' + "".join(form.format(units[at] << 8 | units[at + 1]) for at in range(0, len(units), 2)) + '"'


_WITH_OUTER_WHITESPACE = (
    " a",
    "a ",
    " ",
    "  ",
    "\ta",
    "a\n",
    "a\r\nb",
    "\r\n",
    "a  b",
    "\u00a0a\u00a0",
    "\u3000a",
    "\u2003",
    "\ufeffa",
)

_NORMALISED = (
    "é",
    "e\u0301",
    "Å",
    "\u212b",
    "Å",
    "ﬁ",
    "①",
    "ｆｕｌｌ",
    "ｶ",
    "㎏",
    "x²",
    "ǆ",
    "ſ",
    "ﷺ",
    "가",
    "가",
    "\u1e9b\u0323",
)

_CASED = ("İ", "ı", "ß", "ẞ", "Σς", "ABC", "abc", "aBc", "ŉ", "Ⅳ")

_TEMPLATES = (
    *("<b>&amp;\"'</b>", "<script>alert(1)</script>", "&lt;", "&#39;", "a & b", "</script>", "<!--", "{{7*7}}"),
    *('<esi:include src="/x"/>', '<!--#echo var="x"-->', "<?php echo 1 ?>", "<x:y/>"),
    "${7*7}",
    *("#{7*7}", "<%= 7*7 %>", "%s", "%d%n", "%(x)s", "{0}", "{x}", "{}", "$x", "${jndi:ldap://x}", "`id`", "$(id)"),
    "@x",
    *("\\n", "\\\\", "\\u0041", '\\"', "\\", "\\0", "a\\tb", "%41", "a%20b", "a+b", "%00", "%u0041", "=1+1", "+1"),
    "-1",
    *("' OR '1'='1", "Robert'); DROP TABLE x;--", "../../etc/passwd", "C:\\x", "/x", "http://x/?a=b&c=d#e", "//"),
    "/*x*/",
    *("Api-Key x", "Bearer x", "[REDACTED]", "***", "secret", "password", "[object Object]", "undefined"),
    *(
        "$HOME",
        "${HOME}",
        "${USER:-x}",
        "%PATH%",
        "$request_id",
        "${request.id}",
        "$context.requestId",
        "{{request.id}}",
    ),
    *("{{ now }}", "#{request.id}", "%{HOST}", "http://localhost:8000/x", "http://127.0.0.1/x", "//localhost/x"),
)

_NOT_CANONICAL = (
    *("A987FBC9-4BED-3078-CF07-9141BA07C9F3", "{A987FBC9-4BED-3078-CF07-9141BA07C9F3}", "Ada.L@Example.COM"),
    *("HTTP://Example.COM:80/a/../b?", "https://example.com:443", "http://münchen.example/%7Ex", "//a/./b", "a/../b/"),
    *("DEADBEEF", "0XFF", "#FFF", "2001:DB8:0:0::1", "::ffff:1.2.3.4", "010.001.000.001", "02:00:5E:10:00:0A"),
    *(
        "1.50",
        "01.10",
        "+49 30 123456",
        "1,234.50",
        "50 %",
        "$ 5.00",
        "12:5",
        "2020-1-2",
        "2020-01-01T00:00:00.000+00:00",
    ),
    *("20200101T000000Z", "PT60S", "YQ", "-_-_", "Content-type", "en_us", "UTF8", "a \n b\t\n", "a;b ; c"),
)
"""Texts of a kind that has a canonical form, to which some libraries change them."""

_PRIVATE = (
    *("ada@example.com", "Ada <ada@example.com>", "+1 202-555-0143", "(202) 555-0143", "078-05-1120", "1912-06-23"),
    *("4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "DE89370400440532013000"),
    *("10.0.0.1", "192.168.0.1", "::1", "2001:db8::1", "02:00:5e:10:00:00", "52.5200, 13.4050", "AKIAIOSFODNN7EXAMPLE"),
    *("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.eA", "postgres://user:pw@host/db", "password=x", "-----BEGIN X-----"),
)
"""Texts that a filter of personal data or secrets masks. The numbers are examples that nobody has."""

_LIKE_OTHER_VALUES = (
    *("", "0", "1", "-1", "007", "1.0", "1e5", "1E400", "0x1F", "1_000", "1,5", "9007199254740993", "true", "True"),
    "yes",
    *("no", "on", "off", "null", "None", "nil", "NaN", "Infinity", "-Infinity", "inf", "2020-01-01"),
    "2020-01-01T00:00:00Z",
    *(
        "2020-01-01T00:00:00.123456+02:00",
        "2020-01-01T00:00:00+02:00",
        "12:30",
        "P1D",
        "/Date(0)/",
        "2020-02-30",
        "12e3",
        ".5",
        "5.",
        "+1",
        "~",
    ),
    *("=", "<<"),
    *("aGVsbG8=", "data:text/plain;base64,aGVsbG8=", "00000000-0000-0000-0000-000000000000", "{}", "[]", '{"a":1}'),
    '"x"',
    *("1;2", "a,b", "a|b", "a=b", "a:b", "a: b", "- a", "# a", "!x", "&x", "*x", "x y", "💩", "\u00ad", "---"),
)

_COMPOSED = (
    *("👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "👍🏽", "☃️", "e\u0301\u0323", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A", "क्षि", "ไม้"),
    *("\u202eabc\u202c", "\u2066x\u2069", "\u200b", "a\u200db"),
    *("\u200e\u200f", "\u2028", "\u2029", "a\u2028b\u2029c", "\u2060", "\ufeff", "\ufffd", "\ufffc", "𝒳", "𠮷", "😀"),
    "\U0010ffff",
)

_NON_PRINTING = (
    *(chr(code) for code in range(0x7F, 0xA1)),
    *("\ufffe", "\uffff", "\ufdd0", "\ufdef", "\ue000", "\uf8ff", "\ud7ff", "\u0800", "\u07ff", "\u0080"),
    *(chr(plane << 16 | low) for plane in range(1, 17) for low in (0x0000, 0x0001, 0x7FFF, 0xFFFD, 0xFFFE, 0xFFFF)),
)

_SHORT_ESCAPES = tuple(f'"a\\{letter}b"' for letter in '"\\/bfnrt')
_SEQUENCES = (
    r'"\\u0041"',
    r'"\\n"',
    r'"\\\\"',
    r'"\/"',
    r'"\u005c"',
    r'"\u0022"',
    r'"\u005Cn"',
    r'"\\\""',
    r'"\u002F"',
)

_AMONG_OTHERS = (
    *(
        r'"a\ud83d\ude00"',
        r'"ab\ud83d\ude00"',
        r'"abc\ud83d\ude00d"',
        r'"é\ud83d\ude00"',
        r'"\ud83d\ude00\ud83d\ude01"',
    ),
    *(
        r'"\ud83d\ude00\n"',
        r'"\ud83d\ude00a\nb"',
        r'"\ud83d\ude00abcdefgh\"i"',
        r'"\n\ud83d\ude00"',
        r'"\\\ud83d\ude00\\"',
    ),
    *(r'"\\ud83d\\ude00"', r'"\u0041\ud83d\ude00\u0042"', r'"\uD83D\ude00"', r'"\ud83d\uDE00😀\/"'),
)
"""Escaped surrogate pairs at odd places and beside other escapes. Ruby's json 2.17.0 lost what followed a pair."""

_BOUNDARIES = (0x7F, 0x80, 0xFF, 0x100, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFDD0, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF)
_ASTRAL = (0x10000, 0x10FFFF, 0x1D11E, 0x1F600, 0x1FFFE, 0x1FFFF, 0x20000, 0x2FFFF, 0xFFFFF, 0x100000)

STRINGS: tuple[BodyGroup, ...] = (
    _values("strings with leading or trailing whitespace", map(json_string, _WITH_OUTER_WHITESPACE)),
    _values("strings that Unicode normalisation changes", map(json_string, _NORMALISED)),
    _values("strings that case conversion changes", map(json_string, _CASED)),
    _values("strings with template, shell or markup syntax", map(json_string, _TEMPLATES)),
    _values("strings that look like other values", map(json_string, _LIKE_OTHER_VALUES)),
    _values("strings that a canonical form changes", map(json_string, _NOT_CANONICAL)),
    _values("strings that look like personal data or secrets", map(json_string, _PRIVATE)),
    _values("strings with several code points per character", map(json_string, _COMPOSED)),
    _values("non-printing code points", map(json_string, _NON_PRINTING)),
    _values("escaped control characters", [escaped_json_string([code]) for code in range(0x21)]),
    _values("an escaped NUL among letters", [r'"a\u0000b"', r'"\u0000a"', r'"a\u0000"']),
    _values("short escapes", (*_SHORT_ESCAPES, *_SEQUENCES)),
    _values("escaped surrogate pairs among other characters", _AMONG_OTHERS),
    _values("escapes with lower-case digits", [escaped_json_string([code]) for code in (*_BOUNDARIES, *_ASTRAL)]),
    _values(
        "escapes with upper-case digits", [escaped_json_string([code], upper=True) for code in (*_BOUNDARIES, *_ASTRAL)]
    ),
)

# ------------------------------------------------------------------ names

_LANGUAGE_NAMES = (
    *("", "constructor", "prototype", "toString", "valueOf", "hasOwnProperty", "__class__"),
    *("__init__", "__dict__"),
    *("__type", "__typename", "self", "cls", "this", "args", "kwargs", "*args", "**kwargs", "def", "class", "None"),
    "length",
    *("null", "true", "false", "undefined", "NaN", "0", "-1", "1.5", "01", "1e3", "then", "toJSON", "inspect"),
    "__defineGetter__",
    *("$ref", "$id", "$schema", "$where", "$gt", "$set", "$type", "$values", "@type", "@id", "@class", "@"),
    *("#text", "_id", "_"),
)

_SERVICE_NAMES = (
    *("model_input", "inputs", "input", "instances", "data", "body", "payload", "json", "params", "parameters"),
    *("request", "event"),
    *("id", "type", "kind", "name", "version", "method", "path", "url", "headers", "status", "statusCode", "code"),
    *("error", "errors"),
    *("error_code", "detail", "message", "output", "result", "results", "response", "success", "ok", "timeout"),
    *("stream", "callback"),
    *("authorization", "Authorization", "api_key", "apiKey", "x-api-key", "password", "secret", "token"),
    *("access_token", "cookie"),
    *("key", "session", "ssn", "csrf_token", "Content-Type", "Host", "X-Baseten-Request-Id", "request_id"),
    "webhook_endpoint",
    *("environment", "chainlet", "run_remote", "production", "model", "metadata", "context", "options", "query"),
    "variables",
)

_PUNCTUATED_NAMES = (
    *(" ", "a b", " a", "a ", "\ta", "a.b", "a.b.c", ".a", "a.", "a/b", "/a", "~0", "~1", "a[0]", "a[]", "[a]"),
    "a[b]",
    *("a:b", "a=b", "a&b", "a?b", "a#b", "a,b", "a;b", "a-b", "a_b", "aB", "a\\b", 'a"b', "a'b", "a%20b", "a+b"),
    *("a|b", "{a}"),
    *("${a}", "{{a}}", "%s", "$", "$$", "*", "!", "<a>", "a\nb", "a\r\nb", "\u0000", "a\u0000b", "\u007f", "-"),
    *("+", "//", "/*"),
)

_UNICODE_NAMES = (
    *("é", "e\u0301", "Å", "\u212b", "日本語", "𝄞", "🙂", "ﬁ", "ß", "İ", "\u200b", "\u202e", "\u2028", "\ufeff"),
    "\ufffe",
    *("\u00a0", "ключ", "مفتاح", "clé", "\U0010ffff", "𝓪", "ª", "ａ"),
)

SIMILAR_NAMES: tuple[BodyCase, ...] = tuple(
    BodyCase(label=f"names that differ only in {difference}", content=json_object(*(f"{json_string(name)}:{at}" for at, name in enumerate(names))))
    for difference, names in (
        ("letter case", ("a", "A", "myName", "myname", "MyName", "MYNAME")),
        ("their case style", ("my_name", "my-name", "myName", "my.name", "my name", "MyName")),
        ("Unicode normalisation", ("é", "e\u0301", "Å", "\u212b", "A\u030a")),
        ("whitespace", ("a", " a", "a ", " a ", "a\t")),
        ("the notation of a number", ("1", "01", "1.0", "1e0", "+1", " 1", "-0", "0")),
        ("a NUL", ("a", "a\u0000", "a\u0000b", "ab")),
        ("their last character", ("n" * 300 + "a", "n" * 300 + "b", "n" * 300)),
    )
)  # fmt: skip  # one line each

MEMBER_ORDERS: tuple[BodyCase, ...] = (
    BodyCase(label="unsorted names", content=json_object('"b":1', '"a":2', '"10":3', '"9":4', '"c":{"z":1,"y":2}')),
    BodyCase(label="names that are array indices", content=json_object('"2":"c"', '"0":"a"', '"1":"b"')),
    BodyCase(label="names that count from 0", content=json_object('"x":{"0":"a","1":"b"}', '"y":{"0":{}}')),
)


def _single_member(name: str) -> BodyCase:
    """An object whose only member is itself an object, which a service might unwrap."""
    content = json_object(f'{json_string(name)}:{{"a":1,"b":[null]}}')
    return BodyCase(
        label=f"an object with the single name {json_string(name).encode('unicode_escape').decode()}", content=content
    )


def _names(label: str, names: Iterable[str], *, alone: bool = True) -> BodyGroup:
    """Names in one object, and each on its own if *alone* is set."""
    unique = tuple(dict.fromkeys(names))
    return BodyGroup(
        combined=BodyCase(
            label=label, content=json_object(*(f"{json_string(name)}:{at}" for at, name in enumerate(unique)))
        ),
        single=tuple(map(_single_member, unique)) if alone else (),
    )


NAMES: tuple[BodyGroup, ...] = (
    _names("names with a meaning in programming languages", _LANGUAGE_NAMES, alone=False),
    _names("names with a meaning in web services", _SERVICE_NAMES, alone=False),
    _names("names with punctuation", _PUNCTUATED_NAMES),
    _names("non-ASCII names", _UNICODE_NAMES),
)


def name_texts() -> list[str]:
    """All these names as JSON strings."""
    return list(
        map(json_string, dict.fromkeys((*_LANGUAGE_NAMES, *_SERVICE_NAMES, *_PUNCTUATED_NAMES, *_UNICODE_NAMES)))
    )


SINGLE_MEMBER_OBJECTS: tuple[BodyCase, ...] = tuple(map(_single_member, (*_SERVICE_NAMES, *_LANGUAGE_NAMES)))
"""Objects with one member each: some chains unwrap the value of a single member."""

# ------------------------------------------------------------------ values and structures

_ONE_OF_EACH_TYPE = (
    "null",
    "true",
    "false",
    "0",
    "1",
    "1.0",
    "-1",
    '""',
    '"0"',
    '"a"',
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "[{}]",
    '{"":null}',
)

VALUE_GROUPS: tuple[BodyGroup, ...] = (
    _values("one value of each type", _ONE_OF_EACH_TYPE),
    _values("arrays of one item", [f"[{kind}]" for kind in _ONE_OF_EACH_TYPE]),
    _values("objects of one member", [f'{{"a":{kind}}}' for kind in _ONE_OF_EACH_TYPE]),
    _values("arrays of equal items", [f"[{kind},{kind}]" for kind in _ONE_OF_EACH_TYPE]),
    _values(
        "arrays in unsorted order",
        [
            "[3,1,2]",
            '["b","a"]',
            "[true,false,true]",
            '[{"b":1},{"a":2}]',
            "[[2],[1]]",
            "[1,10,2]",
            "[null,1,null,null]",
        ],
    ),
    _values(
        "arrays of several types",
        [
            '[1,"1",1.5,true,null,[1],{"a":1}]',
            "[0,false,null,[],{}]",
            '[true,1,"true"]',
            "[[1,2],[3],[]]",
            '[{"a":1},2]',
        ],
    ),
    _values(
        "nested empty containers",
        ["[[],[[]],{}]", '{"a":{"b":{}}}', '{"a":[{}],"b":[[]],"c":null}', "[[[[]]]]", '{"":{"":{}}}'],
    ),
)

_ENVELOPES: tuple[tuple[str, str], ...] = (
    ("a binary AWS Lambda response", '{"statusCode":200,"isBase64Encoded":true,"body":"eyJ4IjoxfQ==","headers":{"X-A":"b"}}'),
    ("an Azure Functions response", '{"status":404,"body":"x","headers":{"X-A":"b"}}'),
    ("a CloudEvents event", '{"specversion":"1.0","type":"x","source":"/x","id":"1","data":{"a":1}}'),
    ("a JSON-RPC request", '{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}'),
    ("a GraphQL request", '{"query":"{ x }","variables":{},"operationName":null}'),
    ("a JSON Patch", '{"op":"remove","path":"/a","value":null,"from":"/b"}'),
    ("flags", '{"stream":true,"async":true,"batch":true,"raw":true,"debug":true,"dry_run":true,"verbose":true,"pretty":true}'),
    ("typed JSON", '{"@type":"java.lang.Object","$type":"System.Object, mscorlib","@class":"x.Y","json_class":"Range","__type":"Z:#x","a":1}'),
    ("references", '{"a":{"$ref":"#/b"},"b":{"$ref":"$.a"},"c":{"$id":"1"},"d":{"$ref":"1"}}'),
    ("Extended JSON", '{"a":{"$oid":"507f1f77bcf86cd799439011"},"b":{"$date":"2020-01-01T00:00:00Z"},"c":{"$numberLong":"1"}}'),
    ("times", '{"created_at":1700000000,"updatedAt":1700000000000,"timestamp":1.5,"expires":1,"date":"01/02/2020"}'),
    ("a Lambda request", '{"version":"2.0","routeKey":"$default","httpMethod":"POST","isBase64Encoded":false,"body":"{}"}'),
    ("a queue's records", '{"Records":[{"messageId":"1","body":"{}","eventSource":"aws:sqs"}]}'),
    ("a pushed message", '{"message":{"data":"eyJ4IjoxfQ==","messageId":"1","attributes":{}},"subscription":"x"}'),
    ("JSON:API", '{"data":{"type":"x","id":"1","attributes":{"a":1}},"included":[]}'),
    ("linked data", '{"@context":"x","@graph":[],"@odata.type":"#x","_links":{"self":{"href":"/x"}},"_embedded":{}}'),
    ("a chat", '{"model":"x","messages":[{"role":"user","content":"a"}],"stream":true,"stream_options":{},"tools":[]}'),
    ("a tensor", '{"instances":[[1.0,2.0]],"signature_name":"x","inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}'),
    ("credentials", '{"password":"a","secret":"b","api_key":"c","access_token":"d","client_secret":"e","ssn":"f"}'),
)  # fmt: skip  # one line each
"""Objects to which gateways and libraries give a meaning of their own."""

STRUCTURES: tuple[BodyCase, ...] = (
    BodyCase(label="an empty object", content=b"{}"),
    BodyCase(label="an object with a single null", content=b'{"a":null}'),
    BodyCase(label="an object of nulls", content=b'{"a":null,"b":null,"c":[null],"d":{"e":null}}'),
    BodyCase(label="an object of empty containers and strings", content=b'{"a":[],"b":{},"c":"","d":[[]],"e":[{}],"f":{"g":[]}}'),
    BodyCase(label="an object of values that are false in a condition", content=b'{"a":false,"b":0,"c":"","d":null,"e":[],"f":{},"g":0.0}'),
    BodyCase(label="an object with true, 1 and 1.0", content=b'{"x":[true,1,1.0,"1",false,0,null,"0"]}'),
    BodyCase(label="an object of one object", content=b'{"a":{"b":{"c":1}}}'),
    BodyCase(label="an object of one array", content=b'{"a":[1]}'),
    BodyCase(label="the same name at several levels", content=b'{"a":{"a":{"a":[{"a":1},{"a":2}]}},"b":{"a":3}}'),
    BodyCase(label="an object that resembles an error", content=b'{"error":"No.","error_code":"client_error","detail":"d"}'),
    BodyCase(label="an object that resembles an AWS Lambda response", content=b'{"statusCode":500,"headers":{"X-A":"b"},"body":"{}"}'),
    *(BodyCase(label=f"an object that resembles {name}", content=text.encode()) for name, text in _ENVELOPES),
    BodyCase(label="an object of 300 members", content=json_object(*(f'"m{number}":{number}' for number in range(300)))),
    BodyCase(label="a vector of 768 fractions", content=json_object('"x":[' + ",".join(f"{(n + 0.25) / 7:.17g}" for n in range(768)) + "]")),
    BodyCase(label="an array of 5000 items", content=json_object('"x":[' + ",".join(map(str, range(5000))) + "]")),
    BodyCase(label="300 objects in an array", content=json_object('"x":[' + ",".join(f'{{"id":{n}}}' for n in range(300)) + "]")),
    BodyCase(label="a string of 64 KiB", content=json_object('"x":"' + "a" * 65536 + '"')),
    BodyCase(label="objects and arrays nested 60 deep", content=nested(30, '{"a":[', "1", "]}")),
)  # fmt: skip  # one line each

# ------------------------------------------------------------------ whitespace

_SPACED = '{{{0}{0}"a"{0}:{0}[{0}1{0},{0}true{0},{0}"x"{0},{0}{{{0}}}{0},{0}[{0}]{0}]{0},{0}"b"{0}:{0}null{0}}}{0}'

WHITESPACE: tuple[BodyCase, ...] = (
    *(
        BodyCase(
            label=f"{name} wherever whitespace is allowed", content=(whitespace + _SPACED.format(whitespace)).encode()
        )
        for name, whitespace in (
            ("a space", " "),
            ("a tab", "\t"),
            ("a line feed", "\n"),
            ("a carriage return", "\r"),
            ("CRLF", "\r\n"),
        )
    ),
    BodyCase(label="every kind of whitespace", content=(" \t\r\n" + _SPACED.format("\n\r\t  ")).encode()),
    BodyCase(label="no whitespace", content=_SPACED.format("").encode()),
    BodyCase(label="64 KiB of whitespace before an object", content=b" \t\r\n" * 16384 + b'{"a":1}'),
    BodyCase(label="64 KiB of whitespace after an object", content=b'{"a":1}' + b"\n\r\t " * 16384),
    BodyCase(label="64 KiB of whitespace inside an object", content=b'{"a":' + b"\n" * 65536 + b"1}"),
    BodyCase(label="a line feed after an object", content=b'{"a":1}\n'),
)

VALID_BODIES: tuple[BodyCase, ...] = (*STRUCTURES, *WHITESPACE, *SIMILAR_NAMES, *MEMBER_ORDERS)
"""Sent one by one."""

BODY_GROUPS: tuple[BodyGroup, ...] = (*NUMBERS, *STRINGS, *NAMES, *VALUE_GROUPS)
"""Sent together, and one by one if that fails."""

# ------------------------------------------------------------------ every code point

UNICODE_PLANES = 17
_SURROGATES = range(0xD800, 0xE000)


def code_points(plane: int) -> tuple[int, ...]:
    """The code points of a plane that a string may contain: no surrogates and no control characters."""
    return tuple(code for code in range(max(0x20, plane << 16), (plane + 1) << 16) if code not in _SURROGATES)


def raw_text(codes: Iterable[int]) -> bytes:
    """The characters of a JSON string, unescaped where possible."""
    return "".join(map(chr, codes)).replace("\\", "\\\\").replace('"', '\\"').encode("utf-8", "surrogatepass")


def escaped_text(codes: Iterable[int]) -> bytes:
    """The characters of a JSON string, all escaped."""
    return escaped_json_string(codes)[1:-1].encode()
