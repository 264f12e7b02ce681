"""
Run load generators in a closed loop, each on its own CPU core, and collect their throughput.

Compare requests per second of CPU time: other processes on the machine hardly change it, unlike requests per second of
wall-clock time. Both are shown.
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
    """The throughput of a load generator in one round."""

    requests: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Requests per second of wall-clock time."""
        return self.requests / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Requests per second of CPU time."""
        return self.requests / self.cpu_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSettings:
    """The settings of a round."""

    origin: str
    connections: int
    seconds: int
    """The duration without warm-up."""
    warm_up: int
    """Seconds that are not measured, for generators based on Locust. The others need no warm-up."""
    folder: Path
    """For files of the load generator."""


def pin_to_core(core: int) -> Callable[[], None]:
    """A function for `preexec_fn` that pins a child process to a core."""
    return lambda: os.sched_setaffinity(0, {core})


@contextmanager
def null_server(*, tls: bool = False, core: int = SERVER_CORE) -> Iterator[str]:
    """A context manager that runs a null server and gives its origin."""
    command = [sys.executable, "-P", str(HERE / "null_server.py"), "--core", str(core)]
    command += ["--tls", str(CERTIFICATE)] if tls else []
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"{'https' if tls else 'http'}://localhost:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def run_generator(command: list[str], *, core: int = GENERATOR_CORE, **variables: str) -> tuple[str, float]:
    """The output of a generator and its CPU time. Exits if it fails."""
    cpu_before = _children_cpu_time()
    completed = subprocess.run(
        command,
        env={**os.environ, "BASETEN_API_KEY": KEY, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=pin_to_core(core),
    )
    if completed.returncode not in (0, 1, 3, 4):
        sys.exit(
            f"{command[0]} exited with {completed.returncode}:\n{completed.stdout[-2000:]}\n{completed.stderr[-2000:]}"
        )
    return completed.stdout + completed.stderr, _children_cpu_time() - cpu_before


def _children_cpu_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def headless_locust(locustfile: str) -> list[str]:
    """The command of a run with one of the locustfiles, without a web page."""
    path = str(HERE / "locustfiles" / locustfile)
    return [sys.executable, "-P", "-m", "locust", "-f", path, "--headless", "--only-summary"]


def run_locustfile(settings: RoundSettings, locustfile: str, *options: str, **variables: str) -> RoundResult:
    """A round with one of the locustfiles, which measures itself so that starting Locust is not counted."""
    output, _ = run_generator(
        [*headless_locust(locustfile), "-u", str(settings.connections), *options],
        CHAINPROOF_TARGET=settings.origin + PATH,
        BENCHMARK_CA_FILE=str(CERTIFICATE),
        REQUESTS_CA_BUNDLE=str(CERTIFICATE),
        BENCHMARK_WARM_UP=str(settings.warm_up),
        **variables,
    )
    result = re.search(r"^BENCHMARK (.*)$", output, re.MULTILINE)
    if result is None:
        sys.exit(f"{locustfile} printed no result:\n{output[-3000:]}")
    return RoundResult(**json.loads(result[1]))


def run_chainproof(settings: RoundSettings) -> RoundResult:
    """Run chainproof with everything: plan, judging, histograms, exemplars, run folder, Locust's statistics."""
    out = settings.folder / f"run-{len(list(settings.folder.iterdir()))}"
    options = [
        "--workload=steady",
        "--model=closed",
        f"--duration={settings.warm_up + settings.seconds}s",
        f"--out={out}",
        f"--target={settings.origin}",
    ]
    return run_locustfile(settings, "chainproof_locustfile.py", *options, f"--ca-file={CERTIFICATE}")


def run_stock(settings: RoundSettings, locustfile: str, *options: str) -> RoundResult:
    """A round with users of Locust's own kind, which all start at once."""
    spawn_rate = ("-r", str(settings.connections))
    return run_locustfile(settings, locustfile, *spawn_rate, *options, BENCHMARK_SECONDS=str(settings.seconds))


def run_client_only(settings: RoundSettings) -> RoundResult:
    """Run chainproof's HTTP client in a Locust user, with only Locust's events and statistics."""
    return run_stock(settings, "bare_client_locustfile.py")


def run_fast_http_user(settings: RoundSettings) -> RoundResult:
    """Run Locust's FastHttpUser."""
    return run_stock(settings, "locust_closed_locustfile.py", "StockFastHttpUser")


def run_http_user(settings: RoundSettings) -> RoundResult:
    """Run Locust's HttpUser."""
    return run_stock(settings, "locust_closed_locustfile.py", "StockHttpUser")


