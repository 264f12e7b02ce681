"""
Whether the gate stands: before every method and path, whatever the request says besides, on every connection, every time.

What is asked here has no right key, so that whatever comes of the chain has been let in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.errors import ErrorCode
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.violations import Violation

from ..judging.auth_bypass_cause import WRONG_KEY
from ..judging.expectation import NO_ERROR, STEERING_HEADER, expectation
from ..options import Depth, Permission
from ..probing.requester import JudgedAnswer, Requester
from ..transport.raw_connection import OPTIONAL_ANSWER_TIMEOUT, RawConnection
from ..transport.request import JSON_TYPE, CheckRequest, request_bytes
from . import check_for
from .credentials import request_without_key

_OFTEN: dict[Depth, int] = {Depth.QUICK: 60, Depth.STANDARD: 400, Depth.DEEP: 4000}
"""How many strangers knock at a gate that may stand open now and then: of a gate that is open to one in fifty, that many miss
one in three, one in three thousand, and none."""

_WITH_THE_KEY = 0.3
"""How many callers with the right key come for each stranger."""
_AND_GO = 0.1
"""How many strangers have the connection closed behind them."""

_AT_ONCE = 12

_ROUNDS: dict[Depth, int] = {Depth.QUICK: 2, Depth.STANDARD: 12, Depth.DEEP: 60}
"""How often that many callers, every other one a stranger, come at once."""

_SOME = b'{"chainproof":"%s"}' % (b"x" * 120)
"""An object that nobody returns by chance."""

_SPOOFS: tuple[HeaderField, ...] = (
    # Where the request comes from.
    *(
        (name, "127.0.0.1")
        for name in ("X-Forwarded-For", "X-Real-IP", "X-Client-IP", "X-Originating-IP", "X-Remote-IP")
    ),
    *((name, "127.0.0.1") for name in ("X-Remote-Addr", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP")),
    *(
        (name, "127.0.0.1")
        for name in ("X-Custom-IP-Authorization", "Client-IP", "X-ProxyUser-Ip", "X-Envoy-External-Address")
    ),
    ("X-Forwarded-For", "::1"),
    ("X-Forwarded-For", "10.0.0.1, 127.0.0.1"),
    ("X-Forwarded-For", "localhost"),
    ("Forwarded", "for=127.0.0.1;proto=https;host=localhost"),
    ("Via", "1.1 localhost"),
    ("X-Forwarded-Host", "localhost"),
    ("X-Host", "localhost"),
    ("X-Forwarded-Server", "localhost"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "443"),
    ("Origin", "null"),
    ("Origin", "http://localhost"),
    ("Referer", "http://localhost/admin"),
    # Who is said to have sent it.
    *(
        (name, "admin")
        for name in ("X-Forwarded-User", "X-Authenticated-User", "X-Remote-User", "Remote-User", "X-User")
    ),
    *((name, "admin") for name in ("X-User-Id", "X-WEBAUTH-USER", "X-Auth-User", "X-Auth-Request-User", "X-Username")),
    *((name, "admin") for name in ("X-Consumer-Username", "X-Role", "X-Roles", "X-Forwarded-Groups", "X-Account-Id")),
    ("X-Authenticated", "true"),
    ("X-Authenticated-Userid", "1"),
    ("X-Consumer-Id", "1"),
    ("X-Amzn-Oidc-Identity", "admin"),
    ("X-Goog-Authenticated-User-Email", "admin@example.com"),
    ("X-Ssl-Client-Verify", "SUCCESS"),
    ("X-Client-Cert", "1"),
    ("X-Forwarded-Client-Cert", "By=spiffe://cluster.local;Hash=0"),
    ("Cookie", "authenticated=true; admin=1; role=admin; session=1"),
    # What it is said to be for.
    *(
        (name, "true")
        for name in ("X-Internal", "X-Internal-Request", "X-Debug", "X-Test", "X-Admin", "X-Health-Check")
    ),
    *(
        (name, "true")
        for name in ("X-Skip-Auth", "X-No-Auth", "X-Bypass-Auth", "X-Trusted", "X-Envoy-Internal", "X-Dev")
    ),
    *(
        (name, "1")
        for name in ("X-Internal", "X-Internal-Request", "X-Debug", "X-Test", "X-Admin", "X-Skip-Auth", "X-Trusted")
    ),
    ("X-Probe", "1"),
    ("X-Service-Name", "chain"),
    ("X-Request-Type", "internal"),
    ("X-Middleware-Subrequest", ":".join(["middleware"] * 5)),
    ("X-Requested-With", "XMLHttpRequest"),
    ("X-Original-URL", "/"),
    ("X-Original-URI", "/health"),
    ("X-Original-Method", "OPTIONS"),
    ("X-Rewrite-URL", "/health"),
    ("X-Forwarded-URI", "/health"),
    ("X-Forwarded-Prefix", "/internal"),
    ("X-Forwarded-Method", "OPTIONS"),
    ("X-HTTP-Method-Override", "OPTIONS"),
    ("X-Method-Override", "OPTIONS"),
    ("X-HTTP-Method", "OPTIONS"),
    ("Access-Control-Request-Method", "POST"),
    *(
        ("User-Agent", agent)
        for agent in (
            *(
                "kube-probe/1.29",
                "ELB-HealthChecker/2.0",
                "GoogleHC/1.0",
                "Envoy/HC",
                "Prometheus/2.51.0",
                "baseten/1.0",
            ),
            *("Googlebot/2.1 (+http://www.google.com/bot.html)", "curl/8.5.0", "UptimeRobot/2.0", "health-check", ""),
        )
    ),
)
"""Fields by which requests pass for somebody else's, or for something else."""

