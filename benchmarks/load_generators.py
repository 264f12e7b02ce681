"""
Load generators in a closed loop, each on a core of its own: who they are, how they are started, what they achieved.

The figure to compare is requests per second of CPU time: on a machine that does other things besides, it stays about the
same, where requests per second of the clock on the wall say as much about the neighbours. Both are shown.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CERTIFICATE = HERE.parent / "tests" / "loadtests" / "localhost.pem"
PATH = "/production/run_remote"
BODY = '{"names":["Ada","Grace"],"greeting":"hello"}'
KEY = "abcd1234.abcd1234"
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, GENERATOR_CORE = CORES[0], CORES[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """
    What one contender achieved in one round.
    """

    requests: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Requests per second of the clock on the wall."""
        return self.requests / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Requests per second of CPU time."""
        return self.requests / self.cpu_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSettings:
    """
    What a round is to be.
    """

    origin: str
    connections: int
    seconds: int
    """Beside the warm-up."""
    warm_up: int
    """Seconds that do not count, for Locust's contenders: the others need none."""
    folder: Path
    """For whatever a contender writes."""


def pin_to_core(core: int) -> Callable[[], None]:
    """
    What a child process does first, to keep to a core.
    """
    return lambda: os.sched_setaffinity(0, {core})


@contextmanager
def null_server(*, tls: bool = False, core: int = SERVER_CORE) -> Iterator[str]:
    """
    The origin of a null server, as long as it serves.
    """
    words = [sys.executable, "-P", str(HERE / "null_server.py"), "--core", str(core)]
    words += ["--tls", str(CERTIFICATE)] if tls else []
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"{'https' if tls else 'http'}://localhost:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def run_generator(words: list[str], *, core: int = GENERATOR_CORE, **variables: str) -> tuple[str, float]:
    """
    What a generator printed, and the CPU time that it took. Exits where it fails.
    """
    before = _cpu_of_children()
    ended = subprocess.run(
        words,
        env={**os.environ, "BASETEN_API_KEY": KEY, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=pin_to_core(core),
    )
    if ended.returncode not in (0, 1, 3, 4):
        sys.exit(f"{words[0]} ended with {ended.returncode}:\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}")
    return ended.stdout + ended.stderr, _cpu_of_children() - before


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def locust(lap: RoundSettings, locustfile: str, *options: str, **variables: str) -> RoundResult:
    """
    A round of a locustfile of this folder, which tells by itself what it took: starting Locust is not counted.
    """
    words = [sys.executable, "-P", "-m", "locust", "-f", str(HERE / locustfile), "--headless", "--only-summary"]
    users = ("-u", str(lap.connections), "-r", str(lap.connections))
    said, _ = run_generator(
        [*words, *users, *options],
        CHAINPROOF_TARGET=lap.origin + PATH,
        BENCHMARK_CA_FILE=str(CERTIFICATE),
        REQUESTS_CA_BUNDLE=str(CERTIFICATE),
        BENCHMARK_WARM_UP=str(lap.warm_up),
        **variables,
    )
    told = re.search(r"^BENCHMARK (.*)$", said, re.MULTILINE)
    if told is None:
        sys.exit(f"{locustfile} told nothing:\n{said[-3000:]}")
    return RoundResult(**json.loads(told[1]))


def ours(lap: RoundSettings) -> RoundResult:
    """Everything: the plan, judging, histograms, exemplars, the run folder, Locust's statistics."""
    out = lap.folder / f"run-{len(list(lap.folder.iterdir()))}"
    options = [
        "--workload=steady",
        "--model=closed",
        f"--duration={lap.warm_up + lap.seconds}s",
        f"--out={out}",
        f"--target={lap.origin}",
    ]
    return locust(lap, "chainproof_locustfile.py", *options, f"--ca-file={CERTIFICATE}")


def client_only(lap: RoundSettings) -> RoundResult:
    """The same client in a Locust user of its own, with Locust's events and statistics alone."""
    return locust(lap, "bare_client_locustfile.py", BENCHMARK_SECONDS=str(lap.seconds))


def fast_http_user(lap: RoundSettings) -> RoundResult:
    """Locust's fast client."""
    return locust(lap, "locust_closed_locustfile.py", "StockFastHttpUser", BENCHMARK_SECONDS=str(lap.seconds))


def http_user(lap: RoundSettings) -> RoundResult:
    """Locust's other client."""
    return locust(lap, "locust_closed_locustfile.py", "StockHttpUser", BENCHMARK_SECONDS=str(lap.seconds))


def wrk(lap: RoundSettings) -> RoundResult:
    """wrk, with one thread."""
    script = lap.folder / "post.lua"
    fields = {"Content-Type": "application/json", "Authorization": f"Api-Key {KEY}"}
    lines = ['wrk.method = "POST"', f"wrk.body = '{BODY}'", *(f'wrk.headers["{k}"] = "{v}"' for k, v in fields.items())]
    script.write_text("\n".join(lines))
    options = ["-t1", f"-c{lap.connections}", f"-d{lap.seconds}s", "-s", str(script)]
    said, cpu = run_generator(["wrk", *options, lap.origin + PATH])
    found = re.search(r"(\d+) requests in ([\d.]+)(m?)s", said)
    assert found is not None, said
    return RoundResult(requests=int(found[1]), seconds=float(found[2]) * (60 if found[3] else 1), cpu_seconds=cpu)


def hey(lap: RoundSettings) -> RoundResult:
    """The Go program hey, on one core."""
    options = ["-z", f"{lap.seconds}s", "-c", str(lap.connections), "-m", "POST", "-T", "application/json", "-d", BODY]
    said, cpu = run_generator(["hey", *options, "-H", f"Authorization: Api-Key {KEY}", lap.origin + PATH])
    seconds = re.search(r"Total:\s+([\d.]+) secs", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert seconds is not None, said
    assert rate is not None, said
    return RoundResult(requests=round(float(rate[1]) * float(seconds[1])), seconds=float(seconds[1]), cpu_seconds=cpu)


def autocannon(lap: RoundSettings) -> RoundResult:
    """autocannon, from npm."""
    options = ["-j", "-c", str(lap.connections), "-d", str(lap.seconds), "-m", "POST", "-b", BODY]
    fields = ["-H", "Content-Type=application/json", "-H", f"Authorization=Api-Key {KEY}"]
    said, cpu = run_generator(["autocannon", *options, *fields, lap.origin + PATH], NODE_TLS_REJECT_UNAUTHORIZED="0")
    told = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    return RoundResult(requests=told["2xx"], seconds=told["duration"], cpu_seconds=cpu)


def k6(lap: RoundSettings) -> RoundResult:
    """k6."""
    script, told = lap.folder / "post.js", lap.folder / "k6.json"
    fields = {"Content-Type": "application/json", "Authorization": f"Api-Key {KEY}"}
    script.write_text(
        'import http from "k6/http";\n'
        f"const parameters = {{headers: {json.dumps(fields)}}};\n"
        f"export default function () {{ http.post({json.dumps(lap.origin + PATH)}, {json.dumps(BODY)}, parameters); }}\n"
    )
    options = ["--vus", str(lap.connections), "--duration", f"{lap.seconds}s", "--insecure-skip-tls-verify"]
    _, cpu = run_generator(
        ["k6", "run", "--quiet", *options, "--summary-export", str(told), str(script)], GOMAXPROCS="1"
    )
    requests = json.loads(told.read_text())["metrics"]["http_reqs"]
    return RoundResult(requests=requests["count"], seconds=requests["count"] / requests["rate"], cpu_seconds=cpu)


OURS = "chainproof: recording, histograms, judging"
CLIENT_ONLY = "chainproof's client: recording by Locust's statistics"
STOCK_LOCUST = "Locust FastHttpUser"
GENERATORS: dict[str, Callable[[RoundSettings], RoundResult]] = {
    OURS: ours,
    CLIENT_ONLY: client_only,
    STOCK_LOCUST: fast_http_user,
    "Locust HttpUser": http_user,
    "k6": k6,
    "hey": hey,
    "autocannon": autocannon,
    "wrk": wrk,
}
"""Those whose command is not installed are left out."""


def installed_generators() -> dict[str, Callable[[RoundSettings], RoundResult]]:
    """
    The contenders that are there.
    """
    commands = {"k6", "hey", "autocannon", "wrk"}
    return {name: race for name, race in GENERATORS.items() if name not in commands or shutil.which(name)}


def run_rounds(
    origin: str, *, connections: int, seconds: int, rounds: int, warm_up: int = 1
) -> Iterator[dict[str, RoundResult]]:
    """
    Round after round of all contenders in turn, so that all of them meet the same weather.
    """
    with tempfile.TemporaryDirectory() as folder:
        lap = RoundSettings(
            origin=origin, connections=connections, seconds=seconds, warm_up=warm_up, folder=Path(folder)
        )
        for _ in range(rounds):
            yield {name: race(lap) for name, race in installed_generators().items()}
