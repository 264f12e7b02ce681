"""The code of every remedy ends the violation that it is for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.request import CheckRequest
from chainproof.contract.levels import Contract
from chainproof.contract.remedies import EXPRESS, FASTAPI, FLASK, HAPROXY, NGINX, REMEDIES, Remedy
from chainproof.contract.target import parse_target
from chainproof.contract.violations import violations

from ...ordinary_chain.serving import free_port, wait_for_port
from ..endpoints import KEY, EndpointAnswer, EndpointRequest, correct_endpoint, serve

FASTAPI_APP = """
import json, sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
{remedy}
@app.post("/production/run_remote")
async def run(body: dict):
    return body
@app.post("/fails")
async def fail():
    raise RuntimeError
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
"""
FLASK_APP = """
import sys
from flask import Flask, request
from werkzeug.serving import run_simple
app = Flask(__name__)
{remedy}
@app.post("/production/run_remote")
def run():
    value = request.get_json()
    return value if isinstance(value, dict) else ({{"error": "expected an object"}}, 400)
run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
"""
EXPRESS_APP = """
const express = require("express");
const app = express();
{remedy}
app.use(express.json());
app.post("/production/run_remote", (request, response) => response.json(request.body));
{remedy_after}
app.listen(Number(process.argv[2]), "127.0.0.1");
"""
NGINX_CONF = """
daemon off; pid {folder}/pid; error_log stderr crit;
events {{}}
http {{
  access_log off; client_body_buffer_size 4m; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    {remedy}
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
}}
"""
HAPROXY_CFG = """
defaults
  mode http
  timeout client 9s
  timeout server 9s
  timeout connect 1s
frontend front
  bind 127.0.0.1:{port}
  default_backend back
  {remedy}