_FLAGS = (
    "debug=1",
    "admin=true",
    "auth=false",
    "internal=1",
    "token=null",
    "key=",
    "api_key=",
    "test",
    "health",
    "user=admin",
)
"""Queries that somebody may have left in."""


@check_for(clauses.AUTHENTICATION_REQUIRED)
def other_headers_do_not_bypass_authentication(requester: Requester) -> None:
    """
    Whatever a request without credentials says of its sender, its way or its purpose, it is refused; steering is no key.
    """
    if _lets_in(requester.send(request_without_key(requester, label="a request without Authorization"))):
        return
    for name, value in _SPOOFS:
        label = f"a request without Authorization, with {name}: {value[:40]}"
        requester.send(request_without_key(requester, (name, value), label=label))
    for wish in (NO_ERROR, ErrorCode.CLIENT_ERROR.value) * requester.settings.steerable:
        label = f"a request without Authorization, with {STEERING_HEADER}: {wish}"
        requester.send(request_without_key(requester, (STEERING_HEADER, wish), label=label))
    for protocol in ("websocket", "h2c"):
        _ask_for_another_protocol(requester, protocol)


def _lets_in(judged: JudgedAnswer) -> bool:
    """
    Whether there is no gate in the first place.
    """
    return judged.answer is not None and 200 <= judged.answer.status < 300


def _ask_for_another_protocol(requester: Requester, protocol: str) -> None:
    """
    A protocol that a POST cannot be upgraded to: HTTP itself may answer, in words of its own, or close.
    """
    fields = (("Connection", "Upgrade"), ("Upgrade", protocol))
    request = request_without_key(
        requester, *fields, label=f"a request without Authorization, with Upgrade: {protocol}"
    )
    request = requester.prepare(replace(request, valid_message=False))
    with requester.raw_connection() as connection:
        connection.send_request(request)
        heard = connection.read_answer(request, within=min(OPTIONAL_ANSWER_TIMEOUT, requester.settings.deadline))
        if heard.answer is not None:
            requester.record(request, heard, expectation(request, requester.terms))


@check_for(clauses.AUTHENTICATION_REQUIRED)
def query_parameters_do_not_bypass_authentication(requester: Requester) -> None:
    """
    Nor is there a query that stands for a key.
    """
    for flag in _FLAGS:
        label = f"a request without Authorization, with ?{flag}"
        requester.send(request_without_key(requester, label=label, path=f"{requester.target.path}?{flag}"))


@check_for(clauses.AUTHENTICATION_REQUIRED)
def request_bodies_do_not_bypass_authentication(requester: Requester) -> None:
    """
    The gate looks at no body: empty, no JSON, large, in chunks or under another media type, it is not let in.
    """
    without = request_without_key(requester, label="a request without Authorization")
    for label, body in (
        ("with an empty body", b""),
        ("with an array", b"[]"),
        ("with null", b"null"),
        ("with a string", b'"x"'),
        ("with an object cut short", b"{"),
        ("with bytes that are not UTF-8", b'{"\xff":1}'),
        ("with an object of 200 kB", b'{"x":"%s"}' % (b"x" * 200_000)),
        ("with an object of 1000 members", b"{%s}" % b",".join(b'"%d":%d' % (n, n) for n in range(1000))),
    ):
        requester.send(replace(without, body=body, label=f"{without.label}, {label}"))
    requester.send(replace(without, chunked=True, label=f"{without.label}, in chunks"))
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "*/*", ""):
        fields = (("Content-Type", media_type),)
        requester.send(replace(without, fields=fields, label=f"{without.label}, as {media_type or 'nothing'}"))
    requester.send(replace(without, fields=(), label=f"{without.label} and Content-Type"))
    coded = (JSON_TYPE, ("Content-Encoding", "gzip"))
    # What stands in front may undo codings, and fail at that in words of its own.
    said = replace(without, fields=coded, label=f"{without.label}, said to be in gzip")
    requester.send(replace(said, valid_message=False))


