"""
Says which answer the contract expects to one request. The expectation is a pure function of the request's bytes.

It depends on what was sent, not on the check that sent it. Where the contract leaves the answer open (a lower-case
scheme, a repeated header, a byte order mark, numbers outside the range of a double), there is no expectation, and any
documented answer will do.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from posixpath import normpath
from urllib.parse import unquote

from chainproof.chain_schema.member_names import unnamed_members
from chainproof.chain_schema.schema import Schema
from chainproof.contract import clauses
from chainproof.contract.addresses import unknown_paths
from chainproof.contract.answer import Answer
from chainproof.contract.clauses import Clause
from chainproof.contract.credentials import ApiKey
from chainproof.contract.deviations import is_waived
from chainproof.contract.errors import DOCUMENTED_CODES, ErrorCode, allowed_statuses, statuses
from chainproof.contract.levels import Contract
from chainproof.contract.openapi import METHOD
from chainproof.contract.violations import Violation, error_code
from chainproof.json_text import JSON, InvalidJson, TooComplex, parse_json
from chainproof.stored_text import beginning, shortened
from chainproof.user_check import UserCheck

from ..inputs.chain_inputs import UNNAMED_MEMBER
from ..inputs.sizes import REQUIRED_OWN_NESTING, nesting
from ..transport.request import CheckRequest
from .json_equality import is_implementation_defined, is_same_json
from .rejectable_inputs import has_prototype_member, value_of_some_types

STEERING_HEADER = "X-Emulate"
"""The request header that asks a steerable target for an error."""

NO_ERROR = "ok"
"""The value of that header that asks for no error."""

_METHODS_WITHOUT_EXPECTATION = frozenset({"HEAD", "OPTIONS", "TRACE"})

_ORIGIN = re.compile(r"^https?://[^/]*", re.IGNORECASE)
_BASETEN_HOST = re.compile(r"\.api\.baseten\.co\b", re.IGNORECASE)

_MIN_UNIQUE_BODY = 100
"""Bytes from which an object is not returned by chance, but only by an echo chain."""

_MAX_ADDED_BLANKS = 4
"""Bytes by which an echo may be longer: spaces after the colon and comma of one member, and a line end."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9a-z-]+"
_JSON_TYPE = re.compile(
    rf'application/json(?:[ \t]*;[ \t]*(?:charset=(?:utf-8|"utf-8")|(?!charset){_TOKEN}=(?:{_TOKEN}|"[^"\\]*")))*'
)
"""`application/json` in lower case, with parameters that do not change its meaning."""
_SIMILAR_TYPE = re.compile(
    r"^application/json[ \t]*[;,]|,[ \t]*application/json\b|\+json[ \t]*(;|$)|^text/json[ \t]*(;|$)"
)
"""What common servers accept as JSON: unusual parameters, another charset, a list, `+json` (RFC 6839 §3.1), `text/json`."""

_ACCEPTED_RANGES = frozenset({"*/*", "application/*", "application/json"})
_WEIGHT_0 = re.compile(r";q=0(\.0*)?$")

_MAX_EXCERPT = 60
"""Characters of a body in a violation."""

_MAX_MESSAGE = 200
"""Characters of `error` and of `detail` in a violation."""

_LARGE = 100_000
"""Bytes above which a body may be rejected as too large instead of invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is known about the target before the first request."""

    key: ApiKey
    other_secrets: tuple[str, ...] = ()
    """What may not be shown either: values of added headers."""
    contract: Contract = Contract.STRICT
    echo: bool = False
    """Whether the chain returns the object that it was sent."""
    input_schema: Schema | None = None
    """Schema of the chain's input; None: unknown."""
    output_schema: Schema | None = None
    """Schema of the chain's output; None: unknown."""
    user_check: UserCheck | None = None
    """The user's check of every output; None: none."""
    accepted_inputs: frozenset[str] = frozenset()
    """Inputs that the chain has accepted, as `canonical_json` writes them."""
    is_status_accepted: bool = False
    """Whether undocumented statuses do not fail the run (`--accept status`)."""
    ignores_unnamed: bool = False
    """Whether the chain has accepted a member `UNNAMED_MEMBER`, which its signature does not name."""

    @property
    def any_object(self) -> bool:
        """Whether the chain accepts every JSON object."""
        return self.echo and self.input_schema is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """A clause, and the answers that keep it."""

    clause: Clause
    expected: str
    """In words."""
    is_met_by: Callable[[Answer], bool]
    violated_by_request: tuple[Clause, ...] = ()
    """The clauses that the request itself violates on purpose."""
    is_rejection: bool = False
    """Whether the request has to be rejected. That shows something only if the unchanged request is accepted."""

    def violation(self, answer: Answer) -> Violation | None:
        """The violation of an answer that does not keep the clause, or None. It does not describe the request: its label does."""
        if self.is_met_by(answer):
            return None
        actual, code = f"status {answer.status}", error_code(answer)
        if code is not None and self.clause is clauses.ERROR_ON_DEMAND:
            actual += f" `{code}`"
        elif not self.is_rejection and (message := _error_message(answer)):
            actual += f": {message}"  # why the target rejected what it should have accepted
        return Violation(clause=self.clause, expected=self.expected, actual=actual)


