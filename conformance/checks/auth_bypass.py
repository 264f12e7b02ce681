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
from chainproof.contract.header_fields import Field
from chainproof.contract.violations import Departure

from ..judging.auth_bypass_cause import WRONG
from ..judging.expectation import OK, STEER, expectation
from ..options import Depth, Intrusion
from ..probing.requester import Examination, Observation
from ..transport.raw_connection import WORDLESS, Conversation
from ..transport.request import JSON_TYPE, Request, message
from . import upholds
from .credentials import asking

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

_SPOOFS: tuple[Field, ...] = (
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


@upholds(clauses.AUTHENTICATION_REQUIRED)
def no_other_header_opens(examination: Examination) -> None:
    """
    Whatever a request without credentials says of its sender, its way or its purpose, it is refused; steering is no key.
    """
    if _lets_in(examination.ask(asking(examination, label="a request without Authorization"))):
        return
    for name, value in _SPOOFS:
        label = f"a request without Authorization, with {name}: {value[:40]}"
        examination.ask(asking(examination, (name, value), label=label))
    for wish in (OK, ErrorCode.CLIENT_ERROR.value) * examination.settings.steerable:
        label = f"a request without Authorization, with {STEER}: {wish}"
        examination.ask(asking(examination, (STEER, wish), label=label))
    for protocol in ("websocket", "h2c"):
        _ask_for_another_protocol(examination, protocol)


def _lets_in(observation: Observation) -> bool:
    """
    Whether there is no gate in the first place.
    """
    return observation.answer is not None and 200 <= observation.answer.status < 300


def _ask_for_another_protocol(examination: Examination, protocol: str) -> None:
    """
    A protocol that a POST cannot be upgraded to: HTTP itself may answer, in words of its own, or close.
    """
    fields = (("Connection", "Upgrade"), ("Upgrade", protocol))
    request = asking(examination, *fields, label=f"a request without Authorization, with Upgrade: {protocol}")
    request = examination.prepared(replace(request, message_valid=False))
    with examination.conversation() as conversation:
        conversation.say(request)
        heard = conversation.hear(request, within=min(WORDLESS, examination.settings.deadline))
        if heard.answer is not None:
            examination.enter(request, heard, expectation(request, examination.terms))


@upholds(clauses.AUTHENTICATION_REQUIRED)
def no_query_opens(examination: Examination) -> None:
    """
    Nor is there a query that stands for a key.
    """
    for flag in _FLAGS:
        label = f"a request without Authorization, with ?{flag}"
        examination.ask(asking(examination, label=label, path=f"{examination.target.path}?{flag}"))


@upholds(clauses.AUTHENTICATION_REQUIRED)
def no_body_opens(examination: Examination) -> None:
    """
    The gate looks at no body: empty, no JSON, large, in chunks or under another media type, it is not let in.
    """
    without = asking(examination, label="a request without Authorization")
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
        examination.ask(replace(without, body=body, label=f"{without.label}, {label}"))
    examination.ask(replace(without, chunked=True, label=f"{without.label}, in chunks"))
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "*/*", ""):
        fields = (("Content-Type", media_type),)
        examination.ask(replace(without, fields=fields, label=f"{without.label}, as {media_type or 'nothing'}"))
    examination.ask(replace(without, fields=(), label=f"{without.label} and Content-Type"))
    coded = (JSON_TYPE, ("Content-Encoding", "gzip"))
    # What stands in front may undo codings, and fail at that in words of its own.
    said = replace(without, fields=coded, label=f"{without.label}, said to be in gzip")
    examination.ask(replace(said, message_valid=False))


_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "QUERY", "TRACE", "post", "CHAINPROOF")


def detours(path: str) -> tuple[str, ...]:
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


