"""The checks find faults in authentication, errors on demand, methods, paths and leaks."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import itertools
import json
import random
import re
import threading
import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

import pytest

from chainproof.conformance.checks import Check
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.options import Depth

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
    is_object,
    on_status,
    when,
    with_right_key,
)
from ..sampling import sample
from .faulty_endpoints import (
    Condition,
    FaultyEndpoint,
    accepting_if,
    answering,
    changed_everywhere,
    changed_if,
    faults,
    faulty,
    is_for_operation,
    on_demand,
    to_chain,
)

MODULES = ("credentials", "auth_bypass", "failure", "internals", "routing")
AUTHENTICATION_CHECKS = tuple(check for check in ALL_CHECKS if check.module in MODULES)
KEY_HALF = KEY.partition(".")[2]


def presented_key(request: EndpointRequest) -> str:
    """The text after `Api-Key `, or an empty one."""
    sent = authorization(request)
    return sent.removeprefix("Api-Key ") if sent.startswith("Api-Key ") else ""


def authorization(request: EndpointRequest) -> str:
    """The value of the Authorization header."""
    return "".join(request.values("authorization")[:1])


def accepting_keys(condition: Callable[[str], bool]) -> AnswerFunction:
    """The correct endpoint, which also accepts other keys."""
    return accepting_if(lambda request: bool(presented_key(request)) and condition(presented_key(request)))


def has_no_credentials(request: EndpointRequest) -> bool:
    """True if a request carries no credentials."""
    return not request.values("authorization")


def accepting_without_key(condition: Condition) -> AnswerFunction:
    """The correct endpoint, which also accepts requests without credentials that meet a condition."""
    return accepting_if(lambda request: has_no_credentials(request) and condition(request))


def claims(name: str, text: str) -> Condition:
    """A condition: a header field that contains a text."""
    return lambda request: any(text in each for each in request.values(name))


def as_operation(request: EndpointRequest) -> EndpointRequest:
    """The same request with the operation's path and method."""
    return replace(request, path=PATH, method="POST")


def accepting_paths(condition: Callable[[str], bool]) -> AnswerFunction:
    """The correct endpoint, which also accepts other paths."""
    return as_if(as_operation, lambda request: request.method == "POST" and condition(request.path.partition("?")[0]))


def accepting_methods(condition: Condition) -> AnswerFunction:
    """The correct endpoint, which also accepts other methods."""
    return as_if(lambda request: replace(request, method="POST"), condition)


def bypassed_if(condition: Condition) -> AnswerFunction:
    """The correct endpoint, which accepts requests without credentials at other paths or with other methods."""
    return as_if(
        lambda request: with_right_key(as_operation(request)),
        lambda request: has_no_credentials(request) and condition(request),
    )


def base64_text(text: str) -> str:
    """The text encoded in base64, or an empty one."""
    try:
        return base64.b64decode(text + "==").decode()
    except ValueError:
        return ""


def matches_like(pattern: str, text: str) -> bool:
    """True if a text matches a pattern by the rules of SQL's LIKE."""
    letters = (".*" if letter == "%" else "." if letter == "_" else re.escape(letter) for letter in pattern)
    return re.fullmatch("".join(letters), text, re.DOTALL) is not None


def matches(pattern: str, text: str) -> bool:
    """True if a text matches a valid regular expression."""
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return False


class TrustsConnection:
    """An endpoint that checks the key once per connection."""

    def __init__(self) -> None:
        self._connection = threading.local()  # the server has a thread for each connection

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        trusted = getattr(self._connection, "trusted", False)
        self._connection.trusted = trusted or request.authorized
        return correct_endpoint(with_right_key(request) if trusted else request)


class TrustsNextRequest:
    """An endpoint that accepts the next request after one with the right key, on any connection."""

    def __init__(self) -> None:
        self._trusts_next = False

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        is_trusted, self._trusts_next = self._trusts_next, request.authorized
        return correct_endpoint(
            with_right_key(request) if is_trusted and request.path == PATH and request.method == "POST" else request
        )