_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "QUERY", "TRACE", "post", "CHAINPROOF")


def bypass_paths(path: str) -> tuple[str, ...]:
    """
    Paths that somebody on the way may take for the operation's while another does not.
    """
    folder, _, name = path.rpartition("/")
    return (
        f"/{path}",
        f"{folder}//{name}",
        f"{path}/",
        f"{path}//",
        f"{path}/.",
        f"{folder}/./{name}",
        f"{folder}/x/../{name}",
        f"/health/..{path}",
        f"/health/%2e%2e{path}",
        f"/public/..;{path}",
        f"{path};x=1",
        f"{path};.css",
        f"{path}%20",
        f"{path}%00",
        f"{path}%0a",
        f"{path}%3f",
        f"{path}%23",
        f"{path}.json",
        f"{path}.css",
        f"{path}/x.css",
        f"{path}?/health",
        f"{folder}%2F{name}",
        f"{folder}%252F{name}",
        f"{folder}\\{name}",
        path.replace("_", "%5F"),
        path.replace("r", "%72", 1),
        path.upper(),
        path.title(),
        f"/api{path}",
        f"/internal{path}",
        f"/v1{path}",
    )


@check_for(clauses.AUTHENTICATION_REQUIRED)
def methods_and_paths_do_not_bypass_authentication(requester: Requester) -> None:
    """
    Where other methods and near misses of the path lead to the chain, they do so for those alone who have the key.
    """
    without = request_without_key(requester, label="without Authorization", body=_SOME)
    for method in _METHODS:
        requester.send(replace(without, method=method, label=f"{method} without Authorization"))
    for path in dict.fromkeys(bypass_paths(requester.target.path)):
        requester.send(replace(without, path=path, label=f"POST {path} without Authorization"))
    origin = f"{requester.target.scheme}://{requester.target.authority}"
    requester.send(replace(without, path=origin + without.path, label="POST of the whole URL without Authorization"))


@check_for(clauses.AUTHENTICATION_REQUIRED)
def host_headers_do_not_bypass_authentication(requester: Requester) -> None:
    """
    Whatever host a request without credentials names, it does not get to the chain.
    """
    requester.require_permission(Permission.FOREIGN_HOSTS)
    without = request_without_key(requester, label="without Authorization", body=_SOME)
    for host in (
        "localhost",
        "127.0.0.1",
        "chainproof.invalid",
        "admin.internal",
        "[::1]",
        "chain.default.svc.cluster.local",
    ):
        requester.send(replace(without, host=host, label=f"a request without Authorization to Host: {host}"))


@check_for(clauses.AUTHENTICATION_REQUIRED)
def requests_with_an_old_http_version_are_authenticated(requester: Requester) -> None:
    """
    In HTTP/1.0, where connections, hosts and framing are others, the gate is the same.
    """
    request = request_without_key(requester, label="a request without Authorization in HTTP/1.0")
    request = requester.prepare(replace(request, valid_message=False))
    content = request_bytes(request, requester.target).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
    with requester.raw_connection() as connection:
        connection.send_request(request, content)
        heard = connection.read_answer(request, http_1_0=True)
        requester.record(request, heard, expectation(request, requester.terms))


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.KEY_VERIFIED)
def authentication_does_not_carry_over_to_other_requests(requester: Requester) -> None:
    """
    Who was let in a moment ago, on this connection or another, opens nothing for whoever comes next.
    """
    right, wrong, without = _callers(requester)
    for turns in (
        (right, without, wrong),
        (wrong, right, without, right, wrong),
        (without, right, right, without, wrong, without),
        (replace(right, method="GET"), without),
        (replace(right, body=b"["), without),
    ):
        with requester.raw_connection() as connection:
            _in_turn(requester, connection, turns)
    for stranger in (without, wrong):
        with requester.raw_connection() as first, requester.raw_connection() as second:
            _in_turn(requester, first, (right,))
            _in_turn(requester, second, (stranger,))


def _callers(requester: Requester) -> tuple[CheckRequest, CheckRequest, CheckRequest]:
    """
    Somebody with the right key, with a wrong one, and with none.
    """
    wrong = ("Authorization", f"{requester.key.scheme.prefix} {WRONG_KEY}")
    return (
        requester.build_request(),
        request_without_key(requester, wrong, label="a wrong key, after the right one"),
        request_without_key(requester, label="a request without Authorization, after the right key"),
    )


