"""
Remedies: what to change in common frameworks and gateways so that a clause holds.

Reports show them with a finding. tests/conformance/running/test_remedies.py applies the code to a server that violates the
clause, and expects that the violation is gone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chainproof.contract import clauses, http_clauses
from chainproof.contract.levels import Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What to change in one framework or gateway."""

    clauses: tuple[Clause, ...]
    """The clauses whose violations it may end."""
    framework: str
    text: str
    """The cause and the change, in one or two sentences."""
    code: str = ""
    """Code or configuration to add; empty if the text says it all."""
    statuses: tuple[int, ...] = ()
    """Statuses of the answers that it changes; empty if the status does not matter."""
    difference: str = ""
    """A pattern of what findings say of the answers that it changes; empty if all may be meant."""


_REFUSED = "Connection refused"
_NO_PART = f"^(?!only a part|{_REFUSED})"
"""
Nothing of an answer came on an open connection. A part without the rest has another cause, such as a wrong Content-Length.
"""

_DOCUMENTED_STATUS = (
    clauses.STATUS,
    clauses.NON_OBJECT_REJECTED,
    clauses.BODY_REQUIRED,
    clauses.INVALID_JSON_REJECTED,
)
_AUTHENTICATION = (
    clauses.AUTHENTICATION_REQUIRED,
    clauses.KEY_VERIFIED,
    clauses.KEY_PREFIX,
    clauses.KEY_LOCATION,
    clauses.UNAUTHORIZED_STATUS,
    clauses.AUTHENTICATION_FIRST,
)
_ERROR_FORM = (clauses.ERROR_MEDIA_TYPE, clauses.ERROR_JSON, clauses.ERROR_OBJECT)
_REQUEST_ID = (clauses.REQUEST_ID_PRESENT, clauses.REQUEST_ID_ON_ERRORS, clauses.REQUEST_ID_UNIQUE)
_HOST = (http_clauses.HOST_MISSING, http_clauses.HOST_REPEATED, http_clauses.HOST_SYNTAX)

FASTAPI: tuple[Remedy, ...] = (
    Remedy(
        clauses=_DOCUMENTED_STATUS,
        framework="FastAPI",
        statuses=(422,),
        text="FastAPI answers an invalid input 422. Answer it 400.",
        code="""\
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

@app.exception_handler(RequestValidationError)
async def reject_invalid_input(request, error):
    problems = [f"`{'.'.join(map(str, each['loc'][1:]))}`: {each['msg']}" for each in error.errors()]
    content = {"error": "\\n".join(problems), "error_code": "client_error"}
    return JSONResponse(content, status_code=400)
""",
    ),
    Remedy(
        clauses=_AUTHENTICATION,
        framework="FastAPI",
        text="Authenticate in middleware, which runs before FastAPI validates the body, and compare the whole header.",
        code="""\
import os
import secrets
from fastapi.responses import JSONResponse

EXPECTED = b"Api-Key " + os.environ["BASETEN_API_KEY"].encode()

@app.middleware("http")
async def authenticate(request, call_next):
    received = request.headers.get("Authorization", "").encode("latin-1", "replace")
    if not secrets.compare_digest(received, EXPECTED):
        content = {"error": "The API key is missing or wrong.", "error_code": "unauthorized"}
        return JSONResponse(content, status_code=401)
    return await call_next(request)
""",
    ),
    Remedy(
        clauses=(clauses.INVALID_JSON_REJECTED,),
        framework="FastAPI",
        text="Python's json accepts NaN, Infinity, and texts in UTF-16 and UTF-32, none of which are JSON. Decode bodies "
        "as UTF-8, and reject the constants with parse_constant. Add the route class before the routes.",
        code="""\
import json
from fastapi import Request
from fastapi.routing import APIRoute

def reject(name):
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)

class StrictRequest(Request):
    async def json(self):
        return json.loads((await self.body()).decode(), parse_constant=reject)

class StrictRoute(APIRoute):
    def get_route_handler(self):
        handler = super().get_route_handler()

        async def handle(request):
            return await handler(StrictRequest(request.scope, request.receive))

        return handle

app.router.route_class = StrictRoute
""",
    ),
    Remedy(
        clauses=(clauses.STATUS, clauses.NO_INTERNALS, *_ERROR_FORM),
        framework="FastAPI",
        statuses=(500,),
        text="An exception of the chain is answered 500 in plain text. Answer it 502 in JSON.",
        code="""\
from fastapi.responses import JSONResponse

@app.exception_handler(Exception)
async def report_failure(request, error):
    content = {"error": "The chain failed.", "error_code": "application_error"}
    return JSONResponse(content, status_code=502)
""",
    ),
    Remedy(
        clauses=_REQUEST_ID,
        framework="FastAPI",
        text="Give every answer an id. Add this middleware last, so that it also sees the answers of other middleware.",
        code="""\
import uuid

@app.middleware("http")
async def add_request_id(request, call_next):
    response = await call_next(request)
    response.headers["X-BASETEN-REQUEST-ID"] = uuid.uuid4().hex
    return response
""",
    ),
    Remedy(
        clauses=(clauses.PATH_LINE_BREAK,),
        framework="FastAPI",
        text="Starlette also serves a path with a line break (%0A) at its end. Reject line breaks in middleware.",
        code="""\
from fastapi.responses import JSONResponse

@app.middleware("http")
async def reject_line_breaks(request, call_next):
    if request.scope["path"].endswith("\\n"):
        content = {"error": "The path does not exist.", "error_code": "client_error"}
        return JSONResponse(content, status_code=400)
    return await call_next(request)
""",
    ),
)

