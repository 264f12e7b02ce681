"""
Tests of drawing payloads.
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
def test_payloads_are_drawn_by_weight(seed: int) -> None:
    """
    With weights 1, 2 and 7, one, two and seven of ten requests have that payload (chi-square test).
    """
    counts = Counter(payload.name for payload in islice(draw_payloads(KINDS, seed), 10_000))

    assert stats.chisquare([counts[kind.name] for kind in KINDS], [1000, 2000, 7000]).pvalue > 0.01


@given(st.integers(), st.integers())
def test_sequence_depends_on_the_seed(one: int, other: int) -> None:
    """
    The same seed gives the same sequence, another seed a different one.
    """
    first, second = (tuple(islice(draw_payloads(KINDS, seed), 600)) for seed in (one, other))

    assert (one == other) is (first == second)


def test_payload_is_encoded_as_json() -> None:
    """
    The encoded payload is its body in JSON.
    """
    for payload in (*KINDS, *DEFAULT_PAYLOADS):
        assert payload.body == orjson.loads(payload.encoded())