def run_wrk(settings: RoundSettings) -> RoundResult:
    """Run wrk with one thread."""
    script = settings.folder / "post.lua"
    fields = {"Content-Type": "application/json", "Authorization": f"Api-Key {KEY}"}
    lines = ['wrk.method = "POST"', f"wrk.body = '{BODY}'", *(f'wrk.headers["{k}"] = "{v}"' for k, v in fields.items())]
    script.write_text("\n".join(lines))
    options = ["-t1", f"-c{settings.connections}", f"-d{settings.seconds}s", "-s", str(script)]
    output, cpu = run_generator(["wrk", *options, settings.origin + PATH])
    summary = re.search(r"(\d+) requests in ([\d.]+)(m?)s", output)
    assert summary is not None, output
    return RoundResult(requests=int(summary[1]), seconds=float(summary[2]) * (60 if summary[3] else 1), cpu_seconds=cpu)


def run_hey(settings: RoundSettings) -> RoundResult:
    """Run hey on one core."""
    options = [
        "-z",
        f"{settings.seconds}s",
        "-c",
        str(settings.connections),
        "-m",
        "POST",
        "-T",
        "application/json",
        "-d",
        BODY,
    ]
    output, cpu = run_generator(["hey", *options, "-H", f"Authorization: Api-Key {KEY}", settings.origin + PATH])
    seconds = re.search(r"Total:\s+([\d.]+) secs", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert seconds is not None, output
    assert rate is not None, output
    return RoundResult(requests=round(float(rate[1]) * float(seconds[1])), seconds=float(seconds[1]), cpu_seconds=cpu)


def run_autocannon(settings: RoundSettings) -> RoundResult:
    """Run autocannon."""
    options = ["-j", "-c", str(settings.connections), "-d", str(settings.seconds), "-m", "POST", "-b", BODY]
    fields = ["-H", "Content-Type=application/json", "-H", f"Authorization=Api-Key {KEY}"]
    output, cpu = run_generator(
        ["autocannon", *options, *fields, settings.origin + PATH], NODE_TLS_REJECT_UNAUTHORIZED="0"
    )
    summary = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    return RoundResult(requests=summary["2xx"], seconds=summary["duration"], cpu_seconds=cpu)


def run_k6(settings: RoundSettings) -> RoundResult:
    """Run k6."""
    script, summary = settings.folder / "post.js", settings.folder / "k6.json"
    fields = {"Content-Type": "application/json", "Authorization": f"Api-Key {KEY}"}
    script.write_text(
        'import http from "k6/http";\n'
        f"const parameters = {{headers: {json.dumps(fields)}}};\n"
        f"export default function () {{ http.post({json.dumps(settings.origin + PATH)}, {json.dumps(BODY)}, parameters); }}\n"
    )
    options = ["--vus", str(settings.connections), "--duration", f"{settings.seconds}s", "--insecure-skip-tls-verify"]
    _, cpu = run_generator(
        ["k6", "run", "--quiet", *options, "--summary-export", str(summary), str(script)], GOMAXPROCS="1"
    )
    requests = json.loads(summary.read_text())["metrics"]["http_reqs"]
    return RoundResult(requests=requests["count"], seconds=requests["count"] / requests["rate"], cpu_seconds=cpu)


OURS = "chainproof: recording, histograms, judging"
CLIENT_ONLY = "chainproof's client with Locust's statistics"
STOCK_LOCUST = "Locust FastHttpUser"
GENERATORS: dict[str, Callable[[RoundSettings], RoundResult]] = {
    OURS: run_chainproof,
    CLIENT_ONLY: run_client_only,
    STOCK_LOCUST: run_fast_http_user,
    "Locust HttpUser": run_http_user,
    "k6": run_k6,
    "hey": run_hey,
    "autocannon": run_autocannon,
    "wrk": run_wrk,
}
"""The load generators. A generator is skipped if its command is not installed."""


def installed_generators() -> dict[str, Callable[[RoundSettings], RoundResult]]:
    """The generators whose command is installed."""
    commands = {"k6", "hey", "autocannon", "wrk"}
    return {name: run for name, run in GENERATORS.items() if name not in commands or shutil.which(name)}


def run_rounds(
    origin: str, *, connections: int, seconds: int, rounds: int, warm_up: int = 1
) -> Iterator[dict[str, RoundResult]]:
    """The results of each round. A round runs all generators in turn, so that load on the machine affects all of them."""
    with tempfile.TemporaryDirectory() as folder:
        settings = RoundSettings(
            origin=origin, connections=connections, seconds=seconds, warm_up=warm_up, folder=Path(folder)
        )
        for _ in range(rounds):
            yield {name: run(settings) for name, run in installed_generators().items()}
