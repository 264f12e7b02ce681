"""
Whoever lets in, says or serves what is not to be, is caught for its clause: keys, the gate, errors, methods and paths.
"""

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

from chainproof.conformance.checks import CHECKS, Check
from chainproof.conformance.options import Depth

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
    is_object,
    on_status,
    when,
    with_right_key,
)
from .test_faults import FaultyEndpoint, ours

PARTS = ("credentials", "auth_bypass", "failure", "internals", "routing")
AUTHENTICATION_CHECKS = tuple(check for check in CHECKS if check.module in PARTS)
HALF = KEY.partition(".")[2]

Test = Callable[[EndpointRequest], bool]


def given(asked: EndpointRequest) -> str:
    """
    What stands behind `Api-Key `, or nothing.
    """
    value = "".join(asked.values("authorization")[:1])
    return value.removeprefix("Api-Key ") if value.startswith("Api-Key ") else ""


def value(asked: EndpointRequest) -> str:
    """
    The Authorization.
    """
    return "".join(asked.values("authorization")[:1])


def opened_by(test: Test) -> AnswerFunction:
    """
    The honest endpoint, except that whoever meets a condition is let in.
    """
    return as_if(with_right_key, test)


def by_key(test: Callable[[str], bool]) -> AnswerFunction:
    """
    The honest endpoint, except for what it takes for the key.
    """
    return opened_by(lambda asked: bool(given(asked)) and test(given(asked)))


def unnamed(asked: EndpointRequest) -> bool:
    """
    Whether a request has no credentials.
    """
    return not asked.values("authorization")


def says(name: str, words: str) -> Test:
    """
    Whether a header field is said to hold some words, by somebody without credentials.
    """
    return lambda asked: unnamed(asked) and any(words in each for each in asked.values(name))


def taken_for_the_operation(asked: EndpointRequest) -> EndpointRequest:
    """
    The same request with the operation's path and method.
    """
    return replace(asked, path=PATH, method="POST")


def at(test: Callable[[str], bool]) -> AnswerFunction:
    """
    The honest endpoint, except for the paths that it takes for the operation's.
    """
    return as_if(taken_for_the_operation, lambda asked: asked.method == "POST" and test(asked.path.partition("?")[0]))


def by_method(test: Test) -> AnswerFunction:
    """
    The honest endpoint, except for the methods that it takes for POST.
    """
    return as_if(lambda asked: replace(asked, method="POST"), test)


def stranger(test: Test) -> AnswerFunction:
    """
    The honest endpoint, except that it lets in, at another path or by another method, whoever has no credentials.
    """
    return as_if(
        lambda asked: with_right_key(taken_for_the_operation(asked)), lambda asked: unnamed(asked) and test(asked)
    )


def decoded(text: str) -> str:
    """
    What base64 says, or nothing.
    """
    try:
        return base64.b64decode(text + "==").decode()
    except ValueError:
        return ""


def like(pattern: str, text: str) -> bool:
    """
    Whether a text is LIKE a pattern, as SQL has it.
    """
    letters = (".*" if letter == "%" else "." if letter == "_" else re.escape(letter) for letter in pattern)
    return re.fullmatch("".join(letters), text, re.DOTALL) is not None


def matches(pattern: str, text: str) -> bool:
    """
    Whether a text matches a pattern, where that is one.
    """
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return False


class Remembering:
    """
    An endpoint that remembers of a connection that somebody with the key was there.
    """

    def __init__(self) -> None:
        self._here = threading.local()  # the server has a thread for each connection

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        known = getattr(self._here, "known", False)
        self._here.known = known or asked.authorized
        return correct_endpoint(with_right_key(asked) if known else asked)


class Following:
    """
    An endpoint that lets in whoever comes right behind somebody with the key, on whatever connection.
    """

    def __init__(self) -> None:
        self._known = False

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        known, self._known = self._known, asked.authorized
        return correct_endpoint(
            with_right_key(asked) if known and asked.path == PATH and asked.method == "POST" else asked
        )


class Crowded:
    """
    An endpoint that takes everybody for the caller with the key while there is one.
    """

    def __init__(self) -> None:
        self._known = 0
        self._lock = threading.Lock()

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        with self._lock:
            self._known += asked.authorized
        time.sleep(0.002)
        said = correct_endpoint(with_right_key(asked) if self._known else asked)
        with self._lock:
            self._known -= asked.authorized
        return said


