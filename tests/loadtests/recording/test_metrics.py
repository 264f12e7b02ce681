"""`--metrics PORT` and `--record-requests` in real runs, in one process and in several."""

from __future__ import annotations

import os
import re
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from chainproof.errors import UsageError
from chainproof.loadtests.metrics_endpoint import serve_metrics
from chainproof.open_metrics import CONTENT_TYPE
from chainproof.results import run_writer
from chainproof.results.folder import REQUESTS
from chainproof.results.intervals.interval import Interval
from chainproof.results.run_writer import RunWriter

from ...manifests import load_manifest
from ...ports import free_port
from ...waiting import PATIENCE
from ..conftest import ServedRequest, StartedRun

ALL_CASES = os.environ.get("CHAINPROOF_SAMPLE") == "all"
MANIFEST = load_manifest(name="test")


async def fine(served: ServedRequest) -> None:
    """Answer with a valid 200."""
    await served.answer()


def scraped(url: str, **headers: str) -> str:
    """The metrics."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=PATIENCE) as answer:
        assert CONTENT_TYPE == answer.headers["Content-Type"]
        return answer.read().decode()


def sent(text: str) -> int:
    """The number of requests sent, 0 before the run has begun."""
    found = re.search(r"^chainproof_requests_sent_total\{.*\} (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found is not None else 0


def second(number: int) -> Interval:
    """A second with as many requests as its number."""
    interval = Interval(second=number)
    for _ in range(number):
        interval.count_all_sent([0.0])
    return interval


def test_metrics_have_every_interval_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if they are read rarely in a long run whose first hours were rolled up meanwhile."""
    monkeypatch.setattr(run_writer, "SEGMENT", 60)
    with serve_metrics(tmp_path / "run", 0) as url, RunWriter(tmp_path / "run", MANIFEST) as writer:
        assert url is not None
        assert "# EOF\n" == scraped(url).splitlines(keepends=True)[-1]
        for number in range(400):
            writer.write_interval(second(number))
            if number in (3, 59, 60, 61, 300, 399):
                assert sum(range(number + 1)) == sent(scraped(url))


def test_only_this_machine_reads_metrics(tmp_path: Path) -> None:
    """The port is on loopback, and a page of another site that leads a browser here gets nothing."""
    with serve_metrics(tmp_path / "run", 0) as url:
        assert url is not None
        assert url.startswith("http://127.0.0.1:")
        for path, headers, status in ((url, {"Host": "evil.example"}, 403), (url.replace("metrics", ""), {}, 404)):
            with pytest.raises(urllib.error.HTTPError) as error:
                scraped(path, **headers)
            assert status == error.value.code
        port = int(url.split(":")[2].partition("/")[0])
        with pytest.raises(UsageError, match=f"--metrics {port}: cannot open this port"), serve_metrics(tmp_path, port):
            pass


@pytest.mark.parametrize("processes", [(), ("--processes", "2")] if ALL_CASES else [()])
def test_a_run_serves_metrics_and_records_requests(processes, run_server, launch):
    """While it goes on, the metrics grow; afterwards the rows are as many as the limit, or as the requests."""
    port = free_port()
    with run_server(fine) as server:
        options = ("--rate", "20", "--duration", "2s", "--arrivals", "constant", f"--metrics={port}")
        started: StartedRun = launch(server, *options, *processes, "--record-requests", "25")
        seen: set[int] = set()
        while started.process.poll() is None:
            with suppress(urllib.error.URLError, ConnectionError):  # not open yet, or no longer
                seen.add(sent(scraped(f"http://127.0.0.1:{port}/metrics")))
            time.sleep(0.1)
        done = started.end()

    assert 40 == done.accounting["sent"]
    assert max(seen) > min(seen)
    assert 26 == (done.folder / REQUESTS).read_bytes().count(b"\n")
    assert {} == done.run.damage
