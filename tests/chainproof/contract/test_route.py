"""Tests of addresses, proxies, header fields and deployment URLs."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.header_fields import CREDENTIAL_FIELDS, RESERVED_FIELDS, HeaderError, parse_header
from chainproof.contract.route import Address, Route, parse_address, proxy_for
from chainproof.contract.target import TargetError, deployment_url, parse_target

TARGET = parse_target("https://chain-abc123.api.baseten.co")
LOOPBACK = parse_target("https://127.0.0.1:8443")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:443", Address("::1", 443)),
        ("[fe80::1%lo]:443", Address("fe80::1%lo", 443)),
        ("localhost:1", Address("localhost", 1)),
    ],
)
def test_address_round_trips(text: str, address: Address) -> None:
    """IPv6 addresses are in brackets when parsed and when written."""
    assert address == parse_address(text)
    assert text == str(parse_address(text))


@given(st.text())
def test_any_text_is_an_address_or_rejected(text: str) -> None:
    """Parsing any text raises nothing but TargetError."""
    try:
        address = parse_address(text)
    except TargetError:
        return

    assert 0 < address.port < 65536


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy:3128"}, Address("proxy", 3128)),
        ({"HTTPS_PROXY": "proxy:3128"}, Address("proxy", 3128)),
        ({"ALL_PROXY": "http://proxy"}, Address("proxy", 1080)),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1"}, Address("lower", 1)),
        ({"http_proxy": "http://proxy:3128"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "*"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "example.org, .baseten.co"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "api.baseten.co:443"}, Address("proxy", 3128)),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "aseten.co,api.baseten.co:80"}, Address("proxy", 3128)),
    ],
)
def test_proxy_is_read_from_the_environment(environment: dict[str, str], proxy: Address | None) -> None:
    """The variables mean what they mean to curl; a loopback target is never proxied."""
    configured = proxy_for(TARGET, environment)

    assert proxy == (configured and configured.address)
    assert proxy_for(LOOPBACK, environment) is None


def test_proxy_password_is_not_shown() -> None:
    """The password is sent in the CONNECT request and does not appear in a repr."""
    configured = proxy_for(TARGET, {"https_proxy": "http://ada:s3cr3t%21@proxy:3128"})
    assert configured is not None
    request = configured.connect_request(Address(TARGET.host, TARGET.port))

    assert base64.b64encode(b"ada:s3cr3t!") in request
    assert request.startswith(
        b"CONNECT chain-abc123.api.baseten.co:443 HTTP/1.1\r\nHost: chain-abc123.api.baseten.co:443\r\n"
    )
    assert "s3cr3t" not in repr(Route(proxy=configured))


@pytest.mark.parametrize("url", ["socks5://proxy:1080", "http://", "http://proxy:port", "https://u:s3cr3t@proxy"])
def test_unsupported_proxy_is_rejected(url: str) -> None:
    """The message does not contain the password."""
    with pytest.raises(TargetError) as error:
        proxy_for(TARGET, {"https_proxy": url})

    assert "s3cr3t" not in str(error.value)


def test_first_hop_is_the_proxy_or_the_address_or_the_target() -> None:
    """The connection goes to the proxy; without one to the --connect-to address, and without that to the target."""
    elsewhere = Address("127.0.0.1", 8443)
    proxy = proxy_for(TARGET, {"https_proxy": "http://proxy:3128"})

    assert Address("chain-abc123.api.baseten.co", 443) == Route().first_hop(TARGET)
    assert elsewhere == Route(connect_to=elsewhere).first_hop(TARGET)
    assert Address("proxy", 3128) == Route(proxy=proxy).first_hop(TARGET)


@pytest.mark.parametrize("name", sorted(CREDENTIAL_FIELDS | RESERVED_FIELDS))
def test_credential_and_framing_fields_are_rejected(name: str) -> None:
    """They are rejected in any letter case, and the message does not repeat the value."""
    with pytest.raises(HeaderError) as error:
        parse_header(f"{name.title()}: hunter2")

    assert "hunter2" not in str(error.value)


@given(st.text())
def test_header_value_cannot_contain_another_header(text: str) -> None:
    """An accepted header field is one line of printable ASCII."""
    try:
        name, value = parse_header(text)
    except HeaderError:
        return

    assert not set("\r\n\0") & set(name + value)
    assert (name + value).isascii()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"chain_id": "a", "model_id": "b"},
        {"chain_id": "a/b"},
        {"chain_id": "a", "environment": "Prod"},
        {"chain_id": "a", "environment": "-x"},
        {"chain_id": "a", "environment": "x" * 41},
        {"chain_id": "a", "deployment": "a/b"},
        {"chain_id": "a", "deployment": "b", "environment": "staging"},
        {"chain_id": "a", "deployment": "b", "regional": True},
        {"chain_id": "a", "regional": True},
        {"chain_id": "a", "environment": "development", "regional": True},
    ],
)
def test_invalid_ids_and_environments_are_rejected(arguments: dict[str, Any]) -> None:
    """An id cannot direct the key to another host."""
    with pytest.raises(TargetError):
        deployment_url(**arguments)


@pytest.mark.parametrize(
    ("arguments", "url", "path_assumed"),
    [
        ({"chain_id": "a1"}, "https://chain-a1.api.baseten.co/production/run_remote", False),
        ({"model_id": "a1"}, "https://model-a1.api.baseten.co/production/run_remote", False),
        (
            {"chain_id": "a1", "environment": "development"},
            "https://chain-a1.api.baseten.co/development/run_remote",
            True,
        ),
        ({"chain_id": "a1", "environment": "qa"}, "https://chain-a1.api.baseten.co/environments/qa/run_remote", True),
        ({"chain_id": "a1", "deployment": "d2"}, "https://chain-a1.api.baseten.co/deployment/d2/run_remote", True),
        (
            {"chain_id": "a1", "environment": "qa", "regional": True},
            "https://chain-a1-qa.api.baseten.co/run_remote",
            True,
        ),
    ],
)
def test_deployment_url_is_a_valid_target(arguments: dict[str, Any], url: str, path_assumed: bool) -> None:
    """The URL of a deployment can be parsed, and the target says whether its path is the documented one."""
    target = parse_target(deployment_url(**arguments))

    assert (url, path_assumed) == (target.url, target.path_assumed)
