"""
The contract, statement by statement.

A clause is one testable statement. Its source is a JSON pointer into the published document, a section of an RFC, or
`assumed` for what every caller relies on though nobody wrote it. Checks cite a clause, faults break one, findings name
one: the three never import each other and meet here.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.contract.levels import Contract, Level
from chainproof.contract.openapi import OPERATION

ASSUMED = "assumed"
"""The source of a clause that no document states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """
    One testable statement of the contract.
    """

    id: str
    """Short, stable, lower case: what findings, reports and `--accept` call it."""
    level: Level
    source: str
    """A JSON pointer (`#/…`), an RFC and section, or `assumed`."""
    quotation: str
    """What the source says, word for word; for an assumed clause, why callers rely on it."""
    statement: str
    """What we hold an answer against, in one sentence."""


_OPERATION_RESPONSES = f"{OPERATION}/responses"
_OUTPUT = "#/components/responses/RunRemoteOutput"
_ERROR = "#/components/responses/Error"
_ERROR_SCHEMA = "#/components/schemas/ErrorResponse"
_INPUT = "#/components/requestBodies/RunRemoteInput"
_SCHEME = "#/components/securitySchemes/ApiKeyAuth"
_REQUEST_ID = "#/components/headers/X-BASETEN-REQUEST-ID"

# ------------------------------------------------------------------ what any single answer shows

STATUS = Clause(
    id="status",
    level=Level.MUST,
    source=_OPERATION_RESPONSES,
    quotation="200, 400, 401, 429, 502, 503, 504",
    statement="An answer of the operation has one of the seven statuses the document lists; there is no default.",
)
OUTPUT_MEDIA_TYPE = Clause(
    id="output-media-type",
    level=Level.MUST,
    source=f"{_OUTPUT}/content",
    quotation="application/json",
    statement="A 200 says that its body is application/json.",
)
OUTPUT_JSON = Clause(
    id="output-json",
    level=Level.MUST,
    source="RFC 8259 §2, §8.1",
    quotation="A JSON text is a serialized value. … MUST be encoded using UTF-8",
    statement="The body of a 200 is a JSON text in UTF-8.",
)
OUTPUT_OBJECT = Clause(
    id="output-object",
    level=Level.MUST,
    source=f"{_OUTPUT}/content/application~1json/schema/type",
    quotation="object",
    statement="The output of the chain is a JSON object.",
)
OUTPUT_SCHEMA = Clause(
    id="output-schema",
    level=Level.MUST,
    source=f"{_OUTPUT}/content/application~1json/schema/description",
    quotation="The shape is defined by the chain.",
    statement="The output is of the chain's own shape, where that is known: an object from an echo chain.",
)
ERROR_MEDIA_TYPE = Clause(
    id="error-media-type",
    level=Level.MUST,
    source=f"{_ERROR}/content",
    quotation="application/json",
    statement="An error says that its body is application/json.",
)
ERROR_JSON = Clause(
    id="error-json",
    level=Level.MUST,
    source="RFC 8259 §2, §8.1",
    quotation="A JSON text is a serialized value. … MUST be encoded using UTF-8",
    statement="The body of an error is a JSON text in UTF-8.",
)
ERROR_OBJECT = Clause(
    id="error-object",
    level=Level.MUST,
    source=f"{_ERROR_SCHEMA}/type",
    quotation="object",
    statement="The body of an error is a JSON object.",
)
ERROR_MESSAGE = Clause(
    id="error-message",
    level=Level.MUST,
    source=f"{_ERROR_SCHEMA}/properties/error/type",
    quotation="string",
    statement="`error`, where present, is a string.",
)
ERROR_CODE = Clause(
    id="error-code",
    level=Level.MUST,
    source=f"{_ERROR_SCHEMA}/properties/error_code/enum",
    quotation="timeout, client_error, model_unavailable, model_not_ready, model_does_not_exist, rate_limited, "
    "payload_too_large, unauthorized, application_error, internal_baseten_error",
    statement="`error_code`, where present, is one of the ten codes.",
)
ERROR_DETAIL = Clause(
    id="error-detail",
    level=Level.MUST,
    source=f"{_ERROR_SCHEMA}/properties/detail/type",
    quotation="string",
    statement="`detail`, where present, is a string.",
)
ERROR_CODE_STATUS = Clause(
    id="error-code-status",
    level=Level.ASSUMED,
    source=ASSUMED,
    quotation="The document lists ten codes and seven statuses and never pairs them; callers branch on both.",
    statement="An error code comes with a status of its row in the table of codes and statuses.",
)
REQUEST_ID_PRESENT = Clause(
    id="request-id-present",
    level=Level.ASSUMED,
    source=_REQUEST_ID + "/description",
    quotation="Unique identifier for the request.",
    statement="A 200 carries exactly one non-empty X-BASETEN-REQUEST-ID; an error carries none, or one that is not empty.",
)
REQUEST_ID_ON_ERRORS = Clause(
    id="request-id-on-errors",
    level=Level.SHOULD,
    source=ASSUMED,
    quotation="The document declares the header for 200 alone; support asks for the id of a request that failed.",
    statement="An error carries an X-BASETEN-REQUEST-ID too.",
)
SINGLETON_FIELDS = Clause(
    id="singleton-fields",
    level=Level.MUST,
    source="RFC 9110 §5.3",
    quotation="a sender MUST NOT generate multiple field lines with the same name in a message",
    statement="A header field that holds one value stands in an answer once: Content-Type, Content-Length, Date, Retry-After "
    "and the like.",
)
UNIQUE_MEMBER_NAMES = Clause(
    id="unique-member-names",
    level=Level.ASSUMED,
    source="RFC 8259 §4",
    quotation="The names within an object SHOULD be unique.",
    statement="An answer names no member twice, unless its request did: which of the two counts, its readers would disagree.",
)
RETRY_AFTER = Clause(
    id="retry-after",
    level=Level.MUST,
    source="RFC 9110 §10.2.3",
    quotation="Retry-After = HTTP-date / delay-seconds",
    statement="`Retry-After`, where present, is a number of seconds or a date.",
)
CONTENT_CODING = Clause(
    id="content-coding",
    level=Level.MUST,
    source="RFC 9110 §8.4, §12.5.3",
    quotation="the Content-Encoding header field indicates what content codings have been applied to the representation",
    statement="A body is coded as Content-Encoding says, and not coded where the request takes `identity` alone.",
)

