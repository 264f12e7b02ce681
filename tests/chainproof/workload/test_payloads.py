"""
Payloads come as often as their weights say, and the same seed draws the same.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chainproof.workload.payloads import DEFAULT_PAYLOADS, Payload, draw_payloads

KINDS = tuple(Payload(name=f"kind {weight}", body={"weight": weight}, weight=weight) for weight in (1, 2, 7))


@pytest.mark.parametrize("seed", [0, 1, 2026])
def test_payloads_come_as_often_as_their_weights_say(seed: int) -> None:
    """
    Of ten requests one carries the first kind, two the second, seven the third (chi-square finds nothing against it).
    """
    counts = Counter(payload.name for payload in islice(draw_payloads(KINDS, seed), 10_000))

    assert stats.chisquare([counts[kind.name] for kind in KINDS], [1000, 2000, 7000]).pvalue > 0.01


@given(st.integers(), st.integers())
def test_a_seed_draws_one_sequence(one: int, other: int) -> None:
    """
    The same seed asks the same of every target, another seed something else.
    """
    first, second = (tuple(islice(draw_payloads(KINDS, seed), 600)) for seed in (one, other))

    assert (one == other) is (first == second)


def test_a_payload_is_sent_as_json() -> None:
    """
    What is encoded is the body, and what is sent unasked is an object.
    """
    for payload in (*KINDS, *DEFAULT_PAYLOADS):
        assert payload.body == orjson.loads(payload.encoded())
