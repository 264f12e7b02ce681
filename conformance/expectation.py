"""
What the contract expects of the answer to one request: a pure function of the request's bytes.

Whatever check or generator made a request, it is judged here, by what was sent and not by what was meant. Where the
document leaves the answer open (a lower-case scheme, a doubled header, a byte order mark, numbers beyond a double) there
is no expectation, and any documented answer will do.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass

from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause, waived
from chainproof.contract.credentials import ApiKey
from chainproof.contract.departures import Departure, error_code
from chainproof.contract.errors import ErrorCode, allowed_statuses, statuses
from chainproof.contract.inputs import Schema
from chainproof.contract.levels import Contract
from chainproof.contract.spec import METHOD
from chainproof.jsontext import Malformed, TooDeep, parse_json

from .jsonvalue import discretionary
from .request import Request

STEER = "X-Emulate"
"""The request header by which a steerable target is asked for an error."""

_SAY_WHAT_THEY_LIKE = frozenset({"HEAD", "OPTIONS", "TRACE"})

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
    takes: Schema | None = None
    """The chain's input, where it is known."""
    gives: Schema | None = None
    """The chain's output, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """
    The clause that decides, and the answers that keep it.
    """

    clause: Clause
    expected: str
    """In words."""
    keeps: Callable[[Answer], bool]

    def departure(self, answer: Answer, label: str) -> Departure | None:
        """
        Where the answer to a request, labelled in words, left the contract; None where it kept it.
        """
        if self.keeps(answer):
            return None
        code = error_code(answer)
        said = f"status {answer.status}" + (f" `{code}`" if code is not None and self.clause is _STEERED else "")
        return Departure(clause=self.clause, expected=self.expected, actual=f"{said} to {label}")


_STEERED = clauses.STEERED_ERROR


def expectation(request: Request, terms: Terms) -> Expectation | None:
    """
    What is expected of the answer to *request*, or None where the contract leaves it open.

    Where several things are wrong with a request, the answer may be to any of them; the departure names the first.
    """
    if not request.of_operation:
        return _elsewhere(request)
    open_or_wrong = [_credentials(request, terms), _media_type(request, terms), _body(request, terms)]
    wrong = [found for found in open_or_wrong if isinstance(found, Expectation)]
    if wrong:
        first = wrong[0]
        return Expectation(
            clause=first.clause,
            expected=first.expected,
            keeps=lambda answer: any(one.keeps(answer) for one in wrong),
        )
    if _OPEN in open_or_wrong:
        return None
    return _steered(request, terms) or _accepted(request, terms)


class _Open:
    """
    The answer to this is left open.
    """


_OPEN = _Open()
_Judged = Expectation | _Open | None
"""Wrong, left open, or as it should be."""


def _elsewhere(request: Request) -> Expectation | None:
    """
    Other methods, paths and hosts are refused; how is the server's own affair.
    """
    if request.method in _SAY_WHAT_THEY_LIKE:
        return None
    if request.host is not None:
        clause = clauses.REGIONAL_HOST
    elif request.method != METHOD:
        clause = clauses.OTHER_METHODS_REFUSED
    else:
        clause = clauses.OTHER_PATHS_REFUSED
    return Expectation(clause=clause, expected="anything but a 2xx", keeps=lambda answer: answer.status >= 300)


def _with_status(clause: Clause, allowed: frozenset[int]) -> Expectation:
    """
    An answer with one of these statuses.
    """
    words = " or ".join(map(str, sorted(allowed)))
    return Expectation(clause=clause, expected=f"status {words}", keeps=lambda answer: answer.status in allowed)


def _credentials(request: Request, terms: Terms) -> _Judged:
    """
    The right key, behind its scheme's prefix, once, in the Authorization header.
    """
    given = list(request.values("authorization"))
    if given == [terms.key.authorization]:
        return None
    given = [value.strip(" \t") for value in given]
    clause = _credentials_clause(given, request, terms)
    if clause is None or waived(clause, terms.contract):
        return _OPEN
    return _with_status(clause, statuses(ErrorCode.UNAUTHORIZED, terms.contract))


def _credentials_clause(given: list[str], request: Request, terms: Terms) -> Clause | None:
    """
    Which clause the credentials go against; None where no sentence decides.
    """
    key = terms.key.reveal()
    if not given:
        return clauses.KEY_LOCATION if _elsewhere_in(request, key) else clauses.AUTHENTICATION_REQUIRED
    if len(given) > 1:
        return None
    scheme, _, token = given[0].partition(" ")
    if given[0] == key:
        return clauses.KEY_PREFIX
    if token.strip() == key:
        # RFC 9110 §11.1 has schemes compared without case; how many blanks stand around is nobody's clause.
        return None if scheme.lower() in ("api-key", terms.key.scheme.prefix.lower()) else clauses.KEY_PREFIX
    if scheme.lower() == "basic" and key.encode() in _decoded(token):
        return clauses.KEY_PREFIX
    return clauses.KEY_VERIFIED


def _elsewhere_in(request: Request, key: str) -> bool:
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


def _media_type(request: Request, terms: Terms) -> _Judged:
    """
    One Content-Type, of application/json, and no coding over it.
    """
    if request.body in (None, b""):
        return None
    if request.values("content-encoding"):
        return _OPEN
    given = request.values("content-type")
    if [value.partition(";")[0].strip().lower() for value in given] == ["application/json"]:
        return None
    if len(given) > 1 or waived(clauses.MEDIA_TYPE_REQUIRED, terms.contract):
        return _OPEN
    return Expectation(
        clause=clauses.MEDIA_TYPE_REQUIRED, expected="a 4xx", keeps=lambda answer: 400 <= answer.status < 500
    )


def _body(request: Request, terms: Terms) -> _Judged:
    """
    One JSON object.
    """
    body = request.body or b""
    value = parse_json(body)
    if isinstance(value, TooDeep) or value is Malformed.BYTE_ORDER_MARK:
        # RFC 8259 §8.1: a parser MAY ignore the mark.
        return _OPEN
    if isinstance(value, dict):
        return _OPEN if discretionary(body) else None
    refused = statuses(ErrorCode.CLIENT_ERROR, terms.contract)
    if len(body) > _LARGE:
        refused |= statuses(ErrorCode.PAYLOAD_TOO_LARGE, terms.contract)
    if not body:
        clause = clauses.BODY_REQUIRED
    else:
        clause = clauses.MALFORMED_REFUSED if isinstance(value, Malformed) else clauses.NON_OBJECT_REFUSED
    return _with_status(clause, refused)


def _steered(request: Request, terms: Terms) -> Expectation | None:
    """
    The error that a steerable target was asked for.
    """
    asked = request.values(STEER)
    if not asked:
        return None
    code = asked[0].split(" ")[0]
    row = statuses(code, terms.contract)
    words = " or ".join(map(str, sorted(row)))
    return Expectation(
        clause=_STEERED,
        expected=f"`{code}` with status {words}",
        keeps=lambda answer: answer.status in row and error_code(answer) == code,
    )


def _accepted(request: Request, terms: Terms) -> Expectation | None:
    """
    What the chain's own signature takes is welcome, and any object to an echo chain. Whatever else an object is answered
    with is right: the service refuses some of what a signature does not take, and coerces or passes over the rest.
    """
    if not takes(terms, request.body):
        return None
    plain = request.values("content-type") == ("application/json",)
    clause = clauses.OBJECT_ACCEPTED if plain else clauses.MEDIA_TYPE_PARAMETERS
    return _with_status(clause, frozenset({200}))


def takes(terms: Terms, body: bytes | None) -> bool:
    """
    Whether the chain is known to take an object.
    """
    value = parse_json(body or b"")
    if not isinstance(value, dict):
        return False
    return terms.echo if terms.takes is None else terms.takes.accepts(value)


def only_undocumented(request: Request, answer: Answer, contract: Contract) -> bool:
    """
    Whether an answer of the operation refuses, with a status that the contract does not know.

    That is one departure, of the status, and not another one of whatever was asked.
    """
    refuses = not 200 <= answer.status < 300
    return request.of_operation and refuses and answer.status not in allowed_statuses(contract)


def shown(body: bytes, limit: int = 60) -> str:
    """
    As much of a body as a line can carry.
    """
    text = json.dumps(body.decode("utf-8", "replace"), ensure_ascii=False)[1:-1]
    return text if len(text) <= limit else text[: limit - 1] + "…"
