"""
Which requests are for the operation: method, path and host.
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
"""An id is alphanumeric, so that whatever follows a hyphen behind it is an environment's name."""


def routing_error(request: ReceivedRequest) -> ErrorReply | None:
    """
    Why a request is not for the operation, if it is not: 404 for its path or host, 405 for its method.
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
    A path or host that leads nowhere.
    """
    return ErrorReply(status=404, code=ErrorCode.CLIENT_ERROR, error="Not found.", detail=detail)
