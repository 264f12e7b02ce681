"""
The ways to a target: another path, another address, a proxy, more certificates, more fields, another scheme.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from chainproof.conformance.checks import CHECKS
from chainproof.conformance.checks.routing import other_paths
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.request import JSON_TYPE, CheckRequest
from chainproof.contract.credentials import AuthScheme
from chainproof.contract.route import Address, Proxy, Route
from chainproof.contract.target import TargetError, parse_target
from chainproof.results.exchange import Transport

from .conftest import HANDWRITTEN_CHECKS, RunSuite
from .endpoints import (
    KEY,
    EndpointAnswer,
    EndpointRequest,
    as_if,
    at_another_path,
    correct_endpoint,
    on_every_answer,
    requiring_bearer,
    serve,
    with_right_key,
)

CERTIFICATE = Path(__file__).parents[1] / "loadtests" / "localhost.pem"
"""For localhost and 127.0.0.1, signed by itself."""

REQUEST = CheckRequest(fields=(("Authorization", f"Api-Key {KEY}"), JSON_TYPE), body=b'{"a":1}')


class Hearing:
    """
    The honest endpoint, with all that it was asked.
    """

    def __init__(self) -> None:
        self.heard: list[EndpointRequest] = []

    def __call__(self, asked: EndpointRequest) -> EndpointAnswer:
        self.heard.append(asked)
        return correct_endpoint(asked)


@dataclass(slots=True)
class Tunnels:
    """
    A proxy that answers CONNECT as told, and leads whoever has its consent on to one port of loopback.
    """

    answer: bytes
    leads_to: int
    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                here, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._lead, args=(here,), daemon=True).start()

    def _lead(self, here: socket.socket) -> None:
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            said += here.recv(1)
        self.asked.append(said)
        here.sendall(self.answer)
        if b" 200 " not in self.answer:
            here.close()
            return
        there = socket.create_connection(("127.0.0.1", self.leads_to))
        threading.Thread(target=_copy, args=(there, here), daemon=True).start()
        _copy(here, there)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """
    Everything from one to the other.
    """
    try:
        while octets := source.recv(65536):
            sink.sendall(octets)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def proxying(leads_to: int, answer: bytes = b"HTTP/1.1 200 Fine\r\nX-Proxy: yes\r\n\r\n") -> Iterator[Tunnels]:
    """
    A proxy on a free port of loopback.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = Tunnels(answer, leads_to, listening.getsockname()[1])
        threading.Thread(target=proxy.serve, args=(listening,), daemon=True).start()
        yield proxy


def port_of(url: str) -> int:
    """
    Where a server listens.
    """
    return int(url.rpartition(":")[2])


def test_the_bytes_go_elsewhere_and_the_name_stays() -> None:
    """
    The certificate is verified for the URL's name, whom the file names is trusted, and Host is that name.
    """
    server = Hearing()
    with serve(server, certificate=CERTIFICATE) as url:
        there = Address("127.0.0.1", port_of(url))

        def sent(target: str, ca_file: str | None) -> Transport:
            way = Route(connect_to=there, ca_file=ca_file)
            return Client(parse_target(target), 5.0, route=way).send(REQUEST).transport

        seen = [
            sent("https://localhost", str(CERTIFICATE)),
            sent("https://localhost", None),
            sent("https://chain-abc123.api.baseten.co", str(CERTIFICATE)),
        ]

    assert [Transport.ANSWERED, Transport.TLS_FAILED, Transport.TLS_FAILED] == seen
    assert [["localhost"]] == [asked.values("host") for asked in server.heard]


def test_through_a_proxy_the_target_is_asked_as_ever() -> None:
    """
    The proxy sees CONNECT with its own credentials, and neither the request nor the key.
    """
    server = Hearing()
    with serve(server, certificate=CERTIFICATE) as url, proxying(port_of(url)) as proxy:
        way = Route(
            ca_file=str(CERTIFICATE), proxy=Proxy(address=Address("127.0.0.1", proxy.port), authorization="Basic eA==")
        )
        client = Client(parse_target("https://localhost:444"), 5.0, route=way)
        statuses = [client.send(REQUEST).answer for _ in range(2)]

    assert [200, 200] == [answer and answer.status for answer in statuses]
    assert [
        b"CONNECT localhost:444 HTTP/1.1\r\nHost: localhost:444\r\nProxy-Authorization: Basic eA==\r\n\r\n"
    ] == proxy.asked
    assert [] == [asked.fields for asked in server.heard if asked.values("proxy-authorization")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "the proxy refused to connect: HTTP/1.1 407"),
        (b"", "the proxy gave no answer to CONNECT"),
        (b"SSH-2.0\r\n\r\n", "the proxy refused to connect: SSH-2.0"),
    ],
)
def test_a_proxy_that_refuses_is_named(answer: bytes, reason: str) -> None:
    """
    That there is no connection is the proxy's doing, and the target is accused of nothing.
    """
    with proxying(0, answer) as proxy:
        way = Route(proxy=Proxy(address=Address("127.0.0.1", proxy.port)))
        received = Client(parse_target("https://localhost"), 5.0, route=way).send(REQUEST)

    assert Transport.CONNECT_FAILED is received.transport
    assert received.reason.startswith(reason)


