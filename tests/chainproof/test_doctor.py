"""`chainproof doctor`: each thing that can be wrong is found, with a remedy, and at most a handful of requests is sent."""

from __future__ import annotations

import json
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chainproof.doctor import machine
from chainproof.doctor.command import main
from chainproof.doctor.connection import DoctorConnection
from chainproof.doctor.diagnosis import State
from chainproof.doctor.target import certificate
from chainproof.endpoint import start_emulator

from ..ports import free_port

KEY = "a-key.that-must-not-be-seen"
CERTIFICATE = Path(__file__).parents[1] / "loadtests" / "localhost.pem"


@dataclass(slots=True)
class Server:
    """A server that records the requests it receives."""

    port: int = 0
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    connections: int = 0


@contextmanager
def serving(
    *,
    tls: bool = False,
    delay: float = 0.0,
    status: int = 404,
    fields: dict[str, str] | None = None,
    version: str = "HTTP/1.1",
) -> Iterator[Server]:
    """A server on a free loopback port. Fields replace those that it would send."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = version

        def setup(self) -> None:
            super().setup()
            server.connections += 1

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            server.requests.append((self.command, self.path, dict(self.headers)))
            time.sleep(delay)  # a slow target: its client measures real time
            self.send_response_only(status)
            for name, value in ({"Date": self.date_time_string(), "Content-Length": "0"} | (fields or {})).items():
                self.send_header(name, value)
            self.end_headers()

        do_HEAD = do_POST = answer  # noqa: N815  # the names that the server looks up

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
        server.port = listening.server_port
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        listening.shutdown()


@dataclass(frozen=True, slots=True)
class Examined:
    """What the doctor printed."""

    code: int
    output: str
    states: dict[str, str]
    found: dict[str, str]


Doctor = Callable[..., Examined]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Doctor:
    """A function that runs `chainproof doctor --json` in an empty folder, with a key and without other variables."""
    for name in (
        "CHAINPROOF_TARGET",
        "CHAINPROOF_EMULATED",
        *("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BASETEN_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)

    def examine(*words: str, **variables: str) -> Examined:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        code = main([*words, "--json"])
        output = capsys.readouterr().out
        checks = json.loads(output)["checks"]
        return Examined(
            code,
            output,
            {each["name"]: each["state"] for each in checks},
            {each["name"]: each["found"] for each in checks},
        )

    return examine


def test_a_correct_target_needs_no_remedy(doctor: Doctor) -> None:
    """At most three HEAD requests are sent, on one connection and without the key, and one POST with it if it is asked for."""
    with serving() as server:
        without = doctor(f"http://127.0.0.1:{server.port}")
        sent, connections = list(server.requests), server.connections
        asked = doctor(f"http://127.0.0.1:{server.port}", "--request")
        posted = server.requests[len(sent) + 3 :]

    assert {
        without.states[name] for name in ("key", "proxy", "dns", "connection", "protocol", "response time", "clock")
    } == {"ok"}
    assert [(method, path) for method, path, _ in sent] == [("HEAD", "/")] * 3
    assert connections == 1
    assert not any("Authorization" in fields for _, _, fields in sent)
    assert [(method, path, fields["Authorization"]) for method, path, fields in posted] == [
        ("POST", "/production/run_remote", f"Api-Key {KEY}")
    ]
    assert "run_remote" not in without.states
    assert asked.states["run_remote"] == "missing"  # 404
    assert KEY not in without.output + asked.output


def test_the_emulator_accepts_its_key_only(doctor: Doctor) -> None:
    """A wrong key is found only by a request."""
    with start_emulator() as endpoint:
        unasked = doctor(endpoint.target.url)
        wrong = doctor(endpoint.target.url, "--request")
        right = doctor(endpoint.target.url, "--request", BASETEN_API_KEY=endpoint.key.reveal())

    assert (unasked.code, wrong.code, right.code) == (0, 1, 0)
    assert "the key is rejected" in wrong.found["run_remote"]
    assert "the key is accepted" in right.found["run_remote"]


@pytest.mark.parametrize(
    ("status", "media_type", "state", "text"),
    [
        (200, "text/html; charset=utf-8", "risk", "not in JSON and without a request id"),
        (405, "text/html", "missing", "this does not look like a chain"),
        (501, "text/html", "missing", "this does not look like a chain"),
        (418, "text/plain", "missing", "this does not look like a chain"),
        (503, "text/html", "risk", "was answered 503"),
        (204, "", "risk", "not in JSON"),
        (301, "text/html", "risk", "a redirect"),
        (200, "application/json; charset=utf-8", "ok", "the key is accepted"),
        (400, "application/problem+json", "ok", "this input is not"),
    ],
)
def test_a_web_site_is_no_chain(doctor: Doctor, status: int, media_type: str, state: str, text: str) -> None:
    """Only an answer in JSON says that the key was accepted: a site answers any POST with a page."""
    with serving(status=status, fields={"Content-Type": media_type}) as server:
        found = doctor(f"http://127.0.0.1:{server.port}", "--request")

    assert state == found.states["run_remote"]
    assert text in found.found["run_remote"]


def test_a_port_without_a_server_is_missing(doctor: Doctor) -> None:
    """Nothing after it is checked."""
    port = free_port()
    found = doctor(f"http://127.0.0.1:{port}")

    assert (found.code, found.states["connection"]) == (1, "missing")
    assert "connection refused" in found.found["connection"]
    assert "protocol" not in found.states


@pytest.mark.parametrize(
    ("words", "state", "text"),
    [
        (("https://localhost:{port}",), "missing", "not trusted: self"),
        (
            ("https://chain.example", "--connect-to=127.0.0.1:{port}", f"--ca-file={CERTIFICATE}"),
            "missing",
            "hostname mismatch",
        ),
        (("https://localhost:{port}", f"--ca-file={CERTIFICATE}"), "ok", "expires in"),
    ],
)
def test_the_certificate_is_verified(words: tuple[str, ...], state: str, text: str, doctor: Doctor) -> None:
    """Its issuer, its name and its expiry."""
    with serving(tls=True) as server:
        found = doctor(*(word.format(port=server.port) for word in words))

    assert found.states["tls"] == state
    assert text in found.found["tls"]
    assert ("protocol" in found.states) is (state == "ok")


def test_a_port_without_tls_is_named(doctor: Doctor) -> None:
    """OpenSSL only says that a version number is wrong."""
    with serving() as server:
        found = doctor(f"https://localhost:{server.port}")

    assert "does not speak TLS on this port" in found.found["tls"]
    assert "write http://" in found.found["tls"]


def test_help_lists_the_exit_codes_of_the_doctor_only(capsys: pytest.CaptureFixture[str]) -> None:
    """It has no verdict on a contract or an objective."""
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out

    assert "1    something is missing" in shown
    assert "objective" not in shown


def test_the_target_is_an_argument_or_an_option(doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    """`--target` works as in the other tools; both together are a usage error."""
    with serving() as server:
        found = doctor("--target", f"http://127.0.0.1:{server.port}")

    assert found.states["connection"] == "ok"
    assert main(["http://127.0.0.1:9", "--target", "http://127.0.0.1:9"]) == 2
    assert "expected the target once" in capsys.readouterr().err


def test_a_file_without_certificates_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the other tools, and before anything is sent."""
    monkeypatch.chdir(tmp_path)

    assert main(["http://127.0.0.1:9", "--ca-file", "missing.pem"]) == 2
    assert "expected a PEM file of certificates with --ca-file, found 'missing.pem'" in capsys.readouterr().err


