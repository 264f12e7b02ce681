"""Repeats the checks with generated requests for as long as `--duration` allows."""

from __future__ import annotations

from itertools import count

from chainproof.clock import monotonic
from chainproof.contract import clauses

from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from . import CHECKS, check_for

GENERATING_CHECKS = frozenset(
    {
        "generated_objects_are_accepted",
        "json_values_other_than_objects_are_rejected",
        "generated_invalid_json_is_rejected",
        "schemathesis_requests_get_documented_answers",
    }
)
"""The checks whose requests depend on the seed."""


@check_for(
    clauses.STATUS, clauses.OBJECT_ACCEPTED, clauses.NON_OBJECT_REJECTED, clauses.INVALID_JSON_REJECTED, exclusive=True
)
def extended_generation_finds_no_violations(requester: Requester) -> None:
    """Repeat the generating checks until the time is over, each round with another seed."""
    duration = requester.settings.duration
    if duration is None:
        raise CheckSkipped("needs --duration")
    checks = [check for check in CHECKS if check.name in GENERATING_CHECKS]
    try:
        for turn in count(1):
            requester.reseed(turn)
            for check in checks:
                if monotonic() - requester.started >= duration:
                    return
                check.run(requester)
    finally:
        requester.reseed(0)
