"""Commands that repeat a request: they send the same request, and no process gets the key in its arguments."""

from __future__ import annotations

import os
import random
import shutil
import socket
import ssl
import string
import subprocess
import threading
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainproof.contract.route import Address, Route
from chainproof.results.shell_command import Secret, curl_line, request_command, variable_secret, writing_command

from ...waiting import PATIENCE

URL = "https://chain-abc123.api.baseten.co/production/run_remote"
TCHAR = "!#$%&'*+-.^_`|~" + string.ascii_letters + string.digits
KEYS = st.text(string.ascii_letters + string.digits + ".'\"\\$`!%", min_size=12, max_size=20)
NAMES = st.text(TCHAR, min_size=1, max_size=12).filter(
    lambda name: name.lower() not in ("host", "content-length", "content-type")
)
VALUES = st.sampled_from(["", " ", "  "]) | st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=30
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(str.encode)
BODIES = (
    st.none()
    | st.binary(max_size=200)
    | TEXTS
    | st.sampled_from([b"", b"@file", b"a\x00b", b"%s%d%%\\n", b"-\x00", b"'\"`$(id)\n"])
)
METHODS = st.sampled_from(["POST", "GET", "DELETE", "QUERY", "M-SEARCH"]) | st.text(TCHAR, min_size=1, max_size=9).filter(
    lambda method: method != "HEAD"
)  # fmt: skip


SECRET_VARIABLE = "BASETEN_API_KEY"


def secret(key: str) -> Secret:
    """The key in its variable."""
    return variable_secret(key, SECRET_VARIABLE)


@pytest.fixture(scope="module")
def fake_commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `curl` and a `chainproof` that record their arguments and their input."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("curl", "chainproof"):
        script = folder / name
        script.write_text(f"#!/bin/sh\nprintf '%s\\0' {name} \"$@\" > '{folder}/words'\ncat > '{folder}/stdin'\n")
        script.chmod(0o755)
    return folder


def run(line: str, key: str, fake_commands: Path) -> tuple[list[bytes], bytes]:
    """The command with its arguments, and the standard input that a shell gives to it."""
    environment = {"PATH": f"{fake_commands}:/usr/bin:/bin", SECRET_VARIABLE: key, "LC_ALL": "C.UTF-8"}
    subprocess.run(["sh", "-c", line], env=environment, check=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    return (fake_commands / "words").read_bytes().split(b"\0")[:-1], (fake_commands / "stdin").read_bytes()


def sent_by_curl(words: list[bytes], piped: bytes) -> tuple[bytes, bytes, list[bytes], bytes | None]:
    """Method, URL, header lines and body that curl sends with these arguments."""
    options = list(pairwise(words))
    fields: list[bytes] = []
    for option, value in options:
        if option == b"-H":
            fields += piped.removesuffix(b"\n").split(b"\n") if value == b"@-" else [value]
    url = next(word for word in words if word.startswith(b"http"))
    return dict(options)[b"-X"], url, fields, dict(options).get(b"--data-binary")


@settings(max_examples=150)
@given(
    method=METHODS,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    body=BODIES,
    key=KEYS,
    places=st.sets(st.sampled_from(["url", "header", "body", "twice"])),
)
def test_a_command_sends_the_request_and_no_process_gets_the_key_as_an_argument(
    *, fake_commands: Path, method: str, headers: list[tuple[str, str]], body: bytes | None, key: str, places: set[str]
) -> None:
    """Method, URL, fields and body are those of the request, and the key comes through a pipe."""
    url = f"{URL}?key={key}" if "url" in places else URL
    if "header" in places:
        headers = [*headers, ("Authorization", f"Api-Key {key}"), *headers[:1]]
    if body is not None and "body" in places:
        body = body + key.encode() + body + (key.encode() if "twice" in places else b"")
    line = request_command(method=method, url=url, headers=headers, body=body, secret=secret(key))
    words, piped = run(line, key, fake_commands)

    assert key not in line
    assert key.encode() not in b"\0".join(words)
    if words[0] == b"curl":
        got_method, got_url, fields, got_body = sent_by_curl(words, piped)
        assert (method.encode(), url.encode(), body) == (got_method, got_url, got_body)
        sent = [f"{name}: {value}" if value else f"{name};" for name, value in headers]
        assert sent == [field.decode() for field in fields if field != b"Content-Type:"]
        assert (b"Content-Type:" in fields) is (body is not None)
    else:
        head, _, got_body = piped.partition(b"\r\n\r\n")
        length = [] if body is None else [f"Content-Length: {len(body)}"]
        lines = [f"{name}: {value}" for name, value in headers]
        path = url.partition(".co")[2]
        expected = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(URL).netloc}", *lines, *length]
        assert "\r\n".join(expected) == head.decode("latin-1")
        assert (body or b"") == got_body


@pytest.mark.parametrize("before", [b"x", b"\xff"])
@pytest.mark.parametrize("offset", [1970, 1985, 1999, 2000, 2001])
def test_a_cut_body_contains_no_part_of_the_key(fake_commands: Path, before: bytes, offset: int) -> None:
    """A body is cut before a key that would be cut in two."""
    key = "0123456789.abcdefghij"
    body = (before * offset + key.encode()).ljust(3000, b"y")
    line = request_command(method="POST", url=URL, headers=[], body=body, secret=secret(key))
    words, piped = run(line, key, fake_commands)
    sent = piped.partition(b"\r\n\r\n")[2] if words[0] == b"chainproof" else words[-1]

    assert "0123" not in line
    assert "body cut: 3000 bytes in all" in line
    assert body.startswith(sent)
    assert 1970 <= len(sent) <= 2000


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 100_000,
        b'{"a":"' + b"ab" * 5000 + b'"}',
        b"[" * 3000 + b"]" * 3000,
        b"-\xff" * 4000,
        b"[" + b"1,\t" * 9000,
    ],
    ids=lambda body: repr(body[:10]),
)
def test_a_long_body_is_written_by_a_short_command(body: bytes) -> None:
    """Repeated patterns are written by `yes`; the bytes are the same."""
    command = writing_command(body, None)
    assert command is not None
    written = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=PATIENCE)

    assert len(command) < 300
    assert body == written.stdout


