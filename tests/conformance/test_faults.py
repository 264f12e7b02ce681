"""
Whoever breaks a clause is caught for that clause.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace

import pytest

from chainproof.conformance.checks import CHECKS
from chainproof.contract.chain_schema import Schema

from .conftest import GENERATED_CHECKS, HANDWRITTEN_CHECKS, RunSuite
from .endpoints import (
    KEY,
    AnswerFunction,
    EndpointAnswer,
    EndpointRequest,
    SwappedAnswers,
    answer_bytes,
    as_if,
    authorization_starts_with,
    duplicate_request_ids,
    error,
    is_object,
    on_every_answer,
    on_status,
    when,
    with_right_key,
    without_trailing_commas,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyEndpoint:
    """
    A server that breaks the contract in one way.
    """

    name: str
    breaks: set[str]
    """The clauses for which it is caught, and no others."""
    server: AnswerFunction
    options: dict[str, object] = field(default_factory=dict)


def ours(asked: EndpointRequest) -> bool:
    """
    Whether a request is for the operation.
    """
    return asked.method == "POST" and asked.path.startswith("/production/run_remote")


def python_takes(asked: EndpointRequest) -> bool:
    """
    Whether Python's parser takes a body that is no JSON.
    """
    try:
        return isinstance(json.loads(asked.body), dict) and not is_object(asked.body)
    except (ValueError, RecursionError):
        return False


def accepted(asked: EndpointRequest, said: EndpointAnswer) -> EndpointAnswer:
    """
    Any object at all.
    """
    return EndpointAnswer(status=200, body=b"{}")


FAULTS = (
    # status, and what stands in a body
    FaultyEndpoint(
        name="500 to an empty object",
        breaks={"status"},
        server=when(
            lambda asked: asked.authorized and asked.body == b"{}" and ours(asked) and not asked.values("x-emulate"),
            lambda asked, said: error(500, None),
        ),
    ),
    FaultyEndpoint(
        name="401 without JSON",
        breaks={"error-media-type"},
        server=on_status(401, lambda said: replace(said, body=b"No Authorization", media_type="text/plain")),
    ),
    FaultyEndpoint(
        name="an HTML 502",
        breaks={"error-media-type"},
        server=when(
            lambda asked: "application_error" in asked.values("x-emulate"),
            lambda asked, said: replace(said, body=b"<html>Bad Gateway</html>", media_type="text/html"),
        ),
    ),
    FaultyEndpoint(
        name="an error that is an array",
        breaks={"error-object"},
        server=on_status(400, lambda said: replace(said, body=b'["no"]')),
    ),
    FaultyEndpoint(
        name="an error object in `error`",
        breaks={"error-message"},
        server=on_status(400, lambda said: replace(said, body=b'{"error":{"message":"no"}}')),
    ),
    FaultyEndpoint(
        name="a number in `detail`",
        breaks={"error-detail"},
        server=on_status(400, lambda said: replace(said, body=b'{"detail":4}')),
    ),
    FaultyEndpoint(
        name="an invented code",
        breaks={"error-code"},
        server=on_status(401, lambda said: replace(said, body=b'{"error_code":"gremlins"}')),
    ),
    FaultyEndpoint(
        name="null as the code",
        breaks={"error-code"},
        server=on_status(401, lambda said: replace(said, body=b'{"error_code":null}')),
    ),
    FaultyEndpoint(
        name="a code with another's status",
        breaks={"error-code-status"},
        server=on_status(400, lambda said: replace(said, body=b'{"error_code":"timeout"}')),
    ),
    FaultyEndpoint(
        name="503 for a timeout on demand",
        breaks={"error-code-status"},
        server=when(
            lambda asked: "timeout" in asked.values("x-emulate"), lambda asked, said: replace(said, status=503)
        ),
    ),
    FaultyEndpoint(
        name="an array as output",
        breaks={"output-object"},
        server=on_status(200, lambda said: replace(said, body=b"[" + said.body + b"]")),
    ),
    FaultyEndpoint(
        name="text as output",
        breaks={"output-media-type"},
        server=on_status(200, lambda said: replace(said, body=b"fine", media_type="text/plain")),
    ),
    FaultyEndpoint(
        name="NaN as output",
        breaks={"output-json"},
        server=on_status(200, lambda said: replace(said, body=b'{"x":NaN}')),
    ),
    FaultyEndpoint(
        name="an output of another shape",
        breaks={"output-schema"},
        server=on_status(200, lambda said: replace(said, body=b'{"greetings":"Hello"}')),
        options={
            "output_schema": Schema(
                source="a chain", document={"type": "object", "properties": {"greetings": {"type": "array"}}}
            )
        },
    ),
    FaultyEndpoint(
        name="output without Content-Type",
        breaks={"output-media-type"},
        server=on_status(200, lambda said: replace(said, media_type=None)),
    ),
    FaultyEndpoint(
        name="a redirect",
        breaks={"status"},
        server=on_status(400, lambda said: replace(said, status=302, more=(("Location", "/"),))),
    ),
    # request ids
    FaultyEndpoint(
        name="one request id for all",
        breaks={"request-id-unique"},
        server=on_every_answer(lambda said: replace(said, request_id="0")),
    ),
    FaultyEndpoint(name="request ids in pairs", breaks={"request-id-unique"}, server=duplicate_request_ids()),
    FaultyEndpoint(
        name="no request id",
        breaks={"request-id-present", "request-id-on-errors"},
        server=on_every_answer(lambda said: replace(said, request_id=None)),
    ),
    FaultyEndpoint(
        name="no request id on errors",
        breaks={"request-id-on-errors"},
        server=on_status(401, lambda said: replace(said, request_id=None)),
    ),
    FaultyEndpoint(
        name="an empty request id",
        breaks={"request-id-present"},
        server=on_status(200, lambda said: replace(said, request_id="")),
    ),
    FaultyEndpoint(
        name="two request ids",
        breaks={"request-id-present"},
        server=on_status(200, lambda said: replace(said, more=(("X-BASETEN-REQUEST-ID", said.request_id or ""),))),
    ),
    FaultyEndpoint(
        name="the caller's request id",
        breaks={"request-id-unique"},
        server=when(
            lambda asked: bool(asked.values("x-baseten-request-id")),
            lambda asked, said: replace(said, request_id=asked.values("x-baseten-request-id")[0]),
        ),
    ),
    # who is let in
    FaultyEndpoint(
        name="nobody needs a key",
        breaks={"authentication-required"},
        server=as_if(with_right_key, lambda asked: not asked.values("authorization")),
    ),
    FaultyEndpoint(
        name="any key opens",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda asked: authorization_starts_with(asked, "api-key ")),
    ),
    FaultyEndpoint(
        name="any Authorization opens",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda asked: bool(asked.values("authorization"))),
    ),
    FaultyEndpoint(
        name="a key that begins right",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda asked: authorization_starts_with(asked, f"Api-Key {KEY}".lower())),
    ),
    FaultyEndpoint(
        name="a key's first part is enough",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda asked: "".join(asked.values("authorization")) == f"Api-Key {KEY[:-1]}"),
    ),
    FaultyEndpoint(
        name="the key in any letter case",
        breaks={"key-verified"},
        server=as_if(
            with_right_key, lambda asked: "".join(asked.values("authorization")).lower() == f"api-key {KEY}".lower()
        ),
    ),
    FaultyEndpoint(
        name="an empty key",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda asked: "".join(asked.values("authorization")).strip() == "Api-Key"),
    ),
    FaultyEndpoint(
        name="the key without its prefix",
        breaks={"key-prefix"},
        server=as_if(with_right_key, lambda asked: asked.values("authorization") == [KEY]),
    ),
    FaultyEndpoint(
        name="Bearer",
        breaks={"key-prefix"},
        server=as_if(with_right_key, lambda asked: authorization_starts_with(asked, "bearer " + KEY.lower())),
    ),
    FaultyEndpoint(
        name="Basic",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda asked: authorization_starts_with(asked, "basic ")),
    ),
    FaultyEndpoint(
        name="the key in the query",
        breaks={"key-location"},
        server=as_if(with_right_key, lambda asked: f"api_key={KEY}" in asked.path),
    ),
    FaultyEndpoint(
        name="the key in X-API-Key",
        breaks={"key-location"},
        server=as_if(with_right_key, lambda asked: asked.values("x-api-key") == [KEY]),
    ),
    FaultyEndpoint(
        name="the key in a cookie",
        breaks={"key-location"},
        server=as_if(with_right_key, lambda asked: KEY in "".join(asked.values("cookie"))),
    ),
    FaultyEndpoint(
        name="the key in the body",
        breaks={"key-location"},
        server=as_if(with_right_key, lambda asked: KEY.encode() in asked.body),
    ),
    # what is accepted
    FaultyEndpoint(
        name="arrays",
        breaks={"non-object-rejected"},
        server=when(lambda asked: asked.authorized and ours(asked) and asked.body == b"[]", accepted),
    ),
    FaultyEndpoint(
        name="null",
        breaks={"non-object-rejected"},
        server=when(lambda asked: asked.authorized and ours(asked) and asked.body == b"null", accepted),
    ),
    FaultyEndpoint(
        name="trailing commas",
        breaks={"invalid-json-rejected"},
        server=as_if(without_trailing_commas, lambda asked: not is_object(asked.body)),
    ),
    FaultyEndpoint(
        name="whatever Python takes",
        breaks={"invalid-json-rejected"},
        server=when(lambda asked: asked.authorized and ours(asked) and python_takes(asked), accepted),
    ),
    FaultyEndpoint(
        name="trailing text",
        breaks={"invalid-json-rejected"},
        server=when(
            lambda asked: (
                asked.authorized and ours(asked) and asked.body.startswith(b'{"a":1}') and not is_object(asked.body)
            ),
            accepted,
        ),
    ),
    FaultyEndpoint(
        name="the plainest object fails the chain",
        # Most checks send it, so it is seen wherever a 502 is not what was asked for.
        breaks={"object-accepted", "error-on-demand"},
        server=when(
            lambda asked: asked.authorized and ours(asked) and asked.body == b"{}",
            lambda asked, said: error(502, "application_error"),
        ),
    ),
    FaultyEndpoint(
        name="an empty body",
        breaks={"body-required"},
        server=when(lambda asked: asked.authorized and ours(asked) and not asked.body, accepted),
    ),
    FaultyEndpoint(
        name="502 to whatever is no JSON",
        breaks={"invalid-json-rejected", "non-object-rejected"},
        server=when(
            lambda asked: asked.authorized and ours(asked) and b"x" in asked.body and not is_object(asked.body),
            lambda asked, said: error(502, None),
        ),
    ),
    FaultyEndpoint(
        name="no raw UTF-8",
        breaks={"object-accepted"},
        server=when(
            lambda asked: asked.authorized and ours(asked) and is_object(asked.body) and not asked.body.isascii(),
            lambda asked, said: error(400, "client_error"),
        ),
    ),
    FaultyEndpoint(
        name="no exponents",
        breaks={"object-accepted"},
        server=when(
            lambda asked: (
                asked.authorized
                and ours(asked)
                and is_object(asked.body)
                and re.search(rb"\dE", asked.body) is not None
            ),
            lambda asked, said: error(400, "client_error"),
        ),
    ),
    FaultyEndpoint(
        name="any media type",
        breaks={"media-type-required"},
        server=as_if(
            lambda asked: replace(
                asked,
                fields=(
                    *(each for each in asked.fields if each[0].lower() != "content-type"),
                    ("Content-Type", "application/json"),
                ),
            )
        ),
    ),
    FaultyEndpoint(
        name="no media type parameters",
        breaks={"media-type-parameters"},
        server=when(
            lambda asked: (
                any(";" in value for value in asked.values("content-type")) and asked.authorized and ours(asked)
            ),
            lambda asked, said: error(400, "client_error"),
        ),
    ),
    FaultyEndpoint(
        name="no media type parameters, without an echo",
        breaks={"media-type-parameters"},
        server=when(
            lambda asked: (
                any(";" in value for value in asked.values("content-type")) and asked.authorized and ours(asked)
            ),
            lambda asked, said: error(400, "client_error"),
        ),
        options={"echo": False, "steerable": False},
    ),
    # where it lives
    FaultyEndpoint(
        name="GET",
        breaks={"other-methods-rejected"},
        server=as_if(lambda asked: replace(asked, method="POST"), lambda asked: asked.method == "GET"),
    ),
    FaultyEndpoint(
        name="a method in a header",
        breaks={"other-methods-rejected"},
        server=as_if(
            lambda asked: replace(asked, method="POST"), lambda asked: bool(asked.values("x-http-method-override"))
        ),
    ),
    FaultyEndpoint(
        name="405 without Allow", breaks={"allow-header"}, server=on_every_answer(lambda said: replace(said, more=()))
    ),
    FaultyEndpoint(
        name="any path",
        breaks={"other-paths-rejected"},
        server=as_if(lambda asked: replace(asked, path="/production/run_remote"), lambda asked: asked.method == "POST"),
    ),
    FaultyEndpoint(
        name="any letter case of the path",
        breaks={"other-paths-rejected"},
        server=as_if(lambda asked: replace(asked, path=asked.path.lower())),
    ),
    FaultyEndpoint(
        name="regional hosts",
        breaks={"regional-host"},
        server=as_if(lambda asked: replace(asked, fields=tuple(each for each in asked.fields if each[0] != "Host"))),
    ),
    # whose answer it is, and what it gives away
    FaultyEndpoint(name="another request's answer", breaks={"answer-matches-request"}, server=SwappedAnswers()),
    FaultyEndpoint(
        name="true as 1",
        breaks={"echo-exact"},
        server=on_status(200, lambda said: replace(said, body=said.body.replace(b"true", b"1"))),
    ),
    FaultyEndpoint(
        name="the key in an error",
        breaks={"no-credential-leak"},
        server=when(
            lambda asked: ours(asked) and not asked.values("x-emulate") and not is_object(asked.body),
            lambda asked, said: error(said.status, None, f"Not with {asked.values('authorization')}"),
        ),
    ),
    FaultyEndpoint(
        name="the key in a header",
        breaks={"no-credential-leak"},
        server=when(
            lambda asked: True,
            lambda asked, said: replace(
                said, more=(*said.more, ("X-Debug", "".join(asked.values("authorization")).strip()))
            ),
        ),
    ),
    FaultyEndpoint(
        name="a wrong key in the error",
        breaks={"no-credential-leak"},
        server=when(
            lambda asked: authorization_starts_with(asked, "api-key") and not asked.authorized and ours(asked),
            lambda asked, said: error(401, "unauthorized", f"unknown key: {asked.values('authorization')[0]}"),
        ),
    ),
    FaultyEndpoint(
        name="a stack trace",
        breaks={"no-internals"},
        server=on_status(
            400,
            lambda said: replace(
                said,
                body=json.dumps({"error": 'Traceback (most recent call last):\n  File "/app/x.py", line 3'}).encode(),
            ),
        ),
    ),
    # the message itself
    FaultyEndpoint(
        name="a dropped connection",
        breaks={"request-answered"},
        server=when(lambda asked: asked.body == b"[]" and ours(asked), lambda asked, said: replace(said, raw=b"")),
    ),
    FaultyEndpoint(
        name="no HTTP",
        breaks={"response-framing"},
        server=when(
            lambda asked: asked.body == b"[]" and ours(asked), lambda asked, said: replace(said, raw=b"hello\r\n\r\n")
        ),
    ),
    FaultyEndpoint(
        name="an answer cut short",
        breaks={"response-framing"},
        server=when(
            lambda asked: asked.body == b"[]" and ours(asked),
            lambda asked, said: replace(said, raw=answer_bytes(said)[:-3]),
        ),
    ),
    FaultyEndpoint(
        name="bytes behind the answer",
        breaks={"response-framing"},
        server=when(
            lambda asked: asked.body == b"[]" and ours(asked),
            lambda asked, said: replace(said, raw=answer_bytes(said) + b"{}"),
        ),
    ),
    FaultyEndpoint(
        name="two lengths",
        breaks={"response-framing"},
        server=when(
            lambda asked: asked.body == b"[]" and ours(asked),
            lambda asked, said: replace(said, more=(("Content-Length", "1"),)),
        ),
    ),
    FaultyEndpoint(
        name="a drip",
        breaks={"request-answered"},
        server=when(
            lambda asked: asked.body == b"[]" and ours(asked), lambda asked, said: replace(said, byte_interval=0.05)
        ),
        options={"deadline": 0.4},
    ),
    FaultyEndpoint(
        name="never a body under 401",
        breaks={"error-json"},
        server=on_status(401, lambda said: replace(said, body=b"")),
    ),
)


SEEN_BY_SCHEMATHESIS = (
    "an array as output",
    "an error object in `error`",
    "an invented code",
    "null",
    "nobody needs a key",
    "output without Content-Type",
    "a redirect",
    "GET",
)
"""Faults that requests made from the document alone are enough for."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_caught_for_its_clause(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """
    For its clause, and for no other, by the checks that uphold it and by those of errors and ids.
    """
    checks = [
        check
        for check in HANDWRITTEN_CHECKS
        if check.module in ("credentials", "failure", "identity", "internals")
        or {clause.id for clause in check.clauses} & fault.breaks
    ]
    examined = run_suite(fault.server, checks=checks, examples=2, **fault.options)

    assert fault.breaks == examined.clauses, examined.lines


@pytest.mark.parametrize("fault", FAULTS[::12], ids=lambda fault: fault.name)
def test_no_other_check_accuses_it_of_anything_else(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """
    Whichever check asks.
    """
    examined = run_suite(fault.server, checks=HANDWRITTEN_CHECKS, examples=2, **fault.options)

    assert fault.breaks == examined.clauses, examined.lines


@pytest.mark.parametrize("fault", FAULTS[::9], ids=lambda fault: fault.name)
def test_schemathesis_accuses_nobody_of_anything_else(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """
    What Schemathesis makes of the document, and says of the answers, leads to the same clauses or to none.
    """
    examined = run_suite(fault.server, checks=GENERATED_CHECKS, **fault.options)

    assert examined.clauses <= fault.breaks, examined.lines


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault.name in SEEN_BY_SCHEMATHESIS], ids=lambda fault: fault.name
)
def test_schemathesis_sees_what_it_can(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """
    The document alone leads to the commonest violations.
    """
    examined = run_suite(fault.server, checks=GENERATED_CHECKS, **fault.options)

    assert examined.clauses
    assert examined.clauses <= fault.breaks, examined.lines


def test_a_departure_is_one_finding_however_often_it_is_seen(run_suite: RunSuite) -> None:
    """
    Its count says how often, and its request is the smallest that shows it.
    """
    server = when(
        lambda asked: asked.authorized and ours(asked) and is_object(asked.body) and b"true" in asked.body,
        lambda asked, said: error(400, "client_error"),
    )
    generated = [check for check in CHECKS if check.name == "generated_objects_are_accepted"]

    found = run_suite(server, checks=generated, examples=80).findings

    assert [(each.actual, each.cases) for each in found] == [("status 400", ("a generated object",))]
    assert found[0].count > 1
    assert re.search(r"""--data-binary '\{"[^"]{0,12}":true\}'$""", found[0].reproduce)
