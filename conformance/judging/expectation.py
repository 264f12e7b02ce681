"""
What the contract expects of the answer to one request: a pure function of the request's bytes.

Whatever check or generator made a request, it is judged here, by what was sent and not by what was meant. Where the
document leaves the answer open (a lower-case scheme, a doubled header, a byte order mark, numbers beyond a double) there
is no expectation, and any documented answer will do.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from posixpath import normpath
from urllib.parse import unquote

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.chain_schema import Schema
from chainproof.contract.clauses import Clause
from chainproof.contract.credentials import ApiKey
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import DOCUMENTED_CODES, ErrorCode, allowed_statuses, statuses
from chainproof.contract.levels import Contract
from chainproof.contract.openapi import METHOD
from chainproof.contract.violations import Violation, error_code
from chainproof.json_text import InvalidJson, TooDeep, parse_json

from ..transport.request import CheckRequest
from .json_equality import is_implementation_defined, is_same_json

STEERING_HEADER = "X-Emulate"
"""The request header by which a steerable target is asked for an error."""

NO_ERROR = "ok"
"""What it says to be served whatever else is asked for."""

_SAY_WHAT_THEY_LIKE = frozenset({"HEAD", "OPTIONS", "TRACE"})

_ORIGIN = re.compile(r"^https?://[^/]*", re.IGNORECASE)
_BASETENS = re.compile(r"\.api\.baseten\.co\b", re.IGNORECASE)

_UNMISTAKABLE = 100
"""Bytes of an object that nothing but the chain returns by chance."""

_BLANKS = 4
"""Bytes by which an echo may be longer: a blank behind each colon and comma of one member, a line's end."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_JSON_TYPE = re.compile(
    rf'application/json(?:[ \t]*;[ \t]*(?:charset=(?:utf-8|"utf-8")|(?!charset){_TOKEN}=(?:{_TOKEN}|"[^"\\]*")))*'
)
"""`application/json` in lower case, with parameters that change nothing."""
_LIKE_JSON = re.compile(
    r"^application/json[ \t]*[;,]|,[ \t]*application/json\b|\+json[ \t]*(;|$)|^text/json[ \t]*(;|$)"
)
"""What common servers take for it: odd parameters, another charset, a list, `+json` (RFC 6839 §3.1), `text/json`."""

_ACCEPTING = frozenset({"*/*", "application/*", "application/json"})
_NOT_AT_ALL = re.compile(r";q=0(\.0*)?$")

