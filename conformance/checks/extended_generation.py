"""
What is generated for as long as told.
"""

from __future__ import annotations

from itertools import count

import pytest

from chainproof.clock import monotonic
from chainproof.contract import clauses

from ..probing.requester import Examination
from . import CHECKS, upholds

GENERATING = frozenset(
    {
        "any_object_is_accepted",
        "other_values_are_refused",
        "any_near_miss_is_refused",
        "whatever_schemathesis_generates_is_answered_as_documented",
    }
)
"""The checks that come out otherwise for another seed."""


@upholds(clauses.STATUS, clauses.OBJECT_ACCEPTED, clauses.NON_OBJECT_REFUSED, clauses.MALFORMED_REFUSED)
def generation_goes_on_for_as_long_as_told(examination: Examination) -> None:
    """
    The generating checks again and again, each turn with numbers of its own.
    """
    duration = examination.settings.duration
    if duration is None:
        pytest.skip("not told to go on (--duration)")
    checks = [check for check in CHECKS if check.name in GENERATING]
    try:
        for turn in count(1):
            examination.reseed(turn)
            for check in checks:
                if monotonic() - examination.began >= duration:
                    return
                check.ask(examination)
    finally:
        examination.reseed(0)
