"""The tests in another project: one import, one fixture, and a URL or an ASGI app as the target."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chainproof.conformance.transport.asgi import AppStartError, serve_app
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.request import JSON_TYPE, CheckRequest
from chainproof.contract.target import parse_target
from chainproof.results.exchange import Transport
from chainproof.results.folder import read_run

from ...processes import clean_environment, run_process
from ..conftest import LIGHT_CHECKS, RunSuite
from ..endpoints import KEY, EndpointAnswer, as_asgi_app, correct_endpoint, serve, when

REQUEST = CheckRequest(fields=(("Authorization", f"Api-Key {KEY}"), JSON_TYPE), body=b'{"a":1}')

PROJECT = """
from chainproof.conformance.suite import *
from endpoints import as_asgi_app, correct_endpoint

@pytest.fixture(scope="session")
def chainproof_target():
    return {target}

@pytest.fixture(scope="session")
def chainproof_key():
    return {key!r}
"""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


def project(folder: Path, *arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder with only these files."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return run_process(
        [*(sys.executable, "-P", "-m", "pytest", "-q", "--depth", "quick", "--seed", "1"), *arguments],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(Path(__file__).parents[1])),
        timeout=100,
    )


def test_one_import_checks_a_url(tmp_path: Path) -> None:
    """The tests run beside those of the project; a violation fails its own test and no other."""
    with serve(
        when(
            lambda request: request.authorized and request.method == "POST" and request.body == b"[]",
            lambda request, answer: EndpointAnswer(status=200, body=b"{}"),
        )
    ) as url:
        ended = project(
            tmp_path,
            *(
                "--echo",
                "--steerable",
                "--out",
                "run",
                "-k",
                "values_other_than or mine",
                "--junitxml",
                "junit.xml",
            ),
            test_contract=PROJECT.format(target=repr(url), key=KEY),
            test_mine="def test_mine(): pass",
        )
    cases = {case.get("name", ""): case for case in ET.parse(tmp_path / "junit.xml").iter("testcase")}
    failed = {name for name, case in cases.items() if case.find("failure") is not None}

    assert 1 == ended.returncode, ended.stdout
    assert "test_mine" in cases
    assert {"test_conformance[body-json_values_other_than_objects_are_rejected]"} == failed
    assert "non-object-rejected (must)" in ended.stdout
    assert {"non-object-rejected"} == {found.clause for found in read_run(tmp_path / "run").findings}


def test_one_fixture_checks_an_asgi_app(tmp_path: Path) -> None:
    """With its own key, and without a server to start."""
    ended = project(
        tmp_path,
        *("--echo", "--steerable", "--out", "run", "-k", "without_a_body or credentials-"),
        test_contract=PROJECT.format(target="as_asgi_app(correct_endpoint)", key=KEY),
    )

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert () == read_run(tmp_path / "run").findings


def test_an_error_in_chainproof_is_an_error_in_junit(tmp_path: Path) -> None:
    """In JUnit XML `<error>` means chainproof and `<failure>` the target."""
    broken = """
from chainproof.conformance.probing.requester import Requester
Requester.send = lambda self, request: 1 / 0
"""
    ended = project(
        tmp_path,
        *("-k", "requests_without_a_body_are_rejected", "--junitxml", "junit.xml", "--out", "run"),
        conftest=broken,
        test_contract=PROJECT.format(target="as_asgi_app(correct_endpoint)", key=KEY),
    )
    case = next(ET.parse(tmp_path / "junit.xml").iter("testcase"))

    assert 70 == ended.returncode
    assert (None, True) == (case.find("failure"), case.find("error") is not None)


def test_a_usage_error_fails_only_the_checks(tmp_path: Path) -> None:
    """Without a key no check can run, but the project's own tests do."""
    files = {
        "test_contract": PROJECT.format(target="'http://127.0.0.1:9'", key=None),
        "test_mine": "def test_mine(): pass",
    }
    mixed = project(tmp_path, **files)
    alone = project(tmp_path, "test_contract.py")

    assert 1 == mixed.returncode
    assert "no API key" in mixed.stdout
    assert "1 passed" in mixed.stdout
    assert 2 == alone.returncode
    assert "no API key" in alone.stdout + alone.stderr


def test_a_correct_app_has_no_findings(run_suite: RunSuite) -> None:
    """The ASGI server adds nothing and hides nothing."""
    with serve_app(as_asgi_app(correct_endpoint)) as url:
        result = run_suite(url, checks=LIGHT_CHECKS)

    assert [] == result.lines


@pytest.mark.parametrize("read", [True, False], ids=["reads the body", "does not read it"])
def test_an_app_that_raises_answers_500(read: bool) -> None:
    """As behind any server; also if the app does not read a large body."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if read:
            while (await receive()).get("more_body"):
                pass
        raise RuntimeError

    large = CheckRequest(fields=REQUEST.fields, body=b'{"a":"' + b"x" * 2**21 + b'"}')
    with serve_app(app) as url:  # type: ignore[arg-type]
        statuses = [Client(parse_target(url), 5.0).send(request).answer for request in (REQUEST, large)]

    assert [500, 500] == [answer and answer.status for answer in statuses]


def test_fields_and_body_of_an_app_are_sent_unchanged() -> None:
    """Letter case, order and repetition of fields, and a body in several parts."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        assert (b"content-type", b"application/json") in scope["headers"]
        assert ("POST", "/production/run_remote") == (scope["method"], scope["path"])
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event["body"]
            if not event["more_body"]:
                break
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"X-B", b"1"), (b"x-a", b"2"), (b"X-B", b"3")]}
        )
        await send({"type": "http.response.body", "body": body[:3], "more_body": True})
        await send({"type": "http.response.body", "body": body[3:]})
        assert {"type": "http.disconnect"} == await receive()

    with serve_app(app) as url:  # type: ignore[arg-type]
        client = Client(parse_target(url), 5.0)
        receptions = [
            client.send(request) for request in (REQUEST, CheckRequest(fields=REQUEST.fields, body=b"{}", chunked=True))
        ]

    assert [b'{"a":1}', b"{}"] == [received.answer and received.answer.body for received in receptions]
    assert receptions[0].answer is not None
    assert [("X-B", "1"), ("x-a", "2"), ("X-B", "3")] == [
        each for each in receptions[0].answer.headers if each[0].lower().startswith("x-")
    ]


def test_a_wrong_content_length_of_an_app_is_sent_unchanged() -> None:
    """The answer counts as malformed."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"{}"})

    with serve_app(app) as url:  # type: ignore[arg-type]
        received = Client(parse_target(url), 5.0).send(REQUEST)

    assert Transport.MALFORMED is received.transport


def test_the_lifespan_of_an_app_is_run() -> None:
    """
    It starts before the first request, with a state that requests see, and ends after the last one. An app without lifespan
    is served; an app that fails to start is a usage error.
    """
    events: list[str] = []

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                events.append((await receive())["type"])
                scope["state"]["begun"] = True
                await send({"type": f"{events[-1]}.complete"})
            return
        events.append(f"request {scope['state']['begun']}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def failing(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed"})

    with serve_app(app) as url:  # type: ignore[arg-type]
        Client(parse_target(url), 5.0).send(REQUEST)
    with pytest.raises(AppStartError), serve_app(failing):  # type: ignore[arg-type]
        pass

    assert ["lifespan.startup", "request True", "lifespan.shutdown"] == events
