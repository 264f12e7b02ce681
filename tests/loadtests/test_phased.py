"""
Runs with phases and several payloads: each counted apart, whoever sends them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.results.exchange import Result
from chainproof.results.interval import total

RunServer = Callable[..., Any]
Launch = Callable[..., Any]

WORKLOAD = """
arrivals = "constant"
objectives = ["p95 response_time < 2s"]

[[phases]]
name = "warm-up"
duration = "1s"
rate = 20
judged = false

[[phases]]
name = "ramp"
duration = "2s"
rate = [20, 60]

[[payloads]]
name = "short"
weight = 3
body = { text = "short" }

[[payloads]]
file = "long.jsonl"
"""


async def fine(told: Any) -> None:
    """As it should be."""
    await told.answer()


@pytest.mark.parametrize("words", [(), ("--processes", "2")], ids=["alone", "two processes"])
def test_phases_and_payloads_are_counted_apart(
    run_server: RunServer, launch: Launch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """
    Each phase has the requests planned in it, each kind of payload those that carried it, and together they are all.
    """
    (tmp_path / "mine.toml").write_text(WORKLOAD)
    (tmp_path / "long.jsonl").write_text('{"text": "long", "n": 1}\n{"text": "long", "n": 2}\n')
    with run_server(fine) as server:
        done = launch(server, str(tmp_path / "mine.toml"), *words).end()
    run = done.run
    whole = total(run.intervals)
    sent = Counter(json.loads(request.partition(b"\r\n\r\n")[2])["text"] for request in server.requests)
    kinds = Counter[str]()
    for part in whole.phases.values():
        for name, each in part.payloads.items():
            kinds[name] += each.outcomes.total()

    assert 0 == done.code, done.errors
    assert [("warm-up", 0.0, 1.0, False), ("ramp", 1.0, 3.0, True)] == [
        (phase.name, phase.start, phase.end, phase.judged) for phase in run.manifest.phases
    ]
    assert {"warm-up": 20, "ramp": 80} == {name: part.planned for name, part in whole.phases.items()}
    assert {"warm-up": 20, "ramp": 80} == {name: part.count(Result.OK) for name, part in whole.phases.items()}
    assert 100 == whole.planned == len(server.requests)
    assert sent == kinds
    assert {"long", "short"} == set(kinds)
    assert 60.0 == run.manifest.settings["rate_per_s"]


def test_payloads_from_a_file_take_the_place_of_the_workloads(
    run_server: RunServer, launch: Launch, tmp_path: Path
) -> None:
    """
    `--payloads`, at any door; the record names the file's kind and keeps no body.
    """
    (tmp_path / "mine.jsonl").write_text('{"secret_text": 1}\n{"secret_text": 2}\n')
    with run_server(fine) as server:
        words = ["--rate", "30", "--duration", "1s", "--objective", "error_rate < 50%"]
        done = launch(server, *words, "--payloads", str(tmp_path / "mine.jsonl")).end()

    assert 0 == done.code, done.errors
    assert all(b'{"secret_text":' in request for request in server.requests)
    assert ["mine"] == done.run.manifest.settings["payloads"]
    assert [] == [path.name for path in done.folder.iterdir() if "secret_text" in path.read_text()]


def test_a_payload_file_that_is_none_is_said(launch: Launch, tmp_path: Path) -> None:
    """
    One line, exit code 2.
    """
    (tmp_path / "mine.jsonl").write_text("[]\n")
    done = launch("http://127.0.0.1:9", "--payloads", str(tmp_path / "mine.jsonl")).end()

    assert 2 == done.code
    assert "expected a JSON object in line 1 of" in done.errors
