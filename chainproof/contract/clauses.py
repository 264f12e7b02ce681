"""
The clauses: every testable statement of the contract, with its level and its source.

The source is a JSON pointer into the published document, a section of an RFC, or `assumed` for what callers rely on
without a document that says so. Checks, faults and findings name clauses and do not import each other.
"""

from __future__ import annotations

from chainproof.contract.http_clauses import HTTP_CLAUSE_BY_ID
from chainproof.contract.levels import Clause as Clause  # noqa: PLC0414  # re-exported: clauses and their type go together
from chainproof.contract.levels import Level
from chainproof.contract.openapi import OPERATION

ASSUMED = "assumed"
"""The source of a clause that no document states."""


CLAUSE_BY_ID: dict[str, Clause] = {}
"""Every clause: those of this file in their order, then those of `http_clauses`."""


def _clause(clause_id: str, level: Level, *, source: str, quotation: str, statement: str) -> Clause:
    """A new clause, entered in CLAUSE_BY_ID."""
    clause = Clause(id=clause_id, level=level, source=source, quotation=quotation, statement=statement)
    return CLAUSE_BY_ID.setdefault(clause_id, clause)


_OPERATION_RESPONSES = f"{OPERATION}/responses"
_OUTPUT = "#/components/responses/RunRemoteOutput"
_ERROR = "#/components/responses/Error"
_ERROR_SCHEMA = "#/components/schemas/ErrorResponse"
_INPUT = "#/components/requestBodies/RunRemoteInput"
_SCHEME = "#/components/securitySchemes/ApiKeyAuth"
_REQUEST_ID = "#/components/headers/X-BASETEN-REQUEST-ID"

# ------------------------------------------------------------------ violations visible in a single answer