def _in_turn(requester: Requester, connection: RawConnection, turns: Iterable[CheckRequest]) -> None:
    """
    One after another on one connection, for as long as the target keeps it.
    """
    for number, turn in enumerate(turns):
        request = requester.prepare(turn)
        connection.send_request(request)
        heard = connection.read_answer(request)
        if number and heard.answer is None:
            return  # it was closed behind the answer before, as any connection may be
        is_right = request.fields[0][1] == requester.key.authorization
        # Whether the right key is let in again is another clause's affair.
        expected = None if is_right else expectation(request, requester.terms)
        requester.record(request, heard, expected)
        if connection.is_closed or heard.answer is None or _closes(heard.answer):
            return


def _closes(answer: Answer) -> bool:
    """
    Whether an answer is the last on its connection.
    """
    return any("close" in value.lower() for value in answer.fields("connection"))


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.KEY_VERIFIED)
def every_one_of_many_requests_is_authenticated(requester: Requester) -> None:
    """
    Hundreds without a key or with a wrong one, between others with the right one, on connections that are kept and on new
    ones: none of them is let in.
    """
    requester.require_permission(Permission.KEY_GUESSING)
    rng = requester.rng("gate")
    for request in _knocking(requester, max(60, round(_OFTEN[requester.settings.depth] * requester.scale_factor))):
        if rng.random() < _WITH_THE_KEY:
            requester.send_valid_body(requester.minimal_body)
        last = (("Connection", "close"),) if rng.random() < _AND_GO else ()
        if _is_put_off(requester.send(replace(request, fields=(*request.fields, *last)))):
            return


def _knocking(requester: Requester, times: int) -> Iterator[CheckRequest]:
    """
    Strangers, most of them with nothing in hand.
    """
    rng = requester.rng("strangers")
    key, prefix = requester.key.reveal(), requester.key.scheme.prefix
    for _ in range(times):
        kind = rng.randrange(4)
        wrong = f"{prefix} {rng.getrandbits(32):08x}.{rng.getrandbits(len(key) * 4):x}"
        fields: Sequence[HeaderField] = () if kind < 2 else (("Authorization", wrong),) if kind == 2 else _CHAINPROOF
        yield request_without_key(requester, *fields, label="one of many requests without the right key")


_CHAINPROOF: Sequence[HeaderField] = (("Authorization", f"Chainproof {WRONG_KEY}"),)


def _is_put_off(judged: JudgedAnswer) -> bool:
    """
    Whether the target has had enough of strangers, as it may.
    """
    return judged.answer is None or judged.answer.status == 429


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.NO_CREDENTIAL_LEAK)
def concurrent_requests_are_authenticated_separately(requester: Requester) -> None:
    """
    Strangers among callers who have the key, all at once: nobody passes as another, and nobody hears of another's key.
    """
    requester.require_permission(Permission.KEY_GUESSING)
    for turn in range(_ROUNDS[requester.settings.depth]):
        crowd = list(_crowd(requester, turn))
        # On a busy machine the first would be answered before the last has begun.
        together = Barrier(len(crowd))
        with ThreadPoolExecutor(len(crowd)) as pool:
            heard = list(pool.map(lambda request: (together.wait(), requester.send(request))[1], crowd))  # noqa: B023  # all are heard before the next turn
        for judged in heard:
            _overheard(requester, judged, crowd)
        if any(judged.answer is not None and judged.answer.status == 429 for judged in heard):
            return


def _crowd(requester: Requester, turn: int) -> Iterator[CheckRequest]:
    """
    Every other one with the right key; the rest with none, or with a wrong one that is each one's own.
    """
    for number in range(_AT_ONCE):
        if number % 2:
            yield requester.build_request(label="one of a dozen concurrent requests")
            continue
        wrong = f"{requester.key.scheme.prefix} chainproof{turn:03}.stranger{number:03}"
        fields: Sequence[HeaderField] = () if number % 4 else (("Authorization", wrong),)
        yield request_without_key(requester, *fields, label="one of a dozen concurrent requests, without the right key")


def _overheard(requester: Requester, judged: JudgedAnswer, crowd: Sequence[CheckRequest]) -> None:
    """
    The credentials of one caller in the answer to another.
    """
    answer = judged.answer
    if answer is None:
        return
    said = repr(answer.headers) + answer.body.decode("latin-1")
    own = "".join(judged.request.values("authorization"))
    strange = (value.partition(" ")[2] for request in crowd for value in request.values("authorization"))
    if any(key.startswith("chainproof") and key in said and key not in own for key in strange):
        violation = Violation(
            clause=clauses.NO_CREDENTIAL_LEAK,
            expected="an answer without the credentials of a caller",
            actual=f"status {answer.status}, with a key that was sent at the same time",
        )
        requester.record_clause(clauses.NO_CREDENTIAL_LEAK, violation, judged.request, answer)