FLASK: tuple[Remedy, ...] = (
    Remedy(
        clauses=(clauses.STATUS, *_ERROR_FORM),
        framework="Flask",
        statuses=(400, 413, 415, 422, 500),
        text="Flask answers errors in HTML, with statuses such as 413 and 415. Answer them in JSON, with documented statuses.",
        code="""\
from flask import json
from werkzeug.exceptions import HTTPException

@app.errorhandler(HTTPException)
def report_error(error):
    response = error.get_response()
    response.data = json.dumps({"error": error.description})
    response.content_type = "application/json"
    if error.code in (413, 415, 422):
        response.status_code = 400
    elif error.code == 500:
        response.status_code = 502
    return response
""",
    ),
    Remedy(
        clauses=(clauses.INVALID_JSON_REJECTED,),
        framework="Flask",
        text="Python's json accepts NaN, Infinity, and texts in UTF-16 and UTF-32, none of which are JSON. Decode bodies as "
        "UTF-8, and reject the constants with parse_constant.",
        code="""\
from flask.json.provider import DefaultJSONProvider

class StrictJSON(DefaultJSONProvider):
    def loads(self, text, **options):
        def reject(name):
            raise ValueError(f"{name} is not JSON")

        if isinstance(text, bytes):
            text = text.decode()
        return super().loads(text, parse_constant=reject, **options)

app.json = StrictJSON(app)
""",
    ),
    Remedy(
        clauses=_AUTHENTICATION,
        framework="Flask",
        text="Authenticate before the view reads the body, and compare the whole header.",
        code="""\
import os
import secrets
from flask import request

EXPECTED = b"Api-Key " + os.environ["BASETEN_API_KEY"].encode()

@app.before_request
def authenticate():
    received = request.headers.get("Authorization", "").encode("latin-1", "replace")
    if not secrets.compare_digest(received, EXPECTED):
        return {"error": "The API key is missing or wrong.", "error_code": "unauthorized"}, 401
    return None
""",
    ),
    Remedy(
        clauses=_REQUEST_ID,
        framework="Flask",
        text="Give every answer an id.",
        code="""\
import uuid

@app.after_request
def add_request_id(response):
    response.headers["X-BASETEN-REQUEST-ID"] = uuid.uuid4().hex
    return response
""",
    ),
)

EXPRESS: tuple[Remedy, ...] = (
    Remedy(
        clauses=(clauses.OBJECT_ACCEPTED, clauses.STATUS),
        framework="Express",
        statuses=(413,),
        text="express.json() rejects bodies above 100 kB. Raise the limit.",
        code="""\
app.use(express.json({ limit: "100mb" }));
""",
    ),
    Remedy(
        clauses=(clauses.STATUS, clauses.NO_INTERNALS, *_ERROR_FORM, *_DOCUMENTED_STATUS[1:]),
        framework="Express",
        statuses=(400, 413, 415, 500),
        text="Express answers errors in HTML, with a stack trace unless NODE_ENV is production. Add an error handler after "
        "all routes.",
        code="""\
app.use((error, request, response, next) => {
  const rejected = error.status >= 400 && error.status < 500;
  response.status(rejected ? 400 : 502).json({
    error: rejected ? "The request is not valid." : "The chain failed.",
    error_code: rejected ? "client_error" : "application_error",
  });
});
""",
    ),
    Remedy(
        clauses=(clauses.INVALID_JSON_REJECTED,),
        framework="Express",
        text="express.json() replaces bytes that are not UTF-8. Reject such bodies before the routes.",
        code="""\
const { isUtf8 } = require("buffer");

app.use(express.json({
  limit: "100mb",
  verify: (request, response, body) => { request.isText = isUtf8(body); },
}));
app.use((request, response, next) => {
  if (request.isText !== false) return next();
  response.status(400).json({ error: "The body is not UTF-8.", error_code: "client_error" });
});
""",
    ),
    Remedy(
        clauses=(clauses.OTHER_PATHS_REJECTED,),
        framework="Express",
        text="Paths in other letter case and with a trailing slash match. Match them exactly.",
        code="""\
app.set("case sensitive routing", true);
app.set("strict routing", true);
""",
    ),
    Remedy(
        clauses=(clauses.ECHO_EXACT,),
        framework="Express",
        difference="another number:",
        text="JSON.parse rounds integers beyond 2^53. Pass the body on as text (`express.text`), or parse it with a library "
        "for large integers.",
    ),
)

