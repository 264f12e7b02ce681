"""
What Schemathesis makes of the whole document.
"""

from __future__ import annotations

from chainproof.contract import clauses

from ..probing.requester import Examination
from ..probing.schemathesis_runner import fuzz
from . import upholds


@upholds(clauses.STATUS, clauses.OBJECT_ACCEPTED, clauses.NON_OBJECT_REFUSED, clauses.MALFORMED_REFUSED)
def whatever_schemathesis_generates_is_answered_as_documented(examination: Examination) -> None:
    """
    Its examples, coverage and fuzzing phases, positive and negative.
    """
    fuzz(examination)