# ------------------------------------------------------------------ what several answers show

REQUEST_ID_UNIQUE = Clause(
    id="request-id-unique",
    level=Level.ASSUMED,
    source=_REQUEST_ID + "/description",
    quotation="Unique identifier for the request.",
    statement="No two answers carry the same X-BASETEN-REQUEST-ID.",
)
ANSWER_MATCHES_REQUEST = Clause(
    id="answer-matches-request",
    level=Level.ASSUMED,
    source=f"{OPERATION}/description",
    quotation="The request body is forwarded to the chain's `run_remote` entrypoint.",
    statement="An answer belongs to its request: no other caller's, and none of an earlier one, whoever else is calling.",
)
ECHO_EXACT = Clause(
    id="echo-exact",
    level=Level.ASSUMED,
    source=f"{OPERATION}/description",
    quotation="The request body is forwarded to the chain's `run_remote` entrypoint.",
    statement="What an echo chain returns is what it was sent: every member, every digit of an integer, every code point.",
)
REQUEST_ISOLATION = Clause(
    id="request-isolation",
    level=Level.ASSUMED,
    source=ASSUMED,
    quotation="Nobody writes down that one request leaves the next alone; every caller of a shared service relies on it.",
    statement="No request changes what comes after it: the same request gets the same kind of answer again, on the same "
    "connection and on another, whatever was refused in between.",
)
NO_CREDENTIAL_LEAK = Clause(
    id="no-credential-leak",
    level=Level.ASSUMED,
    source=ASSUMED,
    quotation="Nobody writes down that a server keeps its callers' credentials to itself; every caller relies on it.",
    statement="The API key of the request stands nowhere in the answer.",
)
NO_INTERNALS = Clause(
    id="no-internals",
    level=Level.ASSUMED,
    source=f"{_ERROR_SCHEMA}/properties/error/description",
    quotation="Human-readable error message.",
    statement="An error tells its reader what happened, without a stack trace or source paths of the chain.",
)