backend back
  server chain 127.0.0.1:{upstream}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A remedy, the server without it, and what shows the violation."""

    remedy: Remedy
    file: str
    """Name of the file with the server or its configuration."""
    text: str
    command: tuple[str, ...]
    """The command; `{file}`, `{folder}` and `{port}` are replaced."""
    needs: Callable[[], bool]
    """Whether the software is installed."""
    body: bytes | None = b'{"a":1}'
    """The body of the request whose answer shows the violation."""
    status: int | None = None
    """The only correct status of the answer, if the answer alone does not show the violation."""
    with_key: bool = True
    path: str = "/production/run_remote"
    media_type: str = "application/json"
    also: tuple[Remedy, ...] = ()
    """Remedies that the server has in both forms."""
    after: bool = False
    """True if the code has to come after the routes."""
    has_upstream: bool = True

    @property
    def name(self) -> str:
        """The name of the test."""
        return f"{self.remedy.framework}: {self.remedy.text[:50]}"


def _case(kind: tuple[str, str, tuple[str, ...], Callable[[], bool]], remedy: Remedy, **values: object) -> Case:
    file, text, command, needs = kind
    return Case(remedy=remedy, file=file, text=text, command=command, needs=needs, **values)  # type: ignore[arg-type]


def _has(*modules: str) -> Callable[[], bool]:
    return lambda: all(find_spec(name) for name in modules)


def _has_express() -> bool:
    if not shutil.which("node"):
        return False
    return subprocess.run(["node", "-e", "require('express')"], capture_output=True, check=False).returncode == 0


PYTHON = (sys.executable, "{file}", "{port}")
WITH_FASTAPI = ("app.py", FASTAPI_APP, PYTHON, _has("fastapi", "uvicorn"))
WITH_FLASK = ("app.py", FLASK_APP, PYTHON, _has("flask", "werkzeug"))
WITH_EXPRESS = ("app.js", EXPRESS_APP, ("node", "{file}", "{port}"), _has_express)
WITH_NGINX = (
    "nginx.conf",
    NGINX_CONF,
    ("nginx", "-p", "{folder}", "-c", "{file}"),
    lambda: shutil.which("nginx") is not None,
)
WITH_HAPROXY = ("haproxy.cfg", HAPROXY_CFG, ("haproxy", "-f", "{file}"), lambda: shutil.which("haproxy") is not None)

CASES = (
    _case(WITH_FASTAPI, FASTAPI[0], body=b"[]"),
    _case(WITH_FASTAPI, FASTAPI[1], with_key=False, status=401),
    _case(WITH_FASTAPI, FASTAPI[2], body=b'{"a":NaN}', status=400, also=(FASTAPI[0],)),
    _case(WITH_FASTAPI, FASTAPI[2], body='{"a":1}'.encode("utf-16"), status=400, also=(FASTAPI[0],)),
    _case(WITH_FASTAPI, FASTAPI[3], path="/fails"),
    _case(WITH_FASTAPI, FASTAPI[4]),
    _case(WITH_FASTAPI, FASTAPI[5], path="/production/run_remote%0A", status=400),
    _case(WITH_FLASK, FLASK[0], media_type="text/plain"),
    _case(WITH_FLASK, FLASK[1], body=b'{"a":NaN}', status=400, also=(FLASK[0],)),
    _case(WITH_FLASK, FLASK[1], body='{"a":1}'.encode("utf-16"), status=400, also=(FLASK[0],)),
    _case(WITH_FLASK, FLASK[2], with_key=False, status=401),
    _case(WITH_FLASK, FLASK[3]),
    _case(WITH_EXPRESS, EXPRESS[0], body=b'{"a":"' + b"x" * 200_000 + b'"}'),
    _case(WITH_EXPRESS, EXPRESS[1], body=b"{", after=True),
    _case(WITH_EXPRESS, EXPRESS[2], body=b'{"a":"\xff"}', status=400),
    _case(WITH_EXPRESS, EXPRESS[3], path="/Production/run_remote/", status=404),
    _case(WITH_NGINX, NGINX[0], body=b'{"a":"' + b"x" * 2_000_000 + b'"}'),
    _case(WITH_NGINX, NGINX[1], has_upstream=False),
    _case(WITH_NGINX, NGINX[1], path="/a request line with spaces"),
    _case(WITH_NGINX, NGINX[2], body=b"x" * 2_000_000),
    _case(WITH_HAPROXY, HAPROXY[0], has_upstream=False),
    _case(WITH_HAPROXY, HAPROXY[1]),
)


FASTAPI_JSON, FLASK_JSON = (
    next(case for case in CASES if case.body == b'{"a":NaN}' and case.remedy in kind) for kind in (FASTAPI, FLASK)
)
VALID_BODIES = (
    b'{"a":18446744073709551616,"b":-9223372036854775809,"c":9007199254740993}',
    b'{"a":1e5,"b":-0.0,"c":5e-324,"d":1.7976931348623157e308}',
    '{"":null,"ä":["😀",{}]}'.encode(),
    rb'{"a":"\ud83d\ude00\u0000\/"}',
    b' {"a":' + b"[" * 100 + b"]" * 100 + b"}\r\n",
)


def test_every_remedy_with_code_has_a_case() -> None:
    """Code that is not tested may be wrong."""
    assert [] == [each.text for each in REMEDIES if each.code and each not in [case.remedy for case in CASES]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_remedy_ends_the_violation(case: Case, tmp_path: Path) -> None:
    """A server without the remedy violates one of its clauses, and with it none."""
    if not case.needs():
        pytest.skip(f"needs {case.remedy.framework}")

    violated = []
    for with_remedy in (False, True):
        with _upstream(case) as upstream, _running(case, tmp_path, upstream, with_remedy=with_remedy) as url:
            violated.append(_violated(case, url) & {clause.id for clause in case.remedy.clauses})

    assert violated[0]
    assert set() == violated[1]


@pytest.mark.parametrize("case", [FASTAPI_JSON, FLASK_JSON], ids=lambda case: case.name)
def test_a_stricter_parser_reads_valid_json_as_before(case: Case, tmp_path: Path) -> None:
    """Integers beyond 64 bits stay integers, and what JSON allows is not rejected."""
    bodies = []
    for with_remedy in (False, True):
        with _running(case, tmp_path, 9, with_remedy=with_remedy) as url:
            bodies.append([_received(case, url, body) for body in VALID_BODIES])

    assert bodies[0] == bodies[1]


def _received(case: Case, url: str, body: bytes) -> tuple[int, bytes]:
    """The status and the body of the answer to a request."""
    client = Client(parse_target(url), 10.0)
    fields = (("Content-Type", "application/json"),)
    received = client.send(CheckRequest(method="POST", path=case.path, fields=fields, body=body, label=""))
    client.close()
    assert received.answer is not None, received.reason
    return received.answer.status, received.answer.body


def _violated(case: Case, url: str) -> set[str]:
    """The clauses that one answer violates; with another status than the correct one, the first clause of the remedy."""
    client = Client(parse_target(url), 10.0)
    fields = (("Content-Type", case.media_type), ("Authorization", f"Api-Key {KEY if case.with_key else 'wrong'}"))
    request = CheckRequest(method="POST", path=case.path, fields=fields, body=case.body, label="")
    received = client.send(request)
    client.close()
    assert received.answer is not None, received.reason
    if case.status is not None:
        return set() if received.answer.status == case.status else {case.remedy.clauses[0].id}
    return {each.clause.id for each in violations(received.answer, Contract.STRICT)}


def _without_request_id(request: EndpointRequest) -> EndpointAnswer:
    """A correct chain that leaves the request id to the gateway."""
    answer = correct_endpoint(request)
    return replace(answer, request_id=None)


@contextmanager
def _upstream(case: Case) -> Iterator[int]:
    """The port of a correct endpoint for a gateway, or of nothing."""
    if not case.has_upstream:
        yield 9
        return
    with serve(_without_request_id) as url:
        yield parse_target(url).port


@contextmanager
def _running(case: Case, folder: Path, upstream: int, *, with_remedy: bool) -> Iterator[str]:
    """Run the server with or without the remedy. Yields its URL."""
    port = free_port()
    code = "\n".join(each.code for each in (*case.also, *([case.remedy] if with_remedy else [])))
    places = {"remedy": "" if case.after else code, "remedy_after": code if case.after else ""}
    file = folder / case.file
    file.write_text(case.text.format(**places, port=port, upstream=upstream, folder=folder))
    command = [word.format(file=file, folder=folder, port=port) for word in case.command]
    environment = {**os.environ, "BASETEN_API_KEY": KEY}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
