"""The proxy variables mean what they mean to curl 7.88, and are compared with curl where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from chainproof.contract.route import proxy_for
from chainproof.contract.target import TargetError, parse_target

from ...processes import run_process

PROXY = "http://127.0.0.1:2"
"""Nothing listens there, nor on port 1, where requests without proxy go: curl says which one it tries."""
HOSTS = (
    "example.com",
    "a.example.com",
    "a.example.com.",
    "nonexample.com",
    "10.1.2.3",
    "10.1.2.3.",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[2001:DB8:0::5]",
    "[::ffff:10.1.2.3]",
)
EXCEPTIONS = (
    *("", "*", " * ", "*,x", "x,*", "*.com", ".", "..", ",,,example.com", "com", "x;example.com"),
    *(
        "example.com",
        ".example.com",
        "..example.com",
        "example.com.",
        "EXAMPLE.com",
        "a.example.com",
        "example.com:443",
    ),
    *("x example.com", "x\texample.com", " x , example.com ", "x,\texample.com", "x\nexample.com"),
    *("10.0.0.0/8", "10.1.2.3/32", "10.0.0.0/0", "0.0.0.0/0", "10.1.2.3/", "10.1.2.3/33", "10.0.0.0/8x", "10.0.0.0/-1"),
    *(
        "10.1.2.3",
        "10.1.2.3:443",
        ".10.1.2.3",
        "2.3",
        "10.1.2.3.",
        "10.1/16",
        "10.1.2.0/31",
        "x 10.1.2.2/31",
        "010.1.2.3",
    ),
    *(
        "fe80::1",
        "[fe80::1]",
        "fe80::/10",
        "FE80:0::1",
        "fe80::1%lo",
        "2001:db8::5",
        "2001:db8::/32",
        "::ffff:10.1.2.3",
    ),
)
VARIABLES: tuple[dict[str, str], ...] = (
    {},
    {"https_proxy": "127.0.0.1:2"},
    {"HTTPS_PROXY": "127.0.0.1:2"},
    {"Https_Proxy": "127.0.0.1:2"},
    {"http_proxy": "127.0.0.1:2"},
    {"https_proxy": "", "HTTPS_PROXY": "127.0.0.1:2"},
    {"https_proxy": "127.0.0.1:2", "HTTPS_PROXY": "127.0.0.1:3"},
    {"ALL_PROXY": "127.0.0.1:2"},
    {"all_proxy": "127.0.0.1:3", "HTTPS_PROXY": "127.0.0.1:2"},
    {"all_proxy": "127.0.0.1:3", "ALL_PROXY": "127.0.0.1:2"},
    {"https_proxy": PROXY, "NO_PROXY": "example.com"},
    {"https_proxy": PROXY, "no_proxy": "", "NO_PROXY": "example.com"},
    {"https_proxy": PROXY, "no_proxy": "x", "NO_PROXY": "example.com"},
    {"https_proxy": PROXY, "no_proxy": "example.com", "NO_PROXY": "x"},
    {"https_proxy": "127.0.0.1"},
    {"https_proxy": "http://127.0.0.1"},
    {"https_proxy": "http://127.0.0.1:"},
    {"https_proxy": "HTTP://127.0.0.1:2/path?x#y"},
    {"https_proxy": "http:/127.0.0.1:2"},
    {"https_proxy": "u:p@127.0.0.1:2"},
    {"https_proxy": "[::1]:2"},
    {"https_proxy": "http://[::1]"},
    {"https_proxy": "[::1%25lo]:2"},
    {"https_proxy": "[::1%lo]:2"},
)
INVALID = (
    "http://",
    "http://:2",
    "http://127.0.0.1:port",
    "http://127.0.0.1:99999",
    " http://127.0.0.1:2",
    "//127.0.0.1:2",
    "u:s3cr3t@x@p:1",
)
UNSUPPORTED = ("https://u:s3cr3t@127.0.0.1", "socks5://127.0.0.1:2", "ftp://127.0.0.1:2")

needs_curl = pytest.mark.skipif(
    "curl 7.88" not in (subprocess.getoutput("curl --version") if shutil.which("curl") else ""),
    reason="needs curl 7.88",
)


def curl(urls: list[str], environment: dict[str, str]) -> list[str]:
    """The addresses that curl tries for these URLs, in order; those of targets are 127.0.0.1:1."""
    words = ["curl", "-sv", "--max-time", "5", "--connect-to", "::127.0.0.1:1", *urls]
    done = run_process(words, env={"PATH": os.environ["PATH"], **environment})
    return re.findall(r"Trying (\S+?)\.\.\.", done.stderr)


def our_addresses(urls: list[str], environment: dict[str, str]) -> list[str]:
    """The addresses that we would connect to, written as curl writes them."""
    proxies = [proxy_for(parse_target(url), environment) for url in urls]
    return ["127.0.0.1:1" if proxy is None else str(proxy.address) for proxy in proxies]


@needs_curl
@pytest.mark.parametrize("exceptions", EXCEPTIONS)
def test_exceptions_are_those_of_curl(exceptions: str) -> None:
    """Domains, addresses, networks and blanks in `no_proxy` have the same effect as in curl."""
    urls, environment = [f"https://{host}" for host in HOSTS], {"https_proxy": PROXY, "no_proxy": exceptions}

    assert curl(urls, environment) == our_addresses(urls, environment)


@needs_curl
@pytest.mark.parametrize("variables", VARIABLES, ids=str)
def test_variables_are_those_of_curl(variables: dict[str, str]) -> None:
    """The variables have the same precedence, and the proxy the same address as in curl."""
    assert curl(["https://example.com"], variables) == our_addresses(["https://example.com"], variables)


@needs_curl
@pytest.mark.parametrize("url", INVALID)
def test_what_curl_cannot_use_is_rejected(url: str) -> None:
    """A text that is no proxy is a usage error that does not show it."""
    assert [] == curl(["https://example.com"], {"https_proxy": url})
    with pytest.raises(TargetError, match="such as http://proxy:3128") as error:
        proxy_for(parse_target("https://example.com"), {"https_proxy": url})

    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize("url", UNSUPPORTED)
def test_proxies_of_other_schemes_are_rejected(url: str) -> None:
    """The message names the scheme and what to use, but not the password."""
    with pytest.raises(TargetError, match=f"found the scheme {url.partition(':')[0]}: name an http proxy") as error:
        proxy_for(parse_target("https://example.com"), {"https_proxy": url})

    assert "s3cr3t" not in str(error.value)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port that refuses every CONNECT, and the requests that it got."""
    heads: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                heads.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1], heads


@needs_curl
@pytest.mark.parametrize("user", ["", "@", "u@", "u:@", ":p@", "u:p@", "u%40x:p%3Ap:q@", "u%zz:p@", "%C3%A9:p@"])
def test_credentials_are_those_of_curl(user: str, listener: tuple[int, list[bytes]]) -> None:
    """The proxy gets the user name and password of its URL, as from curl."""
    port, heads = listener
    environment = {"https_proxy": f"http://{user}127.0.0.1:{port}"}
    curl(["https://example.com"], environment)
    proxy = proxy_for(parse_target("https://example.com"), environment)
    sent = re.search(rb"(?i)proxy-authorization: (.*)\r\n", heads[0])

    assert proxy is not None
    assert (sent[1].decode() if sent else None) == proxy.authorization