@upholds(clauses.AUTHENTICATION_REQUIRED)
def no_method_and_no_path_lead_around_the_gate(examination: Examination) -> None:
    """
    Where other methods and near misses of the path lead to the chain, they do so for those alone who have the key.
    """
    without = asking(examination, label="without Authorization", body=_SOME)
    for method in _METHODS:
        examination.ask(replace(without, method=method, label=f"{method} without Authorization"))
    for path in dict.fromkeys(detours(examination.target.path)):
        examination.ask(replace(without, path=path, label=f"POST {path} without Authorization"))
    origin = f"{examination.target.scheme}://{examination.target.authority}"
    examination.ask(replace(without, path=origin + without.path, label="POST of the whole URL without Authorization"))


@upholds(clauses.AUTHENTICATION_REQUIRED)
def no_host_leads_around_the_gate(examination: Examination) -> None:
    """
    Whatever host a request without credentials names, it does not get to the chain.
    """
    examination.require(Intrusion.FOREIGN_HOSTS)
    without = asking(examination, label="without Authorization", body=_SOME)
    for host in (
        "localhost",
        "127.0.0.1",
        "chainproof.invalid",
        "admin.internal",
        "[::1]",
        "chain.default.svc.cluster.local",
    ):
        examination.ask(replace(without, host=host, label=f"a request without Authorization to Host: {host}"))


@upholds(clauses.AUTHENTICATION_REQUIRED)
def an_old_version_leads_not_around_the_gate(examination: Examination) -> None:
    """
    In HTTP/1.0, where connections, hosts and framing are others, the gate is the same.
    """
    request = asking(examination, label="a request without Authorization in HTTP/1.0")
    request = examination.prepared(replace(request, message_valid=False))
    content = message(request, examination.target).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
    with examination.conversation() as conversation:
        conversation.say(request, content)
        heard = conversation.hear(request, http_1_0=True)
        examination.enter(request, heard, expectation(request, examination.terms))


@upholds(clauses.AUTHENTICATION_REQUIRED, clauses.KEY_VERIFIED)
def the_gate_forgets_who_came_before(examination: Examination) -> None:
    """
    Who was let in a moment ago, on this connection or another, opens nothing for whoever comes next.
    """
    right, wrong, without = _callers(examination)
    for turns in (
        (right, without, wrong),
        (wrong, right, without, right, wrong),
        (without, right, right, without, wrong, without),
        (replace(right, method="GET"), without),
        (replace(right, body=b"["), without),
    ):
        with examination.conversation() as conversation:
            _in_turn(examination, conversation, turns)
    for stranger in (without, wrong):
        with examination.conversation() as first, examination.conversation() as second:
            _in_turn(examination, first, (right,))
            _in_turn(examination, second, (stranger,))


def _callers(examination: Examination) -> tuple[Request, Request, Request]:
    """
    Somebody with the right key, with a wrong one, and with none.
    """
    wrong = ("Authorization", f"{examination.key.scheme.prefix} {WRONG}")
    return (
        examination.request(),
        asking(examination, wrong, label="a wrong key, after the right one"),
        asking(examination, label="a request without Authorization, after the right key"),
    )


def _in_turn(examination: Examination, conversation: Conversation, turns: Iterable[Request]) -> None:
    """
    One after another on one connection, for as long as the target keeps it.
    """
    for number, turn in enumerate(turns):
        request = examination.prepared(turn)
        conversation.say(request)
        heard = conversation.hear(request)
        if number and heard.answer is None:
            return  # it was closed behind the answer before, as any connection may be
        is_right = request.fields[0][1] == examination.key.authorization
        # Whether the right key is let in again is another clause's affair.
        expected = None if is_right else expectation(request, examination.terms)
        examination.enter(request, heard, expected)
        if conversation.ended or heard.answer is None or _closes(heard.answer):
            return


def _closes(answer: Answer) -> bool:
    """
    Whether an answer is the last on its connection.
    """
    return any("close" in value.lower() for value in answer.fields("connection"))