class Gossiping:
    """
    An endpoint that says of a wrong key which one was wrong before.
    """

    def __init__(self) -> None:
        self._before = ""

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        said = correct_endpoint(asked)
        if said.status != 401 or "stranger" not in value(asked):
            return said
        before, self._before = self._before, value(asked)
        return replace(said, body=json.dumps({"error": f"wrong again: {before}"}).encode())


def now_and_then(one_in: int, *, drawn: bool) -> AnswerFunction:
    """
    The honest endpoint, except that one stranger in so many is let in: by chance, or by count.
    """
    rng, numbers, lock = random.Random(5), itertools.count(1), threading.Lock()

    def open_now(asked: EndpointRequest) -> bool:
        if asked.authorized or not ours(asked) or asked.path != PATH:
            return False
        with lock:
            return rng.random() * one_in < 1 if drawn else next(numbers) % one_in == 0

    return opened_by(open_now)


def erring(words: str, status: int = 400) -> AnswerFunction:
    """
    The honest endpoint, except for what its errors say.
    """
    return on_status(status, lambda said: replace(said, body=json.dumps({"error": words}).encode()))


def telling(field: Callable[[EndpointRequest], tuple[str, str]], test: Test = lambda asked: True) -> AnswerFunction:
    """
    The honest endpoint, except for a header field more.
    """
    return when(test, lambda asked, said: replace(said, more=(*said.more, field(asked))))


def wished(code: str, answer: Callable[[EndpointAnswer], EndpointAnswer]) -> AnswerFunction:
    """
    The honest endpoint, except for one error on demand.
    """
    return when(lambda asked: code in asked.values("x-emulate"), lambda asked, said: answer(said))


def refusing(code: str, test: Callable[[bytes], bool]) -> AnswerFunction:
    """
    The honest endpoint, except for how it calls what is wrong with a body.
    """
    return when(
        lambda asked: ours(asked) and asked.authorized and not is_object(asked.body) and test(asked.body),
        lambda asked, said: error(400, code) if said.status == 400 else said,
    )


KEYS: dict[str, Callable[[str], bool]] = {
    "what the key begins with": KEY.startswith,
    "eight characters": lambda key: KEY[:8] == key[:8],
    "what the key ends with": lambda key: KEY.endswith(key) and len(key) > 3,
    "what begins with the key": lambda key: key.startswith(KEY),
    "what ends with the key": lambda key: key.endswith(KEY),
    "what holds the key": lambda key: KEY in key,
    "the first half alone": lambda key: key.partition(".")[0] == KEY.partition(".")[0],
    "the last half alone": lambda key: key.partition(".")[2] == HALF,
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
    "the given as a pattern": lambda key: matches(key, KEY),
    "the given as a glob": lambda key: fnmatch.fnmatchcase(KEY, key),
    "the given as LIKE": lambda key: like(key, KEY),
    "a key up to a comma": lambda key: key.split(",")[0] == KEY,
    "one key of a list": lambda key: KEY in key.split(","),
    "a key up to a semicolon": lambda key: key.split(";")[0] == KEY,
    "a key up to a blank": lambda key: key.split(" ")[0] == KEY,
    "a key without quotes": lambda key: key.strip("\"'") == KEY,
    "an encoded key": lambda key: unquote(key).strip() == KEY,
    "a key in base64": lambda key: decoded(key) == KEY,
    "a key's hash": lambda key: key == hashlib.sha256(KEY.encode()).hexdigest(),
    "a key in letters that look alike": lambda key: (
        unicodedata.normalize("NFKC", key.encode("latin-1").decode("utf-8", "replace")) == KEY
    ),
    "a key without its dot": lambda key: key.replace(".", "") == KEY.replace(".", ""),
    "a key reversed": lambda key: key[::-1] == KEY,
    "null": lambda key: key == "null",
    "an injected condition": lambda key: "' or " in key,
    "the document's example": lambda key: key == "abcd1234.abcd1234",
    "a token without a signature": lambda key: key.startswith("eyJ"),
}
"""What some take for the key."""