STATUS = _clause(
    "status",
    Level.MUST,
    source=_OPERATION_RESPONSES,
    quotation="200, 400, 401, 429, 502, 503, 504",
    statement="The status is one of the seven that the document lists for the operation.",
)
OUTPUT_MEDIA_TYPE = _clause(
    "output-media-type",
    Level.MUST,
    source=f"{_OUTPUT}/content",
    quotation="application/json",
    statement="A 200 has the Content-Type application/json.",
)
OUTPUT_JSON = _clause(
    "output-json",
    Level.MUST,
    source="RFC 8259 §2, §8.1",
    quotation="A JSON text is a serialized value. … MUST be encoded using UTF-8",
    statement="The body of a 200 is a JSON text in UTF-8.",
)
OUTPUT_OBJECT = _clause(
    "output-object",
    Level.MUST,
    source=f"{_OUTPUT}/content/application~1json/schema/type",
    quotation="object",
    statement="The output of the chain is a JSON object.",
)
OUTPUT_SCHEMA = _clause(
    "output-schema",
    Level.MUST,
    source=f"{_OUTPUT}/content/application~1json/schema/description",
    quotation="The shape is defined by the chain.",
    statement="The output matches the chain's own schema, if it is known. The output of an echo chain is an object.",
)
ERROR_MEDIA_TYPE = _clause(
    "error-media-type",
    Level.MUST,
    source=f"{_ERROR}/content",
    quotation="application/json",
    statement="An error has the Content-Type application/json.",
)
ERROR_JSON = _clause(
    "error-json",
    Level.MUST,
    source="RFC 8259 §2, §8.1",
    quotation="A JSON text is a serialized value. … MUST be encoded using UTF-8",
    statement="The body of an error is a JSON text in UTF-8.",
)
ERROR_OBJECT = _clause(
    "error-object",
    Level.MUST,
    source=f"{_ERROR_SCHEMA}/type",
    quotation="object",
    statement="The body of an error is a JSON object.",
)
ERROR_MESSAGE = _clause(
    "error-message",
    Level.MUST,
    source=f"{_ERROR_SCHEMA}/properties/error/type",
    quotation="string",
    statement="`error`, if present, is a string.",
)
ERROR_CODE = _clause(
    "error-code",
    Level.MUST,
    source=f"{_ERROR_SCHEMA}/properties/error_code/enum",
    quotation="timeout, client_error, model_unavailable, model_not_ready, model_does_not_exist, rate_limited, "
    "payload_too_large, unauthorized, application_error, internal_baseten_error",
    statement="`error_code`, if present, is one of the ten documented codes.",
)
ERROR_DETAIL = _clause(
    "error-detail",
    Level.MUST,
    source=f"{_ERROR_SCHEMA}/properties/detail/type",
    quotation="string",
    statement="`detail`, if present, is a string.",
)
ERROR_CODE_STATUS = _clause(
    "error-code-status",
    Level.ASSUMED,
    source=ASSUMED,
    quotation="The document lists ten codes and seven statuses but does not pair them. Callers decide by both.",
    statement="An error code comes with one of the statuses that the table of codes and statuses lists for it.",
)
REQUEST_ID_PRESENT = _clause(
    "request-id-present",
    Level.ASSUMED,
    source=_REQUEST_ID + "/description",
    quotation="Unique identifier for the request.",
    statement="A 200 has exactly one X-BASETEN-REQUEST-ID, and it is not empty. An error has at most one, and it is not "
    "empty.",
)
REQUEST_ID_ON_ERRORS = _clause(
    "request-id-on-errors",
    Level.SHOULD,
    source=ASSUMED,
    quotation="The document declares the header for 200 only, but support asks for the id of a failed request.",
    statement="An error has an X-BASETEN-REQUEST-ID too.",
)
SINGLETON_FIELDS = _clause(
    "singleton-fields",
    Level.MUST,
    source="RFC 9110 §5.3",
    quotation="a sender MUST NOT generate multiple field lines with the same name in a message",
    statement="A header field that holds a single value, such as Content-Type, Content-Length, Date or Retry-After, is "
    "sent at most once.",
)
UNIQUE_MEMBER_NAMES = _clause(
    "unique-member-names",
    Level.ASSUMED,
    source="RFC 8259 §4",
    quotation="The names within an object SHOULD be unique.",
    statement="No object in an answer has two members of the same name, unless the request had them.",
)
RETRY_AFTER = _clause(
    "retry-after",
    Level.MUST,
    source="RFC 9110 §10.2.3",
    quotation="Retry-After = HTTP-date / delay-seconds",
    statement="`Retry-After`, if present, is a number of seconds or a date.",
)
CONTENT_CODING = _clause(
    "content-coding",
    Level.MUST,
    source="RFC 9110 §8.4, §12.5.3",
    quotation="the Content-Encoding header field indicates what content codings have been applied to the representation",
    statement="The body is encoded as Content-Encoding says. It is not encoded if the request accepts only `identity`.",
)
FIELD_SYNTAX = _clause(
    "field-syntax",
    Level.MUST,
    source="RFC 9110 §2.2",
    quotation="A sender MUST NOT generate protocol elements that do not match the grammar defined by the corresponding "
    "ABNF rules.",
    statement="The standard header fields of an answer, such as Date, Content-Type, ETag, Cache-Control and Location, follow "
    "the grammar of their specification.",
)
FIELD_CONVENTIONS = _clause(
    "field-conventions",
    Level.SHOULD,
    source="RFC 6265 §4.1.1",
    quotation="Servers SHOULD NOT send Set-Cookie headers that fail to conform to the following grammar",
    statement="Header fields whose errors recipients tolerate, such as Server, Set-Cookie and `Expires: 0`, follow their "
    "grammar too.",
)
DATE_ACCURATE = _clause(
    "date-accurate",
    Level.SHOULD,
    source="RFC 9110 §6.6.1",
    quotation="A sender that generates a Date header field SHOULD generate its field value as the best available "
    "approximation of the date and time of message generation.",
    statement="Date is about the time of the answer: within 50 minutes of the clock of this machine, and not the same for "
    "more than 15 seconds.",
)

# ------------------------------------------------------------------ violations visible in several answers