# ------------------------------------------------------------------ who is let in

AUTHENTICATION_REQUIRED = Clause(
    id="authentication-required",
    level=Level.MUST,
    source="#/security",
    quotation="ApiKeyAuth",
    statement="A request without credentials is refused with 401.",
)
KEY_VERIFIED = Clause(
    id="key-verified",
    level=Level.MUST,
    source=f"{_SCHEME}/description",
    quotation="API key with the `Api-Key` prefix",
    statement="A request whose key is wrong, empty, cut short or longer by a character is refused with 401.",
)
KEY_PREFIX = Clause(
    id="key-prefix",
    level=Level.MUST,
    source=f"{_SCHEME}/description",
    quotation="API key with the `Api-Key` prefix",
    statement="The right key without the `Api-Key` prefix, or behind another scheme, is refused with 401.",
)
KEY_LOCATION = Clause(
    id="key-location",
    level=Level.MUST,
    source=f"{_SCHEME}/name",
    quotation="Authorization",
    statement="The key counts in the Authorization header alone: not in the query, a cookie, the body or another header.",
)

# ------------------------------------------------------------------ what is accepted

OBJECT_ACCEPTED = Clause(
    id="object-accepted",
    level=Level.MUST,
    source=f"{_INPUT}/content/application~1json/schema/type",
    quotation="object",
    statement="What the chain's signature takes is answered with 200, however it is spelled or nested: any JSON object, "
    "where the chain takes any.",
)
NON_OBJECT_REJECTED = Clause(
    id="non-object-rejected",
    level=Level.MUST,
    source=f"{_INPUT}/content/application~1json/schema/type",
    quotation="object",
    statement="A JSON body that is no object is refused with 400.",
)
BODY_REQUIRED = Clause(
    id="body-required",
    level=Level.MUST,
    source=f"{_INPUT}/required",
    quotation="true",
    statement="A request without a body is refused with 400.",
)
INVALID_JSON_REJECTED = Clause(
    id="invalid-json-rejected",
    level=Level.MUST,
    source=f"{_INPUT}/content",
    quotation="application/json",
    statement="A body that is not JSON is refused with 400, near misses included.",
)
MEDIA_TYPE_REQUIRED = Clause(
    id="media-type-required",
    level=Level.ASSUMED,
    source=f"{_INPUT}/content",
    quotation="application/json",
    statement="A body under another media type, or under none, is refused.",
)
MEDIA_TYPE_PARAMETERS = Clause(
    id="media-type-parameters",
    level=Level.ASSUMED,
    source="RFC 9110 §8.3.1",
    quotation="The type and subtype tokens are case-insensitive.",
    statement="`application/json` counts in any letter case and with parameters such as `; charset=utf-8`.",
)

REQUEST_FRAMING = Clause(
    id="request-framing",
    level=Level.MUST,
    source="RFC 9112 §6.3, §7.1",
    quotation="A recipient MUST be able to parse and decode the chunked transfer coding.",
    statement="However its bytes are framed, a request is the same request: in chunks of any size with extensions and "
    "trailers, in pieces, behind `Expect: 100-continue`, several on one connection, with a query or an absolute URL.",
)
INVALID_FRAMING_REJECTED = Clause(
    id="invalid-framing-rejected",
    level=Level.MUST,
    source="RFC 9112 §5.1, §6.1, §6.3",
    quotation="the message framing is invalid and the recipient MUST treat it as an unrecoverable error",
    statement="A request whose framing is invalid or says two things is refused, and no part of it is taken for another "
    "request.",
)