@pytest.mark.parametrize(("days", "state"), [(13.5, State.RISK), (14.5, State.OK), (-1, State.RISK)])
def test_a_certificate_that_expires_soon_is_a_risk(days: float, state: State) -> None:
    """Less than 14 days."""
    connection: Any = DoctorConnection.__new__(DoctorConnection)
    expiry = "Jan  5 09:34:43 2030 GMT"

    class Tls:
        def getpeercert(self) -> dict[str, str]:
            return {"notAfter": expiry}

        def version(self) -> str:
            return "TLSv1.3"

    connection.tls = Tls()

    assert certificate(connection, 0.01, ssl.cert_time_to_seconds(expiry) - 86_400 * days).state is state


SERVERS: tuple[tuple[dict[str, Any], str, str, str], ...] = (
    ({"delay": 0.6, "fields": {"Connection": "close"}}, "response time", "risk", "the fastest of 1"),
    ({"fields": {"Date": "Thu, 01 Jan 2015 00:00:00 GMT"}}, "clock", "risk", "ahead of the target"),
    ({"fields": {"Date": "Thu, 01 Jan 2099 00:00:00 GMT"}}, "clock", "risk", "behind the target"),
    ({"fields": {"Date": "now"}}, "clock", "not checked", "no valid Date"),
    ({"fields": {"Connection": "close"}}, "protocol", "risk", "closed after an answer"),
    ({"version": "HTTP/1.0"}, "protocol", "risk", "HTTP/1.0"),
)