def expectation(request: CheckRequest, terms: Terms) -> Expectation | None:
    """
    The expectation for the answer to *request*, or None if the contract leaves the answer open.

    If several things are wrong with a request, or left open, the answer may be about any of them. The violation names the
    first one that is wrong.
    """
    if not request.is_for_operation:
        return _other_target_expectation(request, terms)
    open_or_wrong = [
        _credentials(request, terms),
        _media_type(request, terms),
        _body(request, terms),
        _acceptable(request),
    ]
    wrong = [found for found in open_or_wrong if isinstance(found, Expectation)]
    if wrong:
        first = wrong[0]
        # The rejection may also be about something that is left open.
        left_open, rejected = _OPEN in open_or_wrong, statuses(ErrorCode.CLIENT_ERROR, terms.contract)
        return Expectation(
            clause=first.clause,
            expected=first.expected,
            is_met_by=lambda answer: (
                any(one.is_met_by(answer) for one in wrong) or (left_open and answer.status in rejected)
            ),
            violated_by_request=tuple(one.clause for one in wrong),
            is_rejection=True,
        )
    if _OPEN in open_or_wrong:
        return None
    steered = _steered(request, terms)
    return None if isinstance(steered, _Open) else steered or _accepted(request, terms)


class _Open:
    """Marks a part of a request whose answer the contract leaves open."""


_OPEN = _Open()
_PartExpectation = Expectation | _Open | None
"""A part of a request is wrong, left open, or valid (None)."""


def _other_target_expectation(request: CheckRequest, terms: Terms) -> Expectation | None:
    """Other methods, paths and hosts are rejected, with any status. Without the right key nothing of the chain may answer."""
    credentials = _credentials(request, terms)
    if isinstance(credentials, Expectation):
        return Expectation(
            clause=credentials.clause,
            expected="no 2xx from the chain",
            is_met_by=lambda answer: not _is_from_chain(answer, request, terms),
            is_rejection=True,
        )
    if not request.is_valid or credentials is _OPEN:
        return None
    if request.method in _METHODS_WITHOUT_EXPECTATION:
        return _no_run_expectation(request, terms)
    if request.host is not None:
        clause = clauses.REGIONAL_HOST if _is_documented_form(request.host) else clauses.REGIONAL_HOST_FORMS
    elif request.method != METHOD:
        # Common frameworks read methods in upper case, Django and Hypercorn among them.
        is_post = request.method.upper() == METHOD
        clause = clauses.UNKNOWN_METHODS if is_post else clauses.OTHER_METHODS_REJECTED
    elif is_same_path(request.path, request.operation):
        return None
    else:
        clause = _path_clause(request)
    return Expectation(
        clause=clause, expected="anything but a 2xx", is_met_by=lambda answer: answer.status >= 300, is_rejection=True
    )


def _path_clause(request: CheckRequest) -> Clause:
    """The clause that says that the request's path is not served."""
    if request.path in unknown_paths():
        return clauses.UNKNOWN_ENVIRONMENT_REJECTED
    if request.path == f"{request.operation}%0A":
        return clauses.PATH_LINE_BREAK
    return clauses.OTHER_PATHS_REJECTED


def _no_run_expectation(request: CheckRequest, terms: Terms) -> Expectation | None:
    """The answer to HEAD, OPTIONS and TRACE is open, except that the chain must not run. An echo shows that it ran."""
    if not _has_unique_echo(request, terms):
        return None
    return Expectation(
        clause=clauses.OTHER_METHODS_REJECTED,
        expected="anything but what the chain returns",
        is_met_by=lambda answer: not _is_from_chain(answer, request, terms),
        is_rejection=True,
    )


