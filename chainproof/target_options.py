"""The target as one typed value: read from the options, passed on to child processes and workers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, AuthScheme
from chainproof.contract.header_fields import HeaderField, parse_header
from chainproof.contract.route import Address, parse_address
from chainproof.contract.target import deployment_url
from chainproof.errors import UsageError


class TargetData(TypedDict):
    """A target in JSON."""

    url: str | None
    connect_to: str | None
    ca_file: str | None
    headers: list[tuple[str, str]]
    key_variable: str
    auth_scheme: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """Where requests go and how they get there. It names the variable of the API key and never holds the key."""

    url: str | None = None
    """From `--target`, or from an id and an environment; None: the environment names the target, or an emulator is started."""
    connect_to: Address | None = None
    ca_file: str | None = None
    headers: tuple[HeaderField, ...] = ()
    key_variable: str = DEFAULT_KEY_VARIABLE
    auth_scheme: AuthScheme = AuthScheme.API_KEY

    def to_json(self) -> TargetData:
        """The target for a child process or a worker."""
        return {
            "url": self.url,
            "connect_to": None if self.connect_to is None else str(self.connect_to),
            "ca_file": self.ca_file,
            "headers": list(self.headers),
            "key_variable": self.key_variable,
            "auth_scheme": self.auth_scheme.value,
        }

    @classmethod
    def from_json(cls, data: TargetData) -> TargetOptions:
        """The target that `to_json` wrote."""
        return cls(
            url=data["url"],
            connect_to=None if data["connect_to"] is None else parse_address(data["connect_to"]),
            ca_file=data["ca_file"],
            headers=tuple((name, value) for name, value in data["headers"]),
            key_variable=data["key_variable"],
            auth_scheme=AuthScheme(data["auth_scheme"]),
        )


def parse_target_options(values: Mapping[str, Any]) -> TargetOptions:
    """The target that the values of `TARGET_OPTIONS` describe, by option name. Raises UsageError."""
    return TargetOptions(
        url=_url(values),
        connect_to=parse_address(values["connect_to"]) if values["connect_to"] else None,
        ca_file=values["ca_file"],
        headers=tuple(parse_header(text) for text in values["header"] or ()),
        key_variable=values["api_key_env"],
        auth_scheme=AuthScheme(values["auth_scheme"]),
    )


def _url(values: Mapping[str, Any]) -> str | None:
    """The target's URL, from `--target` or from an id and an environment."""
    target: str | None = values["target"]
    if target == "":
        raise UsageError("expected a URL with --target, found an empty text; is the variable that should hold it set?")
    by_id = bool(values["chain_id"] or values["model_id"])
    if by_id and target:
        raise UsageError("expected --target or an id, found both; leave one out")
    if not by_id and (values["environment"] or values["deployment"] or values["regional"]):
        raise UsageError("expected --chain-id or --model-id with --environment, --deployment and --regional")
    if not by_id:
        return target
    return deployment_url(
        chain_id=values["chain_id"] or "",
        model_id=values["model_id"] or "",
        environment=values["environment"] or "",
        deployment=values["deployment"] or "",
        regional=values["regional"],
    )