REQUEST_ID_UNIQUE = _clause(
    "request-id-unique",
    Level.ASSUMED,
    source=_REQUEST_ID + "/description",
    quotation="Unique identifier for the request.",
    statement="No two answers have the same X-BASETEN-REQUEST-ID.",
)
ANSWER_MATCHES_REQUEST = _clause(
    "answer-matches-request",
    Level.ASSUMED,
    source=f"{OPERATION}/description",
    quotation="The request body is forwarded to the chain's `run_remote` entrypoint.",
    statement="An answer belongs to its request: it never contains data of another caller or of an earlier request. Within an "
    "answer, each item's results are its own, however many items there are.",
)
ANSWER_REPEATABLE = _clause(
    "answer-repeatable",
    Level.ASSUMED,
    source=ASSUMED,
    quotation="No document says that a chain is deterministic, but callers of one that is rely on it.",
    statement="A value of the output that is the same whenever an input is sent alone stays the same on every connection, in every "
    "form of the request, with a default written out or with members that the chain ignores, after errors, and while other requests run.",
)
ECHO_EXACT = _clause(
    "echo-exact",
    Level.ASSUMED,
    source=f"{OPERATION}/description",
    quotation="The request body is forwarded to the chain's `run_remote` entrypoint.",
    statement="What a chain returns of its input is what was sent. An echo chain returns every member, every digit of an "
    "integer and every code point; other chains return a value that they repeat in each output unchanged.",
)
REQUEST_ISOLATION = _clause(
    "request-isolation",
    Level.ASSUMED,
    source=ASSUMED,
    quotation="No document says that requests do not affect each other, but every caller of a shared service relies on it.",
    statement="A request does not affect later ones: the same request gets the same kind of answer, on the same "
    "connection and on others, also after rejected requests.",
)
NO_CREDENTIAL_LEAK = _clause(
    "no-credential-leak",
    Level.ASSUMED,
    source=ASSUMED,
    quotation="No document says that answers do not repeat credentials, but every caller relies on it.",
    statement="The answer does not contain the API key of the request.",
)
NO_INTERNALS = _clause(
    "no-internals",
    Level.ASSUMED,
    source=f"{_ERROR_SCHEMA}/properties/error/description",
    quotation="Human-readable error message.",
    statement="An error describes the problem without a stack trace or source paths of the chain.",
)

# ------------------------------------------------------------------ authentication

AUTHENTICATION_REQUIRED = _clause(
    "authentication-required",
    Level.MUST,
    source="#/security",
    quotation="ApiKeyAuth",
    statement="A request without credentials is rejected.",
)
KEY_VERIFIED = _clause(
    "key-verified",
    Level.MUST,
    source=f"{_SCHEME}/description",
    quotation="API key with the `Api-Key` prefix",
    statement="A request whose key is wrong, empty, truncated or extended is rejected.",
)
KEY_PREFIX = _clause(
    "key-prefix",
    Level.MUST,
    source=f"{_SCHEME}/description",
    quotation="API key with the `Api-Key` prefix",
    statement="A request with the right key but without the `Api-Key` prefix, or with another scheme, is rejected.",
)
KEY_LOCATION = _clause(
    "key-location",
    Level.MUST,
    source=f"{_SCHEME}/name",
    quotation="Authorization",
    statement="The key is accepted only in the Authorization header: not in the query, a cookie, the body or another "
    "header.",
)
UNAUTHORIZED_STATUS = _clause(
    "unauthorized-status",
    Level.MUST,
    source=_OPERATION_RESPONSES,
    quotation="401",
    statement="A request that is rejected for nothing but its credentials is answered 401.",
)

AUTHENTICATION_FIRST = _clause(
    "authentication-first",
    Level.SHOULD,
    source=ASSUMED,
    quotation="The document does not say what is checked first. Baseten describes that its gateway authenticates a "
    "request before it does anything else.",
    statement="A request without the right key is rejected for that, even if its body or media type is invalid as well.",
)

# ------------------------------------------------------------------ accepted and rejected requests

