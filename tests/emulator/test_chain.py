"""Responses of a user's chain, compared with recorded responses of Baseten's chain server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.chain_schema.error_text import SchemaError
from chainproof.chain_schema.loading import load_input_schema
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.errors import ErrorCode, statuses
from chainproof.contract.levels import Contract
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.contract.violations import violations
from chainproof.emulator.behaviour.request import ReceivedRequest
from chainproof.emulator.chain.chain import UserChain, load_chain
from chainproof.emulator.chain.chain_request import ChainRequest, chain_request
from chainproof.emulator.chain.chain_response import (
    ChainResponseKind,
    connection_lost_error,
    timeout_error,
)
from chainproof.emulator.chain.msgpack_body import pack_output, unpack_body
from chainproof.emulator.decision import EmulatorConfig, EmulatorState, decide, decision_from_chain
from chainproof.emulator.scenario import Scenario

CHAINS = Path(__file__).with_name("recorded_chains.py")
HELLO = f"{Path(__file__).parents[2] / 'docs' / 'chain' / 'hello.py'}:Hello"
CONFIG = EmulatorConfig(
    scenario=Scenario(name="calm"), key=ApiKey(EMULATOR_KEY), request_id_prefix="0" * 21, has_chain=True
)
DOCUMENTED_CONFIG = replace(CONFIG, contract=Contract.DOCUMENTED)


def chain(name: str) -> UserChain:
    """A class in recorded_chains.py."""
    return load_chain(f"{CHAINS}:{name}")


def answer(
    chain: UserChain,
    body: bytes,
    config: EmulatorConfig = DOCUMENTED_CONFIG,
    *,
    binary: bool = False,
    gathers_stream: bool = False,
) -> Answer:
    """The answer of the gateway in front of the chain."""
    sent = ChainRequest(number=1, body=body, binary=binary, gathers_stream=gathers_stream)
    return decision_from_chain(chain.respond(sent), config, 1, 0.0).answer


# ------------------------------------------------------------------ recorded responses

CHAINS_FILE = str(CHAINS)
LINE = 1 + CHAINS.read_text().splitlines().index('            raise ValueError("boom")')
ROOT = '{"error":"Input Parsing Error:\\n  `__root__`: %s."}'
NOT_AN_OBJECT = '{"error":"Input Parsing Error:\\n  ``: Input should be a valid dictionary or instance of HelloInput."}'
GREETING = '{"greetings":["Hello, a"]}'
RECORDED: dict[str, tuple[bytes, int, str | None, str]] = {
    "ok": (b'{"names": ["a"]}', 200, None, GREETING),
    "extra key ignored": (b'{"names": ["a"], "zzz": 1}', 200, None, GREETING),
    "explicit null for defaulted arg": (b'{"names": ["a"], "mode": null}', 200, None, GREETING),
    "missing key": (b"{}", 400, "700", '{"error":"Input Parsing Error:\\n  `names`: Field required."}'),
    "wrong type": (
        b'{"names": "a"}', 400, "700", '{"error":"Input Parsing Error:\\n  `names`: Input should be a valid list."}'
    ),
    "two errors": (
        b'{"names": [1, null], "delay": "x"}', 400, "700",
        ('{"error":"Input Parsing Errors:\\n  `names[0]`: Input should be a valid string.\\n  `names[1]`: Input should be '
        'a valid string.\\n  `delay`: Input should be a valid number, unable to parse string as a number."}'),
    ),
    "nested error": (
        b'{"names": ["a"], "opts": {"repeat": "q"}}', 400, "700",
        ('{"error":"Input Parsing Error:\\n  `opts.repeat`: Input should be a valid integer, unable to parse string as an '
        'integer."}'),
    ),
    "coerced str->float": (b'{"names": ["a"], "delay": "0.01"}', 200, None, GREETING),
    "bad json": (b'{"names": [', 400, "700", ROOT % "Expecting value: line 1 column 12 (char 11)"),
    "bad json single quotes": (
        b"{'names':['a']}", 400, "700",
        ROOT % "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    "empty body": (b"", 400, "700", ROOT % "Expecting value: line 1 column 1 (char 0)"),
    "null body": (b"null", 400, "700", NOT_AN_OBJECT),
    "array body": (b'["a"]', 400, "700", NOT_AN_OBJECT),
    "string body": (b'"a"', 400, "700", NOT_AN_OBJECT),
    "number body": (b"1", 400, "700", NOT_AN_OBJECT),
    "invalid utf8": (
        b'{"names":["\xff\xfe"]}', 400, "700",
        ROOT % "'utf-8' codec can't decode byte 0xff in position 11: invalid start byte",
    ),
    "NaN": (b'{"names":["a"],"delay":NaN}', 200, None, GREETING),
    "dup keys": (b'{"names":["a"],"names":["b"]}', 200, None, '{"greetings":["Hello, b"]}'),
    "lone surrogate": (
        b'{"names":["\\ud800"]}', 500, "500",
        ('{"error":"Unhandled exception: PydanticSerializationError: Error serializing to JSON: UnicodeEncodeError: '
        "'utf-8' codec can't encode character '\\\\ud800' in position 7: surrogates not allowed\"}"),
    ),
    "nul char": (b'{"names":["\\u0000"]}', 200, None, '{"greetings":["Hello, \\u0000"]}'),
    "deep nesting": (
        b'{"names":' + b"[" * 100_000, 500, "500",
        ('{"error":"Unhandled exception: RecursionError: maximum recursion depth exceeded while decoding a JSON array from '
        'a unicode string"}'),
    ),
    "big int": (
        b'{"names":["a"],"opts":{"repeat":' + b"9" * 5000 + b"}}", 400, "700",
        ROOT % "Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; use "
        "sys.set_int_max_str_digits() to increase the limit",
    ),
    "gzip body": (
        b"\x1f\x8b\x08", 400, "700", ROOT % "'utf-8' codec can't decode byte 0x8b in position 1: invalid start byte"
    ),
    "trailing text": (b"{} x", 400, "700", ROOT % "Extra data: line 1 column 4 (char 3)"),
    "BOM": (
        b"\xef\xbb\xbf{}", 400, "700",
        ROOT % "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
    ),
    "ValueError": (
        b'{"names": ["a"], "mode": "boom"}', 500, "600",
        ('{"error":{"exception_cls_name":"ValueError","exception_module_name":null,"exception_message":"boom",'
        f'"user_stack_trace":[{{"filename":"{CHAINS_FILE}","lineno":{LINE},"name":"run_remote",'
        '"line":"raise ValueError(\\"boom\\")"}]}}'),
    ),
    "not of its type": (
        b'{"names": ["a"], "mode": "mistyped"}', 500, "600", '{"error":"Internal Server Error (in model/chainlet)."}'
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "status", "code", "expected"), RECORDED.values(), ids=RECORDED)
@pytest.mark.parametrize("contract", [Contract.DOCUMENTED, Contract.OBSERVED])
def test_response_equals_the_recorded_one(contract, body, status, code, expected):
    """Status, error header fields and body are those recorded, byte for byte."""
    actual = answer(chain("Hello"), body, replace(DOCUMENTED_CONFIG, contract=contract))

    assert (status, expected.encode()) == (actual.status, actual.body)
    assert [code] == [actual.field("x-baseten-error-code")]
    assert [code and "04"] == [actual.field("x-baseten-error-source")]
    assert ("application/json", "1") == (actual.media_type, actual.field("x-baseten-model-prediction-attempts"))


EXCEPTION = {
    "http_422": (422, "HTTPException", "fastapi.exceptions", "422: This is a test error."),
    "http_429": (429, "HTTPException", "fastapi.exceptions", "429: slow down"),
    "http_503": (503, "HTTPException", "fastapi.exceptions", "503: draining"),
    "http_204": (204, "HTTPException", "fastapi.exceptions", "204: no failure at all"),
    "http_302": (302, "HTTPException", "fastapi.exceptions", "302: elsewhere"),
    "silent": (500, "Unprintable", "recorded_chains", "its __str__ raised TypeError"),
    "half": (500, "ValueError", None, "\ud800"),
}


@pytest.mark.parametrize("mode", EXCEPTION)
def test_exception_response_has_class_message_and_stack(mode):
    """An HTTPException keeps its status, also below 400; its own header fields are dropped."""
    status, name, module, message = EXCEPTION[mode]
    actual = answer(chain("Hello"), json.dumps({"names": [], "mode": mode}).encode())
    error = json.loads(actual.body)["error"]

    assert (status, name, module, message) == (
        actual.status,
        error["exception_cls_name"],
        error["exception_module_name"],
        error["exception_message"],
    )
    assert CHAINS_FILE == error["user_stack_trace"][0]["filename"]
    assert "run_remote" == error["user_stack_trace"][0]["name"]
    assert () == actual.fields("retry-after")


OUTPUTS = {"Text": b'"Hello World! "', "Nothing": b"null", "Pair": b'[3,"y"]'}


@pytest.mark.parametrize(("name", "body"), OUTPUTS.items())
def test_output_may_be_any_value(name, body):
    """The documented contract passes any value on; the strict one reports a non-object as an application error."""
    assert (200, body) == ((wide := answer(chain(name), b"{}")).status, wide.body)

    strict = answer(chain(name), b"{}", CONFIG)
    assert (502, "application_error") == (strict.status, json.loads(strict.body)["error_code"])
    assert "Expected run_remote to return an object" in strict.body.decode()


@pytest.mark.parametrize(
    ("x", "written"), [("NaN", "null"), ("1e999", "null"), ("-0.0", "-0.0"), ("true", "1.0"), ('"0.01"', "0.01")]
)
def test_numbers_are_coerced_as_recorded(x, written):
    """Numbers that JSON lacks become null; others keep their value."""
    assert f'{{"x":{written}}}'.encode() == answer(chain("Numbers"), f'{{"x":{x}}}'.encode()).body


@pytest.mark.parametrize("mode", ["exit", "interrupt", "cancelled"])
@pytest.mark.parametrize(("name", "gathers"), [("Hello", False), ("TextStream", True)])
def test_interruptions_are_answered_500_by_the_framework(mode, name, gathers):
    """SystemExit, KeyboardInterrupt and CancelledError are answered in plain text, and the process lives."""
    body = json.dumps({"names": [], "mode": mode, "fail_at": 1}).encode()
    actual = answer(chain(name), body, gathers_stream=gathers)

    assert (500, b"Internal Server Error", "text/plain") == (actual.status, actual.body, actual.media_type)
    assert [None] == [actual.field("x-baseten-error-code")]


MSGPACK = {
    "an object": ("Hello", b"\x81\xa5names\x91\xa1a", 200, b"\x81\xa9greetings\x91\xa8Hello, a"),
    "JSON": ("Hello", b'{"names": ["a"]}', 400, b'{"error":"unpack(b) received extra data."}'),
    "an incomplete body": ("Hello", b"\x81\xa5names", 400, b'{"error":"Unpack failed: incomplete input"}'),
    "no body": ("Hello", b"", 400, b'{"error":"Unpack failed: incomplete input"}'),
    "a reserved byte": ("Hello", b"\xc1", 400, b'{"error":""}'),
    "a number as key": (
        "Hello", b"\x81\x01\x02", 400, b'{"error":"int is not allowed for map key when strict_map_key=True"}'
    ),
    "a missing argument": (
        "Hello", b"\x80", 400, b'{"error":"Input Parsing Error:\\n  `names`: Field required."}'
    ),
    "a list": ("Hello", b"\x91\x01", 400, NOT_AN_OBJECT.encode()),
    "a tuple": ("Pair", b"\x80", 200, b"\x92\x03\xa1y"),
    "a date and a decimal": (
        "Moment", msgpack.packb({"at": "2026-11-27T10:00:00+00:00", "price": "1.50"}), 200,
        msgpack.packb({
            "at": {b"__dt_datetime_iso__": True, b"data": "2026-11-27T10:00:00Z"},
            "price": {b"__decimal__": True, b"data": "1.50"},
        }),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "body", "status", "expected"), MSGPACK.values(), ids=MSGPACK)
def test_octet_streams_are_msgpack(name, body, status, expected):
    """Under `application/octet-stream`, body and output are msgpack, and errors are JSON, as recorded."""
    actual = answer(chain(name), body, binary=True)

    assert (status, expected) == (actual.status, actual.body)
    assert ("application/octet-stream" if status == 200 else "application/json") == actual.media_type


@given(
    st.dictionaries(
        st.text(max_size=5), st.datetimes() | st.dates() | st.times() | st.timedeltas() | st.uuids() | st.integers(0, 9)
    )
)
def test_msgpack_values_survive_a_round_trip(value):
    """Values of types that msgpack lacks are read as they were written."""
    assert value == unpack_body(pack_output(value))


def test_echo_chain_returns_msgpack_objects():
    """Under wider contracts, the echo chain too reads octet streams as msgpack."""
    config = replace(DOCUMENTED_CONFIG, has_chain=False)
    octets = (b"content-type", b"application/octet-stream")
    bodies = {b"\x81\xa1a\x01": 200, b'{"a":1}': 400, b"\x91\x01": 400}
    answers = {
        body: decide(replace(request(body), headers=(*FIELDS[:2], octets)), config, EmulatorState(), 0.0)[0].answer
        for body in bodies
    }

    assert bodies == {body: each.status for body, each in answers.items()}
    assert b"\x81\xa1a\x01" == answers[b"\x81\xa1a\x01"].body


STREAMED = {
    "a stream": ("TextStream", {}, False, 200, "application/octet-stream", b"chunk0\nchunk1\nchunk2\n"),
    "an empty stream": ("TextStream", {"parts": 0}, False, 200, "application/octet-stream", b""),
    "an exception": ("TextStream", {"fail_at": 1}, False, 200, "application/octet-stream", b"chunk0\n"),
    "an early exception": ("TextStream", {"fail_at": 0}, False, 200, "application/octet-stream", b""),
    "an interruption": (
        "TextStream", {"fail_at": 1, "mode": "cancelled"}, False, 200, "application/octet-stream", b"chunk0\n"
    ),
    "an exit": ("TextStream", {"fail_at": 1, "mode": "exit"}, False, 200, "application/octet-stream", b"chunk0\n"),
    "bytes": ("ByteStream", {}, False, 200, "application/octet-stream", b"\0\1\2"),
    "gathered": ("TextStream", {}, True, 200, "application/json", b'"chunk0\\nchunk1\\nchunk2\\n"'),
    "gathered, empty": ("TextStream", {"parts": 0}, True, 200, "application/json", b'""'),
    "gathered bytes": ("ByteStream", {}, True, 200, "application/json", b'"\\u0000\\u0001\\u0002"'),
    "gathered bytes that are no text": (
        "ByteStream", {"parts": 200}, True, 500, "application/json",
        (b'{"error":"Unhandled exception: UnicodeDecodeError: \'utf-8\' codec can\'t decode byte 0x80 in position 128: '
        b'invalid start byte"}'),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STREAMED)
def test_streams_are_answered_as_recorded(case):
    """A stream is cut silently by an exception; gathered, it is one string or a proper error."""
    name, arguments, gathers, *expected = STREAMED[case]
    actual = answer(chain(name), json.dumps(arguments).encode(), gathers_stream=gathers)

    assert tuple(expected) == (actual.status, actual.media_type, actual.body)


def test_exception_in_a_gathered_stream_has_class_and_stack():
    """The status of an HTTPException is kept there too."""
    body = json.dumps({"fail_at": 1, "mode": "http_422"}).encode()
    actual = answer(chain("TextStream"), body, gathers_stream=True)

    assert (422, "HTTPException") == (actual.status, json.loads(actual.body)["error"]["exception_cls_name"])


STREAM_CASES = {
    "exactly JSON": ([b"application/json"], [], True),
    "JSON among others": ([b"application/json, */*"], [], False),
    "no Accept": ([], [], False),
    "OpenAI's client": ([b"application/json"], [b"OpenAI/Python 1.61.0"], False),
}


@pytest.mark.parametrize(("accept", "agent", "gathers"), STREAM_CASES.values(), ids=STREAM_CASES)
def test_accept_decides_whether_a_stream_is_gathered(accept, agent, gathers):
    """The media type decides on msgpack, without its parameters and in any letter case."""
    fields = [*((b"accept", value) for value in accept), *((b"user-agent", value) for value in agent)]
    forwarded = chain_request(7, request(b"{}", *fields))
    octets = replace(request(b"{}"), headers=((b"content-type", b"Application/Octet-Stream ; a=b"),))

    assert (7, gathers, False) == (forwarded.number, forwarded.gathers_stream, forwarded.binary)
    assert chain_request(1, octets).binary


# ------------------------------------------------------------------ gateway mapping

STRICT = {
    "an input error": (b"{}", 400, "client_error", "Input Parsing Error:\n  `names`: Field required."),
    "great depth": (b'{"names":' + b"[" * 100_000, 400, "client_error", "nested too deeply"),
    "an exception": (b'{"names":[],"mode":"value_error"}', 502, "application_error", "run_remote raised"),
    "an HTTPException": (b'{"names":[],"mode":"http_422"}', 502, "application_error", "run_remote raised"),
    "another type": (b'{"names":[],"mode":"mistyped"}', 502, "application_error", "return type"),
    "an output that cannot be serialized": (b'{"names":["\\ud800"]}', 502, "application_error", "cannot be written"),
    "an exit": (b'{"names":[],"mode":"exit"}', 502, "application_error", "run_remote was interrupted"),
    "a status that does not exist": (
        b'{"names":[],"mode":"http_600"}',
        502,
        "model_unavailable",
        "closed the connection",
    ),
}


@pytest.mark.parametrize(("body", "status", "code", "detail"), STRICT.values(), ids=STRICT)
def test_strict_contract_maps_errors(body, status, code, detail):
    """Errors have a documented code and status, a string as `error`, and no internals of the chain."""
    actual = answer(chain("Hello"), body, CONFIG)
    error = json.loads(actual.body)

    assert (status, code) == (actual.status, error["error_code"])
    assert detail in error["detail"]
    assert () == violations(actual)
    assert [] == [word for word in ("boom", "recorded_chains", ".py", "lineno", "0x") if word in actual.body.decode()]


@pytest.mark.parametrize("outcome", [connection_lost_error(), timeout_error(3.0)], ids=["lost", "late"])
@pytest.mark.parametrize("contract", Contract)
def test_gateway_errors_satisfy_every_contract(outcome, contract):
    """The gateway answers 502 for a lost connection and 504 after the time limit."""
    actual = decision_from_chain(outcome, replace(CONFIG, contract=contract), 1, 0.0).answer

    assert (502 if outcome.kind is ChainResponseKind.CONNECTION_LOST else 504, None) == (
        actual.status,
        actual.field("x-baseten-error-source"),
    )
    assert () == violations(actual, contract)


# ------------------------------------------------------------------ properties

bodies = st.binary(max_size=40) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["names", "greeting", "mode", "delay", "x"]), inner)
    ),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@given(bodies)
def test_answers_satisfy_the_strict_contract(body):
    """No body makes a chain with object output violate the strict contract."""
    assert () == violations(answer(chain("Hello"), body, CONFIG))


@settings(deadline=None)  # each example loads three chains
@given(bodies)
def test_answers_satisfy_the_documented_contract(body):
    """No body makes any of the chains violate the documented contract."""
    for name in ("Hello", "Text", "Numbers"):
        assert () == violations(answer(chain(name), body), Contract.DOCUMENTED)


inputs = st.fixed_dictionaries(
    {}, optional={"names": st.lists(st.text() | st.integers(), max_size=3), "greeting": st.text()}
)


@given(inputs | st.dictionaries(st.text(max_size=3), st.text()))
def test_chain_accepts_exactly_what_its_schema_accepts(value):
    """
    A body is answered 400 exactly if the schema rejects it. (Null in place of a default is left out: the service accepts
    more than the type hints.)
    """
    rejected = answer(load_chain(HELLO), json.dumps(value).encode(), CONFIG).status == 400

    assert load_input_schema(HELLO).accepts(value) is not rejected


# ------------------------------------------------------------------ before the chain

FIELDS = (
    (b"host", b"127.0.0.1"),
    (b"authorization", b"Api-Key " + EMULATOR_KEY.encode()),
    (b"content-type", b"application/json"),
)


def request(body: bytes, *fields: tuple[bytes, bytes]) -> ReceivedRequest:
    """A valid request with this body."""
    return ReceivedRequest(method=b"POST", target=b"/production/run_remote", headers=(*FIELDS, *fields), body=body)


@pytest.mark.parametrize(("body", "strict"), [(b"{}", True), (b"[]", False), (b"{", False), (b"", False)])
def test_non_objects_reach_the_chain_only_under_wider_contracts(body, strict):
    """The strict gateway rejects them itself; under wider contracts every body is passed on."""
    assert isinstance(decide(request(body), DOCUMENTED_CONFIG, EmulatorState(), 0.0)[0], ChainRequest)
    assert strict is isinstance(decide(request(body), CONFIG, EmulatorState(), 0.0)[0], ChainRequest)


def test_steering_and_error_rates_precede_the_chain():
    """X-Emulate and error rates apply to a user's chain as to the echo chain."""
    failing = replace(CONFIG, scenario=Scenario(name="broken", errors=((ErrorCode.TIMEOUT, 1.0),)))
    steered = request(b"{}", (b"x-emulate", b"rate_limited"))

    assert 504 == decide(request(b"{}"), failing, EmulatorState(), 0.0)[0].answer.status
    assert 429 == decide(steered, CONFIG, EmulatorState(), 0.0)[0].answer.status
    assert {429} == statuses("rate_limited", Contract.STRICT)


