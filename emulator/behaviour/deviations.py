"""
Where the service is not as the published document says: what each wider contract shows beside the strict one.

Each row says what is shown, from which contract on, which clauses of the strict contract that breaks, and who says so.
Whatever the emulator does differently under a wider contract asks the row here; so does the table in docs/emulator.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainproof.contract import clauses
from chainproof.contract.clauses import Clause
from chainproof.contract.levels import Contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """
    One way in which the service differs from the strict contract.
    """

    description: str
    contract: Contract
    """The first that shows it."""
    violates: tuple[Clause, ...] = ()
    """The clauses of the strict contract that it goes against; none where the document is silent."""
    citation: str

    def applies_to(self, contract: Contract) -> bool:
        """Whether a contract shows it."""
        return contract.includes(self.contract)


WRONG_KEY = Deviation(
    description="403 to a wrong key",
    contract=Contract.DOCUMENTED,
    violates=(clauses.STATUS, clauses.KEY_VERIFIED),
    citation="inference/errors groups 401 and 403 as a missing or invalid API key",
)
BEARER = Deviation(
    description="the key behind `Bearer` counts",
    contract=Contract.DOCUMENTED,
    violates=(clauses.KEY_PREFIX,),
    citation="inference OpenAPI document since 2026-06-08: BearerAuth, with Api-Key accepted as the legacy scheme",
)
ANY_MEDIA_TYPE = Deviation(
    description="the body is read whatever Content-Type and Content-Encoding say",
    contract=Contract.DOCUMENTED,
    violates=(clauses.MEDIA_TYPE_REQUIRED,),
    citation="basetenlabs/truss: the chain's server looks at the media type for application/octet-stream alone",
)
LARGE_BODY = Deviation(
    description="413 to a body over the limit",
    contract=Contract.DOCUMENTED,
    violates=(clauses.STATUS,),
    citation="inference/errors: a body above 100 MB is answered 413",
)
NON_FINITE = Deviation(
    description="`NaN` and `Infinity` in a body are taken, and written as null",
    contract=Contract.DOCUMENTED,
    violates=(clauses.INVALID_JSON_REJECTED,),
    citation="basetenlabs/truss: the chain's server parses with Python's json, and writes with pydantic",
)
BARE_ERRORS = Deviation(
    description='errors are `{"error": "<message>"}`, without code and detail',
    contract=Contract.DOCUMENTED,
    citation="inference/errors: every failed response is JSON of that form",
)
ATTEMPTS = Deviation(
    description="`X-BASETEN-MODEL-PREDICTION-ATTEMPTS: 1` on whatever reached the chain",
    contract=Contract.DOCUMENTED,
    citation="deployment/autoscaling/request-lifecycle: the gateway retries, and the header counts",
)
INPUT_ERRORS = Deviation(
    description="the chain's server words its input errors itself, with `X-BASETEN-ERROR-SOURCE: 04` and `-CODE: 700`",
    contract=Contract.DOCUMENTED,
    citation="basetenlabs/truss, truss/templates/server: errors.py",
)
ERROR_OBJECTS = Deviation(
    description="500, or the status of an HTTPException, with `error` an object, to an exception in run_remote",
    contract=Contract.DOCUMENTED,
    violates=(clauses.STATUS, clauses.ERROR_MESSAGE, clauses.NO_INTERNALS),
    citation="basetenlabs/truss: an exception is answered with its class, message and stack, passed on unchanged",
)
ANY_OUTPUT = Deviation(
    description="any JSON value is an output",
    contract=Contract.DOCUMENTED,
    violates=(clauses.OUTPUT_OBJECT,),
    citation="docs.baseten.co/development/chain/getting-started: the first example returns a string",
)
PLAIN_401 = Deviation(
    description="text/plain `No Authorization header provided` as the 401 to a request without one",
    contract=Contract.OBSERVED,
    violates=(clauses.ERROR_MEDIA_TYPE, clauses.ERROR_JSON),
    citation="third party, inference.poolside.ai, 2026-09-26: a gateway of Baseten's, not known to be a chain's",
)
HTML_502 = Deviation(
    description="an HTML 502 to `Authorization: Bearer` without a key",
    contract=Contract.OBSERVED,
    violates=(clauses.ERROR_MEDIA_TYPE, clauses.ERROR_JSON),  # it lets nobody in; what it lacks is the gateway's 401
    citation="third party, a front proxy of the same kind of gateway",
)

DEVIATIONS: tuple[Deviation, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Deviation))
"""Every row, in the order of this file."""
