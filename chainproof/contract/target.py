"""The target: the URL that requests are sent to."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from chainproof.contract.addresses import (
    ADDRESSES,
    DEPLOYMENT,
    DEPLOYMENT_ID,
    DEVELOPMENT,
    ENVIRONMENT,
    ENVIRONMENT_NAME,
    PRODUCTION,
    REGIONAL,
    RESERVED_ENVIRONMENT,
    RESOURCE_ID,
    Identifier,
    ServerKind,
    address_of,
    service_host,
)
from chainproof.contract.openapi import PATH
from chainproof.errors import UsageError


class TargetError(UsageError):
    """A target that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One endpoint: its origin and the path of the operation."""

    scheme: str
    host: str
    """Host name or IP address (IPv6 without brackets, with the zone of a link-local address)."""
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
        """The value of the Host header: the port is left out if it is the default of the scheme. It has no zone (RFC 6874 §4)."""
        return self._with_port(self.tls_name)

    @property
    def tls_name(self) -> str:
        """The name or address in the target's certificate: the host without its zone."""
        return self.host.partition("%")[0]

    @property
    def origin(self) -> str:
        """Scheme and authority: `https://chain-abc123.api.baseten.co`. The percent sign of a zone is encoded (RFC 6874 §2)."""
        return f"{self.scheme}://{self._with_port(self.host.replace('%', '%25'))}"

    def _with_port(self, host: str) -> str:
        name = f"[{host}]" if ":" in host else host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"

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


def deployment_url(
    *, chain_id: str = "", model_id: str = "", environment: str = "", deployment: str = "", regional: bool = False
) -> str:
    """
    The URL of run_remote for a deployed chain or model: in an environment (default: production), or of one deployment.

    >>> deployment_url(chain_id="abc123")
    'https://chain-abc123.api.baseten.co/production/run_remote'
    >>> deployment_url(chain_id="abc123", environment="staging")
    'https://chain-abc123.api.baseten.co/environments/staging/run_remote'
    >>> deployment_url(chain_id="abc123", deployment="abcd1234")
    'https://chain-abc123.api.baseten.co/deployment/abcd1234/run_remote'
    >>> deployment_url(chain_id="abc123", environment="prod-us", regional=True)
    'https://chain-abc123-prod-us.api.baseten.co/run_remote'

    Only the first path is in the document. Raises TargetError.
    """
    if bool(chain_id) is bool(model_id):
        raise TargetError(f"expected either --chain-id or --model-id, found {'both' if chain_id else 'neither'}")
    if deployment and (environment or regional):
        raise TargetError("expected --deployment without --environment and --regional: a deployment has one address")
    if regional and environment in ("", RESERVED_ENVIRONMENT):
        raise TargetError(
            f"expected the name of a regional environment with --regional, found {environment or 'none'}: it is part of the hostname"
        )
    _check_identifier(RESOURCE_ID, chain_id or model_id)
    server = _SERVERS[(bool(chain_id), regional)]
    return server.url(chain_id or model_id, environment) + _path(environment, deployment, regional=regional)


def _path(environment: str, deployment: str, *, regional: bool) -> str:
    """The path of run_remote. Raises TargetError."""
    if deployment:
        _check_identifier(DEPLOYMENT_ID, deployment)
        return DEPLOYMENT.path(deployment)
    _check_identifier(ENVIRONMENT_NAME, environment or "production")
    if regional:
        return REGIONAL.path()
    by_name = {"": PRODUCTION, "production": PRODUCTION, RESERVED_ENVIRONMENT: DEVELOPMENT}
    return by_name.get(environment, ENVIRONMENT).path(environment)


def _check_identifier(identifier: Identifier, text: str) -> None:
    """Raise TargetError for a text that cannot be the identifier."""
    if not identifier.accepts(text):
        raise TargetError(f"expected {identifier.description}, found {text!r}")


_SERVERS = {
    (False, False): ServerKind.MODEL,
    (True, False): ServerKind.CHAIN,
    (False, True): ServerKind.REGIONAL_MODEL,
    (True, True): ServerKind.REGIONAL_CHAIN,
}

_BARE_HOST = re.compile(r"(?P<host>localhost|[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,9})(:[0-9]{1,5})?")
"""A host name or an IPv4 address without a scheme."""
_PRIVATE = re.compile(r"(?<=//)[^/@]*(?=@)|(?<=[?#]).+", re.DOTALL)
"""What a URL may not have: user name and password, query and fragment. They may be secret."""


