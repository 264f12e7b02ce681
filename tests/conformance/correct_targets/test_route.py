"""Routes to a target: other paths and addresses, proxies, certificates, fields and schemes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from chainproof.conformance.checks.routing import other_paths
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.request import JSON_TYPE, CheckRequest
from chainproof.contract.credentials import AuthScheme
from chainproof.contract.route import Address, Proxy, Route
from chainproof.contract.target import TargetError, parse_target
from chainproof.results.exchange import Transport

from ...connect_proxy import start_proxy
from ..conftest import LIGHT_CHECKS, RunSuite, checks_in
from ..endpoints import (
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
from ..sampling import ALL

ROUTING_CHECKS = checks_in("routing", "auth_bypass", "identity")
KEY_CHECKS = checks_in("credentials", "auth_bypass", "identity")

REQUEST_FORMS = tuple(check for check in LIGHT_CHECKS if ALL or check.module not in ("body", "state", "shared_state"))
"""Checks that build requests in every way."""

CERTIFICATE = Path(__file__).parents[2] / "loadtests" / "localhost.pem"
"""Self-signed, for localhost and 127.0.0.1."""

REQUEST = CheckRequest(fields=(("Authorization", f"Api-Key {KEY}"), JSON_TYPE), body=b'{"a":1}')


class RecordingEndpoint:
    """The correct endpoint; it records every request."""

    def __init__(self) -> None:
        self.requests: list[EndpointRequest] = []

    def __call__(self, request: EndpointRequest) -> EndpointAnswer:
        self.requests.append(request)
        return correct_endpoint(request)


def port_of(url: str) -> int:
    """The port of a server."""
    return int(url.rpartition(":")[2])


def test_connect_to_changes_the_address_but_not_the_name() -> None:
    """The certificate is verified for the URL's host with the given file, and Host is that host."""
    server = RecordingEndpoint()
    with serve(server, certificate=CERTIFICATE) as url:
        there = Address("127.0.0.1", port_of(url))

        def sent(target: str, ca_file: str | None) -> Transport:
            route = Route(connect_to=there, ca_file=ca_file)
            return Client(parse_target(target), 5.0, route=route).send(REQUEST).transport

        transports = [
            sent("https://localhost", str(CERTIFICATE)),
            sent("https://localhost", None),
            sent("https://chain-abc123.api.baseten.co", str(CERTIFICATE)),
        ]

    assert [Transport.ANSWERED, Transport.TLS_FAILED, Transport.TLS_FAILED] == transports
    assert [["localhost"]] == [request.values("host") for request in server.requests]


def test_a_proxy_gets_only_connect() -> None:
    """CONNECT has the credentials of the proxy, which sees neither the request nor the key."""
    server = RecordingEndpoint()
    with serve(server, certificate=CERTIFICATE) as url, start_proxy(forward_to=port_of(url)) as proxy:
        route = Route(
            ca_file=str(CERTIFICATE), proxy=Proxy(address=Address("127.0.0.1", proxy.port), authorization="Basic eA==")
        )
        client = Client(parse_target("https://localhost:444"), 5.0, route=route)
        statuses = [client.send(REQUEST).answer for _ in range(2)]

    assert [200, 200] == [answer and answer.status for answer in statuses]
    assert [
        b"CONNECT localhost:444 HTTP/1.1\r\nHost: localhost:444\r\nProxy-Authorization: Basic eA==\r\n\r\n"
    ] == proxy.requests
    assert [] == [request.fields for request in server.requests if request.values("proxy-authorization")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "the proxy refused to connect: HTTP/1.1 407"),
        (b"", "the proxy gave no answer to CONNECT"),
        (b"SSH-2.0\r\n\r\n", "the proxy refused to connect: SSH-2.0"),
    ],
)
def test_a_failing_proxy_is_reported(answer: bytes, reason: str) -> None:
    """The missing connection is no violation by the target."""
    with start_proxy(answer) as proxy:
        route = Route(proxy=Proxy(address=Address("127.0.0.1", proxy.port)))
        received = Client(parse_target("https://localhost"), 5.0, route=route).send(REQUEST)

    assert Transport.CONNECT_FAILED is received.transport
    assert received.reason.startswith(reason)


def test_a_target_may_be_an_ipv6_address() -> None:
    """The brackets belong to the URL and the Host header, not to the socket address."""
    server = RecordingEndpoint()
    try:
        with serve(server, host="::1") as url:
            received = Client(parse_target(url), 5.0).send(REQUEST)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")

    assert received.answer is not None
    assert [[url.removeprefix("http://")]] == [request.values("host") for request in server.requests]