class TrustsConcurrentRequests:
    """An endpoint that accepts every request while one with the right key is in flight."""

    def __init__(self) -> None:
        self._authorized_in_flight = 0
        self._lock = threading.Lock()

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        with self._lock:
            self._authorized_in_flight += request.authorized
        time.sleep(0.002)
        answer = correct_endpoint(with_right_key(request) if self._authorized_in_flight else request)
        with self._lock:
            self._authorized_in_flight -= request.authorized
        return answer


class RevealsPreviousKey:
    """An endpoint that answers a wrong key with the previous wrong key."""

    def __init__(self) -> None:
        self._previous = ""

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        if answer.status != 401 or "caller" not in authorization(request):
            return answer
        previous, self._previous = self._previous, authorization(request)
        return replace(answer, body=json.dumps({"error": f"wrong again, after {previous}"}).encode())


def accepting_sometimes(one_in: int, *, at_random: bool) -> AnswerFunction:
    """The correct endpoint, which accepts one in so many unauthenticated requests: at random, or by count."""
    rng, numbers, lock = random.Random(5), itertools.count(1), threading.Lock()

    def accepts(request: EndpointRequest) -> bool:
        if request.authorized or not is_for_operation(request) or request.path != PATH:
            return False
        with lock:
            return rng.random() * one_in < 1 if at_random else next(numbers) % one_in == 0

    return accepting_if(accepts)


def with_error_text(text: str, status: int = 400) -> AnswerFunction:
    """The correct endpoint with another text in its errors."""
    return on_status(status, lambda answer: replace(answer, body=json.dumps({"error": text}).encode()))


def with_header(
    field: Callable[[EndpointRequest], tuple[str, str]], condition: Condition = lambda request: True
) -> AnswerFunction:
    """The correct endpoint with an additional header field."""
    return when(condition, lambda request, answer: replace(answer, extra_fields=(*answer.extra_fields, field(request))))


def with_code_for_invalid_body(code: str, condition: Callable[[bytes], bool]) -> AnswerFunction:
    """The correct endpoint with another error code for some invalid bodies."""
    return when(
        to_chain(lambda request: not is_object(request.body) and condition(request.body)),
        lambda request, answer: error(400, code) if answer.status == 400 else answer,
    )


