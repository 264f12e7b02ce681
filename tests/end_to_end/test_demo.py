"""Tests of `chainproof demo`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHAINPROOF = [sys.executable, "-P", "-m", "chainproof"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run a short demonstration in an empty folder, without a key in the environment."""
    folder = tmp_path_factory.mktemp("demo")
    ended = subprocess.run(
        [*CHAINPROOF, "demo", "--rate", "200", "--duration", "5s", "--out", "out"],
        cwd=folder,
        env=without_key(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder, ended


def without_key():
    """The environment of a new user."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("BASETEN_API_KEY", "CHAINPROOF_TARGET", "CHAINPROOF_EMULATED")
    }


def as_json(folder, *runs):
    """The JSON report on runs, and its exit code."""
    ended = subprocess.run(
        [*CHAINPROOF, "reports", *runs, "--json", "-"], cwd=folder, capture_output=True, text=True, check=False
    )
    return json.loads(ended.stdout), ended.returncode


def test_the_last_line_is_the_path_of_the_report(demo):
    """The last line of output is the path of the HTML report."""
    folder, ended = demo
    page = Path(ended.stdout.splitlines()[-1])

    assert (folder / "out" / "report.html").resolve() == page
    assert "<svg" in page.read_text(encoding="utf-8")


def test_the_demo_passes_although_some_requests_fail(demo):
    """A flaky chain within its objectives passes, and its failures are recorded."""
    folder, _ = demo
    report, code = as_json(folder, "out/conformance", "out/load")

    assert (0, "pass", "combined") == (code, report["verdict"], report["kind"])
    assert report["accounting"]["failed"] > 0
    assert report["accounting"]["ok"] > 900
    assert report["findings"] == []


def test_every_planned_request_is_accounted_for(demo):
    """The results of the load run add up to the planned requests."""
    folder, _ = demo
    counted = as_json(folder, "out/load")[0]["accounting"]

    assert counted["planned"] == counted["sent"] + counted["not_sent"]
    assert counted["sent"] == sum(counted[result] for result in ("ok", "failed", "timed_out", "censored"))


def test_every_clause_but_retry_after_is_exercised(demo):
    """The emulator echoes and can be steered, so all clauses but two are exercised and pass."""
    folder, _ = demo
    rows = as_json(folder, "out/conformance")[0]["clauses"]

    # No source documents a Retry-After header of the service, so the emulator sends none. The outputs of an echo chain are
    # compared with what was sent, not with each other.
    assert [row["clause"] for row in rows if row["state"] != "passed"] == ["retry-after", "answer-repeatable"]


def test_an_interrupted_demo_writes_its_report(tmp_path):
    """SIGINT during the load run leaves a report, and exit code 130."""
    running = subprocess.Popen(
        [*CHAINPROOF, "demo", "--rate", "50", "--duration", "60s", "--out", "out"],
        cwd=tmp_path,
        env=without_key(),
        stdout=subprocess.PIPE,
        text=True,
    )
    intervals = tmp_path / "out" / "load" / "intervals.jsonl"
    await_lines(intervals, running, 2)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    counted = as_json(tmp_path, "out/load")[0]["accounting"]

    assert running.returncode == 130
    assert (tmp_path / "out" / "report.html").exists()
    assert str((tmp_path / "out" / "report.html").resolve()) == output.splitlines()[-1]
    assert counted["planned"] == counted["sent"] + counted["not_sent"]
    assert counted["sent"] == sum(counted[result] for result in ("ok", "failed", "timed_out", "censored"))
    assert counted["not_sent"] > 0


def await_lines(path, running, count):
    """Wait until a process has written this many lines; fail if it ends before."""
    end = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert running.poll() is None, "the demonstration ended before its load run"
        assert time.monotonic() < end, f"no {count} lines in {path} within two minutes"
        time.sleep(0.1)  # another process writes the file, so there is no clock to replace
