"""
`X-Emulate`: the answer that the caller asks for.
"""

from __future__ import annotations

from dataclasses import replace

from chainproof.contract.errors import PAIRING_BY_CODE, PAIRINGS, UNPAIRED_STATUSES, ErrorCode, statuses
from chainproof.contract.levels import Contract

from .errors import ErrorReply, bad_request, failure
from .request import ReceivedRequest

HEADER = b"x-emulate"
OK = "ok"
_DETAIL = "Asked for by X-Emulate."


def requested_outcome(request: ReceivedRequest, contract: Contract) -> ErrorReply | str | None:
    """
    What a request asks to be answered: a refusal, OK, or None when it asks for nothing.

    `<error_code>` gives the code with its first status, `<error_code> <status>` with another of its row, a status that
    the contract knows without a code that status, `ok` a 200 whatever the scenario's rates say. Anything else is the
    caller's mistake.
    """
    given = request.fields(HEADER)
    if not given:
        return None
    words = given[0].decode("latin-1").split() if len(given) == 1 else []
    if words == [OK]:
        return OK
    unpaired = _unpaired(" ".join(words), contract)
    if unpaired:
        return unpaired
    if not words or len(words) > 2 or words[0] not in PAIRING_BY_CODE:
        return bad_request(_expected(contract))
    row = statuses(words[0], contract)
    if len(words) == 2 and words[1] not in map(str, row):
        return bad_request(f"Expected behind {words[0]} in X-Emulate one of {', '.join(map(str, sorted(row)))}.")
    wish = failure(ErrorCode(words[0]), _DETAIL, int(words[1]) if len(words) == 2 else None)
    return replace(wish, on_demand=True)


def _unpaired(word: str, contract: Contract) -> ErrorReply | None:
    """
    A status that the contract knows and no code goes with.
    """
    if not contract.includes(Contract.DOCUMENTED) or word not in map(str, UNPAIRED_STATUSES):
        return None
    return ErrorReply(status=int(word), code=ErrorCode.CLIENT_ERROR, error="The request is not served.", detail=_DETAIL)


def _expected(contract: Contract) -> str:
    """
    Everything that the header may say.
    """
    rows = (f"{row.code} ({' '.join(map(str, sorted(statuses(row.code, contract))))})" for row in PAIRINGS)
    return f"Expected X-Emulate: ok, or a code and, if you like, one of its statuses: {', '.join(rows)}."