def test_a_body_without_a_pattern_has_no_short_command() -> None:
    """A command of thousands of characters is of no use."""
    assert writing_command(random.Random(1).randbytes(5000), None) is None


@pytest.mark.parametrize(
    ("host", "explicit"), [(urlsplit(URL).netloc, False), ("chain-abc123-prod-us.api.baseten.co", True)]
)
def test_a_different_host_is_part_of_the_request(host: str, *, explicit: bool) -> None:
    """Curl writes the URL's own Host itself; another Host is given explicitly."""
    line = request_command(method="POST", url=URL, headers=[("Host", host)], body=None)
    assert explicit is (host in line.replace(URL, ""))


def test_a_fragment_is_sent_as_raw_bytes() -> None:
    """Curl cuts it off, and a target has none."""
    line = request_command(method="POST", url=f"{URL}#x", headers=[], body=b"{}")

    assert "/production/run_remote#x HTTP/1.1" in line
    assert f"| chainproof call --raw - --target {URL}" in " ".join(line.split())
    assert f"{URL}#" not in line


REQUESTS = {
    "an object": ("POST", "/production/run_remote", [("Content-Type", "application/json")], b'{"a": "\xc3\xa9"}'),
    "no media type": ("POST", "/production/run_remote", [], b"{}"),
    "an empty field": ("POST", "/production/run_remote", [("Content-Type", "")], b"{}"),
    "an empty body": ("POST", "/production/run_remote", [("Content-Type", "application/json")], b""),
    "dots in the path": ("POST", "/production/../production/./run_remote", [("Content-Type", "a/b")], b"{}"),
    "brackets in the query": ("POST", "/production/run_remote?a[1-3]={b,c}", [("Content-Type", "a/b")], b"{}"),
    "another method": ("DELETE", "/production/run_remote", [], None),
    "a head": ("HEAD", "/production/run_remote", [], None),
}


@pytest.mark.skipif(shutil.which("curl") is None, reason="runs the real curl")
@pytest.mark.parametrize("what", REQUESTS)
def test_the_real_curl_sends_the_request(what: str) -> None:
    """Request line, media type and body arrive at an IPv4 address unchanged."""
    method, path, headers, body = REQUESTS[what]
    with socket.create_server(("127.0.0.1", 0)) as server:
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(_answer_one(server)))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}{path}"
        line = curl_line(method=method, url=url, headers=headers, body=body)
        subprocess.run(["sh", "-c", line], check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
        thread.join()
    head, _, sent = received[0].partition(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(":", 1) for line in lines)

    assert f"{method} {path} HTTP/1.1" == request_line
    assert (body or b"") == sent
    assert dict(headers).get("Content-Type") == (fields["Content-Type"].strip() if "Content-Type" in fields else None)


def _answer_one(server: socket.socket) -> bytes:
    """Receive one request and send an empty answer; the bytes of the request."""
    connection, _ = server.accept()
    with connection:
        got = b""
        while b"\r\n\r\n" not in got:
            got += connection.recv(65536)
        head, _, body = got.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0]):
            chunk = connection.recv(65536)
            got, body = got + chunk, body + chunk
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return got


CERTIFICATE = Path(__file__).parents[2] / "loadtests" / "localhost.pem"
ELSEWHERE = "https://localhost:1/production/run_remote"


@pytest.mark.skipif(shutil.which("curl") is None, reason="runs the real curl")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_real_curl_uses_the_same_route(host: str) -> None:
    """
    Pasted into a shell, the line connects to the address of the run, without a proxy, trusts the run's certificate, and
    sends the host of the URL.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    bare = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    with context.wrap_socket(bare, server_side=True) as server:
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(_answer_one(server)), daemon=True)
        thread.start()
        route = Route(connect_to=Address(host, server.getsockname()[1]), ca_file=str(CERTIFICATE))
        line = curl_line(method="POST", url=ELSEWHERE, headers=[], body=b"{}", route=route)
        proxied = {**os.environ, "https_proxy": "http://127.0.0.1:9"}
        done = subprocess.run(["sh", "-c", line], check=False, timeout=PATIENCE, capture_output=True, env=proxied)
        thread.join(5)

    assert (0, b"") == (done.returncode, done.stderr)
    assert b"\r\nHost: localhost:1\r\n" in received[0]
    assert received[0].endswith(b"\r\n\r\n{}")


@pytest.mark.skipif(shutil.which("curl") is None, reason="runs the real curl")
def test_the_real_curl_stops_at_the_deadline() -> None:
    """It exits with 28, its code for a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/production/run_remote"
        line = curl_line(method="POST", url=url, headers=[], body=b"{}", deadline=0.25)
        done = subprocess.run(["sh", "-c", line], check=False, timeout=PATIENCE, capture_output=True)

    assert "--max-time 0.25 " in line
    assert 28 == done.returncode, done.stderr


def test_a_file_name_with_spaces_is_one_argument(fake_commands: Path) -> None:
    """A certificate file may have any name."""
    line = curl_line(method="POST", url=URL, headers=[], body=None, route=Route(ca_file="/a b/it's $(id).pem"))
    words, _ = run(line, "key", fake_commands)

    assert b"/a b/it's $(id).pem" == words[words.index(b"--cacert") + 1]