def parse_target(text: str, *, emulated: bool = False, loopback: bool = False) -> Target:
    """
    The target in a URL: an origin (`https://chain-abc123.api.baseten.co`) or the full URL of the operation.

    Plain http is accepted only for loopback addresses, since every request carries the key. Pass *loopback* if the
    connection goes to a loopback address whatever the URL says. Raises TargetError.
    """
    example = "expected a URL such as https://chain-abc123.api.baseten.co"
    shown = _PRIVATE.sub("…", text)
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise TargetError(f"{example}, found {shown!r} ({error})") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise TargetError(f"{example}, found {shown!r}{_with_scheme(text.strip())}")
    if parts.username is not None or parts.password is not None:
        raise TargetError("expected a URL without user name and password; the key comes from the environment")
    if parts.query or parts.fragment:
        raise TargetError(f"expected a URL without query and fragment, found {shown!r}")
    if not _NETLOC.fullmatch(parts.netloc) or not _is_valid_host(parts.hostname):
        raise TargetError(f"{example}, found the host {parts.netloc!r}")
    if port == 0:
        raise TargetError(f"{example}, found port 0 in {shown!r}")
    if parts.scheme == "http" and not loopback and not is_loopback(parts.hostname):
        raise TargetError(
            f"expected https for {parts.hostname}: over plain http, the API key would be sent unencrypted; it is accepted only for loopback addresses"
        )
    return Target(
        scheme=parts.scheme,
        host=without_needless_zone(parts.hostname),
        port=port or _PORTS[parts.scheme],
        path=_operation_path(parts.path, parts.hostname, text),
        emulated=emulated,
    )


def _with_scheme(text: str) -> str:
    """
    A question whether a URL was meant, for a host name or address without a scheme; else empty.

    >>> _with_scheme("127.0.0.1:8080"), _with_scheme("nonsense")
    ('; did you mean http://127.0.0.1:8080?', '')
    """
    found = _BARE_HOST.fullmatch(text)
    if found is None:
        return ""
    return f"; did you mean {'http' if is_loopback(found['host']) else 'https'}://{text}?"


def _operation_path(path: str, host: str, text: str) -> str:
    """The operation's path in a URL: if it has none, the one that its host serves. Raises TargetError."""
    name = service_host(host)
    regional = name is not None and name.server.regional
    path = path.rstrip("/") or (REGIONAL if regional else PRODUCTION).path()
    address = address_of(path)
    if address is None:
        paths = ", ".join(each.template for each in ADDRESSES)
        raise TargetError(f"expected no path, or one of {paths}, found {path!r} in {text!r}")
    if name is not None and address.regional is not regional:
        available = REGIONAL.template if regional else "paths that name an environment or deployment"
        raise TargetError(f"expected no path, or {available} on the host {host}, found {path!r}")
    return path


def is_loopback(host: str) -> bool:
    """True for `localhost`, its subdomains and loopback addresses."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(target: Target, address: str) -> None:
    """Raise TargetError if a connection to an address would carry the key unencrypted to another machine."""
    if target.scheme == "http" and not is_loopback(address):
        raise TargetError(
            f"expected https for {target.host}, which is at {address}: over plain http, the API key would be sent unencrypted; "
            "it is accepted only for loopback addresses"
        )


def without_needless_zone(host: str) -> str:
    """
    A host with `%` in place of `%25` before the zone of an IPv6 address, and without the zone if only link-local ones need it.

    >>> without_needless_zone("fe80::1%25eth0"), without_needless_zone("::1%lo")
    ('fe80::1%eth0', '::1')
    """
    address, percent, zone = host.partition("%")
    if ":" not in address or not percent:
        return host
    try:
        needs_zone = ipaddress.IPv6Address(address).is_link_local
    except ValueError:
        return host  # no address: it is rejected elsewhere
    return f"{address}%{zone.removeprefix('25')}" if needs_zone else address


def _is_valid_host(host: str) -> bool:
    """True for an IP address, or for labels of ASCII letters, digits, hyphens and underscores."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return host.isascii() and all(
            label and len(label) < 64 and label.replace("-", "").replace("_", "").isalnum() for label in labels
        )
    return True
