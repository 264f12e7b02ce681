"""
Serve a chain of `stateful_chains.py` behind the gateway of `app.py`.

`python stateful_app.py PORT CLASS`. The key comes from the environment variable BASETEN_API_KEY.
"""

from __future__ import annotations

import json
import sys

import uvicorn
from app import PATH, app, error, reject_constant
from fastapi import Request, Response
from pydantic import ValidationError, validate_call
from starlette.concurrency import run_in_threadpool
from stateful_chains import CHAINS, CONNECTION, BadRequest

CHAIN = CHAINS[sys.argv[2]]()
RUN = validate_call(CHAIN.run_remote)
NAMES = RUN.__wrapped__.__code__.co_varnames[1 : RUN.__wrapped__.__code__.co_argcount]


async def run_remote(request: Request) -> Response:
    """The operation."""
    CONNECTION.set(request.scope["client"])
    answer = await answer_to(request)
    if answer.status_code >= 400 and hasattr(CHAIN, "fail"):
        CHAIN.fail()
    return answer


async def answer_to(request: Request) -> Response:
    """The answer to an authenticated request."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return error(400, "client_error", "expected Content-Type: application/json")
    try:
        value = json.loads((await request.body()).decode(), parse_constant=reject_constant)
        if not isinstance(value, dict):
            raise ValueError("expected a JSON object")  # noqa: TRY004, TRY301  # answered 400 like the others
        output = await run_in_threadpool(RUN, **{name: value[name] for name in NAMES if name in value})
    except (ValidationError, ValueError, RecursionError, BadRequest) as problem:
        return error(400, "client_error", f"Input Parsing Error: {type(problem).__name__}")
    return Response(json.dumps(output.model_dump()), media_type="application/json")


app.router.routes.clear()
app.post(PATH)(run_remote)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", server_header=False)
