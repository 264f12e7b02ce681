"""
The way to a target: addresses, proxies, and header fields that may be sent along.
"""

from __future__ import annotations

import base64

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
        ("localhost:1", Address("localhost", 1)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    """
    IPv6 stands in brackets, going in and coming out.
    """
    assert address == parse_address(text)
    assert text == str(parse_address(text))


@given(st.text())
def test_no_text_is_worse_than_a_bad_address(text: str) -> None:
    """
    Whatever somebody types is an address, or refused as TargetError.
    """
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
        ({"ALL_PROXY": "http://proxy"}, Address("proxy", 80)),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1"}, Address("lower", 1)),
        ({"http_proxy": "http://proxy:3128"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "*"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "example.org, .baseten.co"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "api.baseten.co:443"}, None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "aseten.co,api.baseten.co:80"}, Address("proxy", 3128)),
    ],
)
def test_the_environment_names_the_proxy(environment: dict[str, str], proxy: Address | None) -> None:
    """
    As curl reads the variables; a loopback target is never proxied.
    """
    found = proxy_for(TARGET, environment)

    assert proxy == (found and found.address)
    assert proxy_for(LOOPBACK, environment) is None


def test_a_proxys_password_is_sent_and_never_shown() -> None:
    """
    It stands in the request to the proxy alone.
    """
    found = proxy_for(TARGET, {"https_proxy": "http://ada:s3cr3t%21@proxy:3128"})
    assert found is not None
    request = found.connect_request(Address(TARGET.host, TARGET.port))

    assert base64.b64encode(b"ada:s3cr3t!") in request
    assert request.startswith(
        b"CONNECT chain-abc123.api.baseten.co:443 HTTP/1.1\r\nHost: chain-abc123.api.baseten.co:443\r\n"
    )
    assert "s3cr3t" not in repr(Route(proxy=found))


@pytest.mark.parametrize("url", ["socks5://proxy:1080", "http://", "http://proxy:port", "https://u:s3cr3t@proxy"])
def test_a_proxy_of_another_kind_is_refused_without_its_password(url: str) -> None:
    """
    One line, and nothing of the URL in it.
    """
    with pytest.raises(TargetError) as refused:
        proxy_for(TARGET, {"https_proxy": url})

    assert "s3cr3t" not in str(refused.value)


def test_the_first_hop_is_the_proxy_else_the_address_else_the_target() -> None:
    """
    URL, Host and TLS name stay; only the connection goes elsewhere.
    """
    elsewhere = Address("127.0.0.1", 8443)
    proxy = proxy_for(TARGET, {"https_proxy": "http://proxy:3128"})

    assert Address("chain-abc123.api.baseten.co", 443) == Route().first_hop(TARGET)
    assert elsewhere == Route(connect_to=elsewhere).first_hop(TARGET)
    assert Address("proxy", 3128) == Route(proxy=proxy).first_hop(TARGET)


@pytest.mark.parametrize("name", sorted(CREDENTIAL_FIELDS | RESERVED_FIELDS))
def test_secrets_and_framing_are_no_fields_of_the_users(name: str) -> None:
    """
    In any letter case, and without repeating the value.
    """
    with pytest.raises(HeaderError) as refused:
        parse_header(f"{name.title()}: hunter2")

    assert "hunter2" not in str(refused.value)


@given(st.text())
def test_a_field_cannot_smuggle_another(text: str) -> None:
    """
    What is accepted is one line of printable ASCII.
    """
    try:
        name, value = parse_header(text)
    except HeaderError:
        return

    assert not set("\r\n\0") & set(name + value)
    assert (name + value).isascii()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"chain_id": "a", "model_id": "b"},
        {"chain_id": "a/b"},
        {"chain_id": "a", "environment": "Prod"},
        {"chain_id": "a", "environment": "-x"},
        {"chain_id": "a", "environment": "x" * 41},
    ],
)
def test_ids_and_environments_are_looked_through(wrong: dict[str, str]) -> None:
    """
    An id cannot lead the key to another host.
    """
    with pytest.raises(TargetError):
        deployment_url(**wrong)  # type: ignore[arg-type]  # the keywords are texts, all of them


@pytest.mark.parametrize(
    ("asked", "url", "path_assumed"),
    [
        ({"chain_id": "a1"}, "https://chain-a1.api.baseten.co/production/run_remote", False),
        ({"model_id": "a1"}, "https://model-a1.api.baseten.co/production/run_remote", False),
        (
            {"chain_id": "a1", "environment": "development"},
            "https://chain-a1.api.baseten.co/development/run_remote",
            True,
        ),
        ({"chain_id": "a1", "environment": "qa"}, "https://chain-a1.api.baseten.co/environments/qa/run_remote", True),
    ],
)
def test_a_deployment_is_a_target(asked: dict[str, str], url: str, path_assumed: bool) -> None:
    """
    Every URL that an id amounts to can be parsed again, and says whether its path is the document's.
    """
    target = parse_target(deployment_url(**asked))  # type: ignore[arg-type]  # as above

    assert (url, path_assumed) == (target.url, target.path_assumed)