ACCEPTED_KEYS: dict[str, Callable[[str], bool]] = {
    "any beginning of the key": KEY.startswith,
    "the key's first eight characters": lambda key: KEY[:8] == key[:8],
    "any end of the key": lambda key: KEY.endswith(key) and len(key) > 3,
    "any text that starts with the key": lambda key: key.startswith(KEY),
    "any text that ends with the key": lambda key: key.endswith(KEY),
    "any text that contains the key": lambda key: KEY in key,
    "only the first half compared": lambda key: key.partition(".")[0] == KEY.partition(".")[0],
    "only the last half compared": lambda key: key.partition(".")[2] == KEY_HALF,
    "any letter case": lambda key: key.lower() == KEY.lower(),
    "all but the first character": lambda key: len(key) == len(KEY) and key[1:] == KEY[1:],
    "all but the last character": lambda key: len(key) == len(KEY) and key[:-1] == KEY[:-1],
    "all but the middle character": lambda key: (
        len(key) == len(KEY)
        and key[: len(KEY) // 2] + key[len(KEY) // 2 + 1 :] == KEY[: len(KEY) // 2] + KEY[len(KEY) // 2 + 1 :]
    ),
    "the same letters": lambda key: sorted(key) == sorted(KEY),
    "the same length": lambda key: len(key) == len(KEY),
    "the key as a pattern": lambda key: matches(KEY, key),
    "the sent key as a pattern": lambda key: matches(key, KEY),
    "the sent key as a glob": lambda key: fnmatch.fnmatchcase(KEY, key),
    "the sent key as a LIKE pattern": lambda key: matches_like(key, KEY),
    "a key up to a comma": lambda key: key.split(",")[0] == KEY,
    "one key of a list": lambda key: KEY in key.split(","),
    "a key up to a semicolon": lambda key: key.split(";")[0] == KEY,
    "a key up to a space": lambda key: key.split(" ")[0] == KEY,
    "a key without quotes": lambda key: key.strip("\"'") == KEY,
    "an encoded key": lambda key: unquote(key).strip() == KEY,
    "a key in base64": lambda key: base64_text(key) == KEY,
    "a key's hash": lambda key: key == hashlib.sha256(KEY.encode()).hexdigest(),
    "a key in full-width letters": lambda key: (
        unicodedata.normalize("NFKC", key.encode("latin-1").decode("utf-8", "replace")) == KEY
    ),
    "a key without its dot": lambda key: key.replace(".", "") == KEY.replace(".", ""),
    "a key reversed": lambda key: key[::-1] == KEY,
    "null": lambda key: key == "null",
    "an injected condition": lambda key: "' or " in key,
    "the document's example": lambda key: key == "abcd1234.abcd1234",
    "a token without a signature": lambda key: key.startswith("eyJ"),
}
"""Wrong keys that some servers accept."""

ACCEPTED_SCHEMES: dict[str, Condition] = {
    "ApiKey": lambda request: authorization(request) == f"ApiKey {KEY}",
    "Token": lambda request: authorization(request) == f"Token {KEY}",
    "Key": lambda request: authorization(request) == f"Key {KEY}",
    "api_key": lambda request: authorization(request) == f"api_key {KEY}",
    "no space": lambda request: authorization(request) == f"Api-Key{KEY}",
    "a colon": lambda request: authorization(request) == f"Api-Key: {KEY}",
    "an equals sign": lambda request: authorization(request) == f"Api-Key={KEY}",
    "any scheme": lambda request: authorization(request).split(" ")[1:] == [KEY],
    "any eight characters": lambda request: authorization(request)[8:] == KEY,
    "anything before it": lambda request: authorization(request).endswith(f" {KEY}") and not presented_key(request),
    "an optional scheme": lambda request: authorization(request).removeprefix("Api-Key ") == KEY,
    "the last of several words": lambda request: (
        authorization(request).split()[-1:] == [KEY] and not presented_key(request)
    ),
    "Digest": lambda request: authorization(request).startswith("Digest") and KEY in authorization(request),
    "a Basic user": lambda request: base64_text(authorization(request).partition("Basic ")[2]).split(":")[0] == KEY,
    "a Basic password": lambda request: (
        base64_text(authorization(request).partition("Basic ")[2]).split(":")[-1] == KEY
    ),
}
"""Values of Authorization with the right key that some servers accept."""

KEY_LOCATIONS: dict[str, Condition] = {
    "token in the query": lambda request: f"?token={KEY}" in request.path,
    "access_token in the query": lambda request: f"access_token={KEY}" in request.path,
    "Authorization in the query": lambda request: f"?Authorization=Api-Key%20{KEY}" in request.path,
    "X-Authorization": lambda request: request.values("x-authorization") == [f"Api-Key {KEY}"],
    "Proxy-Authorization": lambda request: request.values("proxy-authorization") == [f"Api-Key {KEY}"],
    "Authentication": lambda request: request.values("authentication") == [f"Api-Key {KEY}"],
    "X-Access-Token": lambda request: request.values("x-access-token") == [KEY],
    "X-Auth-Token": lambda request: request.values("x-auth-token") == [KEY],
    "Api-Key": lambda request: request.values("api-key") == [KEY],
    "the Referer": lambda request: KEY in "".join(request.values("referer")),
    "a session cookie": lambda request: f"session={KEY}" in "".join(request.values("cookie")),
    "a token cookie": lambda request: f"token={KEY}" in "".join(request.values("cookie")),
    "a member named key": lambda request: f'"key":"{KEY}"'.encode() in request.body,
    "a member named Authorization": lambda request: f'"Authorization":"Api-Key {KEY}"'.encode() in request.body,
}
"""Other places in which some servers look for the key."""

SPOOFS: dict[str, Condition] = {
    "the fields of a preflight": lambda request: (
        claims("origin", "http")(request) and claims("access-control-request-method", "POST")(request)
    ),
    "a loopback address": claims("x-forwarded-for", "127.0.0.1"),
    "a loopback address in True-Client-IP": claims("true-client-ip", "127.0.0.1"),
    "a Forwarded header": claims("forwarded", "127.0.0.1"),
    "a proxy": claims("via", "localhost"),
    "another URL": claims("x-original-url", "/"),
    "a rewritten URL": claims("x-rewrite-url", "/health"),
    "a user": claims("x-forwarded-user", "admin"),
    "a remote user": claims("x-remote-user", "admin"),
    "an authenticated user": claims("x-authenticated-user", "admin"),
    "an internal request": claims("x-internal", "true"),
    "debugging": claims("x-debug", "1"),
    "a health check": claims("user-agent", "kube-probe"),
    "a load balancer's check": claims("user-agent", "ELB-HealthChecker"),
    "an Origin": claims("origin", "null"),
    "a preflight in a POST": claims("access-control-request-method", "POST"),
    "another method": claims("x-http-method-override", "OPTIONS"),
    "a subrequest": claims("x-middleware-subrequest", "middleware"),
    "a cookie": claims("cookie", "authenticated=true"),
    "steering": lambda request: request.values("x-emulate") == ["ok"],
    "an upgrade": claims("upgrade", "websocket"),
    "chunks": lambda request: request.values("transfer-encoding") == ["chunked"],
    "a large body": lambda request: len(request.body) > 100_000,
    "many members": lambda request: request.body.count(b",") > 500,
    "a query": lambda request: request.path.endswith("?debug=1"),
    "a host": lambda request: request.values("host") == ["localhost"],
}
"""Requests without a valid key that some servers accept."""

BYPASSES: dict[str, Condition] = {
    "GET": lambda request: request.method == "GET",
    "PUT": lambda request: request.method == "PUT",
    "a lower-case post": lambda request: request.method == "post",
    "a trailing slash": lambda request: request.path == f"{PATH}/",
    "two leading slashes": lambda request: request.path == f"/{PATH}",
    "two slashes in the middle": lambda request: request.path == "/production//run_remote",
    "an encoded character": lambda request: "%5F" in request.path,
    "dots": lambda request: "/../" in request.path and "run_remote" in request.path,
    "a parameter": lambda request: request.path.startswith(f"{PATH};"),
    "upper case": lambda request: request.path == PATH.upper(),
}
"""Methods and paths for which some servers require no key."""

ACCEPTED_METHODS: dict[str, Condition] = {
    "PATCH": lambda request: request.method == "PATCH",
    "QUERY": lambda request: request.method == "QUERY",
    "PROPFIND": lambda request: request.method == "PROPFIND",
    "LINK": lambda request: request.method == "LINK",
    "an unknown method": lambda request: request.method == "CHAINPROOF",
    "a method in the query": lambda request: "_method=POST" in request.path,
    "X-HTTP-Method": lambda request: request.values("x-http-method") == ["POST"],
    "X-Method-Override": lambda request: request.values("x-method-override") == ["POST"],
    "HEAD": lambda request: request.method == "HEAD",
    "OPTIONS": lambda request: request.method == "OPTIONS" and bool(request.body),
}
"""Requests that some servers handle like POST."""

LETTER_CASES: dict[str, Condition] = {
    "post": lambda request: request.method == "post",
    "any letter case": lambda request: request.method.upper() == "POST",
}
"""Spellings of POST that common frameworks accept."""

ACCEPTED_PATHS: dict[str, Callable[[str], bool]] = {
    "a trailing slash": lambda path: path == f"{PATH}/",
    "anything after a slash": lambda path: path.startswith(f"{PATH}/"),
    "parameters": lambda path: path.split(";")[0] == PATH,
    "an extension": lambda path: path.split(".")[0] == PATH,
    "an encoded NUL": lambda path: path.split("%00")[0] == PATH,
    "an encoded space": lambda path: unquote(path).strip(" ") == PATH,
    "decoded twice": lambda path: unquote(unquote(path)) == PATH,
    "a hyphen": lambda path: path.replace("-", "_") == PATH,
    "a dot for anything": lambda path: re.fullmatch("/production/run.remote", path) is not None,
    "upper case": lambda path: path == PATH.upper(),
    "a version prefix": lambda path: path == f"/v1{PATH}",
    "the path without an environment": lambda path: path == "/run_remote",
    "any environment": lambda path: re.fullmatch("/[a-z]+/run_remote", path) is not None,
}
"""Paths that some servers handle like the operation's path."""

INTERNALS: dict[str, str] = {
    "Python": 'Traceback (most recent call last):\n  File "/app/server.py", line 3, in run',
    "a Python stack frame": 'File "/app/server.py", line 3',
    "Java": "java.lang.NullPointerException\n\tat com.acme.Chain.run(Chain.java:42)",
    "a Java stack frame": "at com.acme.Chain.run(Chain.java:42)",
    "Node": "TypeError: x is undefined\n    at Object.run (/srv/chain/index.js:12:7)",
    "a Node stack frame": "SyntaxError: Unexpected token\n    at JSON.parse (<anonymous>)",
    "Go": "goroutine 12 [running]:\nmain.serve()\n\t/src/main.go:42",
    "a Go panic": "runtime error: invalid memory address or nil pointer dereference",
    "Ruby": "undefined method: chain.rb:12:in `run'",
    "PHP": "PHP Fatal error:  Uncaught TypeError in /var/www/html/chain.php on line 3",
    ".NET": "at Acme.Chain.Run(String body) in C:\\src\\Chain.cs:line 42",
    "Rust": "thread 'main' panicked at src/main.rs:12:5: called `Option::unwrap()` on a `None` value",
    "an exception": "sqlalchemy.exc.OperationalError: connection refused",
    "a memory address": "<chain.Chain object at 0x7f3b2c1d0e80> is not serializable",
    "a debugger": "<title>TypeError // Werkzeug Debugger</title>",
    "Django": "You're seeing this error because you have <code>DEBUG = True</code>",
    "a path": "cannot open /home/app/chain/model.bin",
    "a system path": "cannot open /etc/chain.conf",
    "a source file": "model.load failed in /packages/chain/model.py",
    "a Windows path": "cannot open C:\\Users\\app\\model.bin",
    "SQL": 'syntax error at or near "x"',
    "SQLite": "no such table: keys",
    "a query": "SELECT id FROM keys WHERE prefix = 'x'",
    "a database URL": "cannot reach postgres://chain:secret@db:5432/keys",
    "a cluster host": "dial tcp: lookup chain-7.default.svc.cluster.local: no such host",
    "an internal host": "upstream redis.prod.internal:6379 is down",
    "an internal address": "connect ECONNREFUSED 10.4.2.17:8080",
    "a pod": "pod chain-runner-7d9c8b6f5d-x2k4z was evicted",
    "the environment": "environ({'HOME': '/root'})",
    "a variable": "BASETEN_INTERNAL_TOKEN=efgh5678 is invalid",
    "a resource": "arn:aws:s3:::chain-weights/model",
}
"""Internals of servers that errors reveal."""

SERVERS = {
    "key-verified": {
        **{f"key: {name}": accepting_keys(condition) for name, condition in ACCEPTED_KEYS.items()},
        "key: one of two Authorization fields": accepting_if(lambda request: len(request.values("authorization")) > 1),
    },
    "key-prefix": {f"scheme: {name}": accepting_if(condition) for name, condition in ACCEPTED_SCHEMES.items()},
    "key-location": {
        f"location: {name}": accepting_without_key(condition) for name, condition in KEY_LOCATIONS.items()
    },
    "authentication-required": {
        **{f"bypass: {name}": accepting_without_key(condition) for name, condition in SPOOFS.items()},
        **{f"bypass by path: {name}": bypassed_if(condition) for name, condition in BYPASSES.items()},
        "the key checked once per connection": TrustsConnection(),
        "the request after one with the key accepted": TrustsNextRequest(),
        "every request accepted during one with the key": TrustsConcurrentRequests(),
        "no authentication": accepting_if(lambda request: True),
    },
    "no-credential-leak": {
        "the previous wrong key in an error": RevealsPreviousKey(),
        "the key in base64 in a header": with_header(
            lambda request: ("X-Caller", base64.b64encode(f"id:{KEY}".encode()).decode()),
            lambda request: request.authorized,
        ),
        "half of the key in a header": with_header(
            lambda request: ("X-Caller", KEY_HALF), lambda request: request.authorized
        ),
        "the key in lower case in a header": with_header(
            lambda request: ("X-Caller", KEY.lower()), lambda request: request.authorized
        ),
        "the key in the answer to TRACE": when(
            lambda request: request.method == "TRACE",
            lambda request, answer: EndpointAnswer(
                status=200, media_type="message/http", body=repr(request.fields).encode()
            ),
        ),
        "the key in the answer to OPTIONS": with_header(
            lambda request: ("X-Echo", authorization(request)), lambda request: request.method == "OPTIONS"
        ),
        "the key in the answer to HEAD": with_header(
            lambda request: ("X-Echo", authorization(request)), lambda request: request.method == "HEAD"
        ),
        "the key in the answer at another path": when(
            lambda request: request.path != PATH,
            lambda request, answer: (
                replace(answer, body=f"no such path, {authorization(request)}".encode())
                if answer.status == 404
                else answer
            ),
        ),
    },
    # methods and paths
    "other-methods-rejected": {
        f"method: {name}": accepting_methods(condition) for name, condition in ACCEPTED_METHODS.items()
    },
    "unknown-methods": {f"method: {name}": accepting_methods(condition) for name, condition in LETTER_CASES.items()},
    "other-paths-rejected": {f"path: {name}": accepting_paths(condition) for name, condition in ACCEPTED_PATHS.items()},
    "path-line-break": {"path: a line break, as of Starlette": accepting_paths(lambda path: path == f"{PATH}%0A")},
    ("other-paths-rejected", "path-line-break"): {
        "path: any suffix": accepting_paths(lambda path: path.startswith(PATH)),
    },
    ("other-paths-rejected", "unknown-environment-rejected"): {
        "path: any prefix": accepting_paths(lambda path: path.endswith("run_remote")),
    },
    "allow-header": {
        "an empty Allow": changed_everywhere(405, extra_fields=(("Allow", ""),)),
        "an Allow with too many methods": changed_everywhere(405, extra_fields=(("Allow", "GET, POST, PUT, OPTIONS"),)),
        "an Allow without POST": changed_everywhere(405, extra_fields=(("Allow", "HEAD"),)),
        "OPTIONS with an Allow without POST": answering(
            lambda request: request.method == "OPTIONS",
            EndpointAnswer(status=204, extra_fields=(("Allow", "OPTIONS"),)),
        ),
    },
    "regional-host-forms": {
        "regional hosts in upper case": as_if(
            lambda request: replace(request, fields=tuple(each for each in request.fields if each[0] != "Host")),
            lambda request: "API.BASETEN" in "".join(request.values("host")),
        ),
    },
    # errors
    "error-code-cause": {
        "payload_too_large for a small body": with_code_for_invalid_body("payload_too_large", lambda body: True),
        "model_does_not_exist for a missing body": with_code_for_invalid_body(
            "model_does_not_exist", lambda body: not body
        ),
    },
    "error-on-demand": {
        "another code of the same status on demand": answering(
            on_demand("application_error"), error(502, "internal_baseten_error")
        ),
    },
    "error-code": {
        "an undocumented code on demand": answering(on_demand("rate_limited"), error(429, "too_many_requests")),
    },
    "retry-after": {
        "an invalid Retry-After on demand": changed_if(
            on_demand("rate_limited"), extra_fields=(("Retry-After", "soon"),)
        ),
    },
    "error-detail": {"no detail on demand": answering(on_demand("timeout"), error(504, "timeout", detail=None))},
    "request-id-unique": {
        "a constant request id for an error on demand": changed_if(on_demand("timeout"), request_id="timeout"),
    },
    "error-media-type": {
        "HTML on demand": answering(
            on_demand("timeout"), EndpointAnswer(status=504, body=b"<html>", media_type="text/html")
        ),
    },
    # leaks
    "no-internals": {
        **{f"internals: {name}": with_error_text(text) for name, text in INTERNALS.items()},
        "a stack trace in a 401": with_error_text(INTERNALS["Python"], 401),
        "a stack trace in a 404": changed_everywhere(404, body=INTERNALS["Java"].encode(), media_type="text/plain"),
        "a stack trace in a 405": changed_everywhere(405, body=INTERNALS["Node"].encode()),
        "an internal address in a header": with_header(lambda request: ("X-Upstream", "10.4.2.17:8080")),
        "a replica name in a header": with_header(lambda request: ("X-Replica", "chain-7.default.svc.cluster.local")),
    },
}

FAULTS = (
    *faults(SERVERS),
    faulty(
        "authentication-required",
        "one in fifty requests accepted",
        accepting_sometimes(50, at_random=True),
        options={"depth": Depth.STANDARD},
    ),
    faulty(
        "authentication-required",
        "every hundredth request accepted",
        accepting_sometimes(100, at_random=False),
        options={"depth": Depth.STANDARD},
    ),
    faulty(
        "error-on-demand",
        "200 on demand",
        answering(on_demand("model_not_ready"), EndpointAnswer(status=200, body=b"{}")),
        options={"echo": False},
    ),
)


_MODULES = {
    **dict.fromkeys(("key", "scheme", "location"), ("credentials",)),
    **dict.fromkeys(("bypass", "bypass by path"), ("auth_bypass",)),
    **dict.fromkeys(("method", "path"), ("routing",)),
    "internals": ("internals",),
}
"""The modules whose checks find a fault, by the prefix of its name; other faults get all checks."""


def checks_for(fault: FaultyEndpoint) -> tuple[Check, ...]:
    """The checks of the modules that should find a fault."""
    modules = _MODULES.get(fault.name.partition(":")[0], MODULES)
    return tuple(check for check in AUTHENTICATION_CHECKS if check.module in modules)


@pytest.mark.parametrize("fault", sample(FAULTS, lambda fault: fault.breaks), ids=lambda fault: fault.name)
def test_a_fault_is_reported_for_its_clause_only(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """A fault is reported for its clause only, and no finding contains the key or half of it."""
    result = run_suite(fault.server, checks=checks_for(fault), **fault.options)

    assert fault.breaks == result.clauses, result.lines
    assert [found for found in result.findings if KEY in repr(found) or KEY_HALF in repr(found)] == []


@pytest.mark.parametrize("fault", FAULTS[::80], ids=lambda fault: fault.name)
def test_all_checks_together_report_only_its_clause(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """A fault gives the same findings when all checks are run."""
    result = run_suite(fault.server, checks=AUTHENTICATION_CHECKS, **fault.options)

    assert fault.breaks == result.clauses, result.lines


@pytest.mark.parametrize(
    "name",
    ["every request accepted during one with the key", "no authentication", "the key checked once per connection"],
)
def test_one_defect_is_one_finding(name: str, run_suite: RunSuite) -> None:
    """One defect is one finding, however many keys, headers and places reveal it."""
    fault = next(fault for fault in FAULTS if fault.name == name)

    result = run_suite(fault.server, checks=AUTHENTICATION_CHECKS, **fault.options)

    assert len(result.findings) == 1, result.lines
