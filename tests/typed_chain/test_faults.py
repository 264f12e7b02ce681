"""The checks find every faulty form of the typed chain, and nothing in its correct forms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.conformance.checks.catalogue import ALL_CHECKS

from ..conformance.conftest import RunSuite, run_suite
from .endpoints import CORRECT, FAULTS, TypedFault

SOURCE = f"{Path(__file__).with_name('orders.py')}:Orders"
CHECKS = tuple(check for check in ALL_CHECKS if check.module in ("consistency", "typed_inputs"))

__all__ = ["run_suite"]

SAMPLE = {
    "cached by items only",
    "answers are swapped under concurrency",
    "optional arguments stick",
    "large orders greet an earlier recipient",
    "errors name an earlier recipient",
    "length counted in bytes",
    "outputs above 64 KiB are cut off",
    "the last incomplete batch of 32 is lost",
}
"""One fault of each of eight kinds. `CHAINPROOF_SAMPLE=all` tests all of them."""
CORRECT_SAMPLE = {"plain", "rejecting unnamed arguments", "one of two words"}
SAMPLE_SIZE = None if os.environ.get("CHAINPROOF_SAMPLE") == "all" else len(SAMPLE)


def options() -> dict[str, object]:
    """The options of a run that knows the chain."""
    return {
        "echo": False,
        "steerable": False,
        "input_schema": load_input_schema(SOURCE),
        "output_schema": load_output_schema(SOURCE),
        "checks": CHECKS,
    }


SAMPLED = [fault for fault in FAULTS if SAMPLE_SIZE is None or fault.name in SAMPLE]


@pytest.mark.parametrize("fault", SAMPLED, ids=[fault.name for fault in SAMPLED])
def test_fault_of_a_typed_chain_is_found(fault: TypedFault, run_suite: RunSuite) -> None:
    """A finding names one of its clauses."""
    result = run_suite(fault.create(), **options())

    assert result.clauses & fault.found_as, result.lines


@pytest.mark.parametrize("name", [name for name in CORRECT if SAMPLE_SIZE is None or name in CORRECT_SAMPLE])
def test_correct_form_of_a_typed_chain_has_no_findings(name: str, run_suite: RunSuite) -> None:
    """Values that vary, and other ways to write the same answer, are no violation."""
    assert [] == run_suite(CORRECT[name](), **options()).lines