# ------------------------------------------------------------------ where the operation lives

OTHER_METHODS_REJECTED = Clause(
    id="other-methods-rejected",
    level=Level.ASSUMED,
    source="#/paths/~1production~1run_remote",
    quotation="post",
    statement="The path answers POST alone: any other method is refused (HEAD, OPTIONS and TRACE may say what they like).",
)
OTHER_PATHS_REJECTED = Clause(
    id="other-paths-rejected",
    level=Level.ASSUMED,
    source="#/paths",
    quotation="/production/run_remote",
    statement="Paths that the document does not list are refused, near misses of the operation's own included.",
)
ALLOW_HEADER = Clause(
    id="allow-header",
    level=Level.MUST,
    source="RFC 9110 §15.5.6",
    quotation="The origin server MUST generate an Allow header field in a 405 response",
    statement="A 405 lists the methods that the path does answer: POST, and not the one that it refuses.",
)
REGIONAL_HOST = Clause(
    id="regional-host",
    level=Level.MUST,
    source="#/info/description",
    quotation="Path-based routes (`/production/*`, `/development/*`, `/environments/*`, `/deployment/*`) are not available "
    "on regional hostnames.",
    statement="On a regional hostname the path is refused.",
)
REGIONAL_HOST_FORMS = Clause(
    id="regional-host-forms",
    level=Level.SHOULD,
    source="RFC 9110 §4.2.3",
    quotation="The scheme and host are case-insensitive and normally provided in lowercase",
    statement="A regional hostname is one in any letter case, with a port behind it, and with the root's dot.",
)
RESPONSE_FRAMING = Clause(
    id="response-framing",
    level=Level.MUST,
    source="RFC 9112 §2.1, §6, §7",
    quotation="HTTP-message = start-line CRLF *( field-line CRLF ) CRLF [ message-body ]",
    statement="An answer is one complete HTTP/1.1 message: it parses, and its body ends where its framing says.",
)
REQUEST_ANSWERED = Clause(
    id="request-answered",
    level=Level.ASSUMED,
    source=ASSUMED,
    quotation="A synchronous operation answers; the document knows 502, 503 and 504 for whatever went wrong behind it.",
    statement="A request that reaches the target is answered: the connection is not dropped and the deadline is kept.",
)

CONNECTION_PERSISTENCE = Clause(
    id="connection-persistence",
    level=Level.MUST,
    source="RFC 9112 §9.3, §9.6",
    quotation='A server that does not support persistent connections MUST send the "close" connection option in every '
    "response message that does not have a 1xx (Informational) status code.",
    statement="A connection is what the answers say of it: closed where they say so or the request does, and not closed after "
    "every answer without a word.",
)
HTTP_RECOMMENDATIONS = Clause(
    id="http-recommendations",
    level=Level.SHOULD,
    source="RFC 9112 §2.2, §3.2.2, §7.1; RFC 9110 §10.1.1, §12.5.3",
    quotation="a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line (CRLF) "
    "received prior to the request-line",
    statement="Where well-kept servers leave the letter of the RFCs, the target does not: it skips an empty line before a "
    "request, takes chunk extensions, trailers and absolute URLs, asks for a body that waits, and codes a body only as it is "
    "wanted.",
)
HTTP_STRICTNESS = Clause(
    id="http-strictness",
    level=Level.SHOULD,
    source="RFC 9112 §3.2, §5.1, §6.1, §6.3, §7.1",
    quotation="A server that receives a request message with a transfer coding it does not understand SHOULD respond with 501 "
    "(Not Implemented).",
    statement="What plain servers let pass though it is spelled wrong, the target refuses: several lengths, a coding that "
    "nobody knows, a blank before a colon, no Host. Behind a proxy that reads it otherwise, one caller's body can become "
    "another's request.",
)

