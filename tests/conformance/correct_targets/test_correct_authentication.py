"""Endpoints whose authentication, errors, methods and paths differ in permitted ways have no findings."""

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

from ..conftest import RunSuite
from ..endpoints import (
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
from ..faults.test_faults_authentication import AUTHENTICATION_CHECKS
from ..sampling import ALL


def normalised(path: str) -> str:
    """A path as some servers normalise it: decoded, dots resolved, slashes merged."""
    plain_path, _, query = path.partition("?")
    normal = normpath("/" + unquote(plain_path).replace("\\", "/").lstrip("/"))
    normal += "/" * (plain_path.endswith("/") and normal != "/")
    return f"{normal.replace('?', '%3F')}?{query}"


def has_key_after_split(request: EndpointRequest) -> bool:
    """True if an Authorization, split at whitespace, has the right key and the scheme in any letter case."""
    for value in request.values("authorization"):
        parts = value.split()
        if len(parts) == 2 and parts[0].lower() == "api-key" and parts[1] == KEY:
            return True
    return False


def with_change_elsewhere(change: Callable[[EndpointRequest, EndpointAnswer], EndpointAnswer]) -> AnswerFunction:
    """The correct endpoint with other answers at other paths and to other methods."""
    return when(lambda request: request.method != "POST" or request.path.partition("?")[0] != PATH, change)


def plain_text(status: int, **more: object) -> Callable[[EndpointRequest, EndpointAnswer], EndpointAnswer]:
    """An answer in plain text."""
    return lambda request, answer: EndpointAnswer(
        status=status, body=b"No.", media_type="text/plain", request_id=None, **more
    )  # type: ignore[arg-type]


def authenticating_first(request: EndpointRequest) -> EndpointAnswer:
    """An endpoint that checks the key before it looks at path and method."""
    may_pass = request.authorized or request.method in ("HEAD", "OPTIONS")
    return correct_endpoint(request) if may_pass else error(401, "unauthorized")


def without_code(answer: EndpointAnswer) -> EndpointAnswer:
    """The same error without a code."""
    return replace(answer, body=json.dumps({"error": json.loads(answer.body)["error"]}).encode())


def limiting_unauthenticated() -> AnswerFunction:
    """The correct endpoint, which limits the rate of unauthenticated requests."""
    rejections = 0

    def server(request: EndpointRequest) -> EndpointAnswer:
        nonlocal rejections
        answer = correct_endpoint(request)
        rejections += answer.status == 401
        return error(429, "rate_limited") if answer.status == 401 and rejections > 40 else answer

    return server


CORRECT_VARIANTS: dict[str, AnswerFunction] = {
    "splitting Authorization at whitespace": as_if(with_right_key, has_key_after_split),
    "normalising paths": as_if(lambda request: replace(request, path=normalised(request.path))),
    "rejecting a Connection that names Authorization": when(
        lambda request: any("Authorization" in value for value in request.values("connection")), plain_text(400)
    ),
    "authentication before routing": authenticating_first,
    "404 to other methods": when(lambda request: request.method != "POST", plain_text(404)),
    "501 to other methods": when(lambda request: request.method not in ("POST", "GET"), plain_text(501)),
    "OPTIONS in an Allow": with_change_elsewhere(
        lambda request, answer: (
            replace(answer, extra_fields=(("allow", "OPTIONS"), ("Allow", "POST")))
            if answer.status == 405 and request.method != "OPTIONS"
            else answer
        )
    ),
    "OPTIONS for CORS": when(
        lambda request: request.method == "OPTIONS",
        lambda request, answer: EndpointAnswer(
            status=204, media_type=None, extra_fields=(("Access-Control-Allow-Methods", "POST"),)
        ),
    ),
    "OPTIONS with an object": when(
        lambda request: request.method == "OPTIONS",
        lambda request, answer: EndpointAnswer(status=200, body=b"{}", extra_fields=(("Allow", "POST, OPTIONS"),)),
    ),
    "HEAD with 200": when(
        lambda request: request.method == "HEAD", lambda request, answer: EndpointAnswer(status=200, body=b"{}")
    ),
    "HTML at other paths": with_change_elsewhere(
        lambda request, answer: replace(answer, body=b"<html>Not found</html>", media_type="text/html")
    ),
    "redirects at other paths": with_change_elsewhere(
        lambda request, answer: (
            EndpointAnswer(status=308, extra_fields=(("Location", PATH),)) if answer.status == 404 else answer
        )
    ),
    "a server's name and version": when(
        lambda request: True,
        lambda request, answer: replace(
            answer,
            extra_fields=(
                *answer.extra_fields,
                ("Server", "nginx/1.25.3"),
                ("X-Powered-By", "Express"),
                ("Via", "1.1 ip-10-0-3-7.ec2.internal"),
            ),
        ),
    ),
    "a WWW-Authenticate challenge": on_status(
        401, lambda answer: replace(answer, extra_fields=(("WWW-Authenticate", 'Api-Key realm="chain"'),))
    ),
    "errors with a parser's message": on_status(
        400,
        lambda answer: replace(
            answer,
            body=json.dumps(
                {
                    "error": "Expecting value: line 1 column 1 (char 0); see https://docs.example.com/usr/lib/errors.html",
                    "detail": 'body.names: Input should be a valid string, at "/names/0" [type=string_type, input_value=1]',
                    "error_code": "client_error",
                }
            ).encode(),
        ),
    ),
    "errors that repeat the request's path": with_change_elsewhere(
        lambda request, answer: (
            replace(answer, body=json.dumps({"error": f"no route for {request.method} {request.path}"}).encode())
            if KEY not in request.path
            else answer
        )
    ),
    "errors on demand without a code": when(
        lambda request: bool(request.values("x-emulate")),
        lambda request, answer: without_code(answer) if answer.status >= 400 else answer,
    ),
    "errors on demand with a Retry-After date": when(
        lambda request: "rate_limited" in request.values("x-emulate"),
        lambda request, answer: replace(answer, extra_fields=(("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"),)),
    ),
    "400 to two Authorization fields and to non-ASCII keys": when(
        lambda request: (
            request.path == PATH
            and request.method == "POST"
            and (len(request.values("authorization")) > 1 or not "".join(request.values("authorization")).isascii())
        ),
        lambda request, answer: error(400, "client_error"),
    ),
    "421 to other hosts": when(
        lambda request: re.fullmatch(r"127\.0\.0\.1:\d+", "".join(request.values("host"))) is None, plain_text(421)
    ),
    "429 to many unauthenticated requests": limiting_unauthenticated(),
}


@pytest.mark.parametrize("name", list(CORRECT_VARIANTS)[:: 1 if ALL else 2])
def test_a_correct_endpoint_has_no_findings(name: str, run_suite: RunSuite) -> None:
    """Answers may vary where the document says nothing."""
    result = run_suite(CORRECT_VARIANTS[name], checks=AUTHENTICATION_CHECKS)

    assert result.lines == []
    assert result.skipped.keys() <= {"every_form_of_the_own_host_name_is_recognised"}


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
def test_error_messages_are_not_stack_traces(text: str) -> None:
    """Helpful error texts are not stack traces."""
    assert stack_trace_in(text) is None
    assert stack_trace_in(json.dumps({"error": text})) is None


def test_text_of_the_request_is_not_a_stack_trace() -> None:
    """Text from the request may be repeated."""
    assert stack_trace_in("no file /etc/chain.conf", sent="/etc/chain.conf") is None
    assert stack_trace_in("no file /etc/chain.conf", sent="/etc/other.conf") == "a path of the server"


@pytest.mark.parametrize("key", [KEY, "short", "without-a-dot-1", "a.b", "abcd1234.abcd1234", ".x.", "x" * 200])
def test_an_almost_correct_key_must_be_rejected(key: str) -> None:
    """Every wrong key must be answered 401."""
    terms = Terms(key=ApiKey(key), echo=True)
    for wrong_key in wrong_keys(key, "KEY"):
        request = CheckRequest(fields=(("Authorization", f"Api-Key {wrong_key.text}"), JSON_TYPE), body=b"{}")
        found = expectation(request, terms)

        assert wrong_key.text != key
        assert found is not None, wrong_key.label
        assert found.is_met_by(Answer(status=401, headers=()))
        assert not found.is_met_by(Answer(status=200, headers=()))
        assert key not in wrong_key.secret.shell_word


def test_a_key_with_control_characters_must_be_rejected() -> None:
    """The HTTP server may reject the message with any status, but nothing may accept it."""
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
def test_equal_paths_are_recognised(path: str, expected: bool) -> None:
    """Paths are the same if they are equal by RFC 3986 or after normalisation by servers."""
    assert expected == is_same_path(path, PATH)


def test_a_short_part_of_a_key_is_not_a_leak() -> None:
    """Common words that are part of a key are not looked for."""
    assert "chain" not in encodings("chain.application")
    assert "application" not in encodings("chain.application")
