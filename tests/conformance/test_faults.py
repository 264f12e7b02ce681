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

from .conftest import BY_HAND, GENERATED, Examine
from .endpoints import (
    KEY,
    Asked,
    Said,
    Server,
    Swapping,
    as_if,
    counting_twice,
    error,
    is_object,
    let_in,
    on_every_answer,
    on_status,
    rendered,
    starts,
    when,
    without_trailing_commas,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    A server that breaks the contract in one way.
    """

    name: str
    breaks: set[str]
    """The clauses for which it is caught, and no others."""
    server: Server
    options: dict[str, object] = field(default_factory=dict)


def ours(asked: Asked) -> bool:
    """
    Whether a request is for the operation.
    """
    return asked.method == "POST" and asked.path.startswith("/production/run_remote")


def python_takes(asked: Asked) -> bool:
    """
    Whether Python's parser takes a body that is no JSON.
    """
    try:
        return isinstance(json.loads(asked.body), dict) and not is_object(asked.body)
    except (ValueError, RecursionError):
        return False


def accepted(asked: Asked, said: Said) -> Said:
    """
    Any object at all.
    """
    return Said(status=200, body=b"{}")


FAULTS = (
    # status, and what stands in a body
    Fault(
        name="500 to an empty object",
        breaks={"status"},
        server=when(
            lambda asked: asked.authorized and asked.body == b"{}" and ours(asked) and not asked.values("x-emulate"),
            lambda asked, said: error(500, None),
        ),
    ),
    Fault(
        name="401 without JSON",
        breaks={"error-media-type"},
        server=on_status(401, lambda said: replace(said, body=b"No Authorization", media_type="text/plain")),
    ),
    Fault(
        name="an HTML 502",
        breaks={"error-media-type"},
        server=when(
            lambda asked: "application_error" in asked.values("x-emulate"),
            lambda asked, said: replace(said, body=b"<html>Bad Gateway</html>", media_type="text/html"),
        ),
    ),
    Fault(
        name="an error that is an array",
        breaks={"error-object"},
        server=on_status(400, lambda said: replace(said, body=b'["no"]')),
    ),
    Fault(
        name="an error object in `error`",
        breaks={"error-message"},
        server=on_status(400, lambda said: replace(said, body=b'{"error":{"message":"no"}}')),
    ),
    Fault(
        name="a number in `detail`",
        breaks={"error-detail"},
        server=on_status(400, lambda said: replace(said, body=b'{"detail":4}')),
    ),
    Fault(
        name="an invented code",
        breaks={"error-code"},
        server=on_status(401, lambda said: replace(said, body=b'{"error_code":"gremlins"}')),
    ),
    Fault(
        name="null as the code",
        breaks={"error-code"},
        server=on_status(401, lambda said: replace(said, body=b'{"error_code":null}')),
    ),
    Fault(
        name="a code with another's status",
        breaks={"error-code-status"},
        server=on_status(400, lambda said: replace(said, body=b'{"error_code":"timeout"}')),
    ),
    Fault(
        name="503 for a timeout on demand",
        breaks={"error-code-status"},
        server=when(
            lambda asked: "timeout" in asked.values("x-emulate"), lambda asked, said: replace(said, status=503)
        ),
    ),
    Fault(
        name="an array as output",
        breaks={"output-object"},
        server=on_status(200, lambda said: replace(said, body=b"[" + said.body + b"]")),
    ),
    Fault(
        name="text as output",
        breaks={"output-media-type"},
        server=on_status(200, lambda said: replace(said, body=b"fine", media_type="text/plain")),
    ),
    Fault(
        name="NaN as output",
        breaks={"output-json"},
        server=on_status(200, lambda said: replace(said, body=b'{"x":NaN}')),
    ),
    Fault(
        name="an output of another shape",
        breaks={"output-schema"},
        server=on_status(200, lambda said: replace(said, body=b'{"greetings":"Hello"}')),
        options={
            "gives": Schema(
                source="a chain", document={"type": "object", "properties": {"greetings": {"type": "array"}}}
            )
        },
    ),
    Fault(
        name="output without Content-Type",
        breaks={"output-media-type"},
        server=on_status(200, lambda said: replace(said, media_type=None)),
    ),
    Fault(
        name="a redirect",
        breaks={"status"},
        server=on_status(400, lambda said: replace(said, status=302, more=(("Location", "/"),))),
    ),
    # request ids
    Fault(
        name="one request id for all",
        breaks={"request-id-unique"},
        server=on_every_answer(lambda said: replace(said, request_id="0")),
    ),
    Fault(name="request ids in pairs", breaks={"request-id-unique"}, server=counting_twice()),
    Fault(
        name="no request id",
        breaks={"request-id-present", "request-id-on-errors"},
        server=on_every_answer(lambda said: replace(said, request_id=None)),
    ),
    Fault(
        name="no request id on errors",
        breaks={"request-id-on-errors"},
        server=on_status(401, lambda said: replace(said, request_id=None)),
    ),
    Fault(
        name="an empty request id",
        breaks={"request-id-present"},
        server=on_status(200, lambda said: replace(said, request_id="")),
    ),
    Fault(
        name="two request ids",
        breaks={"request-id-present"},
        server=on_status(200, lambda said: replace(said, more=(("X-BASETEN-REQUEST-ID", said.request_id or ""),))),
    ),
    Fault(
        name="the caller's request id",
        breaks={"request-id-unique"},
        server=when(
            lambda asked: bool(asked.values("x-baseten-request-id")),
            lambda asked, said: replace(said, request_id=asked.values("x-baseten-request-id")[0]),
        ),
    ),
    # who is let in
    Fault(
        name="nobody needs a key",
        breaks={"authentication-required"},
        server=as_if(let_in, lambda asked: not asked.values("authorization")),
    ),
    Fault(name="any key opens", breaks={"key-verified"}, server=as_if(let_in, lambda asked: starts(asked, "api-key "))),
    Fault(
        name="any Authorization opens",
        breaks={"key-verified"},
        server=as_if(let_in, lambda asked: bool(asked.values("authorization"))),
    ),
    Fault(
        name="a key that begins right",
        breaks={"key-verified"},
        server=as_if(let_in, lambda asked: starts(asked, f"Api-Key {KEY}".lower())),
    ),
    Fault(
        name="a key's first part is enough",
        breaks={"key-verified"},
        server=as_if(let_in, lambda asked: "".join(asked.values("authorization")) == f"Api-Key {KEY[:-1]}"),
    ),
    Fault(
        name="the key in any letter case",
        breaks={"key-verified"},
        server=as_if(let_in, lambda asked: "".join(asked.values("authorization")).lower() == f"api-key {KEY}".lower()),
    ),
    Fault(
        name="an empty key",
        breaks={"key-verified"},
        server=as_if(let_in, lambda asked: "".join(asked.values("authorization")).strip() == "Api-Key"),
    ),
    Fault(
        name="the key without its prefix",
        breaks={"key-prefix"},
        server=as_if(let_in, lambda asked: asked.values("authorization") == [KEY]),
    ),
    Fault(
        name="Bearer", breaks={"key-prefix"}, server=as_if(let_in, lambda asked: starts(asked, "bearer " + KEY.lower()))
    ),
    Fault(name="Basic", breaks={"key-verified"}, server=as_if(let_in, lambda asked: starts(asked, "basic "))),
    Fault(
        name="the key in the query",
        breaks={"key-location"},
        server=as_if(let_in, lambda asked: f"api_key={KEY}" in asked.path),
    ),
    Fault(
        name="the key in X-API-Key",
        breaks={"key-location"},
        server=as_if(let_in, lambda asked: asked.values("x-api-key") == [KEY]),
    ),
    Fault(
        name="the key in a cookie",
        breaks={"key-location"},
        server=as_if(let_in, lambda asked: KEY in "".join(asked.values("cookie"))),
    ),
    Fault(
        name="the key in the body",
        breaks={"key-location"},
        server=as_if(let_in, lambda asked: KEY.encode() in asked.body),
    ),
    # what is accepted
    Fault(
        name="arrays",
        breaks={"non-object-refused"},
        server=when(lambda asked: asked.authorized and ours(asked) and asked.body == b"[]", accepted),
    ),
    Fault(
        name="null",
        breaks={"non-object-refused"},
        server=when(lambda asked: asked.authorized and ours(asked) and asked.body == b"null", accepted),
    ),
    Fault(
        name="trailing commas",
        breaks={"malformed-refused"},
        server=as_if(without_trailing_commas, lambda asked: not is_object(asked.body)),
    ),
    Fault(
        name="whatever Python takes",
        breaks={"malformed-refused"},
        server=when(lambda asked: asked.authorized and ours(asked) and python_takes(asked), accepted),
    ),
    Fault(
        name="trailing text",
        breaks={"malformed-refused"},
        server=when(
            lambda asked: (
                asked.authorized and ours(asked) and asked.body.startswith(b'{"a":1}') and not is_object(asked.body)
            ),
            accepted,
        ),
    ),
    Fault(
        name="the plainest object fails the chain",
        # Most checks send it, so it is seen wherever a 502 is not what was asked for.
        breaks={"object-accepted", "error-on-demand"},
        server=when(
            lambda asked: asked.authorized and ours(asked) and asked.body == b"{}",
            lambda asked, said: error(502, "application_error"),
        ),
    ),
    Fault(
        name="an empty body",
        breaks={"body-required"},
        server=when(lambda asked: asked.authorized and ours(asked) and not asked.body, accepted),
    ),
    Fault(
        name="502 to whatever is no JSON",
        breaks={"malformed-refused", "non-object-refused"},
        server=when(
            lambda asked: asked.authorized and ours(asked) and b"x" in asked.body and not is_object(asked.body),
            lambda asked, said: error(502, None),
        ),
    ),
    Fault(
        name="no raw UTF-8",
        breaks={"object-accepted"},
        server=when(
            lambda asked: asked.authorized and ours(asked) and is_object(asked.body) and not asked.body.isascii(),
            lambda asked, said: error(400, "client_error"),
        ),
    ),
    Fault(
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
    Fault(
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
    Fault(
        name="no media type parameters",
        breaks={"media-type-parameters"},
        server=when(
            lambda asked: (
                any(";" in value for value in asked.values("content-type")) and asked.authorized and ours(asked)
            ),
            lambda asked, said: error(400, "client_error"),
        ),
    ),
    Fault(
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
    Fault(
        name="GET",
        breaks={"other-methods-refused"},
        server=as_if(lambda asked: replace(asked, method="POST"), lambda asked: asked.method == "GET"),
    ),
    Fault(
        name="a method in a header",
        breaks={"other-methods-refused"},
        server=as_if(
            lambda asked: replace(asked, method="POST"), lambda asked: bool(asked.values("x-http-method-override"))
        ),
    ),
    Fault(
        name="405 without Allow", breaks={"allow-listed"}, server=on_every_answer(lambda said: replace(said, more=()))
    ),
    Fault(
        name="any path",
        breaks={"other-paths-refused"},
        server=as_if(lambda asked: replace(asked, path="/production/run_remote"), lambda asked: asked.method == "POST"),
    ),
    Fault(
        name="any letter case of the path",
        breaks={"other-paths-refused"},
        server=as_if(lambda asked: replace(asked, path=asked.path.lower())),
    ),
    Fault(
        name="regional hosts",
        breaks={"regional-host"},
        server=as_if(lambda asked: replace(asked, fields=tuple(each for each in asked.fields if each[0] != "Host"))),
    ),
    # whose answer it is, and what it gives away
    Fault(name="another request's answer", breaks={"answer-belongs"}, server=Swapping()),
    Fault(
        name="true as 1",
        breaks={"echo-exact"},
        server=on_status(200, lambda said: replace(said, body=said.body.replace(b"true", b"1"))),
    ),
    Fault(
        name="the key in an error",
        breaks={"no-secret"},
        server=when(
            lambda asked: ours(asked) and not asked.values("x-emulate") and not is_object(asked.body),
            lambda asked, said: error(said.status, None, f"Not with {asked.values('authorization')}"),
        ),
    ),
    Fault(
        name="the key in a header",
        breaks={"no-secret"},
        server=when(
            lambda asked: True,
            lambda asked, said: replace(
                said, more=(*said.more, ("X-Debug", "".join(asked.values("authorization")).strip()))
            ),
        ),
    ),
    Fault(
        name="a wrong key in the error",
        breaks={"no-secret"},
        server=when(
            lambda asked: starts(asked, "api-key") and not asked.authorized and ours(asked),
            lambda asked, said: error(401, "unauthorized", f"unknown key: {asked.values('authorization')[0]}"),
        ),
    ),
    Fault(
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
    Fault(
        name="a dropped connection",
        breaks={"answers"},
        server=when(lambda asked: asked.body == b"[]" and ours(asked), lambda asked, said: replace(said, raw=b"")),
    ),
    Fault(
        name="no HTTP",
        breaks={"framing"},
        server=when(
            lambda asked: asked.body == b"[]" and ours(asked), lambda asked, said: replace(said, raw=b"hello\r\n\r\n")
        ),
    ),
    Fault(
        name="an answer cut short",
        breaks={"framing"},
        server=when(
            lambda asked: asked.body == b"[]" and ours(asked),
            lambda asked, said: replace(said, raw=rendered(said)[:-3]),
        ),
    ),
    Fault(
        name="bytes behind the answer",
        breaks={"framing"},
        server=when(
            lambda asked: asked.body == b"[]" and ours(asked),
            lambda asked, said: replace(said, raw=rendered(said) + b"{}"),
        ),
    ),
    Fault(
        name="two lengths",
        breaks={"framing"},
        server=when(
            lambda asked: asked.body == b"[]" and ours(asked),
            lambda asked, said: replace(said, more=(("Content-Length", "1"),)),
        ),
    ),
    Fault(
        name="a drip",
        breaks={"answers"},
        server=when(lambda asked: asked.body == b"[]" and ours(asked), lambda asked, said: replace(said, drip=0.05)),
        options={"deadline": 0.4},
    ),
    Fault(
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
def test_a_fault_is_caught_for_its_clause(fault: Fault, examine: Examine) -> None:
    """
    For its clause, and for no other, by the checks that uphold it and by those of errors and ids.
    """
    checks = [
        check
        for check in BY_HAND
        if check.part in ("credentials", "failure", "identity", "internals")
        or {clause.id for clause in check.clauses} & fault.breaks
    ]
    examined = examine(fault.server, checks=checks, examples=2, **fault.options)

    assert fault.breaks == examined.clauses, examined.lines


@pytest.mark.parametrize("fault", FAULTS[::12], ids=lambda fault: fault.name)
def test_no_other_check_accuses_it_of_anything_else(fault: Fault, examine: Examine) -> None:
    """
    Whichever check asks.
    """
    examined = examine(fault.server, checks=BY_HAND, examples=2, **fault.options)

    assert fault.breaks == examined.clauses, examined.lines


@pytest.mark.parametrize("fault", FAULTS[::9], ids=lambda fault: fault.name)
def test_schemathesis_accuses_nobody_of_anything_else(fault: Fault, examine: Examine) -> None:
    """
    What Schemathesis makes of the document, and says of the answers, leads to the same clauses or to none.
    """
    examined = examine(fault.server, checks=GENERATED, **fault.options)

    assert examined.clauses <= fault.breaks, examined.lines


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if fault.name in SEEN_BY_SCHEMATHESIS], ids=lambda fault: fault.name
)
def test_schemathesis_sees_what_it_can(fault: Fault, examine: Examine) -> None:
    """
    The document alone leads to the commonest departures.
    """
    examined = examine(fault.server, checks=GENERATED, **fault.options)

    assert examined.clauses
    assert examined.clauses <= fault.breaks, examined.lines


def test_a_departure_is_one_finding_however_often_it_is_seen(examine: Examine) -> None:
    """
    Its count says how often, and its request is the smallest that shows it.
    """
    server = when(
        lambda asked: asked.authorized and ours(asked) and is_object(asked.body) and b"true" in asked.body,
        lambda asked, said: error(400, "client_error"),
    )
    generated = [check for check in CHECKS if check.name == "any_object_is_accepted"]

    found = examine(server, checks=generated, examples=80).findings

    assert [(each.actual, each.cases) for each in found] == [("status 400", ("a generated object",))]
    assert found[0].count > 1
    assert re.search(r"""--data-binary '\{"[^"]{0,12}":true\}'$""", found[0].reproduce)