# ------------------------------------------------------------------ how it fails, when made to

ERROR_CODE_CAUSE = Clause(
    id="error-code-cause",
    level=Level.ASSUMED,
    source=f"{_ERROR_SCHEMA}/properties/error_code/description",
    quotation="Machine-readable error code.",
    statement="`error_code`, where present, says what was wrong: `unauthorized` of the key, `client_error` of a body that is "
    "no JSON object, `payload_too_large` of nothing but a large body.",
)
OVERLOAD = Clause(
    id="overload",
    level=Level.ASSUMED,
    source=_OPERATION_RESPONSES,
    quotation="200, 400, 401, 429, 502, 503, 504",
    statement="Asked for more than it can do, the target answers every request, by 200 or by a documented error.",
)
ERROR_ON_DEMAND = Clause(
    id="error-on-demand",
    level=Level.MUST,
    source=_OPERATION_RESPONSES,
    quotation="200, 400, 401, 429, 502, 503, 504",
    statement="A target that can be steered gives each of the ten codes on demand, with a status of its row.",
)

CLAUSES: tuple[Clause, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Clause))
"""Every clause, in the order of this file."""

CLAUSE_BY_ID: dict[str, Clause] = {clause.id: clause for clause in CLAUSES}

USER_CHECK = Clause(
    id="user-check",
    level=Level.MUST,
    source="--check",
    quotation="None, or words",
    statement="The user's own check has nothing to say against the answer.",
)
"""What `--check` names: no clause of the contract, and counted like one."""

COUNTABLE_CLAUSES: dict[str, Clause] = {**CLAUSE_BY_ID, USER_CHECK.id: USER_CHECK}
"""Whatever a run may count."""

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
"""The clauses that `violations` holds any single answer against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """
    Where a wider contract takes a clause of the strict one back.
    """

    clause: Clause
    contract: Contract
    """The first contract that no longer holds the clause."""
    citation: str


WAIVERS: tuple[Waiver, ...] = (
    Waiver(
        clause=OUTPUT_OBJECT,
        contract=Contract.DOCUMENTED,
        citation="docs.baseten.co/development/chain/getting-started: the first example returns a string",
    ),
    Waiver(
        clause=KEY_PREFIX,
        contract=Contract.DOCUMENTED,
        citation="inference OpenAPI document since 2026-06-08: BearerAuth, with Api-Key accepted as the legacy scheme",
    ),
    Waiver(
        clause=MEDIA_TYPE_REQUIRED,
        contract=Contract.DOCUMENTED,
        citation="basetenlabs/truss: the chain's server reads a JSON body whatever its Content-Type says",
    ),
    Waiver(
        clause=INVALID_JSON_REJECTED,
        contract=Contract.DOCUMENTED,
        citation="basetenlabs/truss: the chain's server parses with Python's json, which takes NaN and Infinity",
    ),
    Waiver(
        clause=ERROR_MESSAGE,
        contract=Contract.DOCUMENTED,
        citation="basetenlabs/truss: an exception in run_remote is answered with `error` as an object, passed on unchanged",
    ),
    Waiver(
        clause=NO_INTERNALS,
        contract=Contract.DOCUMENTED,
        citation="basetenlabs/truss: that object carries the user's stack trace",
    ),
    Waiver(
        clause=ERROR_MEDIA_TYPE,
        contract=Contract.OBSERVED,
        citation="third parties recorded a text/plain 401 and an HTML 502 from the edge in front of Baseten's gateway",
    ),
    Waiver(
        clause=ERROR_JSON,
        contract=Contract.OBSERVED,
        citation="third parties recorded a text/plain 401 and an HTML 502 from the edge in front of Baseten's gateway",
    ),
)


def is_waived(clause: Clause, contract: Contract) -> bool:
    """
    Whether *contract* takes *clause* back.
    """
    return any(waiver.clause is clause and contract.includes(waiver.contract) for waiver in WAIVERS)