@pytest.mark.parametrize(("server", "name", "state", "text"), SERVERS)
def test_what_a_server_does_is_found(server: dict[str, Any], name: str, state: str, text: str, doctor: Doctor) -> None:
    """Slow answers, a wrong clock, and connections that are not kept."""
    with serving(**server) as running:
        found = doctor(f"http://127.0.0.1:{running.port}")

    assert (found.states[name], found.code) == (state, 0)
    assert text in found.found[name]


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"x" * 100_000,
    ],
)
def test_a_server_that_does_not_speak_http_is_missing(reply: bytes, doctor: Doctor) -> None:
    """Whatever it sends, in bounded time and memory."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            accepted, _ = listening.accept()
            with accepted:
                accepted.recv(4096)
                with suppress(OSError):
                    accepted.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = doctor(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.join(10)

    assert (found.states["protocol"], found.code) == ("missing", 1)


@pytest.mark.parametrize(
    ("answer", "state"), [(b"HTTP/1.1 200 OK\r\n\r\n", "ok"), (b"HTTP/1.1 407 No\r\n\r\n", "missing")]
)
def test_a_proxy_is_used_as_by_the_other_tools(answer: bytes, state: str, doctor: Doctor) -> None:
    """It is a risk, its answer is checked, and its password is not shown."""
    received = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            accepted, _ = listening.accept()
            with accepted:
                received.append(accepted.recv(4096))
                accepted.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        proxy = f"http://user:s3cret-word@127.0.0.1:{listening.getsockname()[1]}"
        found = doctor("https://chain.example", https_proxy=proxy)
        thread.join(10)

    assert received[0].startswith(b"CONNECT chain.example:443 HTTP/1.1\r\n")
    assert (found.states["proxy"], found.states["connection"]) == ("risk", state)
    assert "s3cret-word" not in found.output


@pytest.mark.parametrize(
    ("words", "variables", "name", "text"),
    [
        ((), {"BASETEN_API_KEY": ""}, "key", "no API key"),
        ((), {"BASETEN_API_KEY": f"Api-Key {KEY}"}, "key", "begins with"),
        (("http://chain.example",), {}, "target", "expected https"),
        (("no-url",), {}, "target", "expected a URL"),
        (("https://chain.example",), {"https_proxy": "socks5://x:1"}, "target", "expected the proxy"),
    ],
)
def test_what_is_missing_fails(
    words: tuple[str, ...], variables: dict[str, str], name: str, text: str, doctor: Doctor
) -> None:
    """Exit code 1, and every other thing is checked nevertheless."""
    found = doctor(*words, **variables)

    assert (found.code, found.states[name]) == (1, "missing")
    assert text in found.found[name]
    assert "disk" in found.states
    assert KEY not in found.output


def test_each_thing_is_one_line_with_its_remedy(doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    """And the last line counts them."""
    assert main([]) in {0, 1}
    *lines, last = capsys.readouterr().out.splitlines()

    assert all(line.split("  ")[0].strip() in set(State) for line in lines)
    assert sum(int(part.split()[0]) for part in last.split(", ")) == len(lines)


def unreadable(_: str) -> str:
    """A file that is not there."""
    raise OSError


def text_of(text: str) -> machine.ReadText:
    """A reader that finds this text everywhere."""
    return lambda _: text


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (machine.python((3, 11), "CPython"), State.OK),
        (machine.python((3, 19), "CPython"), State.RISK),
        (machine.python((3, 11), "PyPy"), State.RISK),
        (machine.open_files(resource.RLIM_INFINITY), State.OK),
        (machine.open_files(1024), State.RISK),
        (machine.address_space(resource.RLIM_INFINITY), State.OK),
        (machine.address_space(700 << 20), State.RISK),
        (machine.ports(text_of("32768\t60999\n")), State.OK),
        (machine.ports(text_of("60000\t60999\n")), State.RISK),
        (machine.ports(unreadable), State.NOT_CHECKED),
        (machine.cores(4, 0.1, unreadable), State.OK),
        (machine.cores(4, 0.1, text_of("50000 100000")), State.RISK),
        (machine.cores(4, 0.1, text_of("max 100000")), State.OK),
        (machine.cores(1, 0.1, unreadable), State.RISK),
        (machine.cores(4, 3.0, unreadable), State.RISK),
        (machine.frequency(text_of("performance\n")), State.OK),
        (machine.frequency(text_of("powersave\n")), State.RISK),
        (machine.frequency(unreadable), State.NOT_CHECKED),
        (machine.steal(text_of("cpu 10 0 10 80 0 0 0 0 0 0\n")), State.OK),
        (machine.steal(text_of("cpu 10 0 10 80 0 0 0 9 0 0\n")), State.RISK),
        (machine.steal(text_of("cpu\n")), State.NOT_CHECKED),
        (machine.disk(20 << 30), State.OK),
        (machine.disk(500 << 20), State.RISK),
        (machine.disk(1 << 20), State.MISSING),
        (machine.run_folder(Path("/proc")), State.MISSING),
    ],
)
def test_limits_of_the_machine(found: Any, state: State) -> None:
    """Each state of each thing; everything but ok has a remedy or a reason."""
    assert found.state is state
    assert found.remedy or state in {State.OK, State.NOT_CHECKED}


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("2.0", State.OK),
        ("2.0.0", State.OK),
        ("10.1", State.OK),
        ("1.9.9", State.MISSING),
        ("2.0.post1", State.OK),
        (None, State.NOT_CHECKED),
    ],
)
def test_packages_are_compared_with_their_lower_bounds(version: str | None, state: State) -> None:
    """An extra that is not installed is not missing: nobody needs all of them."""
    (found,) = machine.extras(["thing>=2.0; extra == 'loadtests'", 'other; extra == "tests"'], lambda _: version)

    assert (found.name, found.state) == ("extra loadtests", state)