OBJECT_ACCEPTED = _clause(
    "object-accepted",
    Level.MUST,
    source=f"{_INPUT}/content/application~1json/schema/type",
    quotation="object",
    statement="Every input that the chain accepts is answered 200, however its JSON is written. A chain without a known "
    "input schema accepts any JSON object.",
)
PROTOTYPE_MEMBERS = _clause(
    "prototype-members",
    Level.SHOULD,
    source=f"{_INPUT}/content/application~1json/schema/type",
    quotation="object",
    statement="An object with a member `__proto__`, or with a `constructor` that contains `prototype`, is accepted like any other.",
)
NON_OBJECT_REJECTED = _clause(
    "non-object-rejected",
    Level.MUST,
    source=f"{_INPUT}/content/application~1json/schema/type",
    quotation="object",
    statement="A JSON body that is not an object is answered 400.",
)
BODY_REQUIRED = _clause(
    "body-required",
    Level.MUST,
    source=f"{_INPUT}/required",
    quotation="true",
    statement="A request without a body is answered 400.",
)
INVALID_JSON_REJECTED = _clause(
    "invalid-json-rejected",
    Level.MUST,
    source=f"{_INPUT}/content",
    quotation="application/json",
    statement="A body that is not valid JSON is answered 400, even if it is almost valid.",
)
MEDIA_TYPE_REQUIRED = _clause(
    "media-type-required",
    Level.ASSUMED,
    source=f"{_INPUT}/content",
    quotation="application/json",
    statement="A body with another media type is rejected.",
)
MEDIA_TYPE_MISSING = _clause(
    "media-type-missing",
    Level.SHOULD,
    source="RFC 9110 §8.3",
    quotation="If a Content-Type header field is not present, the recipient MAY either assume a media type of "
    '"application/octet-stream" ([RFC2046], Section 4.5.1) or examine the data to determine its type.',
    statement="A body without a media type is rejected.",
)
MEDIA_TYPE_PARAMETERS = _clause(
    "media-type-parameters",
    Level.ASSUMED,
    source="RFC 9110 §8.3.1",
    quotation="The type and subtype tokens are case-insensitive.",
    statement="`application/json` is accepted in any letter case and with parameters such as `; charset=utf-8`.",
)

REQUEST_FRAMING = _clause(
    "request-framing",
    Level.MUST,
    source="RFC 9112 §6.3, §7.1",
    quotation="A recipient MUST be able to parse and decode the chunked transfer coding.",
    statement="Every common way to send a request is accepted: chunks of any size, several TCP segments, pipelining, "
    "unknown header fields, a query.",
)

# ------------------------------------------------------------------ methods, paths, hosts and connections