def test_ipv6_is_an_address_like_any_other() -> None:
    """
    Its brackets are the URL's and the Host header's, not the socket's.
    """
    server = Hearing()
    try:
        with serve(server, host="::1") as url:
            received = Client(parse_target(url), 5.0).send(REQUEST)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    assert received.answer is not None
    assert [[url.removeprefix("http://")]] == [asked.values("host") for asked in server.heard]


@pytest.mark.parametrize("path", ["/environments/staging/run_remote", "/run_remote"])
def test_the_operation_is_where_the_targets_path_is(path: str, run_suite: RunSuite) -> None:
    """
    Elsewhere than in the document, whoever keeps the contract there is accused of nothing, and everything is exercised.
    """
    examined = run_suite(at_another_path(path), checks=CHECKS, path=path)

    assert [] == examined.lines
    assert {"other-paths-rejected", "regional-host", "object-accepted"} <= {
        name for name, count in examined.ledger._exercised.items() if count
    }
    assert {"extended_generation_finds_no_violations", "overload_gets_documented_answers"} == examined.skipped.keys()


@pytest.mark.parametrize(
    ("path", "begins", "clause"),
    [
        ("/environments/staging/run_remote", "/environments/staging/", "other-paths-rejected"),
        ("/run_remote", "/production/run_remote", "regional-host"),
    ],
)
def test_near_misses_follow_the_path(path: str, begins: str, clause: str, run_suite: RunSuite) -> None:
    """
    Who answers them is caught at any path; where the hostname names the environment, that is the document's own path.
    """

    def lenient(asked: EndpointRequest) -> EndpointAnswer:
        there = asked.path.partition("?")[0]
        known = there == path or there.startswith(begins)
        return correct_endpoint(replace(asked, path="/production/run_remote" if known else "/nowhere"))

    assert {clause} == run_suite(lenient, checks=HANDWRITTEN_CHECKS, examples=1, path=path).clauses


@pytest.mark.parametrize("path", ["/production/run_remote", "/run_remote", "/environments/prod-us/run_remote"])
def test_no_other_environment_is_asked(path: str) -> None:
    """
    A near miss of a path is never where another environment answers: whoever checks staging calls nobody's production.
    """
    sisters = re.compile(r"/(production|development|environments/[^/]+|deployment/[^/]+)/run_remote")

    assert [] == [miss for miss in other_paths(path) if miss == path or sisters.fullmatch(miss)]


def test_fields_go_along_with_every_request(run_suite: RunSuite) -> None:
    """
    Where a check has its own word about a field, that stays; the curl line of a finding has them too.
    """
    heard: list[EndpointRequest] = []

    def server(asked: EndpointRequest) -> EndpointAnswer:
        heard.append(asked)
        return on_every_answer(lambda said: EndpointAnswer(status=said.status, body=said.body, request_id=None))(asked)

    fields = (("X-Tenant", "blue"), ("X-Baseten-Request-Id", "mine"))
    examined = run_suite(server, fields=fields, examples=1)

    # What is hidden behind another request's body has the least that a request can have.
    whole = [asked for asked in heard if len(asked.fields) > 3]

    assert [] == [asked.fields for asked in whole if asked.values("x-tenant") != ["blue"]]
    words = {tuple(asked.values("x-baseten-request-id")) for asked in whole}

    assert ("mine",) in words
    assert len(words) > 1
    assert {1} == {len(each) for each in words}
    assert all("-H 'X-Tenant: blue'" in found.reproduce for found in examined.findings)
    assert examined.findings


def test_whoever_wants_bearer_is_asked_so(run_suite: RunSuite) -> None:
    """
    With another scheme the right key stays right and every other way to present it wrong; the document's own is left open.
    """
    keys = ([f"Bearer {KEY}"], [f"Token {KEY}"])
    any_scheme = as_if(with_right_key, lambda asked: asked.values("authorization") in keys)

    assert [] == run_suite(requiring_bearer, scheme=AuthScheme.BEARER, examples=2).lines
    assert {"key-prefix"} == run_suite(
        any_scheme, scheme=AuthScheme.BEARER, checks=HANDWRITTEN_CHECKS, examples=1
    ).clauses
    assert {"key-prefix"} == run_suite(any_scheme, checks=HANDWRITTEN_CHECKS, examples=1).clauses


@pytest.mark.parametrize("path", ["/predict", "/production/run_remote/x"])
def test_any_other_path_is_no_target(path: str) -> None:
    """
    A contract is transplanted to the operation's sisters, and no further.
    """
    with pytest.raises(TargetError):
        parse_target(f"https://chain-abc123.api.baseten.co{path}")
