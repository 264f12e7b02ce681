"""Sums and means of the items of an array: of all items, or without some."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from chainproof.chain_schema.schema import Schema

from ..conftest import RunSuite, checks_named
from ..endpoints import json_output, typed_chain

SCHEMA = Schema(
    source="orders.json",
    document={
        "type": "object",
        "properties": {
            "orders": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "price": {"type": "number", "minimum": 0}},
                    "required": ["name", "price"],
                },
            }
        },
        "required": ["orders"],
    },
)
LARGE = checks_named("large_inputs_get_complete_answers")
Output = Callable[[list[float]], dict[str, Any]]

DEFECTS: dict[str, Output] = {
    "of the first 100": lambda prices: {"count": len(prices), "total": math.fsum(prices[:100])},
    "without the last batch": lambda prices: {
        "prices": prices,
        "total": math.fsum(prices[: len(prices) // 32 * 32] if len(prices) > 32 else prices),
    },
    "of the last batch, as a text": lambda prices: {"count": len(prices), "total": f"{math.fsum(prices[-32:]):.2f}"},
    "mean of the first batch": lambda prices: {"count": len(prices), "mean": statistics.fmean(prices[:32] or [0])},
}
CORRECT: dict[str, Output] = {
    "of all": lambda prices: {"count": len(prices), "total": math.fsum(prices), "mean": statistics.fmean(prices or [0])},
    "of few digits": lambda prices: {"count": len(prices), "total": float(f"{math.fsum(prices):.4g}")},
    "of at most 100 items, which are counted": lambda prices: {
        "count": len(prices[:100]),
        "total": math.fsum(prices[:100]),
    },
    "with an upper limit": lambda prices: {"count": len(prices), "total": min(math.fsum(prices), 50_000.0)},
    "with a discount for many": lambda prices: {"count": len(prices), "total": math.fsum(prices) * (0.85 if len(prices) > 20 else 1)},
    "of all but the extremes of many": lambda prices: {"count": len(prices), "mean": statistics.fmean(sorted(prices)[len(prices) // 9 : len(prices) - len(prices) // 9] or [0])},
}  # fmt: skip  # one line each


def violations(run_suite: RunSuite, output: Output) -> set[str]:
    """The clauses that an endpoint with these outputs violates."""
    endpoint = typed_chain(SCHEMA, lambda value: json_output(output([each["price"] for each in value["orders"]])))
    return set(run_suite(endpoint, input_schema=SCHEMA, checks=LARGE).clauses)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_total_that_leaves_out_items_is_found(run_suite: RunSuite, name: str) -> None:
    """The output says that the chain has processed all of them."""
    assert {"answer-matches-request"} == violations(run_suite, DEFECTS[name])


@pytest.mark.parametrize("name", CORRECT)
def test_a_total_of_all_items_or_of_a_known_part_is_not_mistaken(run_suite: RunSuite, name: str) -> None:
    """A chain may round, and limit the items or the total."""
    assert set() == violations(run_suite, CORRECT[name])
