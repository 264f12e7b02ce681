"""
Bodies that are almost JSON, each with an error that some parsers accept.

The error is a value, a member, or something around an object. Each is placed in a small object, deeply nested, and
after more text than a receiver buffers at once.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from .bodies import BodyCase, json_object
from .chain_inputs import ChainInputs, padded, with_member


def _on_one_line(text: str) -> str:
    """The text with its line breaks and control characters escaped, for a label."""
    return text.encode("unicode_escape").decode()


INVALID_VALUES: dict[str, bytes] = {
    # Python, JavaScript, PHP, Ruby, Perl, Lua
    **{
        _on_one_line(word): word.encode()
        for word in (
            *("NaN", "Infinity", "-Infinity", "+Infinity", "-NaN", "nan", "inf", "-inf", "INF", "Infinityx", "NaN1", "NULL"),
            *("None", "True", "False", "TRUE", "FALSE", "Null", "nil", "undefined", "yes", "no", "on", "tru", "nul", "fals"),
            *("truee", "nullx", "true1", "t", "n", "x", "-", "+", "--1", "+-1", "-+1", "- 1", "-a", "~", "*", "=", "'", "`"),
            *("b'x'", "u'x'", "0n", "1n", "1L", "1f", "1.0d", "1.5F", "10px", "50%", "$1", "1 000", "1_000", "1'000"),
            *("0x1F", "0X1f", "-0x1", "0b11", "0o17", "017", "01", "00", "-01", "-00", "007.5", "0x", "08", "1e", "1E", "1e+"),
            *("1e-", "1.0e", "1e1.5", "1e5e5", "1.2.3", ".5", "-.5", "5.", "-5.", "5.e1", ".e1", ".", "+1", "+0", "+.5", "0.", "0.e1"),
            *("1..2", "0-1", "1-", "1+1", "1/2", "1e٣", "١", "１", "²", "½", "e5", "1e 5", "1 e5", "1. 5", "0 .5", "∞"),
            *("2020-01-01", "12:30", "function(){}", "new Date()", "Date(0)", "/x/", "[1]{}", "{}[]", "<a/>", "a.b", "@x"),
            *("(1)", "(1,2)", "<1>", "{1,2}", "#{}", "{,}", "[,]", "[1,]", "[,1]", "[1,,2]", "[1,2,]", "[1 2]", "[1;2]", "[1:2]"),
            *("[1}", "[1)", "[", "[1", "[1,", "{", "]", "}", "[]]", "[[]", "{}}", "{{}", "{[]}", "[1]]", "[...]", "[1..3]", '["a":1]', "[1\n2]", '["a" "b"]', '["a","b",]', "[null null]", "[true,]", "[{},]", "[],", ",1", ", ,"),
        )
    },
    # objects as a value
    **{
        _on_one_line(text): text.encode()
        for text in (
            *('{"y":1,}', '{,"y":1}', '{"y":1,,"z":2}', '{"y":1 "z":2}', '{"y":1;"z":2}', '{"y"=1}', '{"y"=>1}', '{"y"->1}'),
            *('{"y" 1}', '{"y"}', '{"y":}', "{:1}", '{"y"::1}', '{"y":1:2}', '{"y",1}', '{"y":1]', '{"y":1', "{y:1}", "{'y':1}"),
            *("{1:1}", "{null:1}", "{true:1}", "{[]:1}", "{{}:1}", "{-1:1}", '{"y":1}}', '{""1}', '{"y":1,"z"}', '{"y":1,"z":}'),
            *('{"y":1,z:2}', "{`y`:1}", '{"y"\n1}', '{"a" "b":1}', "{…}", '{"y":1 ,}', "{@:1}", "{$y:1}", "{y-z:1}", '{"y":1|2}'),
            *('{"y": /* why */ 1}', "{/**/}", '{"y":1 // why\n}', '{"y":1 # why\n}', '{"y":1 -- why\n}', "[1 /* why */]", "[1, // x\n2]"),
            *("[1 # why\n]", "<!-- why --> 1", "/* why */ 1", "1 /* why */", "// why\n1", "# why\n1", "; why\n1", "/* 1", "/**/"),
        )
    },
    # strings
    "a string in single quotes": b"'y'",
    "a string in backquotes": b"`y`",
    "a string in typographic quotes": "“y”".encode(),
    "a string without a closing quote": b'"y',
    "a string without its beginning": b'y"',
    "a string that ends in its escape": b'"y\\"',
    "a string in three quotes": b'"""y"""',
    "two adjacent strings": b'"a" "b"',
    "two strings joined by a plus": b'"a"+"b"',
    "a string continued on the next line": b'"a\\\nb"',
    "a prefixed string": b'r"y"',
    **{
        f"the escape {escape}": b'"' + escape.encode() + b'"'
        for escape in (
            *(r"\x41", r"\u{41}", r"\U00000041", r"\'", r"\0", r"\101", r"\v", r"\a", r"\e", r"\ ", r"\-", r"\%", r"\N", r"\B"),
            *(r"\u", r"\u1", r"\u12", r"\u123", r"\u123g", r"\u 123", r"\u+123", r"\u-123", r"\u00 4", r"\uD83D\u", r"\ud83d\x"),
            *(r"\u００４１", r"\&", r"\.", r"\$", r"\é", r"\(", r"\?", r"\!", r"\_", r"\`", r"\c", r"\d", r"\s", r"\z", r"\1"),
        )
    },
    **{f"a raw {code:#04x} in a string": b'"a' + bytes([code]) + b'b"' for code in range(0x20)},
    "a raw line break in a string": b'"a\r\nb"',
}  # fmt: skip  # similar values share a line
"""Texts in place of a JSON value, by their label."""

_NOT_UTF8: dict[str, bytes] = {
    "0xff": b"\xff",
    "0xfe": b"\xfe",
    "a lone continuation byte": b"\x80",
    "two continuation bytes": b"\xbf\xbf",
    "a three-byte sequence cut to two bytes": b"\xe2\x82",
    "a two-byte sequence cut to one byte": b"\xc3",
    "a three-byte sequence cut to one byte": b"\xe2",
    "a four-byte sequence cut to three bytes": b"\xf0\x9f\x98",
    "a four-byte sequence cut to one byte": b"\xf0",
    "a two-byte sequence interrupted by a letter": b"\xc3a",
    "an overlong slash in two bytes": b"\xc0\xaf",
    "an overlong NUL in two bytes": b"\xc0\x80",
    "an overlong letter in two bytes": b"\xc1\xa1",
    "an overlong sequence of three bytes": b"\xe0\x80\xaf",
    "an overlong sequence of four bytes": b"\xf0\x80\x80\xaf",
    "an overlong quotation mark": b"\xc0\xa2",
    "a high surrogate in UTF-8": b"\xed\xa0\x80",
    "a low surrogate in UTF-8": b"\xed\xbf\xbf",
    "a surrogate pair in UTF-8": b"\xed\xa0\xbd\xed\xb8\x80",
    "a code point above U+10FFFF": b"\xf4\x90\x80\x80",
    "a code point far above U+10FFFF": b"\xf7\xbf\xbf\xbf",
    "a five-byte sequence": b"\xf8\x88\x80\x80\x80",
    "a six-byte sequence": b"\xfc\x84\x80\x80\x80\x80",
    "Latin-1": b"caf\xe9",
    "Windows-1252": b"\x93x\x94",
    "Shift JIS": "日本".encode("shift_jis"),
    "GBK": "中文".encode("gbk"),
    "UTF-16": "é".encode("utf-16-le") + b"\xd8",
}
"""Bytes that are not valid UTF-8, by their label."""

_WITHIN_NAMES: dict[str, bytes] = {
    **{
        f"a raw {code:#04x} in a name": b'"a' + bytes([code]) + b'b":1' for code in (0x00, 0x01, 0x09, 0x0A, 0x0D, 0x1F)
    },
    r"the escape \x41 in a name": rb'"\x41":1',
    r"the escape \u12 in a name": rb'"\u12":1',
    r"the escape \' in a name": rb'"\'":1',
    "a name without a closing quote": b'"y:1',
}

INVALID_MEMBERS: dict[str, bytes] = {
    **{f"{name} as a value": b'"x":' + value for name, value in INVALID_VALUES.items()},
    **{f"{name} in an array": b'"x":[0,' + value + b"]" for name, value in INVALID_VALUES.items()},
    **{f"{name} in a string": b'"x":"a' + wrong + b'"' for name, wrong in _NOT_UTF8.items()},
    **{f"{name} in a name": b'"a' + wrong + b'":1' for name, wrong in _NOT_UTF8.items()},
    **_WITHIN_NAMES,
    "a name in single quotes": b"'x':1",
    "a name without quotes": b"x:1",
    "a number as a name": b"1:1",
    "null as a name": b"null:1",
    "an array as a name": b"[1]:1",
    "a member without a colon": b'"x" 1',
    "a member without a value after its colon": b'"x":',
    "a member without a name": b":1",
    "a value without a name": b"1",
    "a name without a value": b'"x"',
    "an equals sign instead of a colon": b'"x"=1',
    "an arrow instead of a colon": b'"x"=>1',
    "two colons": b'"x"::1',
    "a comma instead of a colon": b'"x",1',
    "a semicolon after a member": b'"x":1;',
    "a semicolon between members": b'"x":1;"y":2',
    "members without a comma": b'"x":1 "y":2',
    "members separated by a line break": b'"x":1\n"y":2',
    "a trailing comma": b'"x":1,',
    "a trailing comma and a space": b'"x":1 , ',
    "two commas": b'"x":1,,"y":2',
    "a comment": b'/* why */ "x":1',
    "a line comment": b'// why\n"x":1',
    "a hash comment": b'# why\n"x":1',
    "a comment after a member": b'"x":1/**/',
    "a line comment after a member": b'"x":1 // why\n',
    "a JavaScript spread": b"...x",
    "a YAML merge key": b"<<: *x",
    "a `]`": b'"x":1]',
    "a form feed between tokens": b'"x":\x0c1',
    "a vertical tab between tokens": b'"x":\x0b1',
    "a NUL between tokens": b'"x":\x001',
    "a DEL between tokens": b'"x":\x7f1',
    "a no-break space between tokens": b'"x":\xc2\xa01',
    "U+2028 between tokens": '"x":\u20281'.encode(),
    "U+3000 between tokens": '"x":\u30001'.encode(),
    "U+0085 between tokens": '"x":\u00851'.encode(),
    "U+FEFF between tokens": '"x":\ufeff1'.encode(),
    "U+200B between tokens": '"x":\u200b1'.encode(),
    "a backslash between tokens": b'"x":\\1',
    "an escape between tokens": rb'"x"\u003a1',
}
"""Members that make every object invalid, by their label."""

_WITHIN_STRINGS: dict[str, bytes] = {
    **{f"{name} in a string": b"a" + wrong for name, wrong in _NOT_UTF8.items()},
    **{name: value[1:-1] for name, value in INVALID_VALUES.items() if value.startswith(b'"a') or name.startswith("the escape")},
}  # fmt: skip  # one line each
"""Texts that are invalid within a JSON string, by their label."""

_BEFORE_BRACE: dict[str, bytes] = {
    "a trailing comma": b",",
    "a trailing comma and a space": b" , ",
    "two commas": b",,",
    "a comment after a member": b"/**/",
    "a line comment after a member": b" // why\n",
    "a hash comment": b" # why\n",
    "a semicolon after a member": b";",
    "a `]`": b"]",
    "a form feed between tokens": b"\x0c",
    "a vertical tab between tokens": b"\x0b",
    "a NUL between tokens": b"\x00",
    "a no-break space between tokens": b"\xc2\xa0",
    "U+FEFF between tokens": "\ufeff".encode(),
    "a backslash between tokens": b"\\",
    "a value without a name": b",1",
    "a name without a value": b',"x"',
}
"""Texts that are invalid before the last brace of an object, by their label."""

INVALID_SURROUNDINGS: dict[str, tuple[bytes, bytes]] = {
    "a letter after it": (b"", b"x"),
    "a `}` after it": (b"", b"}"),
    "a `]` after it": (b"", b"]"),
    "a `{` after it": (b"", b"{"),
    "another object after it": (b"", b"{}"),
    "another object on the next line": (b"", b'\n{"b":2}'),
    "a comma and another object after it": (b"", b',{"b":2}'),
    "a number after it": (b"", b" 1"),
    "null after it": (b"", b" null"),
    "a string after it": (b"", b'""'),
    "a comma after it": (b"", b","),
    "a semicolon after it": (b"", b";"),
    "a full stop after it": (b"", b"."),
    "a quotation mark after it": (b"", b'"'),
    "a line comment after it": (b"", b" // why"),
    "a block comment after it": (b"", b"/**/"),
    "a hash comment after it": (b"", b"\n# why"),
    "a NUL after it": (b"", b"\x00"),
    "many NULs after it": (b"", b"\x00" * 64),
    "a NUL and text after it": (b"", b"\x00garbage"),
    "Ctrl-Z after it": (b"", b"\x1a"),
    "a form feed after it": (b"", b"\x0c"),
    "a vertical tab after it": (b"", b"\x0b"),
    "a no-break space after it": (b"", b"\xc2\xa0"),
    "U+2028 after it": (b"", "\u2028".encode()),
    "a byte order mark after it": (b"", b"\xef\xbb\xbf"),
    "a byte that is not UTF-8 after it": (b"", b"\xff"),
    "whitespace and a letter after it": (b"", b" \r\n\tx"),
    "4 KiB of whitespace and a letter after it": (b"", b" " * 4096 + b"x"),
    "64 KiB of whitespace and a letter after it": (b"", b"\n" * 65536 + b"x"),
    "a multipart boundary after it": (b"", b"\r\n--x--\r\n"),
    "a form field after it": (b"", b"&x=1"),
    "a comma before it": (b",", b""),
    "a form feed before it": (b"\x0c", b""),
    "a vertical tab before it": (b"\x0b", b""),
    "a NUL before it": (b"\x00", b""),
    "a no-break space before it": (b"\xc2\xa0", b""),
    "U+2028 before it": ("\u2028".encode(), b""),
    "a byte that is not UTF-8 before it": (b"\xff", b""),
    "a `]` before it": (b"]", b""),
    "a `[` before it": (b"[", b""),
    "a letter before it": (b"x", b""),
    "a `{` before it": (b"{", b""),
    "a block comment before it": (b"/* why */", b""),
    "a line comment before it": (b"// why\n", b""),
    "a hash comment before it": (b"# why\n", b""),
    "a record separator before it": (b"\x1e", b"\n"),
    "a JSON hijacking guard before it": (b")]}',\n", b""),
    "a `for` loop before it": (b"for(;;);", b""),
    "a `while` loop before it": (b"while(1);", b""),
    "an assignment before it": (b"x = ", b""),
    "a name and a colon before it": (b'"x":', b""),
    "a JSONP call around it": (b"callback(", b")"),
    "parentheses around it": (b"(", b")"),
    "single quotes around it": (b"'", b"'"),
    "a Markdown code fence around it": (b"```json\n", b"\n```"),
    "a server-sent event around it": (b"data: ", b"\n\n"),
    "a netstring around it": (b"7:", b","),
    "a YAML document marker before it": (b"---\n", b""),
    "a form field name before it": (b"data=", b""),
    "another object before it": (b"{} ", b""),
    "null before it": (b"null\n", b""),
}
"""Text before and after a JSON object that makes it invalid, by its label."""


def invalid_texts(text: bytes) -> tuple[BodyCase, ...]:
    """Bodies that are invalid as a whole. Some are an object in another format."""
    return (
        BodyCase(label="whitespace as the body", content=b" \r\n\t"),
        BodyCase(label="a space as the body", content=b" "),
        BodyCase(label="64 KiB of whitespace as the body", content=b"\n" * 65536),
        BodyCase(label="a comma as the body", content=b","),
        BodyCase(label="a comma in braces as the body", content=b"{,}"),
        BodyCase(label="a `{` as the body", content=b"{"),
        BodyCase(label="a `}` as the body", content=b"}"),
        BodyCase(label="mismatched brackets as the body", content=b"{]"),
        BodyCase(label="a quotation mark as the body", content=b'"'),
        BodyCase(label="a NUL as the body", content=b"\x00"),
        BodyCase(label="64 NULs as the body", content=b"\x00" * 64),
        BodyCase(label="a letter as the body", content=b"a"),
        BodyCase(label="a backslash as the body", content=b"\\"),
        BodyCase(label="an object after two byte order marks", content=b"\xef\xbb\xbf" * 2 + text),
        BodyCase(label="a member without an object", content=b'"a":1'),
        *(
            BodyCase(label=f"an object in {codec}{' with a byte order mark' * bool(mark)}", content=mark + text.decode().encode(codec, "replace"))
            for codec, mark in (
                *(("utf-16-le", b""), ("utf-16-be", b""), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")),
                *(("utf-32-le", b""), ("utf-32-be", b""), ("utf-32-le", b"\xff\xfe\x00\x00"), ("utf-32-be", b"\x00\x00\xfe\xff")),
                *(("utf-7", b"+/v8-"), ("cp037", b"")),
            )
        ),
        BodyCase(label="a form as the body", content=b"a=1&b=2"),
        BodyCase(label="a percent-encoded form as the body", content=b"data=" + quote(text, safe="").encode()),
        BodyCase(label="a percent-encoded object as the body", content=quote(text, safe="").encode()),
        BodyCase(label="XML as the body", content=b"<a>1</a>"),
        BodyCase(label="HTML as the body", content=b"<!doctype html><p>1"),
        BodyCase(label="YAML as the body", content=b"a: 1"),
        BodyCase(label="two lines of YAML as the body", content=b"a: 1\nb: [x, y]\n"),
        BodyCase(label="TOML as the body", content=b"a = 1"),
        BodyCase(label="a JSON5 object", content=b"{a:'b',}"),
        BodyCase(label="a Python dict", content=b"{'a': None, 'b': True}"),
        BodyCase(label="MessagePack as the body", content=b"\x81\xa1a\x01"),
        BodyCase(label="CBOR as the body", content=b"\xa1\x61a\x01"),
        BodyCase(label="BSON as the body", content=b"\x0c\x00\x00\x00\x10a\x00\x01\x00\x00\x00\x00"),
        BodyCase(label="a gzip-compressed object without Content-Encoding", content=gzip.compress(text, mtime=0)),
        BodyCase(label="multipart as the body", content=b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'),
        BodyCase(label="base64 as the body", content=base64.b64encode(text)),
        BodyCase(label="chunked framing as the body", content=b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)),
    )  # fmt: skip  # one line each


COMMON_ERRORS: frozenset[str] = frozenset({
    "whitespace as the body",
    *(
        f"an object with {name}"
        for name in (
            *("NaN as a value", "Infinity as a value", "-Infinity as a value", "01 as a value", "+1 as a value", ".5 as a value"),
            *("a trailing comma", "a comment", "a comment after a member", "a name in single quotes", "a name without quotes"),
            *("0xff in a string", "a raw 0x0a in a string as a value", "a letter after it", "another object after it"),
        )
    ),
})  # fmt: skip  # similar values share a line
"""Labels of the errors that widely used parsers accept. They are sent at every depth."""

SAMPLE_OBJECT = '{"a\\u00e9":[-1.5e+2,true,false,null,"x\\n\\"é𝄞"],"b":{"":{}},"c":[[],0.25]}'.encode()
"""An object with every kind of token, so that a truncation falls into each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """An object around an invalid member."""

    label_suffix: str
    before: bytes
    after: bytes


