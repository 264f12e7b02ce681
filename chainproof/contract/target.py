"""
The target: the URL that requests are sent to.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from chainproof.contract.openapi import PATH, server_templates
from chainproof.errors import UsageError


class ServerKind(Enum):
    """
    The four servers that the document lists.
    """

    MODEL = 0
    CHAIN = 1
    REGIONAL_MODEL = 2
    REGIONAL_CHAIN = 3

    @property
    def template(self) -> str:
        """The URL template of the document."""
        return server_templates()[self.value]

    @property
    def regional(self) -> bool:
        """True if the hostname contains the environment, so that path-based routes are not available."""
        return "{env_name}" in self.template

    def url(self, identifier: str, environment: str = "") -> str:
        """
        The server's URL for the id of a model or chain, and the name of the environment if the hostname has one.

        >>> ServerKind.CHAIN.url("abc123")
        'https://chain-abc123.api.baseten.co'
        >>> ServerKind.REGIONAL_CHAIN.url("abc123", "prod-us")
        'https://chain-abc123-prod-us.api.baseten.co'
        """
        url = self.template.replace("{model_id}", identifier).replace("{chain_id}", identifier)
        return url.replace("{env_name}", environment)


class TargetError(UsageError):
    """
    A target that cannot be used.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One endpoint: its origin and the path of the operation.
    """

    scheme: str
    host: str
    """Host name or IP address (IPv6 without brackets)."""
    port: int
    path: str = PATH
    """The operation's path. If it is not the documented one, the contract is assumed to hold for it too."""
    emulated: bool = False
    """True for the emulator that this command started."""

    @property
    def path_assumed(self) -> bool:
        """True if the path is not the documented one, so that every clause is an assumption."""
        return self.path != PATH

    @property
    def authority(self) -> str:
        """The value of the Host header: the port is left out if it is the default of the scheme."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and authority: `https://chain-abc123.api.baseten.co`."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The operation's URL."""
        return self.origin + self.path

    @property
    def label(self) -> str:
        """A name for use in file names: letters, digits, dots and hyphens."""
        return "emulator" if self.emulated else "".join(c if c.isalnum() or c in ".-" else "-" for c in self.authority)


_PORTS = {"http": 80, "https": 443}

_NETLOC = re.compile(r'(\[[^]]*\]|[^][:{} <>"]*)(:\d*)?')
"""Host and port. (`urlsplit` ignores text after a closing bracket.)"""

ENVIRONMENT_PATH = re.compile(
    r"/(?:production|development|environments/[A-Za-z0-9_-]+|deployment/[A-Za-z0-9_-]+)/run_remote"
)
"""The paths of run_remote: the documented one, and those of the other environments in Baseten's full inference document."""

REGIONAL_PATH = "/run_remote"
"""The path of run_remote on hosts that name the environment."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9]+")
_ENVIRONMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""Names of regional environments: at most 40 characters (docs.baseten.co/deployment/environments)."""


def deployment_url(
    *, chain_id: str = "", model_id: str = "", environment: str = "production", regional: bool = False
) -> str:
    """
    The URL of run_remote for a deployed chain or model in an environment.

    >>> deployment_url(chain_id="abc123")
    'https://chain-abc123.api.baseten.co/production/run_remote'
    >>> deployment_url(chain_id="abc123", environment="staging")
    'https://chain-abc123.api.baseten.co/environments/staging/run_remote'
    >>> deployment_url(chain_id="abc123", environment="prod-us", regional=True)
    'https://chain-abc123-prod-us.api.baseten.co/run_remote'

    Only the first path is in the document. Raises TargetError.
    """
    if bool(chain_id) is bool(model_id):
        raise TargetError(f"expected either --chain-id or --model-id, found {'both' if chain_id else 'neither'}")
    identifier = chain_id or model_id
    if not _IDENTIFIER.fullmatch(identifier):
        raise TargetError(f"expected an alphanumeric id such as abc123, found {identifier!r}")
    if not _ENVIRONMENT.fullmatch(environment):
        raise TargetError(
            f"expected the name of an environment: lower-case letters, digits, and hyphens inside, found {environment!r}"
        )
    server = _SERVERS[(bool(chain_id), regional)]
    if regional:
        return server.url(identifier, environment) + REGIONAL_PATH
    path = f"/{environment}" if environment in ("production", "development") else f"/environments/{environment}"
    return server.url(identifier) + path + "/run_remote"


_SERVERS = {
    (False, False): ServerKind.MODEL,
    (True, False): ServerKind.CHAIN,
    (False, True): ServerKind.REGIONAL_MODEL,
    (True, True): ServerKind.REGIONAL_CHAIN,
}


def parse_target(text: str, *, emulated: bool = False, loopback: bool = False) -> Target:
    """
    The target in a URL: an origin (`https://chain-abc123.api.baseten.co`) or the full URL of the operation.

    Plain http is accepted only for loopback addresses, since every request carries the key. Pass *loopback* if the
    connection goes to a loopback address whatever the URL says. Raises TargetError.
    """
    example = "expected a URL such as https://chain-abc123.api.baseten.co"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise TargetError(f"{example}, found {text!r} ({error})") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise TargetError(f"{example}, found {text!r}")
    if parts.username is not None or parts.password is not None:
        raise TargetError("expected a URL without user name and password; the key comes from the environment")
    if parts.query or parts.fragment:
        raise TargetError(f"expected a URL without query and fragment, found {text!r}")
    if not _NETLOC.fullmatch(parts.netloc) or not _is_valid_host(parts.hostname):
        raise TargetError(f"{example}, found the host {parts.netloc!r}")
    if port == 0:
        raise TargetError(f"{example}, found port 0 in {text!r}")
    if parts.scheme == "http" and not loopback and not is_loopback(parts.hostname):
        raise TargetError(
            f"expected https for {parts.hostname}: over plain http, the API key would be sent unencrypted; it is accepted only for loopback addresses"
        )
    path = parts.path.rstrip("/")
    if path not in ("", REGIONAL_PATH) and not ENVIRONMENT_PATH.fullmatch(path):
        raise TargetError(
            f"expected no path, {PATH}, or that of another environment's run_remote, found {parts.path!r} in {text!r}"
        )
    return Target(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        path=path or PATH,
        emulated=emulated,
    )


def is_loopback(host: str) -> bool:
    """
    True for `localhost`, its subdomains and loopback addresses.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_valid_host(host: str) -> bool:
    """
    True for an IP address, or for labels of ASCII letters, digits, hyphens and underscores.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return host.isascii() and all(
            label and len(label) < 64 and label.replace("-", "").replace("_", "").isalnum() for label in labels
        )
    return True
