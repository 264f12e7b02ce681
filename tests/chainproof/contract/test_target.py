"""Tests of parsing a target URL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.addresses import ServerKind
from chainproof.contract.openapi import PATH
from chainproof.contract.target import Target, TargetError, is_loopback, parse_target

GOOD = {
    "https://chain-abc123.api.baseten.co": ("https", "chain-abc123.api.baseten.co", 443, "chain-abc123.api.baseten.co"),
    "https://chain-abc123.api.baseten.co/": ("https", "chain-abc123.api.baseten.co", 443, "chain-abc123.api.baseten.co"),
    f"https://chain-abc123.api.baseten.co{PATH}": ("https", "chain-abc123.api.baseten.co", 443, "chain-abc123.api.baseten.co"),
    f" HTTPS://Example.COM:443{PATH}/ ": ("https", "example.com", 443, "example.com"),
    "https://example.com:8443": ("https", "example.com", 8443, "example.com:8443"),
    "https://example.com:": ("https", "example.com", 443, "example.com"),
    "https://example.com:80": ("https", "example.com", 80, "example.com:80"),
    "https://10.0.0.1": ("https", "10.0.0.1", 443, "10.0.0.1"),
    "https://[2001:db8::1]:8443": ("https", "2001:db8::1", 8443, "[2001:db8::1]:8443"),
    "http://127.0.0.1:8080": ("http", "127.0.0.1", 8080, "127.0.0.1:8080"),
    "http://127.8.9.1": ("http", "127.8.9.1", 80, "127.8.9.1"),
    "http://localhost:1": ("http", "localhost", 1, "localhost:1"),
    "http://chain-abc123.localhost:8080": ("http", "chain-abc123.localhost", 8080, "chain-abc123.localhost:8080"),
    "http://[::1]:8080": ("http", "::1", 8080, "[::1]:8080"),
    "http://[::1]": ("http", "::1", 80, "[::1]"),
}  # fmt: skip  # a table is read by its columns

BAD = {
    "": "expected a URL such as",
    "nonsense": "expected a URL such as",
    "example.com": "did you mean https://example.com?",
    "localhost:8080": "did you mean http://localhost:8080?",
    "ftp://example.com": "expected a URL such as",
    "https://": "expected a URL such as",
    "https:///path": "expected a URL such as",
    "https://:443": "expected a URL such as",
    "https://[::1": "expected a URL such as",
    "https://[::1]example.com": "expected a URL such as",
    "https://[nonsense]": "expected a URL such as",
    "https://example.com:http": "expected a URL such as",
    "https://example.com:70000": "expected a URL such as",
    "https://example.com:0": "port 0",
    "https://exa mple.com": "found the host",
    "https://exa_mple..com": "found the host",
    "https://chain-{chain_id}.api.baseten.co": "found the host",
    "https://bücher.example": "found the host",
    "https://" + "a" * 64 + ".example": "found the host",
    "https://user:secret@example.com": "without user name and password",
    "https://@example.com": "without user name and password",
    "https://example.com?key=1": "without query and fragment",
    "https://example.com#top": "without query and fragment",
    "https://example.com/predict": "expected no path",
    f"https://example.com/{PATH}": "expected no path",
    "http://example.com": "expected https",
    "http://10.0.0.1": "expected https",
    "http://0.0.0.0:80": "expected https",
    "http://localhost.example.com": "expected https",
    "http://127.0.0.1.example.com": "expected https",
    "http://[2001:db8::1]": "expected https",
}


@pytest.mark.parametrize("text", GOOD)
def test_url_gives_scheme_host_port_and_authority(text: str) -> None:
    """The default port of the scheme is used if the URL has none, and is not part of the Host header."""
    target = parse_target(text)
    scheme, _, _, authority = GOOD[text]

    assert GOOD[text] == (target.scheme, target.host, target.port, target.authority)
    assert f"{scheme}://{authority}{PATH}" == target.url


@pytest.mark.parametrize("text", ["https://[fe80::1%25eth0]:8443", "https://[fe80::1%eth0]:8443"])
def test_a_link_local_address_keeps_its_zone(text: str) -> None:
    """The zone is in the URL and in the address to connect to, but neither in Host nor in the name that TLS verifies."""
    target = parse_target(text)

    assert ("fe80::1%eth0", "[fe80::1]:8443", "fe80::1") == (target.host, target.authority, target.tls_name)
    assert f"https://[fe80::1%25eth0]:8443{PATH}" == target.url
    assert target == parse_target(target.url)


@pytest.mark.parametrize(
    "url", ["https://me:{}@h:99999", "ftp://me:{}@h", "https://h/?key={}", "https://h#{}", "//{}@h:0?{}"]
)
def test_what_may_be_secret_in_a_url_is_not_shown(url: str) -> None:
    """User name, password, query and fragment."""
    with pytest.raises(TargetError) as error:
        parse_target(url.replace("{}", "s3cret"))

    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("text", BAD)
def test_invalid_url_is_rejected(text: str) -> None:
    """The message says what was expected and does not repeat a password."""
    with pytest.raises(TargetError, match=BAD[text]) as error:
        parse_target(text)

    assert "secret" not in str(error.value)


@given(
    st.text()
    | st.text().map("https://{}".format)
    | st.text().map("http://127.0.0.1{}".format)
    | st.text("[]:.@/0123456789abcdef%").map("https://{}".format)
)
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    """Parsing any text raises nothing but TargetError, and a parsed target can be parsed again from its own URL."""
    try:
        target = parse_target(text)
    except TargetError:
        return

    assert parse_target(target.url) == parse_target(target.origin) == target
    assert target.url.isascii()
    assert target.scheme == "https" or is_loopback(target.host)


@pytest.mark.parametrize(
    ("server", "environment", "url", "regional"),
    [
        (ServerKind.MODEL, "", "https://model-abc123.api.baseten.co", False),
        (ServerKind.CHAIN, "", "https://chain-abc123.api.baseten.co", False),
        (ServerKind.REGIONAL_MODEL, "prod-us", "https://model-abc123-prod-us.api.baseten.co", True),
        (ServerKind.REGIONAL_CHAIN, "prod-us", "https://chain-abc123-prod-us.api.baseten.co", True),
    ],
)
def test_documented_servers_are_valid_targets(
    server: ServerKind, environment: str, url: str, *, regional: bool
) -> None:
    """Each of the four server templates gives a valid URL, and the regional ones are marked as regional."""
    assert (url, regional) == (server.url("abc123", environment), server.regional)
    assert url == parse_target(url).origin


@pytest.mark.parametrize("text", GOOD)
def test_label_is_a_valid_file_name(text: str) -> None:
    """Labels have only letters, digits, dots and hyphens; the label of the emulator is "emulator"."""
    assert all(character.isalnum() or character in ".-" for character in parse_target(text).label)
    assert parse_target(text, emulated=True).label == "emulator"


def test_default_path_is_the_documented_one() -> None:
    """A target without a path uses the path of the document."""
    assert Target(scheme="https", host="example.com", port=443).path == PATH
