"""Routing: which methods, paths and hosts belong to the operation."""

from __future__ import annotations

from functools import lru_cache

from chainproof.contract.addresses import (
    ADDRESSES,
    DEPLOYMENT,
    ENVIRONMENT,
    REGIONAL,
    address_of,
    service_host,
)
from chainproof.contract.errors import ErrorCode
from chainproof.contract.openapi import METHOD

from .errors import ErrorReply
from .request import ReceivedRequest


def routing_error(
    request: ReceivedRequest, environments: tuple[str, ...], deployments: tuple[str, ...]
) -> ErrorReply | None:
    """
    The error for a request that is not for the operation: 404 for its path or host, 405 for its method; else None.

    *environments* and *deployments* exist besides `production` and the development deployment, which always do.
    """
    error = _address_error(request.path, request.host, environments, deployments)
    if error is None and request.method != _METHOD:
        return _METHOD_ERROR
    return error


@lru_cache(maxsize=256)  # called for every request, mostly with the same arguments
def _address_error(
    path_bytes: bytes, host: bytes, environments: tuple[str, ...], deployments: tuple[str, ...]
) -> ErrorReply | None:
    """The error for a path that a host does not serve; else None."""
    path = path_bytes.decode("latin-1")
    known_environments = ("production", *environments)
    name = service_host(host.decode("latin-1"))
    address = address_of(path)
    if name is not None and name.server.regional:
        if address is not REGIONAL:
            return _not_found("Path-based routes are not available on regional hostnames.")
        return None if name.environment in known_environments else _unknown("environment")
    if address is None:
        return _not_found(f"Expected one of {', '.join(each.template for each in ADDRESSES if not each.regional)}.")
    if address is REGIONAL:
        return _not_found(f"{REGIONAL.template} is available on regional hostnames only.")
    if address is ENVIRONMENT and address.identified_in(path) not in known_environments:
        return _unknown("environment")
    if address is DEPLOYMENT and address.identified_in(path) not in deployments:
        return _unknown("deployment")
    return None


_METHOD = METHOD.encode()
_METHOD_ERROR = ErrorReply(
    status=405,
    code=ErrorCode.CLIENT_ERROR,
    error="Method not allowed.",
    detail=f"The operation answers {METHOD} alone.",
    headers=(("Allow", METHOD),),
)


def _not_found(detail: str) -> ErrorReply:
    """The 404 for a path or host that is not one of the operation's addresses."""
    return ErrorReply(status=404, code=ErrorCode.CLIENT_ERROR, error="Not found.", detail=detail)


def _unknown(what: str) -> ErrorReply:
    """The 404 for an environment or deployment that does not exist (docs.baseten.co/inference/errors)."""
    return ErrorReply(
        status=404, code=ErrorCode.MODEL_DOES_NOT_EXIST, detail=f"This chain has no such {what}, or it was deleted."
    )
