"""No caller gets what belongs to another: data of other requests, sessions, and answers from a cache."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import Lock

from chainproof.contract import clauses
from chainproof.contract.header_fields import HeaderField
from chainproof.results.shell_command import Secret

from ..inputs.chain_inputs import padded, with_member
from ..judging.auth_bypass_cause import WRONG_KEY
from ..judging.judge import BUSY_STATUSES
from ..options import Depth
from ..probing.concurrency import run_in_threads
from ..probing.raw_requests import raw_request
from ..probing.requester import Requester
from ..transport.connection import TransportResult
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for

# ------------------------------------------------------------------ data of other requests

_TOKEN = re.compile(rb"chainproof[0-9a-f]{16}")
_TURNS = {Depth.QUICK: 2, Depth.STANDARD: 6, Depth.DEEP: 20}
"""How often requests of every kind are sent, in turn and concurrently by turns."""
_SIZES = (0, 200, 2000)
"""Bytes by which the data of a request are longer than its token, which is repeated."""
_LONG_ANSWER = 300_000
"""Bytes of an answer that is not sent at once."""
_THREADS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """A request with data of its own, which may be sent only in part."""

    request: CheckRequest
    has_answer: bool = True
    """False: the client leaves before the answer."""


class _SentTokens:
    """The tokens that were sent so far, with the kind of request that had each. Any thread may use it."""

    def __init__(self) -> None:
        self._kinds: dict[bytes, str] = {}
        self._lock = Lock()

    def add(self, request: CheckRequest) -> set[bytes]:
        """Remember the tokens of a request that is about to be sent, and return them."""
        own = set(_TOKEN.findall(_sent_bytes(request)))
        with self._lock:
            self._kinds.update(dict.fromkeys(own, request.label))
        return own

    def foreign(self, raw: bytes, own: set[bytes]) -> str | None:
        """The kind of request whose token is in an answer although the answer's own request did not have it."""
        with self._lock:
            return next(
                (self._kinds[each] for each in _TOKEN.findall(raw) if each in self._kinds and each not in own), None
            )


def _sent_bytes(request: CheckRequest) -> bytes:
    """Everything in a request that may have a token."""
    fields = "".join(value for _, value in request.fields)
    return (request.path + fields).encode("latin-1") + (request.body or b"") + (request.raw or b"")


@check_for(clauses.ANSWER_MATCHES_REQUEST)
def no_answer_contains_data_of_another_request(requester: Requester) -> None:
    """
    Each request, valid, invalid or incomplete, has data that no other has. No answer contains the data of another
    request, neither an output nor an error.
    """
    sent = _SentTokens()
    for turn in requester.part(range(_TURNS[requester.settings.depth]), first=1):
        probes = list(_probes(requester, turn))
        requester.rng(f"order {turn}").shuffle(probes)
        if turn % 2:
            run_in_threads(
                lambda probe: _send_probe(requester, probe, sent), probes, threads=requester.patient_threads(_THREADS)
            )
        else:
            _send_in_turn(requester, probes, turn, sent)


def _send_in_turn(requester: Requester, probes: Iterable[_Probe], turn: int, sent: _SentTokens) -> None:
    """Send probes one after the other, incomplete ones after a large object: what a target may add to them is in its memory."""
    rng = requester.rng(f"before {turn}")
    for probe in probes:
        if probe.request.raw is not None:
            _send_probe(requester, _Probe(request=_object(requester, _data(rng, 2 * _SIZES[-1]))), sent)
        _send_probe(requester, probe, sent)


def _send_probe(requester: Requester, probe: _Probe, sent: _SentTokens) -> None:
    """Send a request and search its answer for data of other requests."""
    request, own = probe.request, sent.add(probe.request)
    requester.require_answers()
    received = requester.send_once(request) if request.raw is None else _send_part(requester, probe)
    if received is None:
        return
    if not received.raw:
        if request.raw is None:
            requester.record(request, received, None)  # a missing answer says nothing about the data of others
        return
    kind = sent.foreign(received.raw, own)
    if kind is None and request.raw is None:
        requester.record(request, received, None)
    status = received.status or "?"
    requester.record_clause(
        clauses.ANSWER_MATCHES_REQUEST,
        request,
        received.answer,
        expected="an answer without data of other requests",
        actual=f"status {status} with data of another request: {kind}" if kind is not None else None,
    )


def _send_part(requester: Requester, probe: _Probe) -> TransportResult | None:
    """Send a part of a request and end the sending direction, or the connection. None if no answer can come."""
    with requester.raw_connection() as connection:
        connection.send_request(probe.request)
        if probe.has_answer and connection.close_writing():
            return connection.read_answer(probe.request, within=requester.waits.optional_answer)
    return None


