"""The requests that are sent to both servers, and the reason wherever their responses differ."""

from __future__ import annotations

from dataclasses import dataclass

EXPONENT = "some versions of pydantic write the exponent of a large number with a plus sign, others without"
GATEWAY = "the gateway answers; the request does not reach the chain"
MODEL_LOOKUP = "the chain's server takes the path of the operation as the name of a model; the gateway answers"
JSON_TYPE = (("Content-Type", "application/json"),)
OCTETS = (("Content-Type", "application/octet-stream"),)
GATHER = (*JSON_TYPE, ("Accept", "application/json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRequest:
    """One request to one of the sample chains."""

    chain: str
    name: str
    body: bytes = b"{}"
    fields: tuple[tuple[str, str], ...] = JSON_TYPE
    method: str = "POST"
    version: str = "1.1"
    suffix: str = ""
    """Text behind the path."""
    reason: str = ""
    """Why the responses differ; empty if they are the same."""
    depends_on_versions: bool = False
    """Whether the responses differ only for some versions of pydantic, which each server has its own of."""


def _json_bodies(chain: str, bodies: dict[str, bytes]) -> tuple[ComparedRequest, ...]:
    return tuple(ComparedRequest(chain=chain, name=name, body=body) for name, body in bodies.items())


def _binary_bodies(chain: str, bodies: dict[str, bytes]) -> tuple[ComparedRequest, ...]:
    return tuple(
        ComparedRequest(chain=chain, name=f"msgpack: {name}", body=body, fields=OCTETS) for name, body in bodies.items()
    )


def _modes(template: str, modes: tuple[str, ...]) -> dict[str, bytes]:
    return {f"raises {mode}": (template % mode).encode() for mode in modes}


_GREETER = {
    "valid": b'{"names": ["a"]}',
    "all arguments": b'{"names": ["a", "b"], "mode": "", "x": 1.5, "options": {"repeat": 2, "tag": "t"}}',
    "no names": b'{"names": []}',
    "another argument": b'{"names": ["a"], "other": 1}',
    "an empty name": b'{"names": ["a"], "": null}',
    "null for a default": b'{"names": ["a"], "mode": null}',
    "null for a number": b'{"names": ["a"], "x": null}',
    "null for options": b'{"names": ["a"], "options": null}',
    "a missing argument": b"{}",
    "a wrong type": b'{"names": "a"}',
    "null for a required argument": b'{"names": null}',
    "several errors": b'{"names": [1, null], "x": "x"}',
    "a nested error": b'{"names": ["a"], "options": {"repeat": "q"}}',
    "a number in a string": b'{"names": ["a"], "x": "0.01"}',
    "a boolean for a number": b'{"names": ["a"], "x": true}',
    "a fraction for an integer": b'{"names": ["a"], "options": {"repeat": 1.5}}',
    "a whole fraction for an integer": b'{"names": ["a"], "options": {"repeat": 2.0}}',
    "NaN": b'{"names": ["a"], "x": NaN}',
    "-Infinity": b'{"names": ["a"], "x": -Infinity}',
    "1e999": b'{"names": ["a"], "x": 1e999}',
    "-0.0": b'{"names": ["a"], "x": -0.0}',
    "an integer of 5000 digits": b'{"names": ["a"], "options": {"repeat": ' + b"9" * 5000 + b"}}",
    "the same name twice": b'{"names": ["a"], "names": ["b"]}',
    "text beyond ASCII": '{"names": ["é ☃ 🜁"]}'.encode(),
    "escapes": b'{"names": ["\\u00e9 \\ud83d\\ude00 \\n"]}',
    "NUL": b'{"names": ["\\u0000"]}',
    "a lone surrogate": b'{"names": ["\\ud800"]}',
    "incomplete": b'{"names": [',
    "single quotes": b"{'names': ['a']}",
    "a trailing comma": b'{"names": ["a"],}',
    "a comment": b'{"names": ["a"]} // x',
    "text behind": b'{"names": ["a"]} x',
    "white space around": b' \n\t{"names": ["a"]}\r\n ',
    "a byte order mark": b'\xef\xbb\xbf{"names": ["a"]}',
    "no body": b"",
    "white space": b"   ",
    "null": b"null",
    "a list": b'["a"]',
    "a string": b'"a"',
    "a number": b"1",
    "invalid UTF-8": b'{"names": ["\xff\xfe"]}',
    "UTF-16": '{"names": ["a"]}'.encode("utf-16"),
    "gzip": b"\x1f\x8b\x08",
    "1 MB": b'{"names": ["' + b"a" * 1_000_000 + b'"]}',
    "5000 brackets": b'{"names": ' + b"[" * 5000,
    "output of another type": b'{"names": [], "mode": "mistyped"}',
    **_modes('{"names": [], "mode": "%s"}', ("value_error", "exit", "interrupt", "cancelled")),
    **_modes(
        '{"names": [], "mode": "%s"}',
        ("http_200", "http_204", "http_302", "http_304", "http_400", "http_404", "http_418", "http_422", "http_429",
         "http_500", "http_502", "http_503", "http_504", "http_529"),
    ),
}  # fmt: skip

_BINARY = {
    "valid": b"\x81\xa5names\x91\xa1a",
    "infinity": b"\x82\xa5names\x91\xa1a\xa1x\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    "JSON": b'{"names": ["a"]}',
    "a missing argument": b"\x80",
    "incomplete": b"\x81\xa5names\x91\xa1",
    "no body": b"",
    "a reserved byte": b"\xc1",
    "a number as key": b"\x81\x01\x02",
    "a list": b"\x91\x01",
    "invalid UTF-8": b"\x81\xa5names\x91\xa1\xff",
    "binary for text": b"\x81\xa5names\x91\xc4\x01a",
    "an extension type": b"\xc7\x03\x05abc",
    "great depth": b"\x81\xa5names" + b"\x91" * 2000 + b"\xa1a",
    "raises value_error": b"\x82\xa5names\x91\xa1a\xa4mode\xabvalue_error",
    "text behind": b"\x80\x80",
}

_PAIR = {
    "valid": b'{"x": 1, "s": "y"}',
    "no default": b'{"x": 1}',
    "a missing argument": b'{"s": "y"}',
    "text beyond ASCII": '{"x": 1, "s": "é"}'.encode(),
    **_modes('{"x": 1, "mode": "%s"}', ("value_error", "exit", "interrupt", "cancelled", "http_204", "http_503")),
}

_STREAM = {
    "valid": b"{}",
    "no chunk": b'{"parts": 0}',
    "an exception": b'{"fail_at": 1}',
    "an exception at the start": b'{"fail_at": 0}',
    "an HTTPException": b'{"fail_at": 1, "mode": "http_422"}',
    "cancelled": b'{"fail_at": 1, "mode": "cancelled"}',
    "a wrong type": b'{"parts": "x"}',
}

_MEDIA_TYPES = (
    *("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/msgpack"),
    *("application/octet-stream; a=b", "APPLICATION/OCTET-STREAM", "application/octet-streams", ""),
)

REQUESTS: tuple[ComparedRequest, ...] = (
    *_json_bodies("Greeter", _GREETER),
    *(
        ComparedRequest(
            chain="Greeter",
            name=f"Content-Type: {media_type}",
            body=b'{"names": ["a"]}',
            fields=(("Content-Type", media_type),),
        )
        for media_type in _MEDIA_TYPES
    ),
    ComparedRequest(chain="Greeter", name="no Content-Type", body=b'{"names": ["a"]}', fields=()),
    ComparedRequest(
        chain="Greeter",
        name="Accept: application/xml",
        body=b'{"names": ["a"]}',
        fields=(("Accept", "application/xml"),),
    ),
    ComparedRequest(
        chain="Greeter",
        name="a request id of the caller",
        body=b'{"names": ["a"]}',
        fields=(("X-BASETEN-REQUEST-ID", "a"),),
    ),
    ComparedRequest(chain="Greeter", name="a query", body=b'{"names": ["a"]}', suffix="?a=b"),
    ComparedRequest(chain="Greeter", name="HTTP/1.0", body=b'{"names": ["a"]}', version="1.0"),
    *_binary_bodies("Greeter", _BINARY),
    *_json_bodies("Pair", _PAIR),
    *_binary_bodies("Pair", {"valid": b"\x81\xa1x\x01"}),
    *_json_bodies("TextStream", _STREAM),
    *(
        ComparedRequest(chain="TextStream", name=f"gathered: {name}", body=body, fields=GATHER)
        for name, body in _STREAM.items()
    ),
    *_binary_bodies("TextStream", {"valid": b"\x80", "JSON": b"{}"}),
    ComparedRequest(
        chain="TextStream", name="msgpack, gathered", body=b"\x80", fields=(*OCTETS, ("Accept", "application/json"))
    ),
    ComparedRequest(chain="TextStream", name="HTTP/1.0", version="1.0"),
    ComparedRequest(
        chain="TextStream", name="JSON among others", fields=(*JSON_TYPE, ("Accept", "application/json, */*"))
    ),
    ComparedRequest(
        chain="TextStream", name="gathered for OpenAI's client", fields=(*GATHER, ("User-Agent", "OpenAI/Python 1"))
    ),
    *_json_bodies("ByteStream", {"valid": b"{}"}),
    ComparedRequest(chain="ByteStream", name="gathered", fields=GATHER),
    ComparedRequest(chain="ByteStream", name="gathered, not UTF-8", body=b'{"parts": 200}', fields=GATHER),
    ComparedRequest(
        chain="Greeter",
        name="a large integer",
        body=b'{"names": ["a"], "x": 12345678901234567890123}',
        reason=EXPONENT,
        depends_on_versions=True,
    ),
    *(
        ComparedRequest(chain="Greeter", name=method, method=method, body=b"", fields=(), reason=GATEWAY)
        for method in ("PUT", "DELETE", "OPTIONS")
    ),
    ComparedRequest(chain="Greeter", name="GET", method="GET", body=b"", fields=(), reason=MODEL_LOOKUP),
    ComparedRequest(chain="Greeter", name="an unknown path", suffix="/x", body=b'{"names": ["a"]}', reason=GATEWAY),
    ComparedRequest(
        chain="Greeter", name="two lengths", body=b'{"names": ["a"]}', fields=(("Content-Length", "3"),), reason=GATEWAY
    ),
)
"""Every request. Left out is SystemExit in a stream: it ends the process of the real server."""
