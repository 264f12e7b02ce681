"""A target that repeats the key in every way: nothing that any tool writes or shows contains eight characters of it."""

from __future__ import annotations

import base64
import gzip
import itertools
import socketserver
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chainproof.processes import chainproof_command
from chainproof.reports.command import FORMATS

from ..loadtests.web import web_process
from ..processes import clean_environment
from ..waiting import PATIENCE, await_condition

KEY = "zQ7vXw2K.pL9mNb4RtYc6HsJd8FgWe3Au5"
HEADER_VALUE = "tenant-Kj4Hs8Qm2Zx6"

ENCODINGS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    lambda key: key[::-1],
    lambda key: key[: len(key) // 2],
    lambda key: key[len(key) // 2 :],
    lambda key: base64.b64encode(f"Api-Key {key}".encode()).decode(),
    lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    lambda key: "".join(f"%{ord(each):02x}" for each in key),
    lambda key: key.encode().hex(),
)
IN_JSON: tuple[Callable[[str], str], ...] = (
    *ENCODINGS,
    lambda key: "".join(f"\\u{ord(each):04x}" for each in key),
)


def message(status: int, body: str, *fields: str, reason: str = "x", media_type: str = "application/json") -> bytes:
    """An answer."""
    head = [f"HTTP/1.1 {status} {reason}", f"Content-Type: {media_type}", f"Content-Length: {len(body)}", *fields]
    if not any(field.startswith("X-BASETEN") for field in fields):
        head.append("X-BASETEN-REQUEST-ID: 1")
    return ("\r\n".join((*head, "", "")) + body).encode("latin-1")


PLACES: tuple[Callable[[str], bytes], ...] = (
    lambda key: message(200, "{}", f"X-BASETEN-REQUEST-ID: {key}"),
    lambda key: message(503, '{"error":"no"}', f"Retry-After: {key}"),
    lambda key: message(200, "{}", media_type=f"text/{key}"),
    lambda key: message(418, "{}", reason=key),
    lambda key: message(502, f"<p>{key}</p>"),
    lambda key: message(200, f"{key}"),
    lambda key: message(200, "{}", f"X-{key.replace('%', '')}: {key}", f"Set-Cookie: {key}"),
    lambda key: message(200, "{}") + key.encode(),
    lambda key: f"HTTP/1.1 {key}\r\n\r\n".encode(),
)
PLACES_IN_JSON: tuple[Callable[[str], bytes], ...] = (
    lambda key: message(429, f'{{"error":"no","error_code":"{key}"}}'),
    lambda key: message(400, f'{{"error":"{key}","detail":"{key}"}}'),
    lambda key: message(200, f'{{"{key}":"{key}"}}'),
)

CHUNKED = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
RARE_PLACES = (
    f"{CHUNKED}2;k={KEY}\r\n{{}}\r\n0\r\n\r\n".encode(),
    f"{CHUNKED}{KEY}\r\n{{}}\r\n0\r\n\r\n".encode(),
    f"{CHUNKED}2\r\n{{}}\r\n0\r\nX-Trailer: {KEY}\r\n\r\n".encode(),
    f"{CHUNKED}2\r\n{{}}\r\n0\r\n{KEY}: x\r\n\r\n".encode(),
    f"HTTP/1.1 103 {KEY}\r\nLink: {KEY}\r\n\r\n".encode() + message(200, "{}"),
    f"HTTP/1.1 101 {KEY}\r\nUpgrade: {KEY}\r\n\r\n".encode(),
    f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {KEY}\r\n\r\n{{}}".encode(),
    f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n{{}}".encode(),
    f"{KEY} 200 OK\r\n\r\n".encode(),
    message(200, "{}", f"Content-Encoding: {KEY}"),
    message(302, "{}", f"Location: https://{KEY}.example/"),
    message(401, "{}", f'WWW-Authenticate: Api-Key realm="{KEY}"'),
    message(405, "{}", f"Allow: {KEY}", f"Vary: {KEY}", f"Date: {KEY}"),
    message(200, "{}", f"bad {KEY}: x", f" {KEY}", KEY),
    message(200, f'{{"{KEY}":1,"{KEY}":2}}'),
    message(422, f'{{"detail":[{{"loc":["body","{KEY}"],"msg":"{KEY}","type":"{KEY}"}}]}}'),
)
"""Places that few tools show, with the key as it is."""

COMPRESSED = {"gzip": gzip.compress(KEY.encode(), mtime=0), "deflate": zlib.compress(KEY.encode())}
COMPRESSED_ANSWERS = tuple(
    message(500, content.decode("latin-1"), *fields)
    for coding, content in COMPRESSED.items()
    for fields in ((), (f"Content-Encoding: {coding}",))
)

ANSWERS = (
    RARE_PLACES
    + COMPRESSED_ANSWERS
    + tuple(
        place(encode(KEY))
        for encodings, places in ((ENCODINGS, PLACES), (IN_JSON, PLACES_IN_JSON))
        for place, encode in itertools.product(places, encodings)
    )
)


class Reflector(socketserver.BaseRequestHandler):
    """Answers 401 without the key; with it, now and then as a chain would, else with the next reflection."""

    numbers = itertools.count()

    def handle(self) -> None:
        """One connection."""
        received = b""
        while part := self.request.recv(65_536):
            received += part
            while b"\r\n\r\n" in received:
                head, _, rest = received.partition(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                length = int(fields.get(b"content-length", b"0"))
                if len(rest) < length:
                    break
                received = rest[length:]
                self.request.sendall(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        if KEY.encode() not in head:
            return message(401, '{"error":"no key"}')
        number = next(self.numbers)
        if number % 2 == 0:
            return message(
                200, f'{{"tenant":"{HEADER_VALUE}"}}' if number % 40 == 2 else "{}", f"X-BASETEN-REQUEST-ID: {number}"
            )
        return ANSWERS[number // 2 % len(ANSWERS)]


@contextmanager
def reflecting_server() -> Iterator[str]:
    """The URL of the server."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 100

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients may close a connection at any time."""

    with Server(("127.0.0.1", 0), Reflector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/production/run_remote"
        server.shutdown()


def remains(content: bytes) -> list[str]:
    """Which encodings of eight characters of the key, or of the header's value, are in some bytes."""
    text = content.decode("latin-1")
    lower = text.lower()
    found = [f"{coding} of {KEY}" for coding, each in COMPRESSED.items() if base64.b64encode(each)[:40] in content]
    for secret in (KEY, HEADER_VALUE):
        for start in range(len(secret) - 7):
            part = secret[start : start + 8]
            hexadecimal = part.encode().hex()
            forms = (
                part,
                part[::-1],
                hexadecimal,
                *(
                    "".join(f"{mark}{ord(each):{digits}x}" for each in part)
                    for mark, digits in (("%", "02"), ("\\u", "04"))
                ),
            )
            found += [f"{each} of {secret}" for each in forms if each.lower() in lower]
            for padding in range(3):
                coded = base64.b64encode(b"\0" * padding + part.encode() + b"\0\0").decode()[(0, 2, 3)[padding] :][:10]
                found += [f"base64 {part}"] * (coded in text or coded.translate(str.maketrans("+/", "-_")) in text)
    return found


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command of chainproof with the key in the environment."""
    return subprocess.run(
        chainproof_command(*words),
        cwd=folder,
        env=clean_environment(BASETEN_API_KEY=KEY, COLUMNS="500"),
        capture_output=True,
        check=False,
        timeout=4 * PATIENCE,
    )


COMMANDS = {
    "loadtests": (
        "--rate=150",
        "--duration=2s",
        "--retry=baseten",
        "--keep-bodies",
        f"--header=X-Tenant: {HEADER_VALUE}",
    ),
    "conformance": ("--depth=quick", "--max-requests=300", "--keep-bodies", f"--header=X-Tenant: {HEADER_VALUE}"),
    "call": (f"--header=X-Tenant: {HEADER_VALUE}",),
}


@pytest.mark.parametrize("tool", COMMANDS)
def test_nothing_of_the_key_is_written_or_shown(tool: str, tmp_path: Path) -> None:
    """In the run folder, in every report format, on the terminal, and in Hypothesis' files."""
    with reflecting_server() as url:
        done = run(tmp_path, tool, "--target", url, *COMMANDS[tool])
    written = {"stdout": done.stdout, "stderr": done.stderr}
    if tool != "call":
        formats = (word for name in FORMATS for word in (f"--{name}", f"report.{name}"))
        reported = run(tmp_path, "reports", "runs", *formats)
        shown = run(tmp_path, "reports", "runs")
        written |= {"report": reported.stdout + reported.stderr, "terminal": shown.stdout + shown.stderr}
        assert b"no-credential-leak" in shown.stdout, shown.stdout.decode()[-3000:]
    written |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    assert done.returncode in {0, 1, 3, 4}, done.stderr.decode()[-3000:]
    assert {} == {name: found[:3] for name, content in written.items() if (found := remains(content))}
    assert "[API key]" in "".join(content.decode("latin-1") for content in written.values())


PAGES = (
    "/",
    "/stats/requests",
    "/stats/requests/csv",
    "/stats/failures/csv",
    "/stats/requests_full_history/csv",
    "/stats/report",
    "/stats/report?download=1",
    "/exceptions",
    "/exceptions/csv",
    "/logs",
    "/tasks",
    "/chainproof/live",
    "/chainproof/live/data",
    "/chainproof/report",
)


def test_nothing_of_the_key_is_on_a_web_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Locust's own pages and files, on ours, and in what the process prints, while a run goes on and after it."""
    monkeypatch.setattr(web_process, "KEY", KEY)
    words = ("--retry=baseten", "--keep-bodies", f"--header=X-Tenant: {HEADER_VALUE}")
    with reflecting_server() as url, web_process.web_ui(url, tmp_path, *words) as ui:
        started = ui.fetch("/swarm", "spawn_rate=1&rate=100&duration=2s")
        shown = {f"{page} during the run": ui.fetch(page)[1].encode() for page in PAGES if "report" not in page}
        await_condition(lambda: ui.runs and all(run.end is not None for run in ui.runs), lambda: started)
        shown |= {page: ui.fetch(page)[1].encode() for page in PAGES}
    written = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    assert {} == {name: found[:3] for name, content in (shown | written).items() if (found := remains(content))}
    assert b"no-credential-leak" in shown["/chainproof/report"]
    assert b"[API key]" in shown["/stats/failures/csv"] + shown["/stats/requests"] + shown["/chainproof/report"]