OTHER_METHODS_REJECTED = _clause(
    "other-methods-rejected",
    Level.ASSUMED,
    source="#/paths/~1production~1run_remote",
    quotation="post",
    statement="Every method other than POST is rejected. HEAD, OPTIONS and TRACE may be answered, but do not run the chain.",
)
OTHER_PATHS_REJECTED = _clause(
    "other-paths-rejected",
    Level.ASSUMED,
    source="#/paths",
    quotation="/production/run_remote",
    statement="Paths that the document does not list are rejected, also those that resemble the operation's path.",
)
PATH_LINE_BREAK = _clause(
    "path-line-break",
    Level.SHOULD,
    source="#/paths",
    quotation="/production/run_remote",
    statement="The operation's path with a line break behind it (`%0A`) is another path, and rejected.",
)
ALLOW_HEADER = _clause(
    "allow-header",
    Level.MUST,
    source="RFC 9110 §15.5.6",
    quotation="The origin server MUST generate an Allow header field in a 405 response",
    statement="A 405 has an Allow header that lists POST and does not list the rejected method.",
)
REGIONAL_HOST = _clause(
    "regional-host",
    Level.MUST,
    source="#/info/description",
    quotation="Path-based routes (`/production/*`, `/development/*`, `/environments/*`, `/deployment/*`) are not "
    "available on regional hostnames.",
    statement="On a regional hostname, the path is rejected.",
)
REGIONAL_HOST_FORMS = _clause(
    "regional-host-forms",
    Level.SHOULD,
    source="RFC 9110 §4.2.3",
    quotation="The scheme and host are case-insensitive and normally provided in lowercase",
    statement="A regional hostname is recognised in any letter case, with a port, and with a trailing dot.",
)
FIELD_COUNT = _clause(
    "field-count",
    Level.SHOULD,
    source="RFC 9110 §5.4",
    quotation="A server that receives a request header field line, field value, or set of fields larger than it wishes to "
    "process MUST respond with an appropriate 4xx (Client Error) status code.",
    statement="A request with 90 small header fields is accepted. Common servers accept 100.",
)
REQUEST_LINE_LENGTH = _clause(
    "request-line-length",
    Level.SHOULD,
    source="RFC 9112 §3",
    quotation="It is RECOMMENDED that all HTTP senders and recipients support, at a minimum, request-line lengths of 8000 "
    "octets.",
    statement="A request line of 8000 bytes, most of which are the query, is accepted.",
)
HOST_FORMS = _clause(
    "host-forms",
    Level.ASSUMED,
    source="RFC 9110 §4.2.3",
    quotation="The scheme and host are case-insensitive and normally provided in lowercase",
    statement="The target's own name is recognised in the Host header in any letter case, and with the default port.",
)
HOST_TRAILING_DOT = _clause(
    "host-trailing-dot",
    Level.SHOULD,
    source="RFC 3986 §3.2.2",
    quotation='The rightmost domain label of a fully qualified domain name in DNS may be followed by a single "."',
    statement="The target's own name is recognised in the Host header with a trailing dot.",
)
UNKNOWN_METHODS = _clause(
    "unknown-methods",
    Level.SHOULD,
    source="RFC 9110 §9.1",
    quotation="An origin server that receives a request method that is unrecognized or not implemented SHOULD respond with "
    "the 501 (Not Implemented) status code.",
    statement="A method that nobody has registered is rejected with a 4xx or 501, not with another 5xx or a closed "
    "connection. `post` is not POST: methods are case-sensitive.",
)
UNKNOWN_ENVIRONMENT_REJECTED = _clause(
    "unknown-environment-rejected",
    Level.SHOULD,
    source=ASSUMED,
    quotation="Baseten's documentation has 404 for ids that do not exist or were deleted. A caller that mistypes a name must "
    "not reach another environment.",
    statement="A path that names an environment or a deployment that does not exist is rejected.",
)
RESPONSE_FRAMING = _clause(
    "response-framing",
    Level.MUST,
    source="RFC 9112 §2.1, §6, §7",
    quotation="HTTP-message = start-line CRLF *( field-line CRLF ) CRLF [ message-body ]",
    statement="An answer is one complete HTTP/1.1 message: it can be parsed, and its body ends where its framing says.",
)
REQUEST_ANSWERED = _clause(
    "request-answered",
    Level.ASSUMED,
    source=ASSUMED,
    quotation="The operation is synchronous, and the document has 502, 503 and 504 for failures behind the gateway.",
    statement="Every request is answered before the deadline, and the connection is not dropped.",
)

CONNECTION_PERSISTENCE = _clause(
    "connection-persistence",
    Level.MUST,
    source="RFC 9112 §9.3, §9.6",
    quotation='A server that does not support persistent connections MUST send the "close" connection option in every '
    "response message that does not have a 1xx (Informational) status code.",
    statement="A connection is closed if the request or the answer says `Connection: close`. A server that "
    "closes it after every answer says so.",
)
CLOSE_IN_LIST = _clause(
    "close-in-list",
    Level.SHOULD,
    source="RFC 9112 §9.6",
    quotation='A server that receives a "close" connection option MUST initiate closure of the connection',
    statement="A connection is closed also if `close` is one of several connection options, as in `Connection: TE, close`. "
    "gunicorn leaves it open.",
)
UPGRADE_OFFER = _clause(
    "upgrade-offer",
    Level.SHOULD,
    source="RFC 9110 §7.8",
    quotation="A server MAY ignore a received Upgrade header field if it wishes to continue using the current protocol on that "
    "connection.",
    statement="A request that offers an upgrade to HTTP/2, as Java's HttpClient sends it to plain http URLs, is answered like one "
    "without the offer.",
)
RANGE_IGNORED = _clause(
    "range-ignored",
    Level.SHOULD,
    source="RFC 9110 §14.2",
    quotation="A server MUST ignore a Range header field received with a request method that is unrecognized or for which range "
    "handling is not defined. For this specification, GET is the only method for which range handling is defined.",
    statement="A request with Range gets the whole output.",
)

