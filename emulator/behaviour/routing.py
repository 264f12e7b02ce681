"""Routing: which methods, paths and hosts belong to the operation."""

from __future__ import annotations

from functools import lru_cache

from chainproof.contract.addresses import ADDRESSES, ENVIRONMENT_NAME, REGIONAL, address_of, service_host
from chainproof.contract.errors import ErrorCode
from chainproof.contract.openapi import METHOD

from .errors import ErrorReply
from .request import ReceivedRequest

Names = tuple[tuple[str, tuple[str, ...]], ...]
"""The names and ids that exist, by the placeholder of an address."""


def routing_error(request: ReceivedRequest, names: Names) -> ErrorReply | None:
    """The error for a request that is not for the operation: 404 for its path or host, 405 for its method; else None."""
    error = _address_error(request.path, request.host, names)
    if error is None and request.method != _METHOD:
        return _METHOD_ERROR
    return error


@lru_cache(maxsize=256)  # called for every request, mostly with the same arguments
def _address_error(path_bytes: bytes, host: bytes, names: Names) -> ErrorReply | None:
    """The error for a path that a host does not serve; else None."""
    path, known = path_bytes.decode("latin-1"), dict(names)
    name = service_host(host.decode("latin-1"))
    address = address_of(path)
    if name is not None and name.server.regional:
        if address is not REGIONAL:
            return _not_found("Path-based routes are not available on regional hostnames.")
        return None if name.environment in known[ENVIRONMENT_NAME.placeholder] else _UNKNOWN
    if address is None:
        return _not_found(f"Expected one of {', '.join(each.template for each in ADDRESSES if not each.regional)}.")
    if address is REGIONAL:
        return _not_found(f"{REGIONAL.template} is available on regional hostnames only.")
    if address.identifier and address.identified_in(path) not in known.get(address.identifier.placeholder, ()):
        return _UNKNOWN
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


_UNKNOWN = ErrorReply(
    status=404,
    code=ErrorCode.MODEL_DOES_NOT_EXIST,
    detail="This chain has no such environment or deployment, or it was deleted.",
)
"""The 404 for a name or an id that does not exist (docs.baseten.co/inference/errors)."""