_LARGE = 100_000
"""Bytes of a body that may be refused as too large rather than for what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What is agreed on beforehand.
    """

    key: ApiKey
    contract: Contract = Contract.STRICT
    echo: bool = False
    """Whether the chain returns the object that it was sent."""
    input_schema: Schema | None = None
    """The chain's input, where it is known."""
    output_schema: Schema | None = None
    """The chain's output, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """
    The clause that decides, and the answers that keep it.
    """

    clause: Clause
    expected: str
    """In words."""
    is_met_by: Callable[[Answer], bool]
    violated_by_request: tuple[Clause, ...] = ()
    """Everything that the request goes against, where it is the request that is wrong."""

    def violation(self, answer: Answer) -> Violation | None:
        """
        Where the answer left the contract; None where it kept it. What was special about the request is its label's affair.
        """
        if self.is_met_by(answer):
            return None
        code = error_code(answer)
        said = f"status {answer.status}" + (f" `{code}`" if code is not None and self.clause is _STEERED else "")
        return Violation(clause=self.clause, expected=self.expected, actual=said)


_STEERED = clauses.ERROR_ON_DEMAND


def expectation(request: CheckRequest, terms: Terms) -> Expectation | None:
    """
    What is expected of the answer to *request*, or None where the contract leaves it open.

    Where several things are wrong with a request, or left open, the answer may be to any of them; the violation names the
    first that is wrong.
    """
    if not request.is_for_operation:
        return _elsewhere(request, terms)
    open_or_wrong = [
        _credentials(request, terms),
        _media_type(request, terms),
        _body(request, terms),
        _acceptable(request),
    ]
    wrong = [found for found in open_or_wrong if isinstance(found, Expectation)]
    if wrong:
        first = wrong[0]
        # What is left open may be what it was refused for.
        left_open, refused = _OPEN in open_or_wrong, statuses(ErrorCode.CLIENT_ERROR, terms.contract)
        return Expectation(
            clause=first.clause,
            expected=first.expected,
            is_met_by=lambda answer: (
                any(one.is_met_by(answer) for one in wrong) or (left_open and answer.status in refused)
            ),
            violated_by_request=tuple(one.clause for one in wrong),
        )
    if _OPEN in open_or_wrong:
        return None
    steered = _steered(request, terms)
    return None if isinstance(steered, _Open) else steered or _accepted(request, terms)


class _Open:
    """
    The answer to this is left open.
    """


_OPEN = _Open()
_Judged = Expectation | _Open | None
"""Wrong, left open, or as it should be."""


def _elsewhere(request: CheckRequest, terms: Terms) -> Expectation | None:
    """
    Other methods, paths and hosts are refused; how is the server's own affair. Who has no right key is let in nowhere.
    """
    stranger = _credentials(request, terms)
    if isinstance(stranger, Expectation):
        return Expectation(
            clause=stranger.clause,
            expected="anything but a 2xx from the chain",
            is_met_by=lambda answer: not _from_the_chain(answer, request, terms),
        )
    if not request.is_valid or stranger is _OPEN:
        return None
    if request.method in _SAY_WHAT_THEY_LIKE:
        return _no_run(request, terms)
    if request.host is not None:
        clause = clauses.REGIONAL_HOST if _is_spelled_plainly(request.host) else clauses.REGIONAL_HOST_FORMS
    elif request.method != METHOD:
        clause = clauses.OTHER_METHODS_REJECTED
    elif is_same_path(request.path, request.operation):
        return None
    else:
        clause = clauses.OTHER_PATHS_REJECTED
    return Expectation(clause=clause, expected="anything but a 2xx", is_met_by=lambda answer: answer.status >= 300)


def _no_run(request: CheckRequest, terms: Terms) -> Expectation | None:
    """
    What HEAD, OPTIONS and TRACE say is open; that an echo chain ran for them shows in what they return.
    """
    if not _is_unmistakable(request, terms):
        return None
    return Expectation(
        clause=clauses.OTHER_METHODS_REJECTED,
        expected="anything but what the chain returns",
        is_met_by=lambda answer: not _from_the_chain(answer, request, terms),
    )


def _from_the_chain(answer: Answer, request: CheckRequest, terms: Terms) -> bool:
    """
    Whether an answer may be what the chain has made of a request: of an echo chain, the object that was sent.
    """
    if not 200 <= answer.status < 300 or answer.media_type != "application/json":
        return False
    body = request.body or b""
    if request.method in _SAY_WHAT_THEY_LIKE and not _is_unmistakable(request, terms):
        return False
    if request.method == "HEAD":
        # All that is seen of the body is its length, give or take the blanks of another spelling.
        said = answer.field("content-length") or ""
        return said.isdecimal() and 0 <= int(said) - len(body) <= _BLANKS
    return is_same_json(body, answer.body) if terms.echo and body else True


def _is_unmistakable(request: CheckRequest, terms: Terms) -> bool:
    """
    Whether nothing but an echo chain returns what was sent.
    """
    return terms.echo and len(request.body or b"") >= _UNMISTAKABLE


def _is_spelled_plainly(host: str) -> bool:
    """
    Whether a hostname stands as the document writes it: in lower case, without a port and without the root's dot. What is
    none of Baseten's is as its owner writes it.
    """
    return _BASETENS.search(host) is None or (host.endswith(".api.baseten.co") and host == host.lower())


def is_same_path(path: str, operation: str) -> bool:
    """
    Whether a path may be taken for the operation's: by RFC 3986 §6.2.2 it is, once what need not be encoded is decoded and
    dots are resolved; servers decode more, and merge slashes.

    >>> same_path("/x/..//production%2Frun%5Fremote?a", "/production/run_remote")
    True
    >>> same_path("/production/run_remote/", "/production/run_remote")
    False
    """
    plain = unquote(_ORIGIN.sub("", path).partition("?")[0]).replace("\\", "/")
    return normpath("/" + plain.lstrip("/")) + "/" * (plain.endswith("/") and plain != "/") == operation


def _with_status(clause: Clause, allowed: frozenset[int]) -> Expectation:
    """
    An answer with one of these statuses.
    """
    words = " or ".join(map(str, sorted(allowed)))
    return Expectation(clause=clause, expected=f"status {words}", is_met_by=lambda answer: answer.status in allowed)


def _credentials(request: CheckRequest, terms: Terms) -> _Judged:
    """
    The right key, behind its scheme's prefix, once, in the Authorization header.
    """
    given = list(request.values("authorization"))
    if given == [terms.key.authorization]:
        return None
    given = [value.strip(" \t") for value in given]
    clause = _credentials_clause(given, request, terms)
    if clause is None or is_waived(clause, terms.contract):
        return _OPEN
    refused = statuses(ErrorCode.UNAUTHORIZED, terms.contract)
    if len(given) > 1 or not all(value.isascii() for value in given):
        # No wrong key alone: a field that stands twice, or bytes that stand for no character, are bad requests too.
        refused |= statuses(ErrorCode.CLIENT_ERROR, terms.contract)
    return _with_status(clause, refused)


def _credentials_clause(given: list[str], request: CheckRequest, terms: Terms) -> Clause | None:
    """
    Which clause the credentials go against; None where no sentence decides.
    """
    key = terms.key.reveal()
    if not given:
        return clauses.KEY_LOCATION if _elsewhere_in(request, key) else clauses.AUTHENTICATION_REQUIRED
    if any(_may_be_right(value, terms.key) for value in given):
        return None
    if len(given) > 1:
        return clauses.KEY_VERIFIED
    scheme, _, token = given[0].partition(" ")
    if scheme.lower() == terms.key.scheme.prefix.lower():
        return clauses.KEY_VERIFIED
    if _ends_with(given[0], key) or (scheme.lower() == "basic" and key.encode() in _decoded(token)):
        return clauses.KEY_PREFIX
    return clauses.KEY_VERIFIED


def _may_be_right(value: str, key: ApiKey) -> bool:
    """
    Whether a value may count as the right one: RFC 9110 §11.1 has schemes compared without case, and how many blanks stand
    behind one is nobody's clause.
    """
    words = value.split()
    schemes = {"api-key", key.scheme.prefix.lower()}
    return len(words) == 2 and words[0].lower() in schemes and words[1] == key.reveal()


def _ends_with(value: str, key: str) -> bool:
    """
    Whether a value has the right key at its end, as a word of its own or behind a mark, or within quotes.
    """
    before, found, behind = value.rpartition(key)
    return (bool(found) and behind in ("", '"') and not before[-1:].isalnum()) or before == "Api-Key"


def _elsewhere_in(request: CheckRequest, key: str) -> bool:
    """
    Whether the key stands in the query, in another header or in the body.
    """
    return (
        key in request.path or any(key in value for _, value in request.fields) or key.encode() in (request.body or b"")
    )


def _decoded(token: str) -> bytes:
    """
    What a Basic credential says, or nothing.
    """
    try:
        return base64.b64decode(token)
    except ValueError:
        return b""


def _media_type(request: CheckRequest, terms: Terms) -> _Judged:
    """
    One Content-Type, of application/json, and no coding over it.
    """
    if request.body in (None, b""):
        return None
    if request.values("content-encoding"):
        return _OPEN
    given = [value.strip().lower() for value in request.values("content-type")]
    if len(given) == 1 and _JSON_TYPE.fullmatch(given[0]):
        return None
    if len(given) > 1 or is_waived(clauses.MEDIA_TYPE_REQUIRED, terms.contract) or any(map(_LIKE_JSON.search, given)):
        return _OPEN
    return Expectation(
        clause=clauses.MEDIA_TYPE_REQUIRED, expected="a 4xx", is_met_by=lambda answer: 400 <= answer.status < 500
    )


def _acceptable(request: CheckRequest) -> _Judged:
    """
    An Accept that takes what the document has, or none.
    """
    given = ",".join(request.values("accept")).lower().replace(" ", "")
    ranges = [each for each in given.split(",") if each and not _NOT_AT_ALL.search(each)]
    admitted = any(each.partition(";")[0] in _ACCEPTING for each in ranges)
    # RFC 9110 §12.5.1: an answer that is not acceptable may be given all the same, or 406.
    return None if admitted or not given else _OPEN


def _body(request: CheckRequest, terms: Terms) -> _Judged:
    """
    One JSON object.
    """
    body = request.body or b""
    if body and request.values("content-encoding"):
        # What it says is seen by whoever decodes it.
        return _OPEN
    value = parse_json(body)
    if isinstance(value, TooDeep) or value is InvalidJson.BYTE_ORDER_MARK:
        # RFC 8259 §8.1: a parser MAY ignore the mark.
        return _OPEN
    if isinstance(value, dict):
        return _OPEN if is_implementation_defined(body) else None
    refused = statuses(ErrorCode.CLIENT_ERROR, terms.contract)
    if len(body) > _LARGE:
        refused |= statuses(ErrorCode.PAYLOAD_TOO_LARGE, terms.contract)
    if not body:
        clause = clauses.BODY_REQUIRED
        # RFC 9110 §15.5.12: a server may insist on a length, which a request without a body need not state.
        refused |= frozenset({411}) if request.has_no_length else frozenset()
    else:
        clause = clauses.INVALID_JSON_REJECTED if isinstance(value, InvalidJson) else clauses.NON_OBJECT_REJECTED
    return _with_status(clause, refused)


def _steered(request: CheckRequest, terms: Terms) -> _Judged:
    """
    The error that a steerable target was asked for; that its body names the code is more than the document requires.
    """
    asked = [value.split(" ")[0] for value in request.values(STEERING_HEADER)]
    if not asked:
        return None
    if len(asked) != 1 or asked[0] not in DOCUMENTED_CODES:
        return _OPEN
    code = asked[0]
    row = statuses(code, terms.contract)
    words = " or ".join(map(str, sorted(row)))
    return Expectation(
        clause=_STEERED,
        expected=f"`{code}` with status {words}",
        is_met_by=lambda answer: answer.status in row and error_code(answer) in (code, None),
    )


def _accepted(request: CheckRequest, terms: Terms) -> Expectation | None:
    """
    What the chain's own signature takes is welcome, and any object to an echo chain. Whatever else an object is answered
    with is right: the service refuses some of what a signature does not take, and coerces or passes over the rest.
    """
    if not accepts_body(terms, request.body):
        return None
    plain = request.values("content-type") == ("application/json",)
    clause = clauses.OBJECT_ACCEPTED if plain else clauses.MEDIA_TYPE_PARAMETERS
    return _with_status(clause, frozenset({200}))


def accepts_body(terms: Terms, body: bytes | None) -> bool:
    """
    Whether the chain is known to take an object.
    """
    value = parse_json(body or b"")
    if not isinstance(value, dict):
        return False
    return terms.echo if terms.input_schema is None else terms.input_schema.accepts(value)


def is_undocumented_rejection(request: CheckRequest, answer: Answer, contract: Contract) -> bool:
    """
    Whether an answer of the operation refuses, with a status that the contract does not know.

    That is one violation, of the status, and not another one of whatever was asked.
    """
    refuses = not 200 <= answer.status < 300
    return request.is_for_operation and refuses and answer.status not in allowed_statuses(contract)


def excerpt(body: bytes, limit: int = 60) -> str:
    """
    As much of a body as a line can carry.
    """
    text = json.dumps(body.decode("utf-8", "replace"), ensure_ascii=False)[1:-1]
    return text if len(text) <= limit else text[: limit - 1] + "…"
