"""
An ordinary chain behind FastAPI, correct or with one defect.

`python app.py PORT [DEFECT]`. The chain scores texts: `texts`, `language` and `threshold` are required, `options` is not. Its
output is no echo. The key comes from the environment variable BASETEN_API_KEY.

The server shares no code with chainproof. It does what a careful developer would do: a middleware authenticates first, the
body is read as strict JSON, and every error has the documented form.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

PATH = "/production/run_remote"
KEY = os.environ.get("BASETEN_API_KEY", "")
DEFECT = sys.argv[2] if len(sys.argv) > 2 else ""

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Options(BaseModel):
    """What the caller may choose."""

    upper: bool = False
    tags: list[str] = []


class Input(BaseModel):
    """The arguments of `run_remote`."""

    texts: list[Text] = Field(min_length=1, max_length=64)
    language: Literal["de", "en", "ja"]
    threshold: float = Field(ge=0, le=1)
    options: Options | None = None


class Label(BaseModel):
    """The result for one text."""

    title: str
    length: int
    score: float


class Output(BaseModel):
    """What `run_remote` returns."""

    language: str
    labels: list[Label]
    above: int
    tags: list[str]


class Chain:
    """The chain, for its type hints."""

    def run_remote(
        self,
        texts: Annotated[list[Text], Field(min_length=1, max_length=64)],
        language: Literal["de", "en", "ja"],
        threshold: Annotated[float, Field(ge=0, le=1)],
        options: Options | None = None,
    ) -> Output:
        """The labels of some texts."""
        return output(Input(texts=texts, language=language, threshold=threshold, options=options))


def output(given: Input) -> Output:
    """The labels of some texts: each score is a hash of text and language, so that equal inputs have equal outputs."""
    options = given.options or Options()
    labels = []
    for text in given.texts:
        digest = hashlib.sha256(f"{given.language} {text}".encode("utf-8", "surrogatepass")).digest()
        title = text[:20].upper() if options.upper else text[:20]
        labels.append(Label(title=title, length=len(text), score=digest[0] / 255))
    above = sum(label.score >= given.threshold for label in labels)
    return Output(language=given.language, labels=labels, above=above, tags=options.tags)


# ------------------------------------------------------------------ the correct server

app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)


def error(status: int, code: str, message: str) -> Response:
    """An error in the documented form."""
    content = json.dumps({"error": message, "error_code": code})
    return Response(content, status, media_type="application/json")


def is_authenticated(request: Request) -> bool:
    """Whether a request has the right key."""
    given = request.headers.getlist("authorization")
    if DEFECT == "key-prefix-compared":
        return bool(given) and f"Api-Key {KEY}".startswith(given[0]) and len(given[0]) > len("Api-Key ")
    if DEFECT == "key-contained":
        return bool(given) and KEY in given[0]
    if DEFECT == "key-in-query":
        return request.query_params.get("api_key") == KEY or given == [f"Api-Key {KEY}"]
    if DEFECT == "key-without-case":
        return bool(given) and given[0].lower() == f"Api-Key {KEY}".lower()
    return given == [f"Api-Key {KEY}"]


@app.middleware("http")
async def authenticate(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Authenticate, and give every answer a request id."""
    if DEFECT != "validates-first" and not is_authenticated(request):
        answer = error(401, "unauthorized", "please check the api-key you provided")
    elif request.scope["path"] != PATH:
        # The router would also accept the path with a line feed behind it.
        answer = error(404, "client_error", "no such path")
    else:
        answer = await call_next(request)
    number = "0" * 32 if DEFECT == "request-id-constant" else uuid.uuid4().hex
    answer.headers["X-Baseten-Request-Id"] = number
    if DEFECT == "request-id-twice":
        answer.headers.append("X-Baseten-Request-Id", uuid.uuid4().hex)
    return answer


@app.exception_handler(HTTPException)
async def http_error(request: Request, problem: HTTPException) -> Response:
    """Another path or method."""
    answer = error(problem.status_code, "client_error", str(problem.detail))
    answer.headers.update(problem.headers or {})
    return answer


@app.exception_handler(RequestValidationError)
async def validation_error(request: Request, problem: RequestValidationError) -> Response:
    """Only of the defect that leaves the validation to FastAPI."""
    content = json.dumps({"detail": [{"loc": each["loc"], "msg": each["msg"]} for each in problem.errors()]})
    return Response(content, 422, media_type="application/json")


def reject_constant(name: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(f"{name} is not JSON")


def parse(body: bytes) -> Input:
    """The arguments in a body. Raises ValueError."""
    text = body.decode("latin-1" if DEFECT == "reads-latin-1" else "utf-8")
    value = json.loads(text, parse_constant=None if DEFECT == "accepts-nan" else reject_constant)
    if DEFECT == "accepts-arrays" and isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004  # the caller answers 400 to it
    if DEFECT == "rejects-integers-for-floats" and isinstance(value.get("threshold"), int):
        raise ValueError("`threshold`: expected a number with a fraction")
    if DEFECT == "counts-bytes":
        for each in value.get("texts") or ():
            if isinstance(each, str) and len(each.encode("utf-8", "surrogatepass")) > 200:
                raise ValueError("`texts`: too long")
    return Input.model_validate(value)


shared: dict[str, Any] = {"options": None, "cache": {}, "current": None, "count": 0}


async def answer_to(given: Input) -> Any:
    """The output as JSON values, with the defects of the chain."""
    shared["count"] += 1
    if DEFECT == "answers-mixed-up":
        shared["current"] = given
        await asyncio.sleep(0.002)
        given = shared["current"]
    if DEFECT == "options-stick":
        shared["options"] = given.options or shared["options"]
        given = given.model_copy(update={"options": shared["options"]})
    if DEFECT == "cached-by-texts":
        known: dict[Any, Any] = shared["cache"]
        return known.setdefault(tuple(given.texts), output(given).model_dump())
    if DEFECT == "crashes-on-many-texts" and len(given.texts) > 32:
        raise RuntimeError("too many texts")
    value = output(given).model_dump()
    if DEFECT == "score-is-sometimes-text" and shared["count"] % 7 == 0:
        value["labels"][0]["score"] = str(value["labels"][0]["score"])
    return value


async def run_remote(request: Request) -> Response:
    """The operation."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return error(400, "client_error", "expected Content-Type: application/json")
    try:
        given = parse(await request.body())
    except (ValidationError, ValueError, RecursionError) as problem:
        return error(400, "client_error", f"Input Parsing Error: {type(problem).__name__}")
    if DEFECT == "validates-first" and not is_authenticated(request):
        return error(401, "unauthorized", "please check the api-key you provided")
    if DEFECT == "failure-as-200" and given.language == "ja" and given.threshold == 0:
        return Response(json.dumps({"error": "no model for this language"}), media_type="application/json")
    try:
        value = await answer_to(given)
    except RuntimeError as problem:
        trace = f'File "/app/model.py", line 12, in run_remote\n{problem!r}'
        return Response(json.dumps({"error": trace}), 500, media_type="application/json")
    # A lone surrogate is valid in JSON only as an escape.
    return Response(json.dumps(value), media_type="application/json")


async def run_remote_validated_by_fastapi(given: Input) -> Output:
    """The operation of the defect that leaves the validation to FastAPI."""
    return output(given)


app.post(PATH)(run_remote_validated_by_fastapi if DEFECT == "answers-422" else run_remote)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", server_header=False)
