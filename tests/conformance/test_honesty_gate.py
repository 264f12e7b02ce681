"""
Whoever keeps the contract in another way than we would is accused of nothing: keys, the gate, errors, methods and paths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from posixpath import normpath
from urllib.parse import unquote

import pytest

from chainproof.conformance.inputs.wrong_keys import wrong_keys
from chainproof.conformance.judging.credential_leaks import encodings
from chainproof.conformance.judging.expectation import Terms, expectation, is_same_path
from chainproof.conformance.judging.stack_traces import stack_trace_in
from chainproof.conformance.transport.request import JSON_TYPE, CheckRequest
from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey

from .conftest import RunSuite
from .endpoints import (
    KEY,
    PATH,
    AnswerFunction,
    EndpointAnswer,
    EndpointRequest,
    as_if,
    correct_endpoint,
    error,
    on_status,
    when,
    with_right_key,
)
from .test_faults_gate import AUTHENTICATION_CHECKS


def tidied(path: str) -> str:
    """
    A path as tidy servers read it: decoded, its dots resolved, its slashes merged.
    """
    plain, _, query = path.partition("?")
    tidy = normpath("/" + unquote(plain).replace("\\", "/").lstrip("/"))
    tidy += "/" * (plain.endswith("/") and tidy != "/")
    return f"{tidy.replace('?', '%3F')}?{query}"


def by_split(asked: EndpointRequest) -> bool:
    """
    Whether somebody who splits at blanks sees the right key, in any Authorization, behind the scheme in any letter case.
    """
    for value in asked.values("authorization"):
        words = value.split()
        if len(words) == 2 and words[0].lower() == "api-key" and words[1] == KEY:
            return True
    return False


def answering_elsewhere(answer: Callable[[EndpointRequest, EndpointAnswer], EndpointAnswer]) -> AnswerFunction:
    """
    The honest endpoint, except for what it says at other paths and to other methods.
    """
    return when(lambda asked: asked.method != "POST" or asked.path.partition("?")[0] != PATH, answer)


def plainly(status: int, **more: object) -> Callable[[EndpointRequest, EndpointAnswer], EndpointAnswer]:
    """
    An answer in text that is no JSON.
    """
    return lambda asked, said: EndpointAnswer(
        status=status, body=b"No.", media_type="text/plain", request_id=None, **more
    )  # type: ignore[arg-type]


def gate_first(asked: EndpointRequest) -> EndpointAnswer:
    """
    Asks for the key before it looks where a request goes.
    """
    known = asked.authorized or asked.method in ("HEAD", "OPTIONS")
    return correct_endpoint(asked) if known else error(401, "unauthorized")


def codeless(said: EndpointAnswer) -> EndpointAnswer:
    """
    The same error without a code.
    """
    return replace(said, body=json.dumps({"error": json.loads(said.body)["error"]}).encode())


def tired() -> AnswerFunction:
    """
    The honest endpoint, except that it has no time for the next of many strangers.
    """
    strangers = 0

    def server(asked: EndpointRequest) -> EndpointAnswer:
        nonlocal strangers
        said = correct_endpoint(asked)
        strangers += said.status == 401
        return error(429, "rate_limited") if said.status == 401 and strangers > 40 else said

    return server


CORRECT_VARIANTS: dict[str, AnswerFunction] = {
    "reading keys by words": as_if(with_right_key, by_split),
    "reading paths tidily": as_if(lambda asked: replace(asked, path=tidied(asked.path))),
    "gate first": gate_first,
    "404 to other methods": when(lambda asked: asked.method != "POST", plainly(404)),
    "501 to other methods": when(lambda asked: asked.method not in ("POST", "GET"), plainly(501)),
    "OPTIONS in an Allow": answering_elsewhere(
        lambda asked, said: (
            replace(said, more=(("allow", "OPTIONS"), ("Allow", "POST")))
            if said.status == 405 and asked.method != "OPTIONS"
            else said
        )
    ),
    "OPTIONS as browsers want it": when(
        lambda asked: asked.method == "OPTIONS",
        lambda asked, said: EndpointAnswer(
            status=204, media_type=None, more=(("Access-Control-Allow-Methods", "POST"),)
        ),
    ),
    "OPTIONS with an object": when(
        lambda asked: asked.method == "OPTIONS",
        lambda asked, said: EndpointAnswer(status=200, body=b"{}", more=(("Allow", "POST, OPTIONS"),)),
    ),
    "HEAD with 200": when(
        lambda asked: asked.method == "HEAD", lambda asked, said: EndpointAnswer(status=200, body=b"{}")
    ),
    "pages elsewhere": answering_elsewhere(
        lambda asked, said: replace(said, body=b"<html>Not found</html>", media_type="text/html")
    ),
    "redirects elsewhere": answering_elsewhere(
        lambda asked, said: EndpointAnswer(status=308, more=(("Location", PATH),)) if said.status == 404 else said
    ),
    "a server's name and version": when(
        lambda asked: True,
        lambda asked, said: replace(
            said,
            more=(
                *said.more,
                ("Server", "nginx/1.25.3"),
                ("X-Powered-By", "Express"),
                ("Via", "1.1 ip-10-0-3-7.ec2.internal"),
            ),
        ),
    ),
    "a challenge": on_status(401, lambda said: replace(said, more=(("WWW-Authenticate", 'Api-Key realm="chain"'),))),
    "errors in a parser's words": on_status(
        400,
        lambda said: replace(
            said,
            body=json.dumps(
                {
                    "error": "Expecting value: line 1 column 1 (char 0); see https://docs.example.com/usr/lib/errors.html",
                    "detail": 'body.names: Input should be a valid string, at "/names/0" [type=string_type, input_value=1]',
                    "error_code": "client_error",
                }
            ).encode(),
        ),
    ),
    "errors that repeat the request's path": answering_elsewhere(
        lambda asked, said: (
            replace(said, body=json.dumps({"error": f"no route for {asked.method} {asked.path}"}).encode())
            if KEY not in asked.path
            else said
        )
    ),
    "errors on demand without a code": when(
        lambda asked: bool(asked.values("x-emulate")),
        lambda asked, said: codeless(said) if said.status >= 400 else said,
    ),
    "errors on demand with a moment to come back": when(
        lambda asked: "rate_limited" in asked.values("x-emulate"),
        lambda asked, said: replace(said, more=(("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"),)),
    ),
    "400 to two credentials and to bytes that are no text": when(
        lambda asked: (
            asked.path == PATH
            and asked.method == "POST"
            and (len(asked.values("authorization")) > 1 or not "".join(asked.values("authorization")).isascii())
        ),
        lambda asked, said: error(400, "client_error"),
    ),
    "421 to other hosts": when(
        lambda asked: re.fullmatch(r"127\.0\.0\.1:\d+", "".join(asked.values("host"))) is None, plainly(421)
    ),
    "429 to many strangers": tired(),
}


@pytest.mark.parametrize("server", CORRECT_VARIANTS.values(), ids=CORRECT_VARIANTS)
def test_an_honest_endpoint_is_accused_of_nothing(server: AnswerFunction, run_suite: RunSuite) -> None:
    """
    Whatever it says where the document says nothing.
    """
    examined = run_suite(server, checks=AUTHENTICATION_CHECKS)

    assert examined.lines == []
    assert examined.skipped == {}


@pytest.mark.parametrize(
    "text",
    [
        "The API key is missing or invalid.",
        "Expected `Api-Key` and a key; see https://docs.baseten.co/usr/local/errors.js",
        "Unexpected token } in JSON at position 12",
        "invalid character '}' looking for beginning of object key string",
        "expected value at line 1 column 2",
        "Unexpected character ('}' (code 125)): was expecting double-quote to start field name",
        "names[0]: Input should be a valid string. For further information visit https://errors.pydantic.dev/2.9/v/string_type",
        "/names/0 must be string",
        "Invalid API KEY: please check it",
        "model chain-abc123 is not ready",
        "Error at /production/run_remote: rate limit of 10.5 requests/s exceeded",
        "Version 10.2.3 of the chain is starting",
        "request 3f2b9c1e-7d4a-4f0e-9a51-0c2d9be1f7aa failed",
        "Set the header with `export BASETEN_API_KEY=<your key>`",
        "the chain raised an exception",
        "Internal server error",
        "select a model from the list",
    ],
)
def test_what_callers_are_told_is_no_trace(text: str) -> None:
    """
    Errors may be helpful.
    """
    assert stack_trace_in(text) is None
    assert stack_trace_in(json.dumps({"error": text})) is None


def test_what_the_request_said_is_no_trace() -> None:
    """
    A caller's own words may come back.
    """
    assert stack_trace_in("no file /etc/chain.conf", sent="/etc/chain.conf") is None
    assert stack_trace_in("no file /etc/chain.conf", sent="/etc/other.conf") == "a path of the server"


@pytest.mark.parametrize("key", [KEY, "short", "without-a-dot-1", "a.b", "abcd1234.abcd1234", ".x.", "x" * 200])
def test_a_near_miss_is_no_right_key(key: str) -> None:
    """
    And whoever refuses it with 401 is right.
    """
    terms = Terms(key=ApiKey(key), echo=True)
    for near in wrong_keys(key, "KEY"):
        request = CheckRequest(fields=(("Authorization", f"Api-Key {near.text}"), JSON_TYPE), body=b"{}")
        found = expectation(request, terms)

        assert near.text != key
        assert found is not None, near.label
        assert found.is_met_by(Answer(status=401, headers=()))
        assert not found.is_met_by(Answer(status=200, headers=()))
        assert key not in near.secret.shell_word


def test_a_key_with_control_characters_in_it_is_another_key() -> None:
    """
    HTTP itself may refuse such a message in any words; nobody may let it in.
    """
    for text in (f"{KEY}\0x", f"x\0{KEY}", f"{KEY[:5]}\0{KEY[5:]}"):
        fields = (("Authorization", f"Api-Key {text}"), JSON_TYPE)
        found = expectation(
            CheckRequest(fields=fields, body=b"{}", valid_message=False), Terms(key=ApiKey(KEY), echo=True)
        )

        assert found is not None
        assert found.is_met_by(Answer(status=400, headers=()))
        assert not found.is_met_by(Answer(status=200, headers=(("Content-Type", "application/json"),), body=b"{}"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PATH, True),
        ("/production/run%5Fremote", True),
        ("/production%2Frun_remote", True),
        ("//production///run_remote", True),
        ("/x/../production/./run_remote?a=b", True),
        (f"http://localhost:80{PATH}", True),
        (f"{PATH}/", False),
        (f"{PATH}%20", False),
        ("/production/run%255Fremote", False),
        (PATH.upper(), False),
        ("/", False),
    ],
)
def test_some_paths_are_the_same(path: str, expected: bool) -> None:
    """
    By RFC 3986, or by the tidiness of servers.
    """
    assert expected == is_same_path(path, PATH)


def test_a_short_part_of_a_key_is_no_leak() -> None:
    """
    Nor is a word that any answer may hold.
    """
    assert "chain" not in encodings("chain.application")
    assert "application" not in encodings("chain.application")