# ------------------------------------------------------------------ loading

BAD_CHAINS = {
    "a constructor that raises": ("def __init__(self): raise OSError('no model\\nhere')", "OSError: no model here"),
    "a constructor with a parameter": ("def __init__(self, model): ...", "its constructor raised TypeError"),
    "a constructor that exits": ("def __init__(self): raise SystemExit(4)", "SystemExit: 4"),
    "a parameter of the service": (
        "def run_remote(self, r: Request) -> None: ...",
        "only the service can provide the parameter",
    ),
}


@pytest.mark.parametrize(("line", "words"), BAD_CHAINS.values(), ids=BAD_CHAINS)
def test_unusable_chain_is_rejected(line, words, tmp_path):
    """The error is reported in one line before anything is served."""
    run = "" if "run_remote" in line else "    def run_remote(self) -> int: return 1\n"
    head = "from typing import AsyncIterator\nclass Request: ...\nclass Bad:\n"
    (tmp_path / "bad.py").write_text(f"{head}    {line}\n{run}")
    with pytest.raises(SchemaError) as raised:
        load_chain(f"{tmp_path / 'bad.py'}:Bad")

    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_truss_chain_is_constructed_in_run_local(tmp_path, monkeypatch):
    """If the user module imports truss_chains, the instance is created inside `run_local`."""
    (tmp_path / "truss_chains.py").write_text(
        "from contextlib import contextmanager\nlocal = []\n\n@contextmanager\ndef run_local():\n"
        "    local.append(1)\n    yield\n    local.pop()\n\nclass ChainletBase:\n"
        "    def __init__(self):\n        if not local: raise RuntimeError('naive')\n"
    )
    (tmp_path / "mine.py").write_text(
        "import truss_chains\nclass Mine(truss_chains.ChainletBase):\n    def run_remote(self) -> int: return 1\n"
    )

    assert b"1" == answer(load_chain(f"{tmp_path / 'mine.py'}:Mine"), b"{}").body