@pytest.mark.parametrize("path", ["/environments/staging/run_remote", "/run_remote"])
def test_a_correct_target_at_another_path_has_no_findings(path: str, run_suite: RunSuite) -> None:
    """Every clause is exercised there too."""
    checks = ROUTING_CHECKS if path == "/run_remote" and not ALL else LIGHT_CHECKS
    result = run_suite(at_another_path(path), checks=checks, path=path)

    assert [] == result.lines
    assert {"other-paths-rejected", "regional-host", "object-accepted"} <= {
        name for name, count in result.finding_recorder._exercised.items() if count
    }
    needs_more = {"extended_generation_finds_no_violations", "overload_gets_documented_answers"}
    no_environments = {"unknown_environments_and_deployments_are_rejected"} if path == "/run_remote" else set()
    typed = {check.name for check in checks_in("typed_inputs", "consistency")}
    assert (needs_more | no_environments | typed) & {check.name for check in checks} == result.skipped.keys()


@pytest.mark.parametrize(
    ("path", "begins", "clause"),
    [
        ("/environments/staging/run_remote", "/environments/staging/", "other-paths-rejected"),
        ("/run_remote", "/production/run_remote", "regional-host"),
    ],
)
def test_similar_paths_are_tested_at_any_path(path: str, begins: str, clause: str, run_suite: RunSuite) -> None:
    """A target that accepts them is reported; if the hostname names the environment, the path of the document is one of them."""

    def lenient(request: EndpointRequest) -> EndpointAnswer:
        requested = request.path.partition("?")[0]
        known = requested == path or requested.startswith(begins)
        return correct_endpoint(replace(request, path="/production/run_remote" if known else "/nowhere"))

    # It accepts a line break behind a path as well, which is another recommendation.
    assert {clause} == run_suite(lenient, checks=ROUTING_CHECKS, examples=1, path=path).clauses - {"path-line-break"}


@pytest.mark.parametrize("path", ["/production/run_remote", "/run_remote", "/environments/prod-us/run_remote"])
def test_no_other_environment_gets_a_request(path: str) -> None:
    """A run against staging must not call production."""
    other_environments = re.compile(r"/(production|development|environments/[^/]+|deployment/[^/]+)/run_remote")

    assert [] == [miss for miss in other_paths(path) if miss == path or other_environments.fullmatch(miss)]


def test_additional_fields_are_sent_with_every_request(run_suite: RunSuite) -> None:
    """Unless a check sets the same field; curl commands of findings contain them too."""
    requests: list[EndpointRequest] = []

    def server(request: EndpointRequest) -> EndpointAnswer:
        requests.append(request)
        return on_every_answer(lambda answer: EndpointAnswer(status=answer.status, body=answer.body, request_id=None))(
            request
        )

    fields = (("X-Tenant", "blue"), ("X-Baseten-Request-Id", "mine"))
    result = run_suite(server, fields=fields, examples=1, checks=REQUEST_FORMS)

    complete = [request for request in requests if len(request.fields) > 3]  # smuggled requests have few fields

    assert [] == [request.fields for request in complete if request.values("x-tenant") != ["blue"]]
    request_ids = {tuple(request.values("x-baseten-request-id")) for request in complete}

    assert ("mine",) in request_ids
    assert len(request_ids) > 1
    assert {1} == {len(each) for each in request_ids}
    assert all("X-Tenant: blue" in found.reproduce for found in result.findings if found.reproduce)
    assert result.findings


def test_the_bearer_scheme_is_used_if_selected(run_suite: RunSuite) -> None:
    """With the bearer scheme, other schemes must be rejected, except that of the document."""
    keys = ([f"Bearer {KEY}"], [f"Token {KEY}"])
    any_scheme = as_if(with_right_key, lambda request: request.values("authorization") in keys)

    assert [] == run_suite(requiring_bearer, scheme=AuthScheme.BEARER, examples=2, checks=REQUEST_FORMS).lines
    assert {"key-prefix"} == run_suite(any_scheme, scheme=AuthScheme.BEARER, checks=KEY_CHECKS, examples=1).clauses
    assert {"key-prefix"} == run_suite(any_scheme, checks=KEY_CHECKS, examples=1).clauses


@pytest.mark.parametrize("path", ["/predict", "/production/run_remote/x"])
def test_other_paths_are_rejected_as_targets(path: str) -> None:
    """The contract applies to the operation's known paths only."""
    with pytest.raises(TargetError):
        parse_target(f"https://chain-abc123.api.baseten.co{path}")