def _data(rng: random.Random, size: int) -> str:
    """A new token, repeated until it has at least *size* characters."""
    token = f"chainproof{rng.getrandbits(64):016x}"
    return token * (1 + size // len(token))


def _object(requester: Requester, data: str) -> CheckRequest:
    """A request whose body is an object with the data."""
    body = with_member(requester.inputs.base, f'"chainproof":"{data}"'.encode())
    return requester.build_request(body, label="an object")


def _probes(requester: Requester, turn: int) -> Iterator[_Probe]:
    """Requests of every kind, each with a token of its own, short and long."""
    rng = requester.rng(f"tokens {turn}")
    for size in _SIZES:

        def data(size: int = size) -> str:
            return _data(rng, size)

        yield from (_Probe(request=request) for request in _complete_requests(requester, data))
        for has_answer in (True, False):
            text = f'{{"chainproof":"{data()}"}}'.encode()
            length = f"Content-Length: {len(text) + 2000}"
            label = "a body shorter than its length" if has_answer else "an aborted body"
            request = raw_request(requester, text, length, sent=text[: len(text) // 2 + 40], label=label)
            yield _Probe(request=replace(request, valid_message=False), has_answer=has_answer)
    for size in (*_SIZES, _LONG_ANSWER):
        body = _object(requester, _data(rng, size)).body or b""
        length = f"Content-Length: {len(body)}"
        request = raw_request(requester, body, length, sent=body, label="an object whose sender left before the answer")
        yield _Probe(request=request, has_answer=False)


def _complete_requests(requester: Requester, data: Callable[[], str]) -> Iterator[CheckRequest]:
    """Complete requests with data in the body, in the query, in a header field, or in the path."""
    build, path = requester.build_request, requester.target.path

    def member() -> bytes:
        return with_member(requester.inputs.base, f'"chainproof":"{data()}"'.encode())

    yield _object(requester, data())
    yield build(fields=(JSON_TYPE, ("X-Chainproof", data())), label="a header field")
    yield build(path=f"{path}?chainproof={data()}", label="a query")
    yield build(member()[:-1], label="a truncated object")
    yield build(f'["{data()}"]'.encode(), label="an array")
    yield build(data().encode(), fields=(("Content-Type", "text/plain"),), label="a text")
    yield build(member(), path=f"{path}/{data()}", label="another path")
    yield build(None, method="GET", fields=(), path=f"{path}?chainproof={data()}", label="another method")
    yield replace(build(member(), label="no Authorization"), fields=(JSON_TYPE, ("X-Chainproof", data())))
    yield build(member(), authorization=f"{requester.key.scheme.prefix} {data()}", label="a wrong key")
    if requester.settings.steerable:
        yield build(member(), fields=(JSON_TYPE, ("X-Emulate", "application_error")), label="an error on demand")


# ------------------------------------------------------------------ sessions

_SESSION_NAME = re.compile(r"(?i)(?:x-)?(?:[a-z]+-)*(?:session|token|auth|csrf|ticket)(?:-[a-z]+)*")
"""Names of header fields that may carry a session."""
_MIN_SESSION = 8
"""Characters of a header field's value that may identify a session."""


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.KEY_VERIFIED)
def sessions_do_not_replace_the_key(requester: Requester) -> None:
    """A cookie or token that the target itself sends does not authenticate later requests: each needs the key."""
    wrong = ("Authorization", f"{requester.key.scheme.prefix} {WRONG_KEY}")
    for name, value in dict.fromkeys(_session_fields(requester)):
        secret = Secret(text=value, shell_word='"${CHAINPROOF_SESSION}"', from_target=True)
        for own, label in (((), "no Authorization"), ((wrong,), "a wrong key")):
            request = requester.build_request(secret=secret, label=f"{label}, with the {name} that the target sent")
            judged = requester.send(replace(request, fields=(*own, JSON_TYPE, (name, value))))
            if judged.answer is not None and judged.answer.status < 300:
                break  # accepted without a key, so a wrong one says nothing more
    _send_own_sessions(requester)


_OWN_SESSION = "chainproof-0123456789abcdef"
_OWN_SESSIONS: tuple[HeaderField, ...] = (
    (
        "Cookie",
        "; ".join(f"{name}={_OWN_SESSION}" for name in ("session", "sessionid", "sid", "JSESSIONID", "PHPSESSID")),
    ),
    ("X-Session-Id", _OWN_SESSION),
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Request-Id", _OWN_SESSION),
)
"""Fields by which a target may recognise a caller, with values that the caller has chosen."""


def _send_own_sessions(requester: Requester) -> None:
    """Send what may identify a caller with the key, and then without it."""
    for name, value in _OWN_SESSIONS:
        fields = (JSON_TYPE, (name, value))
        label = f"no Authorization, with the {name} of an earlier request with the right key"
        requester.send(requester.build_request(fields=fields, label=f"a request with {name}: {value[:40]}"))
        requester.send(replace(requester.build_request(label=label), fields=fields))


def _session_fields(requester: Requester) -> Iterator[HeaderField]:
    """The request fields that a client would send after the answers to valid requests: cookies, and tokens."""
    cookies: list[str] = []
    for _ in range(2):
        judged = requester.send(requester.build_request())
        answer = judged.answer
        if answer is None:
            continue
        cookies += [value.partition(";")[0].strip() for value in answer.fields("set-cookie")]
        yield from (
            (name, value)
            for name, value in answer.headers
            if _SESSION_NAME.fullmatch(name) and len(value) >= _MIN_SESSION
        )
    if cookies:
        yield "Cookie", "; ".join(dict.fromkeys(cookies))


# ------------------------------------------------------------------ caches


@check_for(clauses.AUTHENTICATION_REQUIRED, clauses.KEY_VERIFIED, clauses.REQUEST_ISOLATION)
def cached_answers_are_not_served_to_unauthenticated_callers(requester: Requester) -> None:
    """
    The answer to a request is not served again to the same request without a key or with a wrong one, and its rejection
    is not served to the right key.
    """
    build = requester.build_request
    wrong = f"{requester.key.scheme.prefix} {WRONG_KEY}"
    for number, fields in enumerate(((JSON_TYPE,), (JSON_TYPE, ("Cache-Control", "max-age=60")))):
        body = _own_body(requester, 100 + number)
        for _ in range(2):
            requester.send(build(body, fields=fields, label="a request that is sent again without a key"))
        without_key = build(body, label="no Authorization, after the same request with the right key")
        requester.send(replace(without_key, fields=fields))
        label = "a wrong key, after the same request with the right key"
        requester.send(build(body, fields=fields, authorization=wrong, label=label))
    body = _own_body(requester, 110)
    before = _status(requester, build(_own_body(requester, 111)))
    requester.send(replace(build(body, label="no Authorization"), fields=(JSON_TYPE,)))
    _check_status(requester, build(body, label="the right key, after the same request without one"), before)


@check_for(clauses.REQUEST_ISOLATION, clauses.CONTENT_CODING)
def cached_answers_depend_on_the_header_fields(requester: Requester) -> None:
    """
    The same body with another Content-Type, Accept-Encoding or method is answered by its own header fields, not by what
    an earlier request had.
    """
    build = requester.build_request
    text = (("Content-Type", "text/plain"),)
    as_json = _status(requester, build(_own_body(requester, 120)))
    if as_json is not None:
        as_text = _status(requester, build(_own_body(requester, 121), fields=text))
        body, other = _own_body(requester, 122), _own_body(requester, 123)
        _status(requester, build(body))
        _check_status(requester, build(body, fields=text, label="text/plain, after the same body as JSON"), as_text)
        _status(requester, build(other, fields=text))
        _check_status(requester, build(other, label="JSON, after the same body as text/plain"), as_json)
        as_put = _status(requester, build(_own_body(requester, 124), method="PUT"))
        _check_status(requester, build(body, method="PUT", label="PUT, after the same body with POST"), as_put)
    for size in (125, 4000):
        body = _own_body(requester, size)
        for coding in ("gzip", "identity", "gzip", "identity;q=1, *;q=0"):
            label = f"Accept-Encoding: {coding}, after the same body with others"
            requester.send(build(body, fields=(JSON_TYPE, ("Accept-Encoding", coding)), label=label))


def _own_body(requester: Requester, size: int) -> bytes:
    """An input of a size that no other request of these checks has."""
    if requester.inputs.any_object:
        return requester.unique_input(f"cached {size}", size)
    return padded(requester.inputs.base, len(requester.inputs.base) + size)


def _status(requester: Requester, request: CheckRequest) -> int | None:
    """The status of the answer to a request; None if the target is busy or does not answer."""
    answer = requester.send(request).answer
    return None if answer is None or answer.status in BUSY_STATUSES else answer.status


def _check_status(requester: Requester, request: CheckRequest, usual: int | None) -> None:
    """Check that a request has the status that the same request has with a body of its own."""
    received = requester.send_once(request)
    answer = received.answer
    if usual is None or answer is None or answer.status in BUSY_STATUSES:
        return
    requester.record_clause(
        clauses.REQUEST_ISOLATION,
        request,
        answer,
        expected=f"status {usual}, as for a body that was not sent before",
        actual=f"status {answer.status}" if answer.status != usual else None,
    )
