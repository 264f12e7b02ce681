"""Collectors that misbehave: each ends `--otlp` with one line that has no secret."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chainproof.errors import UsageError
from chainproof.judgement.summary import Report, report
from chainproof.reports.formats import otlp
from chainproof.results.folder import read_run

from ..sample_runs import flaky_load

SECRET = "Kj4Hs8Qm2Zx6-of-the-collector"
EMPTY = b"Content-Length: 0\r\n\r\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """A report on a load run, and a collector with a secret."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer {SECRET}")
    flaky_load(tmp_path / "run")
    return report([read_run(tmp_path / "run")])


@contextmanager
def collector(head: bytes, *, forever: bytes = b"") -> Iterator[tuple[str, list[bytes]]]:
    """The URL of a server that sends some bytes, and others until the connection is closed; and the requests it got."""
    requests: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            received = [line := self.rfile.readline()]
            while line.strip():
                received.append(line := self.rfile.readline())
            requests.append(b"".join(received))
            with suppress(OSError):
                self.wfile.write(head)
                while forever:
                    self.wfile.write(forever)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/metrics", requests
        server.shutdown()
        server.block_on_close = False


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "http://",
        "http://[::1",
        "http://h:99999/",
        "http://h:0/",
        "ftp://h/",
        "127.0.0.1:4318",
        "file:///etc/x",
    ],
)
def test_a_url_that_names_no_collector_is_rejected(url: str) -> None:
    """Before anything is read: the exporter would try another address, or only say that it failed."""
    with pytest.raises(UsageError, match="expected a URL such as"):
        otlp.check_url(url)


def test_a_url_with_a_password_is_rejected() -> None:
    """The message names the variable for secrets, and does not show the password."""
    with pytest.raises(UsageError, match="OTEL_EXPORTER_OTLP_HEADERS") as raised:
        otlp.check_url(f"http://user:{SECRET}@127.0.0.1/v1/metrics")
    assert SECRET not in str(raised.value)


def test_an_answer_without_end_is_not_read(load: Report) -> None:
    """The metrics are sent once the status has arrived."""
    with collector(b"HTTP/1.1 200 OK\r\n\r\n", forever=bytes(65_536)) as (url, requests):
        otlp.send(load, url)
        assert 1 == len(requests)


REJECTIONS = {
    "a redirect": (b"HTTP/1.1 307 x\r\nLocation: /elsewhere\r\n" + EMPTY, b"", "found 307"),
    "a reason with the secret": (f"HTTP/1.1 400 {SECRET}\r\n".encode() + EMPTY, b"", "found 400"),
    "no HTTP, with the secret": (f"{SECRET}\r\n\r\n".encode(), b"", "the metrics were not sent"),
    "a header without end": (b"HTTP/1.1 200 OK\r\nX: ", b"x", "expected an answer within|the metrics were not sent"),
}


@pytest.mark.parametrize("case", REJECTIONS)
def test_what_a_collector_answers_is_reported_in_one_line(
    case: str, load: Report, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A redirect is not followed: the header fields may have a secret, which is shown nowhere."""
    monkeypatch.setattr(otlp, "_GRACE", 0.2)
    head, forever, message = REJECTIONS[case]
    with collector(head, forever=forever) as (url, requests), pytest.raises(UsageError, match=message) as raised:
        otlp.send(load, url, timeout=0.3)

    assert SECRET.encode() in requests[0]
    assert not any(b"/elsewhere" in each for each in requests)
    assert SECRET not in str(raised.value) + "".join(capfd.readouterr())


def test_header_fields_that_cannot_be_read_are_not_shown(load: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry would write them to the log, and send the metrics without them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", SECRET)
    with collector(b"HTTP/1.1 200 OK\r\n" + EMPTY) as (url, _), pytest.raises(UsageError, match="name=value") as raised:
        otlp.send(load, url)
    assert SECRET not in str(raised.value)
