"""Tests of the routes to a target: another address, a proxy, additional certificates, IPv6."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.contract.credentials import ApiKey, AuthScheme
from chainproof.contract.route import Address, Proxy, Route
from chainproof.contract.target import parse_target
from chainproof.loadtests.client.client import LoadClient
from chainproof.loadtests.client.reply import Reply
from chainproof.loadtests.client.request import request_bytes
from chainproof.results.exchange import Transport

from ...connect_proxy import start_proxy
from ..behaviours import fine

RunServer = Callable[..., Any]
Launch = Callable[..., Any]
SHORT_RUN = ("--rate", "20", "--duration", "500ms", "--arrivals", "constant")


def send(url: str, route: Route, deadline: float = 2.0, fields: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Send one request to a target by a route."""
    target = parse_target(url, loopback=True)
    client = LoadClient(target, route)
    octets = request_bytes(target, ApiKey("key"), b"{}", fields)
    return client.call(octets, time.monotonic() + deadline)


def test_connect_to_keeps_the_host_name_of_the_target(
    run_server: RunServer, tls_context: Any, certificate: Path
) -> None:
    """TLS verifies the name of the URL, and Host contains it."""
    with run_server(fine, tls=tls_context) as server:
        there = Address("127.0.0.1", server.port)
        trusted = send("https://localhost", Route(connect_to=there, ca_file=str(certificate)))
        unknown = send("https://localhost", Route(connect_to=there))
        other = send("https://example.test", Route(connect_to=there, ca_file=str(certificate)))

    assert (Transport.ANSWERED, 200) == (trusted.transport, trusted.answer and trusted.answer.status)
    assert b"\r\nHost: localhost\r\n" in server.requests[0]
    assert [Transport.TLS_FAILED] * 2 == [unknown.transport, other.transport]
    assert "example.test" in other.reason
    assert 1 == len(server.requests)


def test_a_proxy_sees_neither_request_nor_key(run_server: RunServer, tls_context: Any, certificate: Path) -> None:
    """The proxy gets CONNECT with its own credentials only."""
    with run_server(fine, tls=tls_context) as server, start_proxy(forward_to=server.port) as proxy:
        proxy_option = Proxy(address=Address("127.0.0.1", proxy.port), authorization="Basic dTpw")
        reply = send("https://localhost", Route(proxy=proxy_option, ca_file=str(certificate)))

    assert (Transport.ANSWERED, "") == (reply.transport, reply.reason)
    assert [b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"] == (
        proxy.requests
    )
    assert server.requests[0].startswith(b"POST /production/run_remote HTTP/1.1\r\nHost: localhost\r\n")
    assert b"Proxy-Authorization" not in server.requests[0]


REFUSALS = {
    b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n": "407 Proxy Authentication Required",
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno": "403 Forbidden",
    b"HTTP/1.1 200 Fine\r\n\r\nand more": "200 Fine",
    b"SSH-2.0-OpenSSH\r\n": "not HTTP",
}


@pytest.mark.parametrize("answer", REFUSALS, ids=list(REFUSALS.values()))
def test_a_rejected_tunnel_is_a_failed_connection(answer: bytes) -> None:
    """Nothing is sent, and the reason contains the proxy's answer."""
    with start_proxy(answer) as proxy:
        where = Address("127.0.0.1", proxy.port)
        reply = send("https://localhost", Route(proxy=Proxy(address=where)))

    assert (Transport.CONNECT_FAILED, f"the proxy {where} did not open a tunnel: {REFUSALS[answer]}") == (
        reply.transport,
        reply.reason,
    )


def test_the_deadline_covers_the_proxy() -> None:
    """A silent proxy takes no longer than the deadline."""
    begun = time.monotonic()
    with start_proxy(b"", is_silent=True) as proxy:
        route = Route(proxy=Proxy(address=Address("127.0.0.1", proxy.port)))
        reply = send("https://localhost", route, deadline=0.2)

    assert Transport.DEADLINE is reply.transport
    assert time.monotonic() - begun < 1


def test_headers_of_the_user_replace_our_own() -> None:
    """A header is sent once, and the key is sent by its scheme."""
    octets = request_bytes(
        parse_target("http://127.0.0.1:1"),
        ApiKey("key", AuthScheme.BEARER),
        b"{}",
        (("X-Tenant", "blue"), ("user-agent", "mine")),
    )

    assert b"\r\nX-Tenant: blue\r\nuser-agent: mine\r\n" in octets
    assert 1 == octets.lower().count(b"user-agent:")
    assert b"\r\nAuthorization: Bearer key\r\n" in octets


def test_target_options_take_effect_and_are_recorded(
    run_server: RunServer, launch: Launch, tls_context: Any, certificate: Path, key: str
) -> None:
    """Path, headers and scheme are those of the options, and the manifest contains the route."""

    async def refuse(request: Any) -> None:
        await request.answer(200, b"[]", "Content-Type: text/html")

    with run_server(refuse, tls=tls_context) as server:
        words = ["--connect-to", f"127.0.0.1:{server.port}", "--ca-file", str(certificate), "--auth-scheme", "bearer"]
        url = "https://localhost/environments/staging/run_remote"
        done = launch(url, *SHORT_RUN, *words, "--header", "X-Tenant: blue").end()
    run = done.run

    assert 10 == len(server.requests), done.errors
    assert server.requests[0].startswith(b"POST /environments/staging/run_remote HTTP/1.1\r\nHost: localhost\r\n")
    assert all(b"\r\nX-Tenant: blue\r\n" in request for request in server.requests)
    assert all(f"\r\nAuthorization: Bearer {key}\r\n".encode() in request for request in server.requests)
    assert {
        "path_assumed": True,
        "auth_scheme": "bearer",
        "connect_to": f"127.0.0.1:{server.port}",
        "ca_file": str(certificate),
        "headers": ["X-Tenant"],
    }.items() <= run.manifest.settings.items()
    assert all("-H 'X-Tenant: blue'" in found.reproduce for found in run.findings)
    assert all("Bearer " in found.reproduce and key not in found.reproduce for found in run.findings)


def test_a_tunnel_rejected_by_the_proxy_of_the_environment_is_a_usage_error(launch: Launch) -> None:
    """The message contains the proxy's answer and never its password."""
    with start_proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n") as proxy:
        done = launch(
            "https://chain-abc123.api.baseten.co", *SHORT_RUN, https_proxy=f"http://u:secret@127.0.0.1:{proxy.port}"
        ).end()

    assert 2 == done.code, done.errors
    assert "403 Forbidden" in done.errors.splitlines()[-1]
    assert "secret" not in done.output + done.errors
    assert not done.folder.exists()


def test_a_target_may_be_an_ipv6_address(run_server: RunServer, launch: Launch) -> None:
    """The address has brackets in the URL and in Host, where it has no zone, and requests are answered."""
    with run_server(fine, host="::1") as server:
        done = launch(f"http://[::1%25lo]:{server.port}", *SHORT_RUN).end()

    assert 10 == len(server.requests), done.errors
    assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in server.requests[0]
    assert {"ok": 10}.items() <= done.accounting.items()
