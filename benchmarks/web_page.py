"""
Do requests to the web page disturb a run? One run without any, and one while clients send as many as they can.

    python benchmarks/web_page.py                # 100 requests per second for 20 s, 30 clients
    python benchmarks/web_page.py --clients 5

The clients fetch pages, statistics and reports, and post invalid and large forms. Shown are the schedule lag of the run, its
longest stall, and whether the run is valid.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from load_generators import KEY, null_server

from chainproof.judgement.load_summary import summarise_load
from chainproof.loadtests.command import LOCUSTFILE
from chainproof.results.folder import Run, find_runs, read_run
from chainproof.results.interval import total

REQUESTS = (
    *(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for path in ("/", "/stats/requests", "/chainproof/report", "/stats/report", "/logs")
    ),
    f"POST /swarm HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n{'a=1&' * 15_000}",
    "POST /swarm HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999999\r\n\r\n" + "x" * 100_000,
    "nothing",
)


def hammer(port: int, seconds: float, clients: int) -> None:
    """Send requests from some threads for a time, each as fast as it is answered, and print their number."""
    count = [0]

    def send() -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                    connection.sendall(REQUESTS[count[0] % len(REQUESTS)].encode())
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(4096)
            except OSError:
                pass
            count[0] += 1

    threads = [threading.Thread(target=send) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"  {count[0] / seconds:.0f} requests per second to the page", flush=True)


def row(run: Run) -> str:
    """What a run shows about its generator."""
    times, summary = total(run.intervals), summarise_load(run)
    lag = times.schedule_lag
    invalid = [caveat.code for caveat in summary.caveats if caveat.invalidates]
    quantiles = ", ".join(f"{name} {1e3 * (lag.quantile(q) or 0):.1f} ms" for name, q in (("p50", 0.5), ("p99", 0.99)))
    sums = run.end.accounting if run.end else {}
    return (
        f"  schedule lag {quantiles}, max {1e3 * (lag.quantile(1.0) or 0):.1f} ms; planned {sums.get('planned')}, "
        f"ok {sums.get('ok')}; {f'invalid: {invalid}' if invalid else 'valid'}"
    )


def finished_run(runs: Path, patience: float) -> Run:
    """The last run, as soon as it has ended."""
    give_up = time.monotonic() + patience
    while True:
        run = read_run(find_runs(runs)[-1])
        if run.end is not None or time.monotonic() > give_up:
            return run
        time.sleep(0.5)  # another process writes the folder, so there is no clock to replace


def await_page(port: int) -> None:
    """Return as soon as the page can be connected to."""
    while True:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)  # another process starts, so there is no clock to replace


def main() -> None:
    """Run both and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--duration", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=30)
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, null_server() as origin:
        words = [f"--web-port={port}", f"--target={origin}"]
        locust = subprocess.Popen(
            [sys.executable, "-P", "-m", "locust", "-f", str(LOCUSTFILE), *words],
            cwd=folder,
            env={**os.environ, "BASETEN_API_KEY": KEY},
            stderr=subprocess.DEVNULL,
        )
        await_page(port)
        for clients in (0, options.clients):
            print(f"{clients} clients", flush=True)
            form = f"user_count=1&spawn_rate=1&rate={options.rate:g}&duration={options.duration:g}s"
            urllib.request.urlopen(f"http://127.0.0.1:{port}/swarm", form.encode()).close()
            process = multiprocessing.Process(target=hammer, args=(port, options.duration, clients))
            process.start()
            process.join()
            print(row(finished_run(Path(folder, "runs"), options.duration + 60)), flush=True)
        locust.send_signal(signal.SIGINT)
        locust.wait(20)


if __name__ == "__main__":
    main()