@upholds(clauses.AUTHENTICATION_REQUIRED, clauses.KEY_VERIFIED)
def the_gate_stands_every_time(examination: Examination) -> None:
    """
    Hundreds without a key or with a wrong one, between others with the right one, on connections that are kept and on new
    ones: none of them is let in.
    """
    examination.require(Intrusion.KEY_GUESSING)
    chance = examination.chance("gate")
    for request in _knocking(examination, max(60, round(_OFTEN[examination.settings.depth] * examination.haste))):
        if chance.random() < _WITH_THE_KEY:
            examination.ask_plainly(examination.plain)
        last = (("Connection", "close"),) if chance.random() < _AND_GO else ()
        if _is_put_off(examination.ask(replace(request, fields=(*request.fields, *last)))):
            return


def _knocking(examination: Examination, times: int) -> Iterator[Request]:
    """
    Strangers, most of them with nothing in hand.
    """
    chance = examination.chance("strangers")
    key, prefix = examination.key.reveal(), examination.key.scheme.prefix
    for _ in range(times):
        kind = chance.randrange(4)
        wrong = f"{prefix} {chance.getrandbits(32):08x}.{chance.getrandbits(len(key) * 4):x}"
        fields: Sequence[Field] = () if kind < 2 else (("Authorization", wrong),) if kind == 2 else _CHAINPROOF
        yield asking(examination, *fields, label="one of many requests without the right key")


_CHAINPROOF: Sequence[Field] = (("Authorization", f"Chainproof {WRONG}"),)


def _is_put_off(observation: Observation) -> bool:
    """
    Whether the target has had enough of strangers, as it may.
    """
    return observation.answer is None or observation.answer.status == 429


@upholds(clauses.AUTHENTICATION_REQUIRED, clauses.NO_SECRET)
def the_gate_stands_in_a_crowd(examination: Examination) -> None:
    """
    Strangers among callers who have the key, all at once: nobody passes as another, and nobody hears of another's key.
    """
    examination.require(Intrusion.KEY_GUESSING)
    for turn in range(_ROUNDS[examination.settings.depth]):
        crowd = list(_crowd(examination, turn))
        # On a busy machine the first would be answered before the last has begun.
        together = Barrier(len(crowd))
        with ThreadPoolExecutor(len(crowd)) as pool:
            heard = list(pool.map(lambda request: (together.wait(), examination.ask(request))[1], crowd))  # noqa: B023  # all are heard before the next turn
        for observation in heard:
            _overheard(examination, observation, crowd)
        if any(observation.answer is not None and observation.answer.status == 429 for observation in heard):
            return


def _crowd(examination: Examination, turn: int) -> Iterator[Request]:
    """
    Every other one with the right key; the rest with none, or with a wrong one that is each one's own.
    """
    for number in range(_AT_ONCE):
        if number % 2:
            yield examination.request(label="one of a dozen concurrent requests")
            continue
        wrong = f"{examination.key.scheme.prefix} chainproof{turn:03}.stranger{number:03}"
        fields: Sequence[Field] = () if number % 4 else (("Authorization", wrong),)
        yield asking(examination, *fields, label="one of a dozen concurrent requests, without the right key")


def _overheard(examination: Examination, observation: Observation, crowd: Sequence[Request]) -> None:
    """
    The credentials of one caller in the answer to another.
    """
    answer = observation.answer
    if answer is None:
        return
    said = repr(answer.headers) + answer.body.decode("latin-1")
    own = "".join(observation.request.values("authorization"))
    strange = (value.partition(" ")[2] for request in crowd for value in request.values("authorization"))
    if any(key.startswith("chainproof") and key in said and key not in own for key in strange):
        departure = Departure(
            clause=clauses.NO_SECRET,
            expected="an answer without the credentials of a caller",
            actual=f"status {answer.status}, with a key that was sent at the same time",
        )
        examination.hold(clauses.NO_SECRET, departure, observation.request, answer)
