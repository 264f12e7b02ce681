"""
Routing: which method, path and host belong to the operation.
"""

from __future__ import annotations

import re

from chainproof.contract.errors import ErrorCode
from chainproof.contract.openapi import METHOD, PATH

from .errors import ErrorReply
from .request import ReceivedRequest

_PATH = PATH.encode()
_METHOD = METHOD.encode()

_REGIONAL = re.compile(rb"(?:model|chain)-[a-z0-9]+-.*\.api\.baseten\.co\.?", re.IGNORECASE)
"""An id is alphanumeric, so the text after the hyphen is the name of an environment."""


def routing_error(request: ReceivedRequest) -> ErrorReply | None:
    """
    The error for a request that is not for the operation: 404 for its path or host, 405 for its method; else None.
    """
    if request.path != _PATH:
        return _not_found(f"Only {METHOD} {PATH} is served here.")
    if _REGIONAL.fullmatch(request.host):
        return _not_found("Path-based routes are not available on regional hostnames.")
    if request.method != _METHOD:
        return ErrorReply(
            status=405,
            code=ErrorCode.CLIENT_ERROR,
            error="Method not allowed.",
            detail=f"{PATH} answers {METHOD} alone.",
            headers=(("Allow", METHOD),),
        )
    return None


def _not_found(detail: str) -> ErrorReply:
    """
    A 404.
    """
    return ErrorReply(status=404, code=ErrorCode.CLIENT_ERROR, error="Not found.", detail=detail)
