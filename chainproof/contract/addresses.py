"""
The addresses of run_remote: the hosts and paths under which Baseten's inference API offers the operation.

The published document (`openapi.yaml`) has the first address only. The other rows come from Baseten's inference document
for the whole family of operations, which declares the same statuses for all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cache

from chainproof.contract.openapi import PATH, server_templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A placeholder of hosts and paths, and the texts that may replace it."""

    placeholder: str
    grammar: re.Pattern[str]
    description: str
    """The grammar in words."""
    unknown: str
    """A valid text that identifies nothing: requests with it must be rejected, and disturb nobody."""

    def accepts(self, text: str) -> bool:
        """True if the whole text matches the grammar."""
        return self.grammar.fullmatch(text) is not None


RESOURCE_ID = Identifier(
    placeholder="id",
    grammar=re.compile(r"[A-Za-z0-9]+"),
    description="an alphanumeric id such as abc123",
    unknown="chainproofnosuchid",
)
"""The id of a chain or model. The document calls both alphanumeric."""

ENVIRONMENT_NAME = Identifier(
    placeholder="env_name",
    grammar=re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"),
    description="the name of an environment: at most 40 lower-case letters, digits, and hyphens inside",
    unknown="chainproof-no-such-environment",
)
"""docs.baseten.co/deployment/environments gives this grammar for regional environments."""

DEPLOYMENT_ID = Identifier(
    placeholder="deployment_id",
    grammar=re.compile(r"[A-Za-z0-9]+"),
    description="an alphanumeric deployment id such as abcd1234",
    unknown="chainproofnosuchdeployment",
)

RESERVED_ENVIRONMENT = "development"
"""The name that no environment can have: the development deployment has an address of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationAddress:
    """One address of run_remote."""

    operation_id: str
    template: str
    """The path, with a placeholder in braces if it has one."""
    identifier: Identifier | None = None
    """What the path identifies; None if it has no placeholder."""
    regional: bool = False
    """True if the hostname names the environment, and the path does not."""
    source: str

    def path(self, text: str = "") -> str:
        """
        The path for an environment or deployment.

        >>> ENVIRONMENT.path("staging")
        '/environments/staging/run_remote'
        """
        return self.template.replace(f"{{{self.identifier.placeholder}}}", text) if self.identifier else self.template

    def identified_in(self, path: str) -> str | None:
        """
        The text at the placeholder of a path, empty for an address without one; None for the path of another address.

        Accepts more names than the grammar, because paths with other names belong to the operation too.

        >>> DEPLOYMENT.identified_in("/deployment/abcd1234/run_remote")
        'abcd1234'
        """
        before, _, after = self.template.partition(f"{{{self.identifier.placeholder}}}" if self.identifier else "\0")
        if self.identifier is None:
            return "" if path == self.template else None
        text = path.removeprefix(before).removesuffix(after)
        return text if path == self.path(text) and _SEGMENT.fullmatch(text) else None


_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")

_FAMILY = "Baseten's inference OpenAPI document of the whole API (basetenlabs/baseten-go, 2026-07-01)"

PRODUCTION = OperationAddress(operation_id="runRemoteProduction", template=PATH, source="the published document")
DEVELOPMENT = OperationAddress(
    operation_id="runRemoteDevelopment", template=f"/{RESERVED_ENVIRONMENT}/run_remote", source=_FAMILY
)
ENVIRONMENT = OperationAddress(
    operation_id="runRemote",
    template="/environments/{env_name}/run_remote",
    identifier=ENVIRONMENT_NAME,
    source=_FAMILY,
)
DEPLOYMENT = OperationAddress(
    operation_id="runRemoteDeployment",
    template="/deployment/{deployment_id}/run_remote",
    identifier=DEPLOYMENT_ID,
    source=_FAMILY,
)
REGIONAL = OperationAddress(operation_id="runRemoteRegional", template="/run_remote", regional=True, source=_FAMILY)

ADDRESSES: tuple[OperationAddress, ...] = (PRODUCTION, DEVELOPMENT, ENVIRONMENT, DEPLOYMENT, REGIONAL)
"""Every address of the operation. Target, options, emulator, checks and documentation derive from this table."""


def neighbours(path: str) -> tuple[str, ...]:
    """
    Paths that no address has, made from the table: the bare path, and templates without their name or id.

    >>> neighbours("/production/run_remote")
    ('/environments/run_remote', '/deployment/run_remote', '/run_remote')
    """
    incomplete = (
        address.template.replace(f"/{{{address.identifier.placeholder}}}", "")
        for address in ADDRESSES
        if address.identifier
    )
    return tuple(each for each in (*incomplete, REGIONAL.path()) if each != path)


def unknown_paths() -> tuple[str, ...]:
    """Paths of the operation with a name or an id that does not exist."""
    return tuple(address.path(address.identifier.unknown) for address in ADDRESSES if address.identifier)


def address_of(path: str) -> OperationAddress | None:
    """
    The address that has a path; None if the path is not one of the operation.

    >>> address_of("/environments/staging/run_remote").operation_id
    'runRemote'
    """
    return next((address for address in ADDRESSES if address.identified_in(path) is not None), None)


class ServerKind(Enum):
    """The four servers that the document lists."""

    MODEL = 0
    CHAIN = 1
    REGIONAL_MODEL = 2
    REGIONAL_CHAIN = 3

    @property
    def template(self) -> str:
        """The URL template of the document."""
        return server_templates()[self.value]

    @property
    def host(self) -> str:
        """The template of the hostname."""
        return self.template.removeprefix("https://")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHost:
    """A hostname of Baseten's, taken apart."""

    server: ServerKind
    identifier: str
    """The id of the chain or model."""
    environment: str
    """The name of the regional environment; empty where the path names it."""


def service_host(host: str) -> ServiceHost | None:
    """
    The parts of a hostname of Baseten's, in any letter case and with or without a trailing dot; None for other hosts.

    >>> service_host("chain-abc123-prod-us.api.baseten.co").environment
    'prod-us'
    """
    for server, pattern in _host_patterns():
        if match := pattern.fullmatch(host.lower().removesuffix(".")):
            parts = match.groupdict(default="")
            return ServiceHost(
                server=server, identifier=parts[RESOURCE_ID.placeholder], environment=parts.get("env_name", "")
            )
    return None


@cache
def _host_patterns() -> tuple[tuple[ServerKind, re.Pattern[str]], ...]:
    """The pattern of each server's hostnames. Ids have no hyphen, so the text behind the second one is an environment."""
    rows = []
    for server in ServerKind:
        host = re.escape(server.url("\0", "\1").removeprefix("https://"))
        rows.append((server, re.compile(host.replace("\0", "(?P<id>[a-z0-9]+)").replace("\1", "(?P<env_name>.*)"))))
    return tuple(rows)
