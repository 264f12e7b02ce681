"""The progress of a run is read from its folder, and drawn in place on a terminal."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.loadtests import command
from chainproof.loadtests.progress import (
    RECENT,
    FolderFollower,
    ProgressDisplay,
    RunProgress,
    live_progress,
    log_line,
    progress_lines,
    value_so_far,
)
from chainproof.results.exchange import NotSent, Outcome, Result, Transport
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import as_settings
from chainproof.results.run_writer import RunWriter
from chainproof.workload.objectives import parse_objective

from ...manifests import load_manifest

OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
FAILED = Outcome(Transport.ANSWERED, 500, None, Result.FAILED)
MANIFEST = load_manifest(
    target="http://127.0.0.1/production/run_remote",
    settings=as_settings(duration_s=30.0),
    objectives=("p95 response_time < 800ms", "error_rate < 10%", "throughput > 12/s", "first_success < 3s"),
)


def second(number: int, *, worker: str = "0", response_time: float = 0.02, in_flight: int = 3) -> Interval:
    """An interval with ten requests: eight are ok, one failed and one was not sent."""
    interval = Interval(second=number, worker=worker, in_flight=in_flight)
    interval.count_planned(times=10)
    interval.count_not_sent(NotSent.STOPPED)
    interval.count_all_sent([0.001] * 9)
    for _ in range(8):
        interval.count_outcomes(OK, [response_time], [response_time])
    interval.count_outcomes(FAILED, [0.001], [0.001])
    return interval


def test_lines_show_rate_results_percentiles_and_objectives() -> None:
    """Rate and percentiles are those of the last seconds, of all workers; results and objectives those of the run."""
    progress = RunProgress(manifest=MANIFEST)
    for number in range(12):
        for worker in ("0", "1"):
            progress.add(second(number, worker=worker, response_time=1.0 if number < 2 else 0.02))

    assert [
        "12 s of 30 s, 18 s left · 18/s · 6 in flight · ok 192, failed 24, not sent 24",
        "last 10 s: p50 20 ms, p95 20 ms, p99 20 ms",
        "p95 response_time < 800ms: missed so far, fewer than 95 % of the requests were answered ok",
        "error_rate < 10%: missed so far, 20 %",
        "throughput > 12/s: met so far, 16/s",
        "first_success < 3s: no value yet",
    ] == progress_lines(progress)
    assert (
        "12 s of 30 s, 18 s left · 18/s · 6 in flight · ok 192, failed 24, not sent 24 · last 10 s: p50 20 ms, p95 20 ms, "
        "p99 20 ms · missed so far: p95 response_time < 800ms, error_rate < 10%"
    ) == log_line(progress)
    assert 2 * RECENT == len(progress.recent)


def test_lines_say_what_a_run_waits_for() -> None:
    """After its last start, a run waits for answers. Without any ok answer there are no percentiles."""
    progress = RunProgress(manifest=MANIFEST)
    progress.add(Interval(second=30, in_flight=2))

    assert ["30 s of 30 s, waiting for answers · 0/s · 2 in flight · ok 0", "last 1 s: no ok answers"] == (
        progress_lines(progress)[:2]
    )


def test_without_an_ok_answer_no_time_is_missed_so_far() -> None:
    """As in the verdict: the times of failed answers say nothing of the chain, but the error rate is missed."""
    interval = Interval(second=0)
    interval.count_planned(times=5)
    interval.count_all_sent([0.0] * 5)
    interval.count_outcomes(FAILED, [0.001] * 5, [0.001] * 5)
    progress = RunProgress(manifest=MANIFEST)
    progress.add(interval)

    assert [
        "p95 response_time < 800ms: no ok answer yet",
        "error_rate < 10%: missed so far, 100 %",
        "throughput > 12/s: no ok answer yet",
        "first_success < 3s: no value yet",
    ] == progress_lines(progress)[2:]


@given(st.lists(st.floats(0.001, 2.0), max_size=60), st.integers(0, 10))
def test_requests_that_are_not_ok_count_as_never_answered(times: list[float], failed: int) -> None:
    """A percentile is the value of its rank among all requests whose result is known, and infinite beyond the ok ones."""
    interval = Interval(second=0)
    for time in times:
        interval.count_outcomes(OK, [time], [time])
    for _ in range(failed):
        interval.count_outcomes(FAILED, [0.001], [0.001])
    ranked = [*sorted(times), *[float("inf")] * failed]
    percentile, error_rate = (
        value_so_far(parse_objective(text), interval, 1.0) for text in ("p95 response_time < 1s", "error_rate < 1%")
    )

    if ranked:
        assert percentile == pytest.approx(ranked[-(-19 * len(ranked) // 20) - 1], rel=1e-3)
        assert error_rate == pytest.approx(failed / len(ranked))
    else:
        assert percentile is error_rate is None


def test_only_complete_lines_are_read(tmp_path: Path) -> None:
    """A line that is being written is read when it is complete, and no line twice."""
    follower = FolderFollower(tmp_path / "run")
    assert not follower.update()
    with RunWriter(tmp_path / "run", MANIFEST) as writer:
        assert not follower.update()
        writer.write_interval(second(0))
        path = tmp_path / "run" / "intervals.jsonl"
        whole = path.read_bytes()
        path.write_bytes(whole + whole[:40])
        assert follower.update()
        assert not follower.update()
        path.write_bytes(whole + whole)
        assert follower.update()

    assert follower.progress is not None
    assert 18 == follower.progress.totals.sent


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """True."""
        return True

    def screen(self) -> list[str]:
        """The lines on the screen."""
        lines: list[str] = [""]
        for text, up in re.findall(r"([^\x1b\r]+)|\r\x1b\[(\d+)A\x1b\[J", self.getvalue()):
            if up:
                del lines[-1 - int(up) :]
                lines.append("")
            first, *others = text.split("\n")
            lines[-1] += first
            lines += others
        return lines[:-1]


def test_lines_are_drawn_in_place_below_other_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, lines replace the former ones, other output stays above them, and nothing remains at the end."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    display = ProgressDisplay(stream)
    display.show(["one", "x" * 200])
    display.show(["two", "three", "four"])
    display.write("a warning\n")

    assert ["a warning", "two", "three", "four"] == stream.screen()
    display.close()
    assert ["a warning"] == stream.screen()


def test_lines_have_the_usual_width_on_a_terminal_that_does_not_say_its_own() -> None:
    """A new pseudo-terminal, as of `script` or a container, has 0 columns."""
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0), open(theirs, "w") as stream:  # noqa: PTH123  # descriptors
        ProgressDisplay(stream).show(["x" * 100])
        drawn = os.read(ours, 1000)

    assert b"x" * 79 == drawn.rstrip()


def test_a_log_gets_plain_lines() -> None:
    """Without a terminal, there are no control characters."""
    stream = io.StringIO()
    display = ProgressDisplay(stream)
    display.show(["one", "two"])
    display.write("a warning\n")
    display.close()

    assert "chainproof loadtests: one\nchainproof loadtests: two\na warning\n" == stream.getvalue()


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_runs_show_no_progress(quiet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --quiet only the other output of the run is shown."""
    monkeypatch.setattr("chainproof.loadtests.progress._PLAIN_INTERVAL", 0.02)
    stream = io.StringIO()
    with (
        RunWriter(tmp_path / "run", MANIFEST) as writer,
        live_progress({"": tmp_path / "run"}, stream, quiet=quiet) as display,
    ):
        writer.write_interval(second(0))
        display.write("a warning\n")
        while not quiet and "left" not in stream.getvalue():
            pass

    assert quiet is ("left" not in stream.getvalue())
    assert "a warning\n" in stream.getvalue()


def test_a_missing_page_only_prints_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If the report cannot be written, the message says why and what to do, and nothing is raised."""
    command._write_page(tmp_path / "report.html", [str(tmp_path)])  # a real run would have to break its own folder

    assert re.fullmatch(
        "chainproof loadtests: the HTML report was not written: expected a run folder.*; the verdict is not affected. "
        "--no-html leaves it out\n",
        capsys.readouterr().err,
    )