PREFIXES: dict[str, Test] = {
    "ApiKey": lambda asked: value(asked) == f"ApiKey {KEY}",
    "Token": lambda asked: value(asked) == f"Token {KEY}",
    "Key": lambda asked: value(asked) == f"Key {KEY}",
    "api_key": lambda asked: value(asked) == f"api_key {KEY}",
    "no blank": lambda asked: value(asked) == f"Api-Key{KEY}",
    "a colon": lambda asked: value(asked) == f"Api-Key: {KEY}",
    "an equals sign": lambda asked: value(asked) == f"Api-Key={KEY}",
    "any scheme": lambda asked: value(asked).split(" ")[1:] == [KEY],
    "any eight characters": lambda asked: value(asked)[8:] == KEY,
    "anything before it": lambda asked: value(asked).endswith(f" {KEY}") and not given(asked),
    "a prefix taken off where there is one": lambda asked: value(asked).removeprefix("Api-Key ") == KEY,
    "the last of several words": lambda asked: value(asked).split()[-1:] == [KEY] and not given(asked),
    "Digest": lambda asked: value(asked).startswith("Digest") and KEY in value(asked),
    "a Basic user": lambda asked: decoded(value(asked).partition("Basic ")[2]).split(":")[0] == KEY,
    "a Basic password": lambda asked: decoded(value(asked).partition("Basic ")[2]).split(":")[-1] == KEY,
}
"""How some take it."""

PLACES: dict[str, Test] = {
    "token in the query": lambda asked: f"?token={KEY}" in asked.path,
    "access_token in the query": lambda asked: f"access_token={KEY}" in asked.path,
    "Authorization in the query": lambda asked: f"?Authorization=Api-Key%20{KEY}" in asked.path,
    "X-Authorization": lambda asked: asked.values("x-authorization") == [f"Api-Key {KEY}"],
    "Proxy-Authorization": lambda asked: asked.values("proxy-authorization") == [f"Api-Key {KEY}"],
    "Authentication": lambda asked: asked.values("authentication") == [f"Api-Key {KEY}"],
    "X-Access-Token": lambda asked: asked.values("x-access-token") == [KEY],
    "X-Auth-Token": lambda asked: asked.values("x-auth-token") == [KEY],
    "Api-Key": lambda asked: asked.values("api-key") == [KEY],
    "the Referer": lambda asked: KEY in "".join(asked.values("referer")),
    "a session cookie": lambda asked: f"session={KEY}" in "".join(asked.values("cookie")),
    "a token cookie": lambda asked: f"token={KEY}" in "".join(asked.values("cookie")),
    "a member named key": lambda asked: f'"key":"{KEY}"'.encode() in asked.body,
    "a member named Authorization": lambda asked: f'"Authorization":"Api-Key {KEY}"'.encode() in asked.body,
}
"""Where some look for it, in requests without an Authorization."""

SPOOFS: dict[str, Test] = {
    "a loopback address": says("x-forwarded-for", "127.0.0.1"),
    "a loopback address by another name": says("true-client-ip", "127.0.0.1"),
    "a forwarding": says("forwarded", "127.0.0.1"),
    "a proxy": says("via", "localhost"),
    "another URL": says("x-original-url", "/"),
    "a rewritten URL": says("x-rewrite-url", "/health"),
    "a user": says("x-forwarded-user", "admin"),
    "a remote user": says("x-remote-user", "admin"),
    "an authenticated user": says("x-authenticated-user", "admin"),
    "an internal request": says("x-internal", "true"),
    "debugging": says("x-debug", "1"),
    "a health check": says("user-agent", "kube-probe"),
    "a load balancer's check": says("user-agent", "ELB-HealthChecker"),
    "a page": says("origin", "null"),
    "a preflight in a POST": says("access-control-request-method", "POST"),
    "another method": says("x-http-method-override", "OPTIONS"),
    "a subrequest": says("x-middleware-subrequest", "middleware"),
    "a cookie": says("cookie", "authenticated=true"),
    "steering": lambda asked: asked.values("x-emulate") == ["ok"],
    "an upgrade": says("upgrade", "websocket"),
    "chunks": lambda asked: unnamed(asked) and asked.values("transfer-encoding") == ["chunked"],
    "a large body": lambda asked: unnamed(asked) and len(asked.body) > 100_000,
    "many members": lambda asked: unnamed(asked) and asked.body.count(b",") > 500,
    "a query": lambda asked: unnamed(asked) and asked.path.endswith("?debug=1"),
    "a host": lambda asked: unnamed(asked) and asked.values("host") == ["localhost"],
}
"""What opens to some who have no key."""

