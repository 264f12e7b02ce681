"""
Where the requests go.
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
    The four forms of hostname that the document lists.
    """

    MODEL = 0
    CHAIN = 1
    REGIONAL_MODEL = 2
    REGIONAL_CHAIN = 3

    @property
    def template(self) -> str:
        """The URL with its variables in braces, as the document has it."""
        return server_templates()[self.value]

    @property
    def regional(self) -> bool:
        """Whether the environment is part of the hostname, so that path-based routes are not available."""
        return "{env_name}" in self.template

    def url(self, identifier: str, environment: str = "") -> str:
        """
        The server's URL for a model's or chain's id, and for the environment's name where the form has one.

        >>> ServerKind.CHAIN.url("abc123")
        'https://chain-abc123.api.baseten.co'
        >>> ServerKind.REGIONAL_CHAIN.url("abc123", "prod-us")
        'https://chain-abc123-prod-us.api.baseten.co'
        """
        url = self.template.replace("{model_id}", identifier).replace("{chain_id}", identifier)
        return url.replace("{env_name}", environment)


class TargetError(UsageError):
    """
    A target that cannot be used; the message says what was expected, what was found and what to do.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    One endpoint: its origin and the path of the operation there.
    """

    scheme: str
    host: str
    """Name or address, IPv6 without brackets."""
    port: int
    path: str = PATH
    """The operation's path; where it is not the document's, the contract is transplanted, which is an assumption."""
    emulated: bool = False
    """Whether it is the emulator this command started itself."""

    @property
    def path_assumed(self) -> bool:
        """Whether the path is another than the document's, so that every clause holds there by assumption alone."""
        return self.path != PATH

    @property
    def authority(self) -> str:
        """What the Host header says: no port where it is the scheme's own."""
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
        """The target in file names: letters, digits, dots and hyphens."""
        return "emulator" if self.emulated else "".join(c if c.isalnum() or c in ".-" else "-" for c in self.authority)


_PORTS = {"http": 80, "https": 443}

_NETLOC = re.compile(r'(\[[^]]*\]|[^][:{} <>"]*)(:\d*)?')
"""Host and port and nothing else: `urlsplit` passes over what stands behind a bracket."""


_KIN = re.compile(r"(?:/(?:production|development|environments/[A-Za-z0-9_-]+|deployment/[A-Za-z0-9_-]+))?/run_remote")
"""The paths of run_remote: the document's, and those of its sister operations in Baseten's full inference document."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9]+")
_ENVIRONMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""Regional environment names, as docs.baseten.co/deployment/environments has them: at most 40 characters."""


def deployment_url(
    *, chain_id: str = "", model_id: str = "", environment: str = "production", regional: bool = False
) -> str:
    """
    The URL of run_remote of a deployment_url chain, or of a model, in an environment.

    >>> deployment_url(chain_id="abc123")
    'https://chain-abc123.api.baseten.co/production/run_remote'
    >>> deployment_url(chain_id="abc123", environment="staging")
    'https://chain-abc123.api.baseten.co/environments/staging/run_remote'
    >>> deployment_url(chain_id="abc123", environment="prod-us", regional=True)
    'https://chain-abc123-prod-us.api.baseten.co/run_remote'

    Only the first path is the document's; the others are those of its sister operations. Raises TargetError.
    """
    if bool(chain_id) is bool(model_id):
        raise TargetError("expected either --chain-id or --model-id")
    identifier = chain_id or model_id
    if not _IDENTIFIER.fullmatch(identifier):
        raise TargetError(f"expected an alphanumeric id such as abc123, found {identifier!r}")
    if not _ENVIRONMENT.fullmatch(environment):
        raise TargetError(
            f"expected an environment's name of lower-case letters, digits and inner hyphens, found {environment!r}"
        )
    form = _FORMS[(bool(chain_id), regional)]
    if regional:
        return form.url(identifier, environment) + "/run_remote"
    path = f"/{environment}" if environment in ("production", "development") else f"/environments/{environment}"
    return form.url(identifier) + path + "/run_remote"


_FORMS = {
    (False, False): ServerKind.MODEL,
    (True, False): ServerKind.CHAIN,
    (False, True): ServerKind.REGIONAL_MODEL,
    (True, True): ServerKind.REGIONAL_CHAIN,
}


def parse_target(text: str, *, emulated: bool = False, loopback: bool = False) -> Target:
    """
    The target that a URL names: an origin (`https://chain-abc123.api.baseten.co`) or the operation's whole URL.

    Plain http is taken for loopback addresses only, since the key travels with every request; *loopback* says that the
    connection goes to one whatever the URL says. Raises TargetError.
    """
    example = "expected a URL such as https://chain-abc123.api.baseten.co"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as wrong:
        raise TargetError(f"{example}, found {text!r} ({wrong})") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise TargetError(f"{example}, found {text!r}")
    if parts.username is not None or parts.password is not None:
        raise TargetError("expected a URL without user name and password; the key comes from the environment")
    if parts.query or parts.fragment:
        raise TargetError(f"expected a URL without query and fragment, found {text!r}")
    if not _NETLOC.fullmatch(parts.netloc) or not _plausible(parts.hostname):
        raise TargetError(f"{example}, found the host {parts.netloc!r}")
    if port == 0:
        raise TargetError(f"{example}, found port 0 in {text!r}")
    if parts.scheme == "http" and not loopback and not is_loopback(parts.hostname):
        raise TargetError(
            f"expected https for {parts.hostname}: the API key would travel in the clear; plain http is for loopback addresses"
        )
    path = parts.path.rstrip("/")
    if path and not _KIN.fullmatch(path):
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
    Whether a host is this machine: `localhost`, a name under it, or a loopback address.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plausible(host: str) -> bool:
    """
    Whether a host could be resolved at all: an address, or labels of ASCII letters, digits, hyphens and underscores.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return host.isascii() and all(
            label and len(label) < 64 and label.replace("-", "").replace("_", "").isalnum() for label in labels
        )
    return True