NGINX: tuple[Remedy, ...] = (
    Remedy(
        clauses=(clauses.OBJECT_ACCEPTED, clauses.STATUS),
        framework="nginx",
        statuses=(413,),
        text="nginx answers bodies above 1 MB with 413. Raise the limit, in `http`, `server` or `location`.",
        code="""\
client_max_body_size 100m;
""",
    ),
    Remedy(
        clauses=(clauses.STATUS, *_ERROR_FORM),
        framework="nginx",
        statuses=(400, 413, 414, 500, 502, 503, 504),
        text="nginx answers its own errors in HTML. Answer them in JSON, in `server`.",
        code="""\
# A path: without a valid request line, nginx cannot go to a named location, and answers 500.
error_page 400 413 414 /.rejected;
error_page 500 502 504 @failed;
error_page 503 @unavailable;
location = /.rejected {
  internal;
  default_type application/json;
  return 400 '{"error":"The request is not valid.","error_code":"client_error"}';
}
location @failed {
  default_type application/json;
  return 502 '{"error":"The chain does not answer.","error_code":"model_unavailable"}';
}
location @unavailable {
  default_type application/json;
  return 503 '{"error":"The chain is not available.","error_code":"model_unavailable"}';
}
""",
    ),
    Remedy(
        clauses=_REQUEST_ID,
        framework="nginx",
        text="Give every answer an id, errors of nginx included.",
        code="""\
add_header X-BASETEN-REQUEST-ID $request_id always;
""",
    ),
    Remedy(
        clauses=(clauses.REQUEST_ANSWERED, clauses.STATUS),
        framework="nginx",
        difference=_NO_PART,
        statuses=(504,),
        text="nginx gives up on a chain that sends nothing for 60 seconds. Allow as long as the chain may take: "
        "`proxy_read_timeout 600s`.",
    ),
    Remedy(
        clauses=(clauses.OTHER_PATHS_REJECTED,),
        framework="nginx",
        text="nginx merges slashes and decodes paths before it selects a location. Use `location = /production/run_remote` and "
        "`merge_slashes off`.",
    ),
)

HAPROXY: tuple[Remedy, ...] = (
    Remedy(
        clauses=_ERROR_FORM,
        framework="HAProxy",
        text="HAProxy answers its own errors in HTML. Answer them in JSON, in `defaults` or `frontend`.",
        code="""\
http-error status 400 content-type application/json string '{"error":"The request is not valid.","error_code":"client_error"}'
http-error status 502 content-type application/json string '{"error":"The chain does not answer.","error_code":"model_unavailable"}'
http-error status 503 content-type application/json string '{"error":"The chain is not available.","error_code":"model_unavailable"}'
http-error status 504 content-type application/json string '{"error":"The chain takes too long.","error_code":"timeout"}'
""",
    ),
    Remedy(
        clauses=_REQUEST_ID,
        framework="HAProxy",
        text="Give every answer of the chain an id, in `frontend`.",
        code="""\
http-response set-header X-BASETEN-REQUEST-ID %[uuid()]
""",
    ),
    Remedy(
        clauses=(clauses.REQUEST_ANSWERED,),
        framework="HAProxy",
        difference=_NO_PART,
        text="`timeout server` is the longest time without a byte from the chain. Allow as long as the chain may take: "
        "`timeout server 600s`.",
    ),
)

OPTIONS: tuple[Remedy, ...] = (
    Remedy(
        clauses=(clauses.OBJECT_ACCEPTED,),
        framework="the schema",
        statuses=(400,),
        text="If the chain rejects this input on purpose, --input-schema allows more than the chain. Add the chain's bounds, "
        "`required`, `format` or `pattern`. Where no schema can say it, as for images, name inputs with --payloads instead.",
    ),
)

