"""
How it fails, when it is made to.
"""

from __future__ import annotations

import pytest

from chainproof.contract import clauses
from chainproof.contract.errors import ErrorCode

from ..examination import Examination
from ..expectation import STEER
from ..request import JSON_TYPE
from . import upholds


@upholds(clauses.STEERED_ERROR, clauses.ERROR_CODE, clauses.ERROR_CODE_STATUS)
def every_documented_error_is_given_on_demand(examination: Examination) -> None:
    """
    Each of the ten codes, with a status of its row, in a body and with a request id as documented.
    """
    if not examination.settings.steerable:
        pytest.skip("the target is not said to give errors on demand (--steerable)")
    for code in ErrorCode:
        examination.ask(examination.request(fields=((STEER, code.value), JSON_TYPE), label=f"{STEER}: {code.value}"))
