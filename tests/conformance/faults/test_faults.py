"""The checks find violations of each clause in a faulty endpoint, and nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace

import pytest

from chainproof.chain_schema.schema import Schema
from chainproof.conformance.checks.catalogue import ALL_CHECKS

from ..conftest import GENERATED_CHECKS, HANDWRITTEN_CHECKS, LIGHT_HANDWRITTEN_CHECKS, RunSuite
from ..endpoints import (
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
from ..sampling import ALL, sample


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyEndpoint:
    """An endpoint that breaks the contract in one way."""

    name: str
    breaks: set[str]
    """Ids of the clauses with findings, and of no others."""
    server: AnswerFunction
    options: dict[str, object] = field(default_factory=dict)


def is_for_operation(request: EndpointRequest) -> bool:
    """True if a request is for the operation."""
    return request.method == "POST" and request.path.startswith("/production/run_remote")


def is_accepted_by_python(request: EndpointRequest) -> bool:
    """True if Python's parser accepts a body that is not JSON."""
    try:
        return isinstance(json.loads(request.body), dict) and not is_object(request.body)
    except (ValueError, RecursionError):
        return False


def accept(request: EndpointRequest, answer: EndpointAnswer) -> EndpointAnswer:
    """Accept any body."""
    return EndpointAnswer(status=200, body=b"{}")