def _is_from_chain(answer: Answer, request: CheckRequest, terms: Terms) -> bool:
    """True if an answer may be the chain's output: from an echo chain, the object that was sent."""
    if not answer.is_success or answer.media_type != "application/json":
        return False
    body = request.body or b""
    if request.method in _METHODS_WITHOUT_EXPECTATION and not _has_unique_echo(request, terms):
        return False
    if request.method == "HEAD":
        # Only the length of the body is visible, and an echo may contain more whitespace.
        length = answer.field("content-length") or ""
        return length.isdecimal() and 0 <= int(length) - len(body) <= _MAX_ADDED_BLANKS
    return is_same_json(body, answer.body) if terms.echo and body else True


def _has_unique_echo(request: CheckRequest, terms: Terms) -> bool:
    """True if only an echo chain returns what was sent."""
    return terms.echo and len(request.body or b"") >= _MIN_UNIQUE_BODY


def _is_documented_form(host: str) -> bool:
    """
    True if a Baseten hostname is written as in the document: in lower case, without port and trailing dot. Any other
    hostname passes.
    """
    return _BASETEN_HOST.search(host) is None or (host.endswith(".api.baseten.co") and host == host.lower())


def is_same_path(path: str, operation: str) -> bool:
    """
    True if a server may treat a path as the operation's: after the normalization of RFC 3986 §6.2.2, full decoding, and
    merging of slashes.

    >>> is_same_path("/x/..//production%2Frun%5Fremote?a", "/production/run_remote")
    True
    >>> is_same_path("/production/run_remote/", "/production/run_remote")
    False
    """
    plain = unquote(_ORIGIN.sub("", path).partition("?")[0]).replace("\\", "/")
    return normpath("/" + plain.lstrip("/")) + "/" * (plain.endswith("/") and plain != "/") == operation


def _with_status(clause: Clause, allowed: frozenset[int]) -> Expectation:
    """The expectation of one of these statuses."""
    expected = f"status {' or '.join(map(str, sorted(allowed)))}"
    return Expectation(clause=clause, expected=expected, is_met_by=lambda answer: answer.status in allowed)


def _credentials(request: CheckRequest, terms: Terms) -> _PartExpectation:
    """Valid: one Authorization header with the scheme's prefix and the right key."""
    given = list(request.values("authorization"))
    if given == [terms.key.authorization]:
        return None
    given = [value.strip(" \t") for value in given]
    clause = _credentials_clause(given, request, terms)
    if clause is None or is_waived(clause, terms.contract):
        return _OPEN
    rejected = statuses(ErrorCode.UNAUTHORIZED, terms.contract)
    if len(given) > 1 or not all(value.isascii() for value in given):
        # A repeated field, or bytes outside ASCII, make a bad request as well.
        rejected |= statuses(ErrorCode.CLIENT_ERROR, terms.contract)
    return _with_status(clause, rejected)


def _credentials_clause(given: list[str], request: CheckRequest, terms: Terms) -> Clause | None:
    """The clause that the credentials violate, or None if the contract leaves it open."""
    key = terms.key.reveal()
    if not given:
        return clauses.KEY_LOCATION if _has_key_elsewhere(request, key) else clauses.AUTHENTICATION_REQUIRED
    if any(_may_be_valid(value, terms.key) for value in given):
        return None
    if len(given) > 1:
        return clauses.KEY_VERIFIED
    scheme, _, token = given[0].partition(" ")
    if scheme.lower() == terms.key.scheme.prefix.lower():
        return clauses.KEY_VERIFIED
    if _ends_with_key(given[0], key) or (scheme.lower() == "basic" and key.encode() in _decoded_token(token)):
        return clauses.KEY_PREFIX
    return clauses.KEY_VERIFIED


def _may_be_valid(value: str, key: ApiKey) -> bool:
    """True if a server may accept a value: RFC 9110 §11.1 compares schemes without case, and no clause counts the spaces."""
    words = value.split()
    schemes = {"api-key", key.scheme.prefix.lower()}
    return len(words) == 2 and words[0].lower() in schemes and words[1] == key.reveal()


