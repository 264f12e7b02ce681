"""Requests as they go over the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chainproof import __version__
from chainproof.contract.credentials import ApiKey
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.openapi import METHOD
from chainproof.contract.target import Target
from chainproof.endpoint import Endpoint
from chainproof.workload.payloads import Payload

PayloadLike = Payload | Mapping[str, Any]
"""A JSON object to send, with or without a name."""

DEFAULT_HEADERS = (
    ("Content-Type", "application/json"),
    ("Accept", "application/json"),
    ("User-Agent", f"chainproof/{__version__}"),
)
"""Header fields of every request besides Host, Authorization and Content-Length. Custom fields replace them."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedRequest:
    """A payload and the request that carries it, encoded once."""

    body: bytes
    wire_bytes: bytes
    payload_name: str | None = None
    """The name of the payload, if the workload has several."""


def encode_request(endpoint: Endpoint, payload: PayloadLike, *, named: bool = True) -> EncodedRequest:
    """The request that sends a payload to the endpoint; *named* if it is counted under the name of the payload."""
    payload = payload if isinstance(payload, Payload) else Payload(name="", body=dict(payload))
    body = payload.encoded()
    wire_bytes = request_bytes(endpoint.target, endpoint.key, body, endpoint.fields)
    return EncodedRequest(body, wire_bytes, (payload.name or None) if named else None)


def request_bytes(target: Target, key: ApiKey, body: bytes, custom_fields: tuple[HeaderField, ...] = ()) -> bytes:
    """The bytes of a request, header fields included."""
    fields = (("Host", target.authority), *header_fields(key, custom_fields), ("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{METHOD} {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def header_fields(key: ApiKey, custom_fields: tuple[HeaderField, ...] = ()) -> tuple[HeaderField, ...]:
    """The header fields of a request. A custom field replaces the default field of the same name."""
    custom_names = {name.lower() for name, _ in custom_fields}
    defaults = (field for field in DEFAULT_HEADERS if field[0].lower() not in custom_names)
    return (("Authorization", key.authorization), *defaults, *custom_fields)