FAULTS = (
    # statuses and error bodies
    FaultyEndpoint(
        name="500 for an empty object",
        breaks={"status"},
        server=when(
            lambda request: (
                request.authorized
                and request.body == b"{}"
                and is_for_operation(request)
                and not request.values("x-emulate")
            ),
            lambda request, answer: error(500, None),
        ),
    ),
    FaultyEndpoint(
        name="400 for an invalid body without a key",
        breaks={"authentication-first"},
        server=when(
            lambda request: not request.authorized and request.body in (b"{", b"[]"),
            lambda request, answer: error(400, "client_error"),
        ),
    ),
    FaultyEndpoint(
        name="400 in place of 401",
        breaks={"unauthorized-status"},
        server=on_status(401, lambda answer: error(400, "client_error")),
    ),
    FaultyEndpoint(
        name="401 that is not JSON",
        breaks={"error-media-type"},
        server=on_status(401, lambda answer: replace(answer, body=b"No Authorization", media_type="text/plain")),
    ),
    FaultyEndpoint(
        name="an HTML 502",
        breaks={"error-media-type"},
        server=when(
            lambda request: "application_error" in request.values("x-emulate"),
            lambda request, answer: replace(answer, body=b"<html>Bad Gateway</html>", media_type="text/html"),
        ),
    ),
    FaultyEndpoint(
        name="an array as the error",
        breaks={"error-object"},
        server=on_status(400, lambda answer: replace(answer, body=b'["no"]')),
    ),
    FaultyEndpoint(
        name="an object in `error`",
        breaks={"error-message"},
        server=on_status(400, lambda answer: replace(answer, body=b'{"error":{"message":"no"}}')),
    ),
    FaultyEndpoint(
        name="a number in `detail`",
        breaks={"error-detail"},
        server=on_status(400, lambda answer: replace(answer, body=b'{"detail":4}')),
    ),
    FaultyEndpoint(
        name="an undocumented error code",
        breaks={"error-code"},
        server=on_status(401, lambda answer: replace(answer, body=b'{"error_code":"gremlins"}')),
    ),
    FaultyEndpoint(
        name="null as the error code",
        breaks={"error-code"},
        server=on_status(401, lambda answer: replace(answer, body=b'{"error_code":null}')),
    ),
    FaultyEndpoint(
        name="an error code with the status of another",
        breaks={"error-code-status"},
        server=on_status(400, lambda answer: replace(answer, body=b'{"error_code":"timeout"}')),
    ),
    FaultyEndpoint(
        name="503 for a timeout on demand",
        breaks={"error-code-status"},
        server=when(
            lambda request: "timeout" in request.values("x-emulate"),
            lambda request, answer: replace(answer, status=503),
        ),
    ),
    FaultyEndpoint(
        name="an array as output",
        breaks={"output-object"},
        server=on_status(200, lambda answer: replace(answer, body=b"[" + answer.body + b"]")),
    ),
    FaultyEndpoint(
        name="text as output",
        breaks={"output-media-type"},
        server=on_status(200, lambda answer: replace(answer, body=b"fine", media_type="text/plain")),
    ),
    FaultyEndpoint(
        name="NaN as output",
        breaks={"output-json"},
        server=on_status(200, lambda answer: replace(answer, body=b'{"x":NaN}')),
    ),
    FaultyEndpoint(
        name="an output that does not match its schema",
        breaks={"output-schema"},
        server=on_status(200, lambda answer: replace(answer, body=b'{"greetings":"Hello"}')),
        options={
            "output_schema": Schema(
                source="a chain", document={"type": "object", "properties": {"greetings": {"type": "array"}}}
            )
        },
    ),
    FaultyEndpoint(
        name="output without Content-Type",
        breaks={"output-media-type"},
        server=on_status(200, lambda answer: replace(answer, media_type=None)),
    ),
    FaultyEndpoint(
        name="a redirect",
        breaks={"status"},
        server=on_status(400, lambda answer: replace(answer, status=302, extra_fields=(("Location", "/"),))),
    ),
    # request ids
    FaultyEndpoint(
        name="the same request id for all",
        breaks={"request-id-unique"},
        server=on_every_answer(lambda answer: replace(answer, request_id="0")),
    ),
    FaultyEndpoint(name="each request id used twice", breaks={"request-id-unique"}, server=duplicate_request_ids()),
    FaultyEndpoint(
        name="no request id",
        breaks={"request-id-present", "request-id-on-errors"},
        server=on_every_answer(lambda answer: replace(answer, request_id=None)),
    ),
    FaultyEndpoint(
        name="no request id on errors",
        breaks={"request-id-on-errors"},
        server=on_status(401, lambda answer: replace(answer, request_id=None)),
    ),
    FaultyEndpoint(
        name="an empty request id",
        breaks={"request-id-present"},
        server=on_status(200, lambda answer: replace(answer, request_id="")),
    ),
    FaultyEndpoint(
        name="two request ids",
        breaks={"request-id-present"},
        server=on_status(
            200, lambda answer: replace(answer, extra_fields=(("X-BASETEN-REQUEST-ID", answer.request_id or ""),))
        ),
    ),
    FaultyEndpoint(
        name="the request id sent by the client",
        breaks={"request-id-unique"},
        server=when(
            lambda request: bool(request.values("x-baseten-request-id")),
            lambda request, answer: replace(answer, request_id=request.values("x-baseten-request-id")[0]),
        ),
    ),
    # authentication
    FaultyEndpoint(
        name="no key required",
        breaks={"authentication-required"},
        server=as_if(with_right_key, lambda request: not request.values("authorization")),
    ),
    FaultyEndpoint(
        name="any key accepted",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda request: authorization_starts_with(request, "api-key ")),
    ),
    FaultyEndpoint(
        name="any Authorization accepted",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda request: bool(request.values("authorization"))),
    ),
    FaultyEndpoint(
        name="a key with extra characters accepted",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda request: authorization_starts_with(request, f"Api-Key {KEY}".lower())),
    ),
    FaultyEndpoint(
        name="a key without its last character accepted",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda request: "".join(request.values("authorization")) == f"Api-Key {KEY[:-1]}"),
    ),
    FaultyEndpoint(
        name="a key in any letter case accepted",
        breaks={"key-verified"},
        server=as_if(
            with_right_key, lambda request: "".join(request.values("authorization")).lower() == f"api-key {KEY}".lower()
        ),
    ),
    FaultyEndpoint(
        name="an empty key accepted",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda request: "".join(request.values("authorization")).strip() == "Api-Key"),
    ),
    FaultyEndpoint(
        name="the key without its scheme accepted",
        breaks={"key-prefix"},
        server=as_if(with_right_key, lambda request: request.values("authorization") == [KEY]),
    ),
    FaultyEndpoint(
        name="the key with Bearer accepted",
        breaks={"key-prefix"},
        server=as_if(with_right_key, lambda request: authorization_starts_with(request, "bearer " + KEY.lower())),
    ),
    FaultyEndpoint(
        name="any Basic credentials accepted",
        breaks={"key-verified"},
        server=as_if(with_right_key, lambda request: authorization_starts_with(request, "basic ")),
    ),
    FaultyEndpoint(
        name="the key accepted in the query",
        breaks={"key-location"},
        server=as_if(with_right_key, lambda request: f"api_key={KEY}" in request.path),
    ),
    FaultyEndpoint(
        name="the key accepted in X-API-Key",
        breaks={"key-location"},
        server=as_if(with_right_key, lambda request: request.values("x-api-key") == [KEY]),
    ),
    FaultyEndpoint(
        name="the key accepted in a cookie",
        breaks={"key-location"},
        server=as_if(with_right_key, lambda request: KEY in "".join(request.values("cookie"))),
    ),
    FaultyEndpoint(
        name="the key accepted in the body",
        breaks={"key-location"},
        server=as_if(with_right_key, lambda request: KEY.encode() in request.body),
    ),
    # request bodies and media types
    FaultyEndpoint(
        name="arrays accepted",
        breaks={"non-object-rejected"},
        server=when(lambda request: request.authorized and is_for_operation(request) and request.body == b"[]", accept),
    ),
    FaultyEndpoint(
        name="null accepted",
        breaks={"non-object-rejected"},
        server=when(
            lambda request: request.authorized and is_for_operation(request) and request.body == b"null", accept
        ),
    ),
    FaultyEndpoint(
        name="trailing commas accepted",
        breaks={"invalid-json-rejected"},
        server=as_if(without_trailing_commas, lambda request: not is_object(request.body)),
    ),
    FaultyEndpoint(
        name="everything accepted that Python parses",
        breaks={"invalid-json-rejected"},
        server=when(
            lambda request: request.authorized and is_for_operation(request) and is_accepted_by_python(request), accept
        ),
    ),
    FaultyEndpoint(
        name="trailing text accepted",
        breaks={"invalid-json-rejected"},
        server=when(
            lambda request: (
                request.authorized
                and is_for_operation(request)
                and request.body.startswith(b'{"a":1}')
                and not is_object(request.body)
            ),
            accept,
        ),
    ),
    FaultyEndpoint(
        name="an empty object makes the chain fail",
        # The other checks use an object that the chain accepts.
        breaks={"object-accepted"},
        server=when(
            lambda request: request.authorized and is_for_operation(request) and request.body == b"{}",
            lambda request, answer: error(502, "application_error"),
        ),
    ),
    FaultyEndpoint(
        name="an empty body accepted",
        breaks={"body-required"},
        server=when(lambda request: request.authorized and is_for_operation(request) and not request.body, accept),
    ),
    FaultyEndpoint(
        name="502 for invalid JSON",
        breaks={"invalid-json-rejected", "non-object-rejected"},
        server=when(
            lambda request: (
                request.authorized
                and is_for_operation(request)
                and b"x" in request.body
                and not is_object(request.body)
            ),
            lambda request, answer: error(502, None),
        ),
    ),
    FaultyEndpoint(
        name="unescaped UTF-8 rejected",
        breaks={"object-accepted"},
        server=when(
            lambda request: (
                request.authorized
                and is_for_operation(request)
                and is_object(request.body)
                and not request.body.isascii()
            ),
            lambda request, answer: error(400, "client_error"),
        ),
    ),
    FaultyEndpoint(
        name="exponents rejected",
        breaks={"object-accepted"},
        server=when(
            lambda request: (
                request.authorized
                and is_for_operation(request)
                and is_object(request.body)
                and re.search(rb"\dE", request.body) is not None
            ),
            lambda request, answer: error(400, "client_error"),
        ),
    ),
    FaultyEndpoint(
        name="any media type accepted",
        breaks={"media-type-required", "media-type-missing"},
        server=as_if(
            lambda request: replace(
                request,
                fields=(
                    *(each for each in request.fields if each[0].lower() != "content-type"),
                    ("Content-Type", "application/json"),
                ),
            )
        ),
    ),
    FaultyEndpoint(
        name="media type parameters rejected",
        breaks={"media-type-parameters"},
        server=when(
            lambda request: (
                any(";" in value for value in request.values("content-type"))
                and request.authorized
                and is_for_operation(request)
            ),
            lambda request, answer: error(400, "client_error"),
        ),
    ),
    FaultyEndpoint(
        name="media type parameters rejected, without an echo",
        breaks={"media-type-parameters"},
        server=when(
            lambda request: (
                any(";" in value for value in request.values("content-type"))
                and request.authorized
                and is_for_operation(request)
            ),
            lambda request, answer: error(400, "client_error"),
        ),
        options={"echo": False, "steerable": False},
    ),
    # methods, paths and hosts
    FaultyEndpoint(
        name="GET accepted",
        breaks={"other-methods-rejected"},
        server=as_if(lambda request: replace(request, method="POST"), lambda request: request.method == "GET"),
    ),
    FaultyEndpoint(
        name="a method override in a header accepted",
        breaks={"other-methods-rejected"},
        server=as_if(
            lambda request: replace(request, method="POST"),
            lambda request: bool(request.values("x-http-method-override")),
        ),
    ),
    FaultyEndpoint(
        name="405 without Allow",
        breaks={"allow-header"},
        server=on_every_answer(lambda answer: replace(answer, extra_fields=())),
    ),
    FaultyEndpoint(
        name="any path accepted",
        breaks={"other-paths-rejected"},
        server=as_if(
            lambda request: replace(request, path="/production/run_remote"), lambda request: request.method == "POST"
        ),
    ),
    FaultyEndpoint(
        name="a path in any letter case accepted",
        breaks={"other-paths-rejected"},
        server=as_if(lambda request: replace(request, path=request.path.lower())),
    ),
    FaultyEndpoint(
        name="the path accepted on regional hosts",
        breaks={"regional-host"},
        server=as_if(
            lambda request: replace(request, fields=tuple(each for each in request.fields if each[0] != "Host"))
        ),
    ),
    # mixed-up answers and leaks
    FaultyEndpoint(name="another request's answer", breaks={"answer-matches-request"}, server=SwappedAnswers()),
    FaultyEndpoint(
        name="true returned as 1",
        breaks={"echo-exact"},
        server=on_status(200, lambda answer: replace(answer, body=answer.body.replace(b"true", b"1"))),
    ),
    FaultyEndpoint(
        name="the key in an error",
        breaks={"no-credential-leak"},
        server=when(
            lambda request: (
                is_for_operation(request) and not request.values("x-emulate") and not is_object(request.body)
            ),
            lambda request, answer: error(answer.status, None, f"Not with {request.values('authorization')}"),
        ),
    ),
    FaultyEndpoint(
        name="the key in a header",
        breaks={"no-credential-leak"},
        server=when(
            lambda request: True,
            lambda request, answer: replace(
                answer,
                extra_fields=(*answer.extra_fields, ("X-Debug", "".join(request.values("authorization")).strip())),
            ),
        ),
    ),
    FaultyEndpoint(
        name="a wrong key in the error",
        breaks={"no-credential-leak"},
        server=when(
            lambda request: (
                authorization_starts_with(request, "api-key") and not request.authorized and is_for_operation(request)
            ),
            lambda request, answer: error(401, "unauthorized", f"unknown key: {request.values('authorization')[0]}"),
        ),
    ),
    FaultyEndpoint(
        name="a stack trace",
        breaks={"no-internals"},
        server=on_status(
            400,
            lambda answer: replace(
                answer,
                body=json.dumps({"error": 'Traceback (most recent call last):\n  File "/app/x.py", line 3'}).encode(),
            ),
        ),
    ),
    # HTTP messages
    FaultyEndpoint(
        name="a dropped connection",
        breaks={"request-answered"},
        server=when(
            lambda request: request.body == b"[]" and is_for_operation(request),
            lambda request, answer: replace(answer, raw=b""),
        ),
    ),
    FaultyEndpoint(
        name="an answer that is not HTTP",
        breaks={"response-framing"},
        server=when(
            lambda request: request.body == b"[]" and is_for_operation(request),
            lambda request, answer: replace(answer, raw=b"hello\r\n\r\n"),
        ),
    ),
    FaultyEndpoint(
        name="a truncated answer",
        breaks={"response-framing"},
        server=when(
            lambda request: request.body == b"[]" and is_for_operation(request),
            lambda request, answer: replace(answer, raw=answer_bytes(answer)[:-3]),
        ),
    ),
    FaultyEndpoint(
        name="bytes after the answer",
        breaks={"response-framing"},
        server=when(
            lambda request: request.body == b"[]" and is_for_operation(request),
            lambda request, answer: replace(answer, raw=answer_bytes(answer) + b"{}"),
        ),
    ),
    FaultyEndpoint(
        name="two Content-Length fields",
        breaks={"response-framing"},
        server=when(
            lambda request: request.body == b"[]" and is_for_operation(request),
            lambda request, answer: replace(answer, extra_fields=(("Content-Length", "1"),)),
        ),
    ),
    FaultyEndpoint(
        name="an answer that arrives slowly",
        breaks={"request-answered"},
        server=when(
            lambda request: request.body == b"[]" and is_for_operation(request),
            lambda request, answer: replace(answer, byte_interval=0.05),
        ),
        options={"deadline": 0.4},
    ),
    FaultyEndpoint(
        name="401 without a body",
        breaks={"error-json"},
        server=on_status(401, lambda answer: replace(answer, body=b"")),
    ),
)