DETOURS: dict[str, Test] = {
    "GET": lambda asked: asked.method == "GET",
    "PUT": lambda asked: asked.method == "PUT",
    "a lower-case post": lambda asked: asked.method == "post",
    "a slash behind": lambda asked: asked.path == f"{PATH}/",
    "two slashes": lambda asked: asked.path == f"/{PATH}",
    "two slashes within": lambda asked: asked.path == "/production//run_remote",
    "an encoded character": lambda asked: "%5F" in asked.path,
    "dots": lambda asked: "/../" in asked.path and "run_remote" in asked.path,
    "a parameter": lambda asked: asked.path.startswith(f"{PATH};"),
    "upper case": lambda asked: asked.path == PATH.upper(),
}
"""Ways around some gates, for whoever has no key; who has one is refused there."""

METHODS: dict[str, Test] = {
    "PATCH": lambda asked: asked.method == "PATCH",
    "QUERY": lambda asked: asked.method == "QUERY",
    "PROPFIND": lambda asked: asked.method == "PROPFIND",
    "LINK": lambda asked: asked.method == "LINK",
    "what nobody knows": lambda asked: asked.method == "CHAINPROOF",
    "post": lambda asked: asked.method == "post",
    "any letter case": lambda asked: asked.method.upper() == "POST",
    "a method in the query": lambda asked: "_method=POST" in asked.path,
    "X-HTTP-Method": lambda asked: asked.values("x-http-method") == ["POST"],
    "X-Method-Override": lambda asked: asked.values("x-method-override") == ["POST"],
    "HEAD": lambda asked: asked.method == "HEAD",
    "OPTIONS": lambda asked: asked.method == "OPTIONS" and bool(asked.body),
}
"""What some take for POST."""

ROADS: dict[str, Callable[[str], bool]] = {
    "a slash behind": lambda path: path == f"{PATH}/",
    "anything behind": lambda path: path.startswith(PATH),
    "anything behind a slash": lambda path: path.startswith(f"{PATH}/"),
    "anything before": lambda path: path.endswith("run_remote"),
    "parameters": lambda path: path.split(";")[0] == PATH,
    "an extension": lambda path: path.split(".")[0] == PATH,
    "an encoded NUL": lambda path: path.split("%00")[0] == PATH,
    "an encoded blank": lambda path: unquote(path).strip() == PATH,
    "decoded twice": lambda path: unquote(unquote(path)) == PATH,
    "a hyphen": lambda path: path.replace("-", "_") == PATH,
    "a dot for anything": lambda path: re.fullmatch("/production/run.remote", path) is not None,
    "upper case": lambda path: path == PATH.upper(),
    "a version before": lambda path: path == f"/v1{PATH}",
    "the bare path": lambda path: path == "/run_remote",
    "any environment": lambda path: re.fullmatch("/[a-z]+/run_remote", path) is not None,
}
"""What some take for the path."""

