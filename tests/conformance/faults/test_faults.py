"""The checks find violations of each clause in a faulty endpoint, and nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from chainproof.chain_schema.schema import Schema

from ..conftest import GENERATED_CHECKS, HANDWRITTEN_CHECKS, LIGHT_HANDWRITTEN_CHECKS, RunSuite, checks_named
from ..endpoints import (
    KEY,
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
    without_trailing_commas,
)
from ..sampling import ALL, sample
from .faulty_endpoints import (
    FaultyEndpoint,
    accepting_if,
    answering,
    changed_if,
    changed_on,
    faults,
    faulty,
    is_for_operation,
    to_chain,
)


def is_accepted_by_python(request: EndpointRequest) -> bool:
    """True if Python's parser accepts a body that is not JSON."""
    try:
        return isinstance(json.loads(request.body), dict) and not is_object(request.body)
    except (ValueError, RecursionError):
        return False


OUTPUT = EndpointAnswer(status=200, body=b"{}")

SERVERS = {
    # statuses and error bodies
    "status": {
        "500 for an empty object": answering(
            to_chain(lambda request: request.body == b"{}" and not request.values("x-emulate")), error(500, None)
        ),
        "a redirect": changed_on(400, status=302, extra_fields=(("Location", "/"),)),
    },
    "authentication-first": {
        "400 for an invalid body without a key": answering(
            lambda request: not request.authorized and request.body in (b"{", b"[]"), error(400, "client_error")
        ),
    },
    "unauthorized-status": {"400 in place of 401": on_status(401, lambda answer: error(400, "client_error"))},
    "error-media-type": {
        "401 that is not JSON": changed_on(401, body=b"No Authorization", media_type="text/plain"),
        "an HTML 502": changed_if(
            lambda request: "application_error" in request.values("x-emulate"),
            body=b"<html>Bad Gateway</html>",
            media_type="text/html",
        ),
    },
    "error-object": {"an array as the error": changed_on(400, body=b'["no"]')},
    "error-message": {"an object in `error`": changed_on(400, body=b'{"error":{"message":"no"}}')},
    "error-detail": {"a number in `detail`": changed_on(400, body=b'{"detail":4}')},
    "error-code": {
        "an undocumented error code": changed_on(401, body=b'{"error_code":"gremlins"}'),
        "null as the error code": changed_on(401, body=b'{"error_code":null}'),
    },
    "error-code-status": {
        "an error code with the status of another": changed_on(400, body=b'{"error_code":"timeout"}'),
        "503 for a timeout on demand": changed_if(lambda request: "timeout" in request.values("x-emulate"), status=503),
    },
    "output-object": {
        "an array as output": on_status(200, lambda answer: replace(answer, body=b"[" + answer.body + b"]")),
    },
    "output-media-type": {
        "text as output": changed_on(200, body=b"fine", media_type="text/plain"),
        "output without Content-Type": changed_on(200, media_type=None),
    },
    "output-json": {"NaN as output": changed_on(200, body=b'{"x":NaN}')},
    # request ids
    "request-id-unique": {
        "the same request id for all": on_every_answer(lambda answer: replace(answer, request_id="0")),
        "each request id used twice": duplicate_request_ids(),
        "the request id sent by the client": when(
            lambda request: bool(request.values("x-baseten-request-id")),
            lambda request, answer: replace(answer, request_id=request.values("x-baseten-request-id")[0]),
        ),
    },
    ("request-id-present", "request-id-on-errors"): {
        "no request id": on_every_answer(lambda answer: replace(answer, request_id=None)),
    },
    "request-id-on-errors": {"no request id on errors": changed_on(401, request_id=None)},
    "request-id-present": {
        "an empty request id": changed_on(200, request_id=""),
        "two request ids": on_status(
            200, lambda answer: replace(answer, extra_fields=(("X-BASETEN-REQUEST-ID", answer.request_id or ""),))
        ),
    },
    # authentication
    "authentication-required": {"no key required": accepting_if(lambda request: not request.values("authorization"))},
    "key-verified": {
        "any key accepted": accepting_if(lambda request: authorization_starts_with(request, "api-key ")),
        "any Authorization accepted": accepting_if(lambda request: bool(request.values("authorization"))),
        "a key with extra characters accepted": accepting_if(
            lambda request: authorization_starts_with(request, f"Api-Key {KEY}".lower())
        ),
        "a key without its last character accepted": accepting_if(
            lambda request: "".join(request.values("authorization")) == f"Api-Key {KEY[:-1]}"
        ),
        "a key in any letter case accepted": accepting_if(
            lambda request: "".join(request.values("authorization")).lower() == f"api-key {KEY}".lower()
        ),
        "an empty key accepted": accepting_if(
            lambda request: "".join(request.values("authorization")).strip() == "Api-Key"
        ),
        "any Basic credentials accepted": accepting_if(lambda request: authorization_starts_with(request, "basic ")),
    },
    "key-prefix": {
        "the key without its scheme accepted": accepting_if(lambda request: request.values("authorization") == [KEY]),
        "the key with Bearer accepted": accepting_if(
            lambda request: authorization_starts_with(request, "bearer " + KEY.lower())
        ),
    },
    "key-location": {
        "the key accepted in the query": accepting_if(lambda request: f"api_key={KEY}" in request.path),
        "the key accepted in X-API-Key": accepting_if(lambda request: request.values("x-api-key") == [KEY]),
        "the key accepted in a cookie": accepting_if(lambda request: KEY in "".join(request.values("cookie"))),
        "the key accepted in the body": accepting_if(lambda request: KEY.encode() in request.body),
    },
    # request bodies and media types
    "non-object-rejected": {
        "arrays accepted": answering(to_chain(lambda request: request.body == b"[]"), OUTPUT),
        "null accepted": answering(to_chain(lambda request: request.body == b"null"), OUTPUT),
    },
    "invalid-json-rejected": {
        "trailing commas accepted": as_if(without_trailing_commas, lambda request: not is_object(request.body)),
        "everything accepted that Python parses": answering(to_chain(is_accepted_by_python), OUTPUT),
        "trailing text accepted": answering(
            to_chain(lambda request: request.body.startswith(b'{"a":1}') and not is_object(request.body)), OUTPUT
        ),
    },
    "object-accepted": {
        # The other checks use an object that the chain accepts.
        "an empty object makes the chain fail": answering(
            to_chain(lambda request: request.body == b"{}"), error(502, "application_error")
        ),
        "unescaped UTF-8 rejected": answering(
            to_chain(lambda request: is_object(request.body) and not request.body.isascii()), error(400, "client_error")
        ),
        "exponents rejected": answering(
            to_chain(lambda request: is_object(request.body) and re.search(rb"\dE", request.body) is not None),
            error(400, "client_error"),
        ),
    },
    "body-required": {"an empty body accepted": answering(to_chain(lambda request: not request.body), OUTPUT)},
    ("invalid-json-rejected", "non-object-rejected"): {
        "502 for invalid JSON": answering(
            to_chain(lambda request: b"x" in request.body and not is_object(request.body)), error(502, None)
        ),
    },
    ("media-type-required", "media-type-missing"): {
        "any media type accepted": as_if(
            lambda request: replace(
                request,
                fields=(
                    *(each for each in request.fields if each[0].lower() != "content-type"),
                    ("Content-Type", "application/json"),
                ),
            )
        ),
    },
    "media-type-parameters": {
        "media type parameters rejected": answering(
            to_chain(lambda request: any(";" in value for value in request.values("content-type"))),
            error(400, "client_error"),
        ),
    },
    # methods, paths and hosts
    "other-methods-rejected": {
        "GET accepted": as_if(lambda request: replace(request, method="POST"), lambda request: request.method == "GET"),
        "a method override in a header accepted": as_if(
            lambda request: replace(request, method="POST"),
            lambda request: bool(request.values("x-http-method-override")),
        ),
    },
    "allow-header": {"405 without Allow": on_every_answer(lambda answer: replace(answer, extra_fields=()))},
    "other-paths-rejected": {
        "any path accepted": as_if(
            lambda request: replace(request, path="/production/run_remote"),
            lambda request: request.method == "POST" and not request.path.endswith("%0A"),
        ),
        "a path in any letter case accepted": as_if(lambda request: replace(request, path=request.path.lower())),
    },
    "regional-host": {
        "the path accepted on regional hosts": as_if(
            lambda request: replace(request, fields=tuple(each for each in request.fields if each[0] != "Host"))
        ),
    },
    # mixed-up answers and leaks
    "answer-matches-request": {"another request's answer": SwappedAnswers()},
    "echo-exact": {
        "true returned as 1": on_status(200, lambda answer: replace(answer, body=answer.body.replace(b"true", b"1"))),
    },
    "no-credential-leak": {
        "the key in an error": when(
            lambda request: (
                is_for_operation(request) and not request.values("x-emulate") and not is_object(request.body)
            ),
            lambda request, answer: error(answer.status, None, f"Not with {request.values('authorization')}"),
        ),
        "the key in a header": when(
            lambda request: True,
            lambda request, answer: replace(
                answer,
                extra_fields=(*answer.extra_fields, ("X-Debug", "".join(request.values("authorization")).strip())),
            ),
        ),
        "a wrong key in the error": when(
            lambda request: (
                authorization_starts_with(request, "api-key") and not request.authorized and is_for_operation(request)
            ),
            lambda request, answer: error(401, "unauthorized", f"unknown key: {request.values('authorization')[0]}"),
        ),
    },
    "no-internals": {
        "a stack trace": changed_on(
            400, body=json.dumps({"error": 'Traceback (most recent call last):\n  File "/app/x.py", line 3'}).encode()
        ),
    },
    # HTTP messages
    "request-answered": {
        "a dropped connection": changed_if(
            lambda request: request.body == b"[]" and is_for_operation(request), raw=b""
        ),
    },
    "response-framing": {
        "an answer that is not HTTP": changed_if(
            lambda request: request.body == b"[]" and is_for_operation(request), raw=b"hello\r\n\r\n"
        ),
        "a truncated answer": when(
            lambda request: request.body == b"[]" and is_for_operation(request),
            lambda request, answer: replace(answer, raw=answer_bytes(answer)[:-3]),
        ),
        "bytes after the answer": when(
            lambda request: request.body == b"[]" and is_for_operation(request),
            lambda request, answer: replace(answer, raw=answer_bytes(answer) + b"{}"),
        ),
        "two Content-Length fields": changed_if(
            lambda request: request.body == b"[]" and is_for_operation(request), extra_fields=(("Content-Length", "1"),)
        ),
    },
    "error-json": {"401 without a body": changed_on(401, body=b"")},
}
FAULTS = (
    *faults(SERVERS),
    faulty(
        "output-schema",
        "an output that does not match its schema",
        changed_on(200, body=b'{"greetings":"Hello"}'),
        options={
            "output_schema": Schema(
                source="a chain", document={"type": "object", "properties": {"greetings": {"type": "array"}}}
            )
        },
    ),
    faulty(
        "media-type-parameters",
        "media type parameters rejected, without an echo",
        answering(
            to_chain(lambda request: any(";" in value for value in request.values("content-type"))),
            error(400, "client_error"),
        ),
        options={"echo": False, "steerable": False},
    ),
    faulty(
        "request-answered",
        "an answer that arrives slowly",
        changed_if(lambda request: request.body == b"[]" and is_for_operation(request), byte_interval=0.05),
        options={"deadline": 0.4},
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


@pytest.mark.parametrize("fault", sample(FAULTS, lambda fault: fault.breaks), ids=lambda fault: fault.name)
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
    generated = checks_named("generated_objects_are_accepted")

    found = run_suite(server, checks=generated, examples=80).findings

    assert [each.cases for each in found] == [("a generated object",)]
    assert found[0].actual.startswith("status 400: ")
    assert found[0].count > 1
    assert re.search(r"""--data-binary '\{"[^"]{0,12}":true\}'$""", found[0].reproduce)