# ------------------------------------------------------------------ errors and overload

ERROR_CODE_CAUSE = _clause(
    "error-code-cause",
    Level.ASSUMED,
    source=f"{_ERROR_SCHEMA}/properties/error_code/description",
    quotation="Machine-readable error code.",
    statement="`error_code`, if present, names the cause: `unauthorized` for the key, `client_error` for a body that is "
    "not a JSON object, `payload_too_large` only for a large body.",
)
OVERLOAD = _clause(
    "overload",
    Level.ASSUMED,
    source=_OPERATION_RESPONSES,
    quotation="200, 400, 401, 429, 502, 503, 504",
    statement="Under overload, every request is still answered, with 200 or a documented error.",
)
ERROR_ON_DEMAND = _clause(
    "error-on-demand",
    Level.MUST,
    source=_OPERATION_RESPONSES,
    quotation="200, 400, 401, 429, 502, 503, 504",
    statement="A steerable target returns each of the ten codes on demand, with a status that the table lists for it.",
)

CLAUSE_BY_ID.update(HTTP_CLAUSE_BY_ID)

CLAUSES: tuple[Clause, ...] = tuple(CLAUSE_BY_ID.values())

USER_CHECK = Clause(
    id="user-check",
    level=Level.MUST,
    source="--check",
    quotation="None, or a description of the error",
    statement="The user's own check passes.",
)
"""The function named by `--check`: not part of the contract, but counted like a clause."""

COUNTABLE_CLAUSES: dict[str, Clause] = {**CLAUSE_BY_ID, USER_CHECK.id: USER_CHECK}
"""Every clause that a run can count."""

SINGLE_ANSWER_CLAUSES: tuple[Clause, ...] = (
    STATUS,
    OUTPUT_MEDIA_TYPE,
    OUTPUT_JSON,
    OUTPUT_OBJECT,
    ERROR_MEDIA_TYPE,
    ERROR_JSON,
    ERROR_OBJECT,
    ERROR_MESSAGE,
    ERROR_DETAIL,
    ERROR_CODE,
    ERROR_CODE_STATUS,
    RETRY_AFTER,
    SINGLETON_FIELDS,
    REQUEST_ID_PRESENT,
    REQUEST_ID_ON_ERRORS,
)
"""The clauses that `violations` tests on every answer."""

SPECIAL_MESSAGE_CLAUSES: frozenset[Clause] = frozenset(HTTP_CLAUSE_BY_ID.values()) | {
    AUTHENTICATION_FIRST,
    BODY_REQUIRED,
    MEDIA_TYPE_MISSING,
    MEDIA_TYPE_PARAMETERS,
    ALLOW_HEADER,
    REGIONAL_HOST,
    REGIONAL_HOST_FORMS,
    FIELD_COUNT,
    REQUEST_LINE_LENGTH,
    HOST_FORMS,
    HOST_TRAILING_DOT,
    UNKNOWN_METHODS,
    UNKNOWN_ENVIRONMENT_REJECTED,
    PATH_LINE_BREAK,
    PROTOTYPE_MEMBERS,
    CLOSE_IN_LIST,
    UPGRADE_OFFER,
    RANGE_IGNORED,
    ERROR_CODE_CAUSE,
    OVERLOAD,
    ERROR_ON_DEMAND,
    RETRY_AFTER,
}
"""
The clauses about one kind of message, which a run sends or gets a few times. A server treats the same message in the same
way each time, so a few answers decide.
"""