TRACES: dict[str, str] = {
    "Python": 'Traceback (most recent call last):\n  File "/app/server.py", line 3, in run',
    "a frame of Python": 'File "/app/server.py", line 3',
    "Java": "java.lang.NullPointerException\n\tat com.acme.Chain.run(Chain.java:42)",
    "a frame of Java": "at com.acme.Chain.run(Chain.java:42)",
    "Node": "TypeError: x is undefined\n    at Object.run (/srv/chain/index.js:12:7)",
    "a frame of Node": "SyntaxError: Unexpected token\n    at JSON.parse (<anonymous>)",
    "Go": "goroutine 12 [running]:\nmain.serve()\n\t/src/main.go:42",
    "a panic of Go": "runtime error: invalid memory address or nil pointer dereference",
    "Ruby": "undefined method: chain.rb:12:in `run'",
    "PHP": "PHP Fatal error:  Uncaught TypeError in /var/www/html/chain.php on line 3",
    ".NET": "at Acme.Chain.Run(String body) in C:\\src\\Chain.cs:line 42",
    "Rust": "thread 'main' panicked at src/main.rs:12:5: called `Option::unwrap()` on a `None` value",
    "an exception": "sqlalchemy.exc.OperationalError: connection refused",
    "an address": "<chain.Chain object at 0x7f3b2c1d0e80> is not serializable",
    "a debugger": "<title>TypeError // Werkzeug Debugger</title>",
    "Django": "You're seeing this error because you have <code>DEBUG = True</code>",
    "a path": "cannot open /home/app/chain/model.bin",
    "a system's path": "cannot open /etc/chain.conf",
    "a source": "model.load failed in /packages/chain/model.py",
    "a path of Windows": "cannot open C:\\Users\\app\\model.bin",
    "SQL": 'syntax error at or near "x"',
    "SQLite": "no such table: keys",
    "a query": "SELECT id FROM keys WHERE prefix = 'x'",
    "a connection": "cannot reach postgres://chain:secret@db:5432/keys",
    "a cluster": "dial tcp: lookup chain-7.default.svc.cluster.local: no such host",
    "a host": "upstream redis.prod.internal:6379 is down",
    "an address within": "connect ECONNREFUSED 10.4.2.17:8080",
    "a pod": "pod chain-runner-7d9c8b6f5d-x2k4z was evicted",
    "the environment": "environ({'HOME': '/root'})",
    "a variable": "BASETEN_INTERNAL_TOKEN=efgh5678 was refused",
    "a resource": "arn:aws:s3:::chain-weights/model",
}
"""What errors show of the inside of servers."""