FOUND_BY_SCHEMATHESIS = (
    "an array as output",
    "an object in `error`",
    "an undocumented error code",
    "null accepted",
    "no key required",
    "output without Content-Type",
    "a redirect",
    "GET accepted",
)
"""Faults that requests generated from the document reveal."""


_FEW_KEYS = frozenset(
    {
        "requests_without_credentials_are_rejected",
        "wrong_keys_are_rejected",
        "keys_are_checked_before_bodies",
        "ambiguous_credentials_get_a_documented_answer",
    }
)
"""The checks of credentials that are also run on faults of other clauses."""


@pytest.mark.parametrize("fault", sample(FAULTS, lambda fault: frozenset(fault.breaks)), ids=lambda fault: fault.name)
def test_a_fault_is_reported_for_its_clause_only(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """The checks of its clause, and those of errors and ids, report a fault for its clause only."""
    checks = [
        check
        for check in HANDWRITTEN_CHECKS
        if check.module in ("failure", "identity", "internals")
        or check.name in _FEW_KEYS
        or {clause.id for clause in check.clauses} & fault.breaks
    ]
    result = run_suite(fault.server, checks=checks, examples=2, **fault.options)

    assert fault.breaks == result.clauses, result.lines


@pytest.mark.parametrize("fault", FAULTS if ALL else FAULTS[::36], ids=lambda fault: fault.name)
def test_all_checks_together_report_only_its_clause(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """A fault gives the same findings when all checks are run."""
    result = run_suite(fault.server, checks=LIGHT_HANDWRITTEN_CHECKS, examples=2, **fault.options)

    assert fault.breaks == result.clauses, result.lines


@pytest.mark.parametrize("fault", FAULTS if ALL else FAULTS[::9], ids=lambda fault: fault.name)
def test_schemathesis_reports_no_other_clause(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """Schemathesis reports a fault for its clause or not at all."""
    result = run_suite(fault.server, checks=GENERATED_CHECKS, **fault.options)

    assert result.clauses <= fault.breaks, result.lines


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault.name in FOUND_BY_SCHEMATHESIS], ids=lambda fault: fault.name
)
def test_schemathesis_finds_common_violations(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """Schemathesis finds the most common violations."""
    result = run_suite(fault.server, checks=GENERATED_CHECKS, **fault.options)

    assert result.clauses
    assert result.clauses <= fault.breaks, result.lines


def test_repeated_violations_are_one_finding(run_suite: RunSuite) -> None:
    """Repeated violations are one finding with a count, and the smallest request that shows it."""
    server = when(
        lambda request: (
            request.authorized and is_for_operation(request) and is_object(request.body) and b"true" in request.body
        ),
        lambda request, answer: error(400, "client_error"),
    )
    generated = [check for check in ALL_CHECKS if check.name == "generated_objects_are_accepted"]

    found = run_suite(server, checks=generated, examples=80).findings

    assert [(each.actual, each.cases) for each in found] == [("status 400", ("a generated object",))]
    assert found[0].count > 1
    assert re.search(r"""--data-binary '\{"[^"]{0,12}":true\}'$""", found[0].reproduce)