_MAX_TRUNCATIONS = 100
"""Positions at which a long object is truncated."""
DEEPLY_NESTED = Placement(label_suffix=" 20 levels deep", before=b'{"a":[' * 9 + b'{"a":1,', after=b"}" + b"]}" * 9)
AFTER_LONG_MEMBER = Placement(label_suffix=" after 70 KiB", before=b'{"a":"' + b"a" * 70_000 + b'",', after=b"}")
PLACEMENTS = (DEEPLY_NESTED, AFTER_LONG_MEMBER)
"""The placements of an invalid member besides the top level."""


def with_invalid_member(name: str, placement: Placement) -> BodyCase:
    """An object with an invalid member."""
    return BodyCase(
        label=f"an object with {name}{placement.label_suffix}",
        content=placement.before + INVALID_MEMBERS[name] + placement.after,
    )


def with_invalid_surroundings(name: str, text: bytes, label_suffix: str = "") -> BodyCase:
    """A valid object with invalid text around it."""
    before, after = INVALID_SURROUNDINGS[name]
    return BodyCase(label=f"an object{label_suffix} with {name}", content=before + text + after)


def truncations(text: bytes) -> Iterator[BodyCase]:
    """An object truncated at many positions; none of the results is JSON."""
    step = max(1, len(text) // _MAX_TRUNCATIONS)
    return (BodyCase(label="a truncated object", content=text[:end]) for end in range(1, len(text), step))


def invalid_json(inputs: ChainInputs) -> Iterator[BodyCase]:
    """Every error in its simplest form, in an input that the chain accepts."""
    text = b'{"a":1}' if inputs.any_object else inputs.base.strip()
    if inputs.value_place is None:
        yield from _errors_in_input(inputs)
    else:
        placement = Placement(label_suffix="", before=with_member(text, b"")[:-1], after=b"}")
        yield from (with_invalid_member(name, placement) for name in INVALID_MEMBERS)
    yield from (with_invalid_surroundings(name, text) for name in INVALID_SURROUNDINGS)
    yield from (BodyCase(label=f"{name} as the body", content=value) for name, value in INVALID_VALUES.items())
    yield from invalid_texts(text)
    yield from truncations(inputs.embed(SAMPLE_OBJECT) or text)


def _errors_in_input(inputs: ChainInputs) -> Iterator[BodyCase]:
    """Errors for a chain that accepts no further member: within a string argument, and before the last brace."""
    for name, content in _WITHIN_STRINGS.items() if inputs.text_place is not None else ():
        assert inputs.text_place is not None
        yield BodyCase(label=f"an object with {name}", content=inputs.text_place.put(content))
    text = inputs.base.strip()
    for name, content in _BEFORE_BRACE.items():
        yield BodyCase(label=f"an object with {name}", content=text[:-1] + content + text[-1:])


def invalid_json_elsewhere(inputs: ChainInputs) -> Iterator[BodyCase]:
    """Every error deeply nested, and after a long member or object."""
    place = inputs.value_place
    if place is not None:
        for each in PLACEMENTS:
            before, after = each.before, each.after
            if not inputs.any_object:
                before, after = place.before + before, after + place.after
            placement = Placement(label_suffix=each.label_suffix, before=before, after=after)
            yield from (with_invalid_member(name, placement) for name in INVALID_MEMBERS)
    long = _LONG if inputs.any_object else inputs.embed(_LONG) or padded(inputs.base, 70_000)
    yield from (with_invalid_surroundings(name, long, " of 70 KiB") for name in INVALID_SURROUNDINGS)
    yield from (BodyCase(label="a truncated object of 70 KiB", content=long[:-end]) for end in (1, 2, 3, 1000))


def valid_elsewhere(inputs: ChainInputs) -> bytes:
    """An input that is as long and as deeply nested as those of `invalid_json_elsewhere`, but valid."""
    text = DEEPLY_NESTED.before + DEEPLY_NESTED.after.removeprefix(b"}")
    text = text.replace(b'{"a":1,', b'{"a":1}')
    return inputs.embed(json_object('"a":"' + "a" * 70_000 + '"', f'"b":{text.decode()}')) or padded(
        inputs.base, 70_000
    )


_LONG = json_object('"a":"' + "a" * 70_000 + '"')
