"""
A target is where the URL says, or refused in words before anything is sent.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.openapi import PATH
from chainproof.contract.target import ServerKind, Target, TargetError, is_loopback, parse_target

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
    "example.com": "expected a URL such as",
    "localhost:8080": "expected a URL such as",
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
def test_a_url_names_scheme_host_port_and_host_header(text: str) -> None:
    """
    The port is the scheme's own where none is named, and then no part of the Host header.
    """
    target = parse_target(text)
    scheme, _, _, authority = GOOD[text]

    assert GOOD[text] == (target.scheme, target.host, target.port, target.authority)
    assert f"{scheme}://{authority}{PATH}" == target.url


@pytest.mark.parametrize("text", BAD)
def test_a_url_that_cannot_be_meant_is_refused_in_words(text: str) -> None:
    """
    The refusal says what was expected; a password in a URL is not repeated.
    """
    with pytest.raises(TargetError, match=BAD[text]) as refused:
        parse_target(text)

    assert "secret" not in str(refused.value)


@given(
    st.text()
    | st.text().map("https://{}".format)
    | st.text().map("http://127.0.0.1{}".format)
    | st.text("[]:.@/0123456789abcdef%").map("https://{}".format)
)
def test_no_text_is_worse_than_a_bad_target(text: str) -> None:
    """
    Whatever is written, nothing but TargetError comes of it; and what is accepted is what it says of itself.
    """
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
def test_the_documents_servers_are_targets(server: ServerKind, environment: str, url: str, *, regional: bool) -> None:
    """
    Each of the four forms makes a URL that can be used, and the regional ones are known as such.
    """
    assert (url, regional) == (server.url("abc123", environment), server.regional)
    assert url == parse_target(url).origin


@pytest.mark.parametrize("text", GOOD)
def test_a_label_is_fit_for_a_files_name(text: str) -> None:
    """
    Letters, digits, dots and hyphens alone; the emulator is called that, whatever its port.
    """
    assert all(character.isalnum() or character in ".-" for character in parse_target(text).label)
    assert parse_target(text, emulated=True).label == "emulator"


def test_a_target_is_the_operations_by_default() -> None:
    """
    Whoever names an origin means the operation there.
    """
    assert Target(scheme="https", host="example.com", port=443).path == PATH
