"""Steering: the X-Emulate header requests an outcome."""

from __future__ import annotations

from dataclasses import replace

from chainproof.contract.errors import PAIRING_BY_CODE, PAIRINGS, UNPAIRED_STATUSES, ErrorCode, statuses
from chainproof.contract.levels import Contract

from .errors import ErrorReply, bad_request, failure
from .request import ReceivedRequest

HEADER = b"x-emulate"
OK = "ok"
_DETAIL = "Requested with X-Emulate."


def requested_outcome(request: ReceivedRequest, contract: Contract) -> ErrorReply | str | None:
    """
    The outcome requested by X-Emulate: an error, OK, or None without the header.

    `<error_code>` requests the code with its first status, `<error_code> <status>` with another of its statuses,
    `<status>` a status that the contract has without a code, `ok` a 200 regardless of the error rates. Other values
    are answered 400.
    """
    values = request.fields(HEADER)
    if not values:
        return None
    words = values[0].decode("latin-1").split() if len(values) == 1 else []
    if words == [OK]:
        return OK
    status_error = _unpaired_status_error(" ".join(words), contract)
    if status_error:
        return status_error
    if not words or len(words) > 2 or words[0] not in PAIRING_BY_CODE:
        return bad_request(_accepted_values(contract))
    row = statuses(words[0], contract)
    if len(words) == 2 and words[1] not in map(str, row):
        return bad_request(f"Expected behind {words[0]} in X-Emulate one of {', '.join(map(str, sorted(row)))}.")
    reply = failure(ErrorCode(words[0]), _DETAIL, int(words[1]) if len(words) == 2 else None)
    return replace(reply, on_demand=True)


def _unpaired_status_error(word: str, contract: Contract) -> ErrorReply | None:
    """The error for a documented status that has no code; else None."""
    if not contract.includes(Contract.DOCUMENTED) or word not in map(str, UNPAIRED_STATUSES):
        return None
    return ErrorReply(status=int(word), code=ErrorCode.CLIENT_ERROR, error="The request is not served.", detail=_DETAIL)


def _accepted_values(contract: Contract) -> str:
    """A sentence that lists the accepted values of the header."""
    rows = (f"{row.code} ({' '.join(map(str, sorted(statuses(row.code, contract))))})" for row in PAIRINGS)
    return f"Expected X-Emulate: ok, or a code and, if you like, one of its statuses: {', '.join(rows)}."