FAULTS: tuple[FaultyEndpoint, ...] = (
    *(FaultyEndpoint(name=f"key: {name}", breaks={"key-verified"}, server=by_key(test)) for name, test in KEYS.items()),
    FaultyEndpoint(
        name="key: one of two",
        breaks={"key-verified"},
        server=opened_by(lambda asked: len(asked.values("authorization")) > 1),
    ),
    *(
        FaultyEndpoint(name=f"prefix: {name}", breaks={"key-prefix"}, server=opened_by(test))
        for name, test in PREFIXES.items()
    ),
    *(
        FaultyEndpoint(
            name=f"place: {name}",
            breaks={"key-location"},
            server=opened_by(lambda asked, test=test: unnamed(asked) and test(asked)),  # type: ignore[misc]
        )
        for name, test in PLACES.items()
    ),
    *(
        FaultyEndpoint(
            name=f"opens: {name}",
            breaks={"authentication-required"},
            server=opened_by(lambda asked, test=test: not asked.authorized and test(asked)),  # type: ignore[misc]
        )
        for name, test in SPOOFS.items()
        if name != "steering"
    ),
    FaultyEndpoint(
        name="opens: steering",
        breaks={"authentication-required"},
        server=opened_by(lambda asked: unnamed(asked) and SPOOFS["steering"](asked)),
    ),
    *(
        FaultyEndpoint(name=f"around the gate: {name}", breaks={"authentication-required"}, server=stranger(test))
        for name, test in DETOURS.items()
    ),
    FaultyEndpoint(name="a connection remembers", breaks={"authentication-required"}, server=Remembering()),
    FaultyEndpoint(name="whoever follows", breaks={"authentication-required"}, server=Following()),
    FaultyEndpoint(name="a crowd", breaks={"authentication-required"}, server=Crowded()),
    FaultyEndpoint(name="gossip", breaks={"no-credential-leak"}, server=Gossiping()),
    FaultyEndpoint(
        name="no gate at all",
        breaks={"authentication-required"},
        server=opened_by(lambda asked: True),
    ),
    FaultyEndpoint(
        name="open to one in fifty",
        breaks={"authentication-required"},
        server=now_and_then(50, drawn=True),
        options={"depth": Depth.STANDARD},
    ),
    FaultyEndpoint(
        name="open to every hundredth",
        breaks={"authentication-required"},
        server=now_and_then(100, drawn=False),
        options={"depth": Depth.STANDARD},
    ),
    # methods and paths
    *(
        FaultyEndpoint(name=f"method: {name}", breaks={"other-methods-rejected"}, server=by_method(test))
        for name, test in METHODS.items()
    ),
    *(
        FaultyEndpoint(name=f"path: {name}", breaks={"other-paths-rejected"}, server=at(test))
        for name, test in ROADS.items()
    ),
    FaultyEndpoint(
        name="an empty Allow",
        breaks={"allow-header"},
        server=when(
            lambda asked: True, lambda asked, said: replace(said, more=(("Allow", ""),) if said.status == 405 else ())
        ),
    ),
    FaultyEndpoint(
        name="an Allow with everything",
        breaks={"allow-header"},
        server=when(
            lambda asked: True,
            lambda asked, said: (
                replace(said, more=(("Allow", "GET, POST, PUT, OPTIONS"),)) if said.status == 405 else said
            ),
        ),
    ),
    FaultyEndpoint(
        name="an Allow without POST",
        breaks={"allow-header"},
        server=when(
            lambda asked: True,
            lambda asked, said: replace(said, more=(("Allow", "HEAD"),)) if said.status == 405 else said,
        ),
    ),
    FaultyEndpoint(
        name="OPTIONS that knows no POST",
        breaks={"allow-header"},
        server=when(
            lambda asked: asked.method == "OPTIONS",
            lambda asked, said: EndpointAnswer(status=204, more=(("Allow", "OPTIONS"),)),
        ),
    ),
    FaultyEndpoint(
        name="regional hosts in upper case",
        breaks={"regional-host-forms"},
        server=as_if(
            lambda asked: replace(asked, fields=tuple(each for each in asked.fields if each[0] != "Host")),
            lambda asked: "API.BASETEN" in "".join(asked.values("host")),
        ),
    ),
    # errors
    FaultyEndpoint(
        name="a small body called large",
        breaks={"error-code-cause"},
        server=refusing("payload_too_large", lambda body: True),
    ),
    FaultyEndpoint(
        name="no body called a missing model",
        breaks={"error-code-cause"},
        server=refusing("model_does_not_exist", lambda body: not body),
    ),
    FaultyEndpoint(
        name="another code of the same status on demand",
        breaks={"error-on-demand"},
        server=wished("application_error", lambda said: error(502, "internal_baseten_error")),
    ),
    FaultyEndpoint(
        name="200 on demand",
        breaks={"error-on-demand"},
        server=wished("model_not_ready", lambda said: EndpointAnswer(status=200, body=b"{}")),
        options={"echo": False},
    ),
    FaultyEndpoint(
        name="a code of one's own on demand",
        breaks={"error-code"},
        server=wished("rate_limited", lambda said: error(429, "too_many_requests")),
    ),
    FaultyEndpoint(
        name="soon, on demand",
        breaks={"retry-after"},
        server=wished("rate_limited", lambda said: replace(said, more=(("Retry-After", "soon"),))),
    ),
    FaultyEndpoint(
        name="no detail on demand",
        breaks={"error-detail"},
        server=wished("timeout", lambda said: error(504, "timeout", detail=None)),
    ),
    FaultyEndpoint(
        name="one id for an error on demand",
        breaks={"request-id-unique"},
        server=wished("timeout", lambda said: replace(said, request_id="timeout")),
    ),
    FaultyEndpoint(
        name="HTML on demand",
        breaks={"error-media-type"},
        server=wished("timeout", lambda said: EndpointAnswer(status=504, body=b"<html>", media_type="text/html")),
    ),
    # what is given away
    *(
        FaultyEndpoint(name=f"trace: {name}", breaks={"no-internals"}, server=erring(words))
        for name, words in TRACES.items()
    ),
    FaultyEndpoint(name="a trace in a 401", breaks={"no-internals"}, server=erring(TRACES["Python"], 401)),
    FaultyEndpoint(
        name="a trace in a 404",
        breaks={"no-internals"},
        server=when(
            lambda asked: True,
            lambda asked, said: (
                replace(said, body=TRACES["Java"].encode(), media_type="text/plain") if said.status == 404 else said
            ),
        ),
    ),
    FaultyEndpoint(
        name="a trace in a 405",
        breaks={"no-internals"},
        server=when(
            lambda asked: True,
            lambda asked, said: replace(said, body=TRACES["Node"].encode()) if said.status == 405 else said,
        ),
    ),
    FaultyEndpoint(
        name="an upstream in a header",
        breaks={"no-internals"},
        server=telling(lambda asked: ("X-Upstream", "10.4.2.17:8080")),
    ),
    FaultyEndpoint(
        name="a replica in a header",
        breaks={"no-internals"},
        server=telling(lambda asked: ("X-Replica", "chain-7.default.svc.cluster.local")),
    ),
    FaultyEndpoint(
        name="the key in base64",
        breaks={"no-credential-leak"},
        server=telling(
            lambda asked: ("X-Caller", base64.b64encode(f"id:{KEY}".encode()).decode()), lambda asked: asked.authorized
        ),
    ),
    FaultyEndpoint(
        name="half of the key",
        breaks={"no-credential-leak"},
        server=telling(lambda asked: ("X-Caller", HALF), lambda asked: asked.authorized),
    ),
    FaultyEndpoint(
        name="the key in lower case",
        breaks={"no-credential-leak"},
        server=telling(lambda asked: ("X-Caller", KEY.lower()), lambda asked: asked.authorized),
    ),
    FaultyEndpoint(
        name="the key to TRACE",
        breaks={"no-credential-leak"},
        server=when(
            lambda asked: asked.method == "TRACE",
            lambda asked, said: EndpointAnswer(status=200, media_type="message/http", body=repr(asked.fields).encode()),
        ),
    ),
    FaultyEndpoint(
        name="the key to OPTIONS",
        breaks={"no-credential-leak"},
        server=telling(lambda asked: ("X-Echo", value(asked)), lambda asked: asked.method == "OPTIONS"),
    ),
    FaultyEndpoint(
        name="the key to HEAD",
        breaks={"no-credential-leak"},
        server=telling(lambda asked: ("X-Echo", value(asked)), lambda asked: asked.method == "HEAD"),
    ),
    FaultyEndpoint(
        name="the key at another path",
        breaks={"no-credential-leak"},
        server=when(
            lambda asked: asked.path != PATH,
            lambda asked, said: (
                replace(said, body=f"no such path, {value(asked)}".encode()) if said.status == 404 else said
            ),
        ),
    ),
)


