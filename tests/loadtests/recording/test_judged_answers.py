"""What reports say of a real server's errors: who is responsible, and whether the payload fits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from chainproof.judgement.summary import Report, report
from chainproof.reports.formats import html, json_report, junit, markdown, terminal

RunServer = Callable[..., Any]
Launch = Callable[..., Any]

EXCEPTION = {"error": {"exception_cls_name": "ValueError", "exception_message": "boom", "user_stack_trace": []}}
CHAIN_SERVER = ("X-BASETEN-ERROR-SOURCE: 04", "X-BASETEN-ERROR-CODE: 600")


def answers(status: int, body: object, *fields: str) -> Callable[[Any], Any]:
    """A behaviour that answers with this status and body."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    types = () if any(field.startswith("Content-Type") for field in fields) else ("Content-Type: application/json",)

    async def answer(request: Any) -> None:
        await request.answer(status, content, *types, *fields)

    return answer


def texts(found: Report) -> dict[str, str]:
    """The report in every format for people, in one line each."""
    written = {
        "terminal": terminal.render(found),
        "markdown": markdown.render(found).replace("\\", ""),
        "html": re.sub(r"<[^>]+>", " ", re.sub(r"</?code>", "", html.render(found))),
        "junit": junit.render(found),
    }
    return {name: re.sub(r"\s+", " ", text) for name, text in written.items()}


def test_every_format_names_who_is_responsible_for_an_error(run_server: RunServer, launch: Launch) -> None:
    """An exception in the chain is the chain's, also as HTTPException(503); a proxy's page is the gateway's."""
    behaviours = (
        answers(200, {}, "X-BASETEN-REQUEST-ID: 1"),
        answers(500, EXCEPTION),
        answers(503, EXCEPTION, *CHAIN_SERVER),
        answers(502, b"<html>", "Content-Type: text/html"),
        answers(503, {"error_code": "model_not_ready"}, *CHAIN_SERVER),
    )
    with run_server(*behaviours) as server:
        done = launch(server, "--rate", "100", "--arrivals", "constant", "--duration", "500ms").end()
    found = report([done.run])
    rows = {(row["status"], row["responsible"]): row["count"] for row in json_report.as_json(found)["outcomes"]}  # type: ignore[index, call-overload, union-attr]

    assert {
        (200, None): 10,
        (500, "chain"): 10,
        (503, "chain"): 10,
        (502, "gateway"): 10,
        (503, "platform"): 10,
    } == rows, done.errors
    for name, text in texts(found).items():
        assert all(party in text for party in ("chain", "gateway", "platform")), name
    assert 4 == texts(found)["junit"].count("(responsible:")


def test_every_report_begins_with_a_payload_that_does_not_fit(run_server: RunServer, launch: Launch) -> None:
    """If all answers are 400, the first line says so and what to do. A chain that is right to reject it does not fail."""
    objectives = ("--objective=p95 response_time < 1s", "--objective=error_rate < 1%", "--error-budget=10%")
    with run_server(answers(400, {"error": "Input Parsing Error:\n  `names`: Field required."})) as server:
        done = launch(server, "--rate", "50", "--duration", "1s", *objectives).end()
    found = report([done.run])
    first = (
        "were 400: the payload may not fit this chain. Name the inputs of the chain with --input-schema or --payloads;"
    )

    done.assert_verdict(3)
    word = "INCONCLUSIVE" if done.code == 3 else "INVALID"
    assert re.match(rf"{word}  All \d+ answers were 400: the payload may not fit this chain", done.output)
    written = json_report.as_json(found)
    assert (word.lower(), done.code) == (written["verdict"], written["exit_code"])
    assert first in str(written["reason"])
    for name, text in texts(found).items():
        assert first in text, name
