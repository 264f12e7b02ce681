"""
What is said by a user's own chain, held against what Baseten's server of a chain was recorded to say.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.answer import Answer
from chainproof.contract.chain_schema import SchemaError, load_input_schema
from chainproof.contract.credentials import EMULATOR_KEY, ApiKey
from chainproof.contract.errors import ErrorCode, statuses
from chainproof.contract.levels import Contract
from chainproof.contract.violations import violations
from chainproof.emulator.behaviour.request import ReceivedRequest
from chainproof.emulator.chain.chain import UserChain, load_chain
from chainproof.emulator.chain.chain_response import ChainResponse, ChainResponseKind, process_exit_error, timeout_error
from chainproof.emulator.decision import ChainRequest, EmulatorConfig, EmulatorState, decide, decision_from_chain
from chainproof.emulator.scenario import Scenario

PROBED = Path(__file__).with_name("probed.py")
HELLO = f"{Path(__file__).parents[2] / 'docs' / 'chain' / 'hello.py'}:Hello"
MODEL = EmulatorConfig(
    scenario=Scenario(name="calm"), key=ApiKey(EMULATOR_KEY), request_id_prefix="0" * 21, has_chain=True
)
WIDE = replace(MODEL, contract=Contract.DOCUMENTED)


def chain(name: str) -> UserChain:
    """
    A class of the probed module.
    """
    return load_chain(f"{PROBED}:{name}")


def said(chain: UserChain, body: bytes) -> ChainResponse:
    """
    What a chain says to a body.
    """
    arguments = chain.parse_arguments(body)
    if isinstance(arguments, ChainResponse):
        return arguments
    return asyncio.run(chain.run_async(arguments)) if chain.is_async else chain.run_sync(arguments)


def answer(chain: UserChain, body: bytes, config: EmulatorConfig = WIDE) -> Answer:
    """
    The answer to a body behind the gateway.
    """
    return decision_from_chain(said(chain, body), config, 1, 0.0).answer


# ------------------------------------------------------------------ the record

HERE = str(PROBED)
LINE = 1 + PROBED.read_text().splitlines().index('            raise ValueError("boom")')
ROOT = '{"error":"Input Parsing Error:\\n  `__root__`: %s."}'
WRONG_TOP = '{"error":"Input Parsing Error:\\n  ``: Input should be a valid dictionary or instance of HelloInput."}'
GREETED = '{"greetings":["Hello, a"]}'
RECORDED: dict[str, tuple[bytes, int, str | None, str]] = {
    "ok": (b'{"names": ["a"]}', 200, None, GREETED),
    "extra key ignored": (b'{"names": ["a"], "zzz": 1}', 200, None, GREETED),
    "explicit null for defaulted arg": (b'{"names": ["a"], "mode": null}', 200, None, GREETED),
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
    "coerced str->float": (b'{"names": ["a"], "delay": "0.01"}', 200, None, GREETED),
    "bad json": (b'{"names": [', 400, "700", ROOT % "Expecting value: line 1 column 12 (char 11)"),
    "bad json single quotes": (
        b"{'names':['a']}", 400, "700",
        ROOT % "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    "empty body": (b"", 400, "700", ROOT % "Expecting value: line 1 column 1 (char 0)"),
    "null body": (b"null", 400, "700", WRONG_TOP),
    "array body": (b'["a"]', 400, "700", WRONG_TOP),
    "string body": (b'"a"', 400, "700", WRONG_TOP),
    "number body": (b"1", 400, "700", WRONG_TOP),
    "invalid utf8": (
        b'{"names":["\xff\xfe"]}', 400, "700",
        ROOT % "'utf-8' codec can't decode byte 0xff in position 11: invalid start byte",
    ),
    "NaN": (b'{"names":["a"],"delay":NaN}', 200, None, GREETED),
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
        f'"user_stack_trace":[{{"filename":"{HERE}","lineno":{LINE},"name":"run_remote",'
        '"line":"raise ValueError(\\"boom\\")"}]}}'),
    ),
    "not of its type": (
        b'{"names": ["a"], "mode": "mistyped"}', 500, "600", '{"error":"Internal Server Error (in model/chainlet)."}'
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "status", "code", "expected"), RECORDED.values(), ids=RECORDED)
@pytest.mark.parametrize("contract", [Contract.DOCUMENTED, Contract.OBSERVED])
def test_a_chain_says_what_was_recorded(contract, body, status, code, expected):
    """
    Status, error header fields and body, byte for byte.
    """
    found = answer(chain("Hello"), body, replace(WIDE, contract=contract))

    assert (status, expected.encode()) == (found.status, found.body)
    assert [code] == [found.field("x-baseten-error-code")]
    assert [code and "04"] == [found.field("x-baseten-error-source")]
    assert ("application/json", "1") == (found.media_type, found.field("x-baseten-model-prediction-attempts"))


EXCEPTION = {
    "http_422": (422, "HTTPException", "fastapi.exceptions", "422: This is a test error."),
    "http_429": (429, "HTTPException", "fastapi.exceptions", "429: slow down"),
    "http_503": (503, "HTTPException", "fastapi.exceptions", "503: draining"),
    "http_204": (500, "HTTPException", "fastapi.exceptions", "204: no failure at all"),
    "silent": (500, "Silent", "probed", "its __str__ raised TypeError"),
    "half": (500, "ValueError", None, "\ud800"),
}


@pytest.mark.parametrize("mode", EXCEPTION)
def test_an_exception_is_told_with_class_message_and_stack(mode):
    """
    An HTTPException keeps its status where that is an error's; header fields of its own are dropped.
    """
    status, name, module, message = EXCEPTION[mode]
    found = answer(chain("Hello"), json.dumps({"names": [], "mode": mode}).encode())
    error = json.loads(found.body)["error"]

    assert (status, name, module, message) == (
        found.status,
        error["exception_cls_name"],
        error["exception_module_name"],
        error["exception_message"],
    )
    assert HERE == error["user_stack_trace"][0]["filename"]
    assert "run_remote" == error["user_stack_trace"][0]["name"]
    assert () == found.fields("retry-after")


OUTPUTS = {"Text": b'"Hello World! "', "Nothing": b"null", "Pair": b'[3,"y"]'}


@pytest.mark.parametrize(("name", "body"), OUTPUTS.items())
def test_any_value_is_an_output(name, body):
    """
    Documented: passed on as it is. Strict: the document says object, so it is the chain's failure.
    """
    assert (200, body) == ((wide := answer(chain(name), b"{}")).status, wide.body)

    strict = answer(chain(name), b"{}", MODEL)
    assert (502, "application_error") == (strict.status, json.loads(strict.body)["error_code"])
    assert "Expected run_remote to return an object" in strict.body.decode()


@pytest.mark.parametrize(
    ("x", "written"), [("NaN", "null"), ("1e999", "null"), ("-0.0", "-0.0"), ("true", "1.0"), ('"0.01"', "0.01")]
)
def test_numbers_are_coerced_and_written_as_recorded(x, written):
    """
    What JSON has no number for becomes null; the rest keeps its value.
    """
    assert f'{{"x":{written}}}'.encode() == answer(chain("Numbers"), f'{{"x":{x}}}'.encode()).body


# ------------------------------------------------------------------ how a contract passes it on

STRICT = {
    "an input error": (b"{}", 400, "client_error", "Input Parsing Error:\n  `names`: Field required."),
    "great depth": (b'{"names":' + b"[" * 100_000, 400, "client_error", "nested too deeply"),
    "an exception": (b'{"names":[],"mode":"value_error"}', 502, "application_error", "run_remote raised"),
    "an HTTPException": (b'{"names":[],"mode":"http_422"}', 502, "application_error", "run_remote raised"),
    "another type": (b'{"names":[],"mode":"mistyped"}', 502, "application_error", "return type"),
    "what cannot be written": (b'{"names":["\\ud800"]}', 502, "application_error", "cannot be written"),
    "an exit": (b'{"names":[],"mode":"exit"}', 502, "model_unavailable", "ended its process"),
}


@pytest.mark.parametrize(("body", "status", "code", "detail"), STRICT.values(), ids=STRICT)
def test_the_strict_contract_keeps_to_the_document(body, status, code, detail):
    """
    A code with a status of its row, `error` a text, and nothing of the chain's inside.
    """
    found = answer(chain("Hello"), body, MODEL)
    told = json.loads(found.body)

    assert (status, code) == (found.status, told["error_code"])
    assert detail in told["detail"]
    assert () == violations(found)
    assert [] == [word for word in ("boom", "probed", ".py", "lineno", "0x") if word in found.body.decode()]


@pytest.mark.parametrize("outcome", [process_exit_error(), timeout_error(3.0)], ids=["lost", "late"])
@pytest.mark.parametrize("contract", Contract)
def test_whatever_the_gateway_says_for_a_chain_keeps_every_contract(outcome, contract):
    """
    502 for a chain that is gone, 504 for one that is late, from the gateway and not the chain's server.
    """
    found = decision_from_chain(outcome, replace(MODEL, contract=contract), 1, 0.0).answer

    assert (502 if outcome.kind is ChainResponseKind.PROCESS_EXITED else 504, None) == (
        found.status,
        found.field("x-baseten-error-source"),
    )
    assert () == violations(found, contract)


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
def test_the_strict_contract_is_never_left(body):
    """
    Whatever is sent to a chain whose output is an object, nothing said departs from the document.
    """
    assert () == violations(answer(chain("Hello"), body, MODEL))


@given(bodies)
def test_the_documented_contract_is_never_left(body):
    """
    Nor from what is documented, by any of the chains.
    """
    for name in ("Hello", "Text", "Numbers"):
        assert () == violations(answer(chain(name), body), Contract.DOCUMENTED)


inputs = st.fixed_dictionaries(
    {}, optional={"names": st.lists(st.text() | st.integers(), max_size=3), "greeting": st.text() | st.none()}
)


@given(inputs | st.dictionaries(st.text(max_size=3), st.text()))
def test_the_emulated_chain_takes_what_its_schema_accepts(value):
    """
    A 400 for whatever the schema refuses, and for nothing else.
    """
    refused = answer(load_chain(HELLO), json.dumps(value).encode(), MODEL).status == 400

    assert load_input_schema(HELLO).accepts(value) is not refused


# ------------------------------------------------------------------ before the chain

FIELDS = (
    (b"host", b"127.0.0.1"),
    (b"authorization", b"Api-Key " + EMULATOR_KEY.encode()),
    (b"content-type", b"application/json"),
)


def asked(body: bytes, *fields: tuple[bytes, bytes]) -> ReceivedRequest:
    """
    A good request but for its body.
    """
    return ReceivedRequest(method=b"POST", target=b"/production/run_remote", headers=(*FIELDS, *fields), body=body)


@pytest.mark.parametrize(("body", "strict"), [(b"{}", True), (b"[]", False), (b"{", False), (b"", False)])
def test_what_is_no_object_reaches_a_chain_under_a_wider_contract_alone(body, strict):
    """
    The strict gateway refuses it itself; the service's passes on whatever comes.
    """
    assert isinstance(decide(asked(body), WIDE, EmulatorState(), 0.0)[0], ChainRequest)
    assert strict is isinstance(decide(asked(body), MODEL, EmulatorState(), 0.0)[0], ChainRequest)


def test_a_scenario_fails_before_the_chain():
    """
    Steering and rates stand in front of a chain as they do of the echo.
    """
    failing = replace(MODEL, scenario=Scenario(name="broken", errors=((ErrorCode.TIMEOUT, 1.0),)))
    wish = asked(b"{}", (b"x-emulate", b"rate_limited"))

    assert 504 == decide(asked(b"{}"), failing, EmulatorState(), 0.0)[0].answer.status
    assert 429 == decide(wish, MODEL, EmulatorState(), 0.0)[0].answer.status
    assert {429} == statuses("rate_limited", Contract.STRICT)


# ------------------------------------------------------------------ loading

BAD_CHAINS = {
    "a constructor that raises": ("def __init__(self): raise OSError('no model\\nhere')", "OSError: no model here"),
    "a constructor that wants something": ("def __init__(self, model): ...", "its constructor raised TypeError"),
    "a constructor that ends": ("def __init__(self): raise SystemExit(4)", "SystemExit: 4"),
    "a stream": ("async def run_remote(self) -> AsyncIterator[str]: yield ''", "one that returns a stream"),
    "the service's own": (
        "def run_remote(self, r: Request) -> None: ...",
        "only the service can provide the parameter",
    ),
}


@pytest.mark.parametrize(("line", "words"), BAD_CHAINS.values(), ids=BAD_CHAINS)
def test_a_chain_that_cannot_be_served_is_a_mistake(line, words, tmp_path):
    """
    Told before anything is served, in one line.
    """
    run = "" if "run_remote" in line else "    def run_remote(self) -> int: return 1\n"
    head = "from typing import AsyncIterator\nclass Request: ...\nclass Bad:\n"
    (tmp_path / "bad.py").write_text(f"{head}    {line}\n{run}")
    with pytest.raises(SchemaError) as mistake:
        load_chain(f"{tmp_path / 'bad.py'}:Bad")

    assert words in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_a_chain_of_truss_is_constructed_as_truss_wants(tmp_path, monkeypatch):
    """
    Where the user's module imports truss_chains, the instance is made inside its `run_local`.
    """
    (tmp_path / "truss_chains.py").write_text(
        "from contextlib import contextmanager\nlocal = []\n\n@contextmanager\ndef run_local():\n"
        "    local.append(1)\n    yield\n    local.pop()\n\nclass ChainletBase:\n"
        "    def __init__(self):\n        if not local: raise RuntimeError('naive')\n"
    )
    (tmp_path / "mine.py").write_text(
        "import truss_chains\nclass Mine(truss_chains.ChainletBase):\n    def run_remote(self) -> int: return 1\n"
    )

    assert b"1" == said(load_chain(f"{tmp_path / 'mine.py'}:Mine"), b"{}").body
