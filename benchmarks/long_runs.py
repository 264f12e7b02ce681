"""
Long runs: the size of their run folders, what reports on them cost, and a run with a fault in every minute.

    python benchmarks/long_runs.py write DIR --hours 24 --rate 200    # a run folder, without waiting for a day (ten minutes)
    python benchmarks/long_runs.py report DIR                         # time and memory of each report format
    python benchmarks/long_runs.py faults --minutes 30 --rate 500     # a real run against an emulator that is disturbed

`write` uses the recorder of load tests with a clock of its own. Its target is slow for a minute of each hour, answers one
request in two thousand with an error, and fails for some seconds twice a day.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path

from accuracy import suspend
from resource_use import memory_of

from chainproof.contract.levels import Contract
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.loadtests.client.reply import Reply
from chainproof.loadtests.recording.assessment import Assessment
from chainproof.loadtests.recording.in_flight_request import InFlightRequest
from chainproof.loadtests.recording.recorder import Recorder
from chainproof.loadtests.recording.totals_writer import TotalsWriter
from chainproof.processes import chainproof_command
from chainproof.reports.command import FORMATS
from chainproof.results.exchange import Exchange, Outcome, Result, Transport
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import by_second, total
from chainproof.results.manifest import Ending, Manifest, RunKind, as_settings, versions
from chainproof.results.run_writer import RunWriter
from chainproof.workload.arrivals import poisson

OK = Assessment(Outcome(Transport.ANSWERED, 200, None, Result.OK))
LIMITED = Assessment(Outcome(Transport.ANSWERED, 429, "rate_limited", Result.FAILED), "429")
UNAVAILABLE = Assessment(Outcome(Transport.ANSWERED, 503, "model_unavailable", Result.FAILED), "503")
HOUR = 3600
_FLUSH_INTERVAL = 1.0

# ------------------------------------------------------------------ a run folder


def write(out: Path, hours: float, rate: float) -> None:
    """Write the run folder of a load test with this rate, and print its size."""
    manifest = Manifest(
        kind=RunKind.LOAD,
        name="soak",
        started="2026-11-22T13:27:00.250Z",
        target="http://127.0.0.1:8080/production/run_remote",
        settings=as_settings(
            model="open", rate_per_s=rate, duration_s=hours * HOUR, arrivals="poisson", deadline_s=30.0
        ),
        objectives=("p95 response_time < 300ms", "error_rate < 1 %"),
        versions=versions(),
    )
    writer = TotalsWriter(RunWriter(out, manifest), manifest)
    recorder = Recorder(writer, contract=Contract.STRICT, seed=1)
    ended = simulate(recorder, hours * HOUR, rate)
    recorder.finish(ended, Ending.COMPLETED, "")
    size = sum(file.stat().st_size for file in out.iterdir())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"run folder: {recorder.accounting.sent:,} requests in {hours:g} h: {size / 1e6:.0f} MB; the process that wrote it had at "
        f"most {memory / 1e6:.0f} MB"
    )


def simulate(recorder: Recorder, duration: float, rate: float) -> float:
    """Record the requests of a run, and return when it ended."""
    chance = random.Random(1)
    answers: list[tuple[float, int, InFlightRequest, Assessment]] = []
    flushed, now = 0.0, 0.0
    for number, start in enumerate(_starts(duration, rate)):
        while answers and answers[0][0] <= start:
            now = _settle(recorder, *heappop(answers))
        if start >= flushed + _FLUSH_INTERVAL:
            flushed = start
            health = recorder.generator_health(start)
            health.add_sample(recorder.in_flight, chance.expovariate(5000), 0.02)
            recorder.flush(start)
        recorder.plan_request(start)
        sent = start + chance.expovariate(20_000)
        request = InFlightRequest(number, start, None, sent)
        recorder.count_sent(request)
        service_time, assessment = _answer(start, chance)
        heappush(answers, (sent + service_time, number, request, assessment))
    while answers:
        now = _settle(recorder, *heappop(answers))
    return max(now, duration)


def _starts(duration: float, rate: float) -> Iterator[float]:
    """The intended starts of the requests."""
    for start in poisson(rate, seed=1):
        if start >= duration:
            return
        yield start


def _answer(start: float, chance: random.Random) -> tuple[float, Assessment]:
    """The service time of a request and what it is answered."""
    slow = 5.0 if start % HOUR > HOUR - 60 else 1.0
    if start % (12 * HOUR) % 40_000 < 5.0 and start > HOUR:
        return 0.01, UNAVAILABLE
    time_taken = chance.lognormvariate(-2.6, 0.4) * slow
    return time_taken, LIMITED if chance.random() < 1 / 2000 else OK


def _settle(recorder: Recorder, end: float, number: int, request: InFlightRequest, assessment: Assessment) -> float:
    """Record an answer, and return its time."""
    request.end = end
    request.outcome = assessment.outcome
    assert request.start is not None
    request.reply = Reply(
        Transport.ANSWERED, end, read_at=end + 0.0001, first_byte=end, sent=400, received=300, body_length=100
    )
    if recorder.count_settled(request, assessment, end + 0.0001):
        exchange = Exchange(
            number=number,
            intended_start=request.intended_start,
            start=request.start,
            end=end,
            outcome=assessment.outcome,
        )
        recorder.keep_exemplar(exchange, assessment.reason)
    return end


# ------------------------------------------------------------------ reports


def report(folder: Path) -> None:
    """Print the time and the memory of every report format, each in a process of its own, and of all together."""
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder.name}: {size / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory() as out:
        each = {name: [f"--{name}", f"{out}/{name}"] for name in FORMATS}
        for name, options in {"terminal": [], **each, "all": [word for pair in each.values() for word in pair]}.items():
            start = time.monotonic()
            process = subprocess.Popen(
                chainproof_command("reports", str(folder), *options),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _, _, usage = os.wait4(process.pid, 0)
            cpu = usage.ru_utime + usage.ru_stime
            print(
                f"  {name:12} {time.monotonic() - start:6.1f} s, {cpu:6.1f} s of CPU time, at most {usage.ru_maxrss / 1024:5.0f} MiB"
            )


# ------------------------------------------------------------------ faults


FREEZE = 2.0
SUSPENSION = 0.5
SCENARIO = 'description = "steady"\nservice_time = { median = "20ms", p99 = "60ms" }\n'


class _Target:
    """An emulator that can be frozen, and ended and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self._scenario, self._log, self._port = folder / "steady.toml", folder / "access-{}.jsonl", 0
        self._scenario.write_text(SCENARIO, encoding="utf-8")
        self._starts = 0
        self.origin = ""
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        log = str(self._log).format(self._starts)
        self._starts += 1
        process = subprocess.Popen(
            chainproof_command(
                "emulator", str(self._scenario), "--until-eof", f"--port={self._port}", "--access-log", log
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        url = next(word for word in process.stdout.readline().split() if word.startswith("http://")).rstrip(".,")
        self.origin = url.removesuffix("/production/run_remote")
        self._port = int(self.origin.rpartition(":")[2])
        return process

    def restart(self) -> None:
        """End the target and start it again. It is not killed, so that its access log is complete."""
        self.process.terminate()
        self.process.wait()
        self.process = self._start()

    def stop(self) -> None:
        """End the target."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def answered(self) -> int:
        """The number of requests that its access logs have as answered with 200."""
        logs = (Path(str(self._log).format(number)) for number in range(self._starts))
        lines = (line for log in logs for line in log.read_bytes().splitlines() if line.endswith(b"}"))
        return sum(json.loads(line).get("status") == 200 for line in lines)


@contextmanager
def _target(folder: Path) -> Iterator[_Target]:
    target = _Target(folder)
    try:
        yield target
    finally:
        target.stop()


def faults(minutes: int, rate: int) -> int:
    """Disturb a load test once a minute, and print whether its record is right. Returns the number of failed checks."""
    with tempfile.TemporaryDirectory() as name, _target(Path(name)) as target:
        out = Path(name) / "run"
        load = subprocess.Popen(
            chainproof_command(
                "loadtests", "steady", "--no-html", "--quiet", f"--target={target.origin}", f"--out={out}",
                f"--rate={rate}", f"--duration={minutes * 60}s", "--deadline=5s",
            ),
            env={**os.environ, "BASETEN_API_KEY": EMULATOR_KEY},
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        kinds: tuple[Callable[[], None], ...] = (
            lambda: suspend(target.process.pid, FREEZE),
            target.restart,
            lambda: suspend(_generator(load), SUSPENSION),
        )
        disturbed = _Disturbed(minutes=minutes, rate=rate)
        _disturb(load, out, disturbed, kinds)
        load.wait()
        target.stop()
        checks = [*_accounting_checks(out, target, disturbed), *_faults_seen(out, disturbed.instants)]
        for text, holds in checks:
            print(f"  {'ok    ' if holds else 'FAILED'} {text}")
    return sum(not holds for _, holds in checks)


@dataclass(slots=True, kw_only=True)
class _Disturbed:
    """A load test with faults."""

    minutes: int
    rate: int
    instants: list[float] = field(default_factory=list)
    """Seconds of the run at which faults began."""
    memory: list[float] = field(default_factory=list)
    """Of the process that sends the requests, after each fault, in MB."""


def _generator(load: subprocess.Popen[bytes]) -> int:
    """The process that sends the requests."""
    children = Path(f"/proc/{load.pid}/task/{load.pid}/children").read_text(encoding="ascii").split()
    return int(children[0]) if children else load.pid


def _disturb(
    load: subprocess.Popen[bytes], out: Path, disturbed: _Disturbed, kinds: tuple[Callable[[], None], ...]
) -> None:
    """Inject one fault in each minute."""
    while not (out / "intervals.jsonl").exists():
        time.sleep(0.05)  # another process writes the file, so there is no clock to replace
    begin = time.monotonic() - 1.0
    for minute in range(disturbed.minutes):
        time.sleep(max(begin + minute * 60 + 30 - time.monotonic(), 0.0))  # the run goes on in real time
        if load.poll() is not None:
            break
        disturbed.instants.append(time.monotonic() - begin)
        kinds[minute % len(kinds)]()
        disturbed.memory.append(memory_of(_generator(load)))


def _accounting_checks(out: Path, target: _Target, disturbed: _Disturbed) -> Iterator[tuple[str, bool]]:
    """Sentences about the counts and the memory of the run, each with whether it holds."""
    minutes, rate, memory = disturbed.minutes, disturbed.rate, disturbed.memory
    shown = subprocess.run(chainproof_command("reports", str(out), "--json=-"), capture_output=True, check=False)
    counted = json.loads(shown.stdout)["accounting"]
    totals = total(read_run(out).intervals)
    answered = target.answered()
    lost = counted["failed"] + counted["timed_out"]
    settled = sum(counted[name] for name in ("ok", "failed", "timed_out", "censored"))
    yield f"{len(disturbed.instants)} faults in {minutes} minutes", len(disturbed.instants) == minutes
    yield (
        f"{counted['planned']:,} requests were planned, for {rate}/s",
        abs(counted["planned"] - 60 * minutes * rate) < 5 * (60 * minutes * rate) ** 0.5,
    )
    yield (
        f"each was sent ({counted['sent']:,}) or not ({counted['not_sent']:,})",
        counted["planned"] == counted["sent"] + counted["not_sent"],
    )
    yield f"each that was sent has a result ({settled:,})", counted["sent"] == settled
    yield (
        f"the access log has {answered:,} answers, the report {counted['ok']:,} ok and {lost:,} lost",
        counted["ok"] <= answered <= counted["ok"] + lost,
    )
    yield "the report has the counts of the run folder", totals.count(Result.OK) == counted["ok"]
    if len(memory) > 2:
        growth = max(memory[len(memory) // 2 :]) - max(memory[: len(memory) // 2])
        yield f"memory: {memory[0]:.0f} MB at first, {growth:+.1f} MB in the second half", growth < 3.0


def _faults_seen(out: Path, injected: list[float]) -> Iterator[tuple[str, bool]]:
    """Whether the seconds of each fault show it."""
    run = read_run(out)
    seconds = {each.second: each for each in by_second(run.intervals)}
    stalls = [stall for each in seconds.values() if each.generator_health for stall in each.generator_health.stalls]
    for kind, name in enumerate(("frozen target", "restarted target", "suspended generator")):
        instants = injected[kind::3]
        seen = 0
        for instant in instants:
            near = [seconds[number] for number in range(int(instant) - 1, int(instant) + 6) if number in seconds]
            if kind == 0:
                seen += any((each.ok_quantile("max") or 0.0) > FREEZE * 0.9 for each in near)
            elif kind == 1:
                seen += any(each.count(Result.FAILED) for each in near)
            else:
                seen += any(abs(stall.start - instant) < 2 and stall.seconds > SUSPENSION / 2 for stall in stalls)
        if instants:
            yield f"{name}: seen in {seen} of {len(instants)} cases", seen == len(instants)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("folder", type=Path)
    writing.add_argument("--hours", type=float, default=24.0)
    writing.add_argument("--rate", type=float, default=200.0)
    commands.add_parser("report").add_argument("folder", type=Path)
    disturbed = commands.add_parser("faults")
    disturbed.add_argument("--minutes", type=int, default=30)
    disturbed.add_argument("--rate", type=int, default=500)
    options = parser.parse_args()
    if options.command == "write":
        write(options.folder, options.hours, options.rate)
    elif options.command == "report":
        report(options.folder)
    else:
        return min(faults(options.minutes, options.rate), 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
