"""Authentication: requests need the API key in the documented form."""

from __future__ import annotations

from hmac import compare_digest

from chainproof.contract.credentials import ApiKey
from chainproof.contract.deviations import BEARER, HTML_502, PLAIN_401, WRONG_KEY
from chainproof.contract.errors import ErrorCode
from chainproof.contract.levels import Contract

from .errors import ErrorReply, NonJsonBody
from .request import ReceivedRequest

_PLAIN_TEXT = NonJsonBody(media_type="text/plain; charset=utf-8", text="No Authorization header provided")
_HTML = NonJsonBody(
    media_type="text/html",
    text="<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
)


def authentication_error(request: ReceivedRequest, key: ApiKey, contract: Contract) -> ErrorReply | None:
    """The error for an unauthenticated request; None for an authenticated one."""
    values = request.fields(b"authorization")
    if not values:
        detail = "Send the API key as `Authorization: Api-Key …`; this request has no such header."
        return _rejection(401, detail, _PLAIN_TEXT if PLAIN_401.applies_to(contract) else None)
    if len(values) > 1:
        return _rejection(401, "Send one Authorization header; this request has several.")
    if HTML_502.applies_to(contract) and values[0] == b"Bearer":
        return _rejection(502, "Send a key behind `Bearer`; this request has none.", _HTML)
    # Compare in constant time: the duration must not depend on the matching prefix or part of the key.
    prefixes = ("Api-Key", "Bearer") if BEARER.applies_to(contract) else ("Api-Key",)
    matches = [compare_digest(values[0], f"{prefix} {key.reveal()}".encode()) for prefix in prefixes]
    if any(matches):
        return None
    status = 403 if WRONG_KEY.applies_to(contract) else 401
    return _rejection(status, "The Authorization header must be `Api-Key`, one space and a valid key.")


def _rejection(status: int, detail: str, non_json_body: NonJsonBody | None = None) -> ErrorReply:
    """The error for an unauthenticated request."""
    return ErrorReply(status=status, code=ErrorCode.UNAUTHORIZED, detail=detail, non_json_body=non_json_body)