SERVERS: tuple[Remedy, ...] = (
    Remedy(
        clauses=(clauses.PROTOTYPE_MEMBERS,),
        framework="Fastify",
        text="`Fastify({ onProtoPoisoning: 'ignore', onConstructorPoisoning: 'ignore' })` accepts these names. Do it only if nothing "
        "behind it merges inputs into JavaScript objects.",
    ),
    Remedy(
        clauses=(*_HOST, http_clauses.ABSOLUTE_FORM, http_clauses.VERSION_MAJOR, http_clauses.CHUNKED_HTTP_1_0),
        framework="Python servers",
        text="uvicorn, Hypercorn, Daphne and others leave this to the server in front of them. Put one there that does it, "
        "such as nginx.",
    ),
    Remedy(
        clauses=(clauses.INVALID_JSON_REJECTED,),
        framework="Go",
        text="encoding/json replaces bytes that are not UTF-8. Reject a body for which `utf8.Valid` is false.",
    ),
    Remedy(
        clauses=(clauses.RANGE_IGNORED,),
        framework="Apache",
        text="Apache returns a part of every output if the request asks for one, whatever its method is. Use `MaxRanges none`.",
    ),
    Remedy(
        clauses=(http_clauses.TRAILERS_NOT_MERGED, clauses.UPGRADE_OFFER),
        framework="uvicorn",
        text="With the parser httptools, trailer fields become header fields, and a request that offers HTTP/2 loses its body. "
        "Use the other parser: `uvicorn --http h11`.",
    ),
    Remedy(
        clauses=(clauses.REQUEST_ANSWERED,),
        framework="Gunicorn",
        difference=_NO_PART,
        text="A worker that takes more than 30 seconds is killed, and its connections are dropped. Use `gunicorn --timeout "
        "600`.",
    ),
    Remedy(
        clauses=(clauses.REQUEST_ANSWERED,),
        framework="any server",
        difference=f"^{_REFUSED}",
        text="Nothing listens on this port any more: the server has stopped, or restarts. See its log.",
    ),
    Remedy(
        clauses=(clauses.REQUEST_ANSWERED, clauses.CONNECTION_PERSISTENCE),
        framework="gateways",
        difference=_NO_PART,
        text="A server that closes idle connections earlier than the gateway in front of it loses requests. Keep them open "
        "longer than the gateway does, such as `uvicorn --timeout-keep-alive 75`.",
    ),
)

BASETEN: tuple[Remedy, ...] = (
    Remedy(
        clauses=(clauses.OUTPUT_OBJECT, clauses.OUTPUT_MEDIA_TYPE),
        framework="Baseten",
        text="The service passes on whatever run_remote returns: any JSON value, or a stream. `--contract documented` permits that.",
        difference="streams its output|^status 200, ",
    ),
)

REMEDIES: tuple[Remedy, ...] = (*FASTAPI, *FLASK, *EXPRESS, *NGINX, *HAPROXY, *OPTIONS, *SERVERS, *BASETEN)


_SERVER_NAMES = {
    "FastAPI": "uvicorn|hypercorn|daphne|fastapi|starlette",
    "Flask": "werkzeug|gunicorn|waitress|flask",
    "Express": "express",
    "nginx": "nginx|openresty",
    "HAProxy": "haproxy",
    "Apache": "apache",
    "Python servers": "uvicorn|hypercorn|daphne",
    "uvicorn": "uvicorn",
    "Gunicorn": "gunicorn",
}
"""How an answer names what a remedy is for, in its Server, Via or X-Powered-By: patterns in lower case."""


_FRAMEWORKS = {"FastAPI", "Flask", "Express"}
"""A chain is written with one of them, or with another one."""


def fits_server(remedy: Remedy, server: str) -> bool:
    """
    Whether a remedy is for a server that an answer names.

    >>> fits_server(NGINX[0], "nginx/1.24.0"), fits_server(EXPRESS[0], "nginx/1.24.0")
    (True, False)
    """
    pattern = _SERVER_NAMES.get(remedy.framework)
    return pattern is not None and re.search(pattern, server.lower()) is not None


def remedies_for(clause_id: str, actual: str = "", server: str = "") -> tuple[Remedy, ...]:
    """
    The remedies of a clause, given by its id, for a finding whose text is *actual*: if it names a status, only those for it.
    Those for a *server* that the answer names come first; the others may be needed in front of it or behind it, except those
    for another web framework than the one that it names.
    """
    named = {name for name in _FRAMEWORKS if re.search(_SERVER_NAMES[name], server.lower())}
    found = re.search(r"\b(?:status|Received:) (\d{3})\b", actual)
    suitable = (
        remedy
        for remedy in REMEDIES
        if any(clause.id == clause_id for clause in remedy.clauses)
        and (found is None or not remedy.statuses or int(found[1]) in remedy.statuses)
        and re.search(remedy.difference, actual)
        and not (named and remedy.framework in _FRAMEWORKS - named)
    )
    return tuple(sorted(suitable, key=lambda remedy: not fits_server(remedy, server)))
