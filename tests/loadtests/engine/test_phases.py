"""Runs with phases and several payloads are counted per phase and payload."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.results.exchange import Result
from chainproof.results.intervals.interval import total

from ..behaviours import fine

RunServer = Callable[..., Any]
Launch = Callable[..., Any]

WORKLOAD = """
arrivals = "constant"
objectives = ["p95 response_time < 2s"]

[[phases]]
name = "warm-up"
duration = "500ms"
rate = 40
judged = false

[[phases]]
name = "ramp"
duration = "1s"
rate = [40, 120]

[[payloads]]
name = "short"
weight = 3
body = { text = "short" }

[[payloads]]
file = "long.jsonl"
"""


@pytest.mark.parametrize(
    "options", [("--processes", "2"), *([()] if os.environ.get("CHAINPROOF_SAMPLE") == "all" else [])]
)
def test_phases_and_payloads_are_counted_separately(
    run_server: RunServer, launch: Launch, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """The counts of phases and payloads match the requests that the target received, with and without workers."""
    (tmp_path / "mine.toml").write_text(WORKLOAD)
    (tmp_path / "long.jsonl").write_text('{"text": "long", "n": 1}\n{"text": "long", "n": 2}\n')
    with run_server(fine) as server:
        done = launch(server, str(tmp_path / "mine.toml"), *options).end()
    run = done.run
    totals = total(run.intervals)
    sent = Counter(json.loads(request.partition(b"\r\n\r\n")[2])["text"] for request in server.requests)
    kinds = Counter[str]()
    for part in totals.phases.values():
        for name, each in part.payloads.items():
            kinds[name] += each.outcomes.total()

    done.assert_verdict(0)
    assert [("warm-up", 0.0, 0.5, False), ("ramp", 0.5, 1.5, True)] == [
        (phase.name, phase.start, phase.end, phase.judged) for phase in run.manifest.phases
    ]
    assert {"warm-up": 20, "ramp": 80} == {name: part.planned for name, part in totals.phases.items()}
    assert {"warm-up": 20, "ramp": 80} == {name: part.count(Result.OK) for name, part in totals.phases.items()}
    assert 100 == totals.planned == len(server.requests)
    assert sent == kinds
    assert {"long", "short"} == set(kinds)
    assert 120.0 == run.manifest.settings["rate_per_s"]


def test_payloads_from_a_file_replace_those_of_the_workload(
    run_server: RunServer, launch: Launch, tmp_path: Path
) -> None:
    """The run folder names the payload file and stores no body."""
    (tmp_path / "mine.jsonl").write_text('{"secret_text": 1}\n{"secret_text": 2}\n')
    with run_server(fine) as server:
        options = ["--rate", "60", "--duration", "500ms", "--objective", "error_rate < 50%"]
        done = launch(server, *options, "--payloads", str(tmp_path / "mine.jsonl")).end()

    done.assert_verdict(0)
    assert all(b'{"secret_text":' in request for request in server.requests)
    assert ["mine"] == done.run.manifest.settings["payloads"]
    assert [] == [path.name for path in done.folder.iterdir() if "secret_text" in path.read_text()]


def test_an_invalid_payload_file_is_a_usage_error(launch: Launch, tmp_path: Path) -> None:
    """Exit code 2 and a message with the line number."""
    (tmp_path / "mine.jsonl").write_text("[]\n")
    done = launch("http://127.0.0.1:9", "--payloads", str(tmp_path / "mine.jsonl")).end()

    assert 2 == done.code
    assert "line 1 of" in done.errors
    assert "expected a JSON object, found an array" in done.errors