_PARTS = {
    **dict.fromkeys(("key", "prefix", "place"), ("credentials",)),
    **dict.fromkeys(("opens", "around the gate"), ("auth_bypass",)),
    **dict.fromkeys(("method", "path"), ("routing",)),
    "trace": ("internals",),
}
"""By what a fault's name begins with: where its checks stand. The rest is put to all."""


def checks_for(fault: FaultyEndpoint) -> tuple[Check, ...]:
    """
    Those that stand where a fault is looked for.
    """
    parts = _PARTS.get(fault.name.partition(":")[0], PARTS)
    return tuple(check for check in AUTHENTICATION_CHECKS if check.module in parts)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_caught_for_its_clause(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """
    For its clause, and for no other; and no finding holds the key, or half of it.
    """
    examined = run_suite(fault.server, checks=checks_for(fault), **fault.options)

    assert fault.breaks == examined.clauses, examined.lines
    assert [found for found in examined.findings if KEY in repr(found) or HALF in repr(found)] == []


@pytest.mark.parametrize("fault", FAULTS[::40], ids=lambda fault: fault.name)
def test_no_other_check_has_another_word_for_it(fault: FaultyEndpoint, run_suite: RunSuite) -> None:
    """
    A sample, put to every check of these parts.
    """
    examined = run_suite(fault.server, checks=AUTHENTICATION_CHECKS, **fault.options)

    assert fault.breaks == examined.clauses, examined.lines


@pytest.mark.parametrize("name", ["a crowd", "no gate at all", "a connection remembers"])
def test_one_hole_is_one_finding(name: str, run_suite: RunSuite) -> None:
    """
    However many keys, headers and places it is seen through.
    """
    fault = next(fault for fault in FAULTS if fault.name == name)

    examined = run_suite(fault.server, checks=AUTHENTICATION_CHECKS, **fault.options)

    assert len(examined.findings) == 1, examined.lines