def _ends_with_key(value: str, key: str) -> bool:
    """True if a value ends with the right key as a separate word, perhaps in quotes."""
    before, match, after = value.rpartition(key)
    return (bool(match) and after in ("", '"') and not before[-1:].isalnum()) or before == "Api-Key"


def _has_key_elsewhere(request: CheckRequest, key: str) -> bool:
    """True if the key is in the query, in another header or in the body."""
    return (
        key in request.path or any(key in value for _, value in request.fields) or key.encode() in (request.body or b"")
    )


def _decoded_token(token: str) -> bytes:
    """The decoded text of a Basic credential; empty if it is not valid base64."""
    try:
        return base64.b64decode(token)
    except ValueError:
        return b""


def _media_type(request: CheckRequest, terms: Terms) -> _PartExpectation:
    """Valid: one Content-Type, which is application/json, and no Content-Encoding."""
    if request.body in (None, b""):
        return None
    if request.values("content-encoding"):
        return _OPEN
    given = [value.strip().lower() for value in request.values("content-type")]
    if len(given) == 1 and _JSON_TYPE.fullmatch(given[0]):
        return None
    if (
        len(given) > 1
        or is_waived(clauses.MEDIA_TYPE_REQUIRED, terms.contract)
        or any(map(_SIMILAR_TYPE.search, given))
    ):
        return _OPEN
    # RFC 9110 §8.3: a recipient may guess the type of a body that names none.
    clause = clauses.MEDIA_TYPE_REQUIRED if any(given) else clauses.MEDIA_TYPE_MISSING
    return Expectation(clause=clause, expected="a 4xx", is_met_by=lambda answer: 400 <= answer.status < 500)


def _acceptable(request: CheckRequest) -> _PartExpectation:
    """Valid: no Accept header, or one that accepts JSON."""
    given = ",".join(request.values("accept")).lower().replace(" ", "")
    ranges = [each for each in given.split(",") if each and not _WEIGHT_0.search(each)]
    accepts_json = any(each.partition(";")[0] in _ACCEPTED_RANGES for each in ranges)
    # RFC 9110 §12.5.1: a server may send an unacceptable answer anyway, or 406.
    return None if accepts_json or not given else _OPEN


def _body(request: CheckRequest, terms: Terms) -> _PartExpectation:
    """Valid: one JSON object."""
    body = request.body or b""
    if body and request.values("content-encoding"):
        return _OPEN
    value = parse_json(body)
    if isinstance(value, TooComplex) or value is InvalidJson.BYTE_ORDER_MARK:
        # RFC 8259 §8.1: a parser MAY ignore the mark.
        return _OPEN
    if isinstance(value, dict):
        return _OPEN if is_implementation_defined(body) else None
    rejected = statuses(ErrorCode.CLIENT_ERROR, terms.contract)
    if len(body) > _LARGE:
        rejected |= statuses(ErrorCode.PAYLOAD_TOO_LARGE, terms.contract)
    if not body:
        clause = clauses.BODY_REQUIRED
        # RFC 9110 §15.5.12: a server may require a length, which a request without a body need not state.
        rejected |= frozenset({411}) if request.has_no_length else frozenset()
    else:
        clause = clauses.INVALID_JSON_REJECTED if isinstance(value, InvalidJson) else clauses.NON_OBJECT_REJECTED
    return _with_status(clause, rejected)


def _steered(request: CheckRequest, terms: Terms) -> _PartExpectation:
    """The error that the request asks a steerable target for. The document does not require its body to have a code."""
    codes = [value.split(" ")[0] for value in request.values(STEERING_HEADER)]
    if not codes:
        return None
    if len(codes) != 1 or codes[0] not in DOCUMENTED_CODES:
        return _OPEN
    code = codes[0]
    allowed = statuses(code, terms.contract)
    return Expectation(
        clause=clauses.ERROR_ON_DEMAND,
        expected=f"`{code}` with status {' or '.join(map(str, sorted(allowed)))}",
        is_met_by=lambda answer: answer.status in allowed and error_code(answer) in (code, None),
    )


