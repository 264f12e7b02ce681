"""Answers with a content coding are judged by their decoded bodies, as conformance judges them."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

RunServer = Callable[..., Any]
Launch = Callable[..., Any]

BODY = b'{"greetings":["Hello, Ada"]}'


def coded(coding: str, body: bytes) -> Callable[[Any], Any]:
    """A behaviour that answers with a body and its content coding."""

    async def answer(request: Any) -> None:
        fields = (
            "Content-Type: application/json",
            f"X-BASETEN-REQUEST-ID: {request.number}",
            f"Content-Encoding: {coding}",
        )
        await request.answer(200, body, *fields)

    return answer


LEGAL = (
    ("gzip", gzip.compress(BODY)),
    ("GZIP", gzip.compress(BODY)),
    ("deflate, x-gzip", gzip.compress(zlib.compress(BODY))),
    ("compress", b"cannot be decoded here"),
)
WRONG = (
    ("gzip", gzip.compress(b"nonsense")),
    ("gzip", gzip.compress(b"[1]")),
    ("gzip", b"not coded"),
    ("gzip", BODY),
    ("gzip", gzip.compress(BODY)[:-1]),
)


def test_a_coded_answer_is_judged_by_its_content(run_server: RunServer, launch: Launch) -> None:
    """A legal coding violates nothing. What is invalid inside it, or not coded as it says, is found; another coding is named."""
    behaviours = [coded(coding, body) for coding, body in (*LEGAL, *WRONG)]
    with run_server(*behaviours) as server:
        done = launch(server, "--rate", "36", "--arrivals", "constant", "--duration", "1s").end()

    counts = Counter[str]()
    for finding in done.run.findings:
        counts[finding.clause] += finding.count
    assert {"output-json": 4, "output-object": 4, "content-coding": 12, "accept-encoding": 4} == counts, done.errors
    assert (16, 20) == (done.accounting["ok"], done.accounting["failed"])
    assert "Content-Encoding: compress, which chainproof cannot decode" in done.output
