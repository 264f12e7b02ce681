"""
Compare the emulator with the real chain server: `python benchmarks/real_chain_server.py --venv DIR` (or `--install DIR`)

Generates a chain server with truss, Baseten's own library, serves it on loopback without a gateway, sends the same requests
to it and to the emulator that runs the same class, and lists every difference with its reason. `--install` creates the
virtual environment first. Exits with 1 if a response differs without a reason, or if a reason is out of date.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from chain_server.compared_requests import REQUESTS, ComparedRequest

from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.endpoint import start_emulator

FOLDER = Path(__file__).parent / "chain_server"
REAL_PATH, EMULATED_PATH = "/v1/models/model:predict", "/production/run_remote"
START_TIMEOUT = 120.0
"""Seconds until the real server must answer."""
EXTRA_PACKAGES = ("orjson", "pydantic<2.12")
"""orjson is missing in the list of the server's packages; truss 0.18 was measured with pydantic 2.11."""
SKIPPED_PACKAGES = ("-", "#", "aiocontextvars", "cython")
"""Options of pip, and packages that the server does not import."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is compared of a response. The gateway adds a request id and the number of attempts, which are left out."""

    status: int
    media_type: str
    error_source: str
    error_code: str
    framing: str
    body: bytes

    def __str__(self) -> str:
        code = f" {self.error_source}/{self.error_code}" if self.error_code else ""
        return f"{self.status} {self.media_type}{code} {self.framing} {self.body[:120]!r}"


CLOSED = Response(0, "", "", "", "closed without a response", b"")


def send(origin: tuple[str, int], path: str, request: ComparedRequest, fields: Sequence[tuple[str, str]]) -> Response:
    """The response to one request on a new connection."""
    lines = [f"{request.method} {path}{request.suffix} HTTP/{request.version}", f"Host: {origin[0]}:{origin[1]}"]
    lines += [f"{name}: {value}" for name, value in (*request.fields, *fields)]
    if request.method == "POST":
        lines.append(f"Content-Length: {len(request.body)}")
    with socket.create_connection(origin, timeout=20) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + request.body)
        received = http.client.HTTPResponse(sock, method=request.method)
        try:
            received.begin()
        except (http.client.BadStatusLine, ConnectionError):
            return CLOSED
        return Response(
            received.status,
            received.getheader("Content-Type", ""),
            received.getheader("X-BASETEN-ERROR-SOURCE", ""),
            received.getheader("X-BASETEN-ERROR-CODE", ""),
            _framing(received),
            received.read(),
        )


def _framing(received: http.client.HTTPResponse) -> str:
    """How the end of the body is known."""
    if received.getheader("Transfer-Encoding") is not None:
        return "chunked"
    return "length" if received.getheader("Content-Length") is not None else "unframed"


@contextmanager
def real_server(python: Path, chain: str, folder: Path) -> Iterator[tuple[str, int]]:
    """A running chain server of truss."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        origin = probe.getsockname()
    log = (folder / "log").open("wb")
    arguments = [FOLDER / "sample_chains.py", chain, folder, origin[1]]
    process = subprocess.Popen(
        [python, FOLDER / "serve_truss_chain.py", *map(str, arguments)], stdout=log, stderr=subprocess.STDOUT
    )
    try:
        _wait_until_ready(process, origin, folder / "log")
        yield origin
    finally:
        process.kill()
        process.wait()
        log.close()


def _wait_until_ready(process: subprocess.Popen[bytes], origin: tuple[str, int], log: Path) -> None:
    """Wait for the first response that is not "not ready"."""
    deadline = time.monotonic() + START_TIMEOUT
    ready = ComparedRequest(chain="", name="", method="GET", body=b"", fields=())
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if send(origin, "/v1/models/model", ready, ()).status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)  # another process starts, so there is no clock to replace
    raise SystemExit(f"the chain server did not start; the end of its log:\n{log.read_text()[-2000:]}")


def responses(python: Path, chain: str) -> Iterator[tuple[ComparedRequest, Response, Response]]:
    """The responses of the real server and of the emulator to the requests of one chain."""
    key = (("Authorization", f"Api-Key {EMULATOR_KEY}"),)
    with tempfile.TemporaryDirectory() as name, real_server(python, chain, Path(name).resolve()) as real:
        source = Path(name).resolve() / "app" / "packages" / "sample_chains.py"  # the same file: it is in stack traces
        options = ("--chain", f"{source}:{chain}", "--contract", "documented")
        with start_emulator("instant", options=options) as endpoint:
            emulated = endpoint.target.host, endpoint.target.port
            for request in REQUESTS:
                if request.chain == chain:
                    yield request, send(real, REAL_PATH, request, ()), send(emulated, EMULATED_PATH, request, key)


def compare(python: Path) -> int:
    """Print every difference; the number of those without a valid reason."""
    unexplained, explained, count = 0, 0, 0
    for chain in dict.fromkeys(request.chain for request in REQUESTS):
        for request, real, emulated in responses(python, chain):
            count += 1
            differs = _normalized(real) != _normalized(emulated)
            if not differs and (not request.reason or request.depends_on_versions):
                continue
            wrong = differs is not bool(request.reason)
            unexplained += wrong
            explained += not wrong
            label = "DIFFERS" if differs and wrong else "SAME, but a reason is given" if wrong else "differs"
            print(f"{label}: {chain}, {request.name}: {request.reason or 'no reason is known'}")
            print(f"    chain server: {real}\n    emulator:     {emulated}")
    print(
        f"{count} requests to {_version(python)}: {count - explained - unexplained} responses are the same, {explained} differ "
        f"for a documented reason, {unexplained} without a valid one"
    )
    return unexplained


def _normalized(response: Response) -> tuple[object, ...]:
    """The response as it is compared: the framing of an error of the framework says that its connection closes."""
    if response.body == b"Internal Server Error":
        return (*astuple(response)[:4], response.body)
    return astuple(response)


def _version(python: Path) -> str:
    """The version of truss in an environment."""
    script = "from importlib.metadata import version as v; print('truss', v('truss'), 'with pydantic', v('pydantic'))"
    return subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def install(folder: Path) -> Path:
    """The Python of a new virtual environment with truss and the packages of its server."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "truss"], check=True)
    script = "import truss.templates as t; print(t.__path__[0])"
    templates = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    lines = (Path(templates) / "server" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    packages = [line.partition("#")[0].strip() for line in lines if not line.startswith(SKIPPED_PACKAGES)]
    subprocess.run([*pip, *filter(None, packages), *EXTRA_PACKAGES], check=True)
    return python


def main() -> int:
    """Install if asked to, and compare."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--venv", type=Path, help="virtual environment that has truss and the packages of its server")
    place.add_argument("--install", type=Path, help="folder in which to create that environment; needs a package index")
    options = parser.parse_args()
    python = install(options.install) if options.install else options.venv / "bin" / "python"
    if not os.access(python, os.X_OK):
        parser.error(f"expected a virtual environment, found no {python}")
    return 1 if compare(python) else 0


if __name__ == "__main__":
    sys.exit(main())