def _accepted(request: CheckRequest, terms: Terms) -> Expectation | None:
    """
    A 200 for an object that the chain accepts, and a 200 or 400 for one that only its model reads. Others have no expectation: the
    service rejects some objects that do not match a chain's signature, and coerces or ignores other differences. Nor has a number
    or a time that not every type has, unless the chain has accepted the same input before.
    """
    if is_rejection_left_open(terms, request.body):
        return None
    if not accepts_body(terms, request.body):
        allowed = frozenset({200}) | statuses(ErrorCode.CLIENT_ERROR, terms.contract)
        return _with_status(clauses.OBJECT_ACCEPTED, allowed) if _is_read_by_model(terms, request.body) else None
    if request.values("content-type") == ("application/json",):
        allowed = frozenset({200})
        if _is_own_nesting_left_open(terms, request.body) or has_prototype_member(request.body):
            allowed |= statuses(ErrorCode.CLIENT_ERROR, terms.contract)
        return _with_status(clauses.OBJECT_ACCEPTED, allowed)
    # The reason of a rejection is the media type only if the chain accepts the input in the usual one: a schema may be wrong.
    return _with_status(clauses.MEDIA_TYPE_PARAMETERS, frozenset({200})) if _has_accepted(terms, request.body) else None


def _is_read_by_model(terms: Terms, body: bytes | None) -> bool:
    """
    True if the model of the chain's class accepts an input that does not match its schema, such as a time without an offset or a
    number as text. The chain may reject it, and must not fail.
    """
    value = parse_json(body or b"")
    model = terms.input_schema.model if terms.input_schema is not None else None
    return model is not None and isinstance(value, dict) and model.accepts(value)


def _has_accepted(terms: Terms, body: bytes | None) -> bool:
    """True if the chain accepts any object, or has accepted this one."""
    value = parse_json(body or b"")
    return terms.any_object or (isinstance(value, dict) and canonical_json(value) in terms.accepted_inputs)


def accepts_body(terms: Terms, body: bytes | None) -> bool:
    """
    True if the chain is known to accept a body: any object, an input that matches its schema, or one that it has accepted.

    A member that the signature does not name may be rejected as well as ignored, unless the chain has shown what it does.
    """
    value = parse_json(body or b"")
    if not isinstance(value, dict):
        return False
    if terms.any_object:
        return True
    if UNNAMED_MEMBER in value:
        if not terms.ignores_unnamed:
            return False
        value = {name: member for name, member in value.items() if name != UNNAMED_MEMBER}
    schema = terms.input_schema
    if schema is not None and not unnamed_members(schema, value) and schema.accepts(value):
        return True
    return bool(terms.accepted_inputs) and canonical_json(value) in terms.accepted_inputs


def is_rejection_left_open(terms: Terms, body: bytes | None) -> bool:
    """True if a chain may reject an input that its schema accepts, because of the type that it has for a number or a time."""
    if terms.any_object or body is None or value_of_some_types(terms.input_schema, body) is None:
        return False
    value = parse_json(body)
    return not (isinstance(value, dict) and canonical_json(value) in terms.accepted_inputs)


def _is_own_nesting_left_open(terms: Terms, body: bytes | None) -> bool:
    """True if a chain may reject an input, but not fail at it, since it is nested more deeply than the chain expects."""
    value = parse_json(body or b"")
    return (
        not terms.any_object
        and isinstance(value, dict)
        and UNNAMED_MEMBER not in value
        and nesting(value) > REQUIRED_OWN_NESTING
        and canonical_json(value) not in terms.accepted_inputs
    )


def canonical_json(value: JSON) -> str:
    """The same text for equal values, whatever the order of their members."""
    try:
        return json.dumps(value, sort_keys=True)
    except (RecursionError, ValueError):  # nested too deeply, or an integer with too many digits
        return ""


def is_undocumented_rejection(request: CheckRequest, answer: Answer, contract: Contract) -> bool:
    """True if the operation rejects with a status that the contract does not have. That violates the status clause only."""
    return request.is_for_operation and not answer.is_success and answer.status not in allowed_statuses(contract)


def _error_message(answer: Answer) -> str:
    """What an error says in `error` and `detail`, in one line; empty if it says nothing, or for a 200."""
    value = parse_json(answer.body) if not answer.is_success else None
    if not isinstance(value, dict):
        return ""
    said = (value.get(name) for name in ("error", "detail"))
    return " – ".join(excerpt(text.encode("utf-8", "replace"), _MAX_MESSAGE) for text in said if isinstance(text, str))


def excerpt(body: bytes, max_length: int = _MAX_EXCERPT) -> str:
    """The beginning of a body, in one line."""
    return shortened(json.dumps(beginning(body, max_length + 1), ensure_ascii=False)[1:-1], max_length)
