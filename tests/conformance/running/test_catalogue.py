"""The catalogue of checks is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.conformance import checks, suite
from chainproof.conformance.checks import CHECKS
from chainproof.conformance.checks.catalogue import ALL_CHECKS, CHECK_MODULES
from chainproof.conformance.checks.extended_generation import GENERATING_CHECKS
from chainproof.conformance.judging.exercised_clauses import EVERY_ANSWER_CLAUSES
from chainproof.conformance.options import Depth
from chainproof.conformance.runner.forecast import forecast_counts
from chainproof.conformance.runner.power_order import power_table
from chainproof.contract.clauses import CLAUSES, Clause

_FOLDER = Path(checks.__file__).parent


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.id)
def test_every_clause_has_a_check(clause: Clause) -> None:
    """Some clauses are tested by every answer; every other clause needs a check."""
    assert clause in EVERY_ANSWER_CLAUSES or [check.name for check in CHECKS if clause in check.clauses]


def test_the_catalogue_names_every_module_of_checks() -> None:
    """A module that the catalogue does not name would never be run."""
    modules = {path.stem for path in _FOLDER.rglob("*.py")} - {"__init__", "catalogue"}

    assert modules == {module.__name__.rpartition(".")[2] for module in CHECK_MODULES}
    assert modules == {check.module for check in ALL_CHECKS}
    assert set(CHECKS) == set(ALL_CHECKS)


def test_the_suite_exports_the_conformance_test() -> None:
    """A project that imports `suite` gets one test per check, with the module and the check in its id."""
    marks = {mark.name: mark for mark in suite.test_conformance.pytestmark}  # type: ignore[attr-defined]  # set by pytest
    parametrize = marks["parametrize"]

    assert ["test_conformance"] == [name for name in suite.__all__ if name.startswith("test_")]
    assert ALL_CHECKS == parametrize.args[1]
    assert "body-chunked_bodies_are_accepted" in map(parametrize.kwargs["ids"], ALL_CHECKS)


def test_names_of_checks_are_unique() -> None:
    """Findings, reports and JUnit identify a check by its name."""
    names = [check.name for check in CHECKS]

    assert sorted(set(names)) == sorted(names)
    assert set(names) >= GENERATING_CHECKS


@pytest.mark.parametrize("depth", Depth)
def test_the_forecast_counts_every_check(depth: Depth) -> None:
    """It has every check but the one of `--duration`, and no other: `python benchmarks/request_counts.py` adds and removes them."""
    assert {check.id for check in ALL_CHECKS if check.module != "extended_generation"} == forecast_counts(depth).keys()


def test_the_measured_checks_exist() -> None:
    """A check that gets another name takes its row in `power_order.json` with it, or short runs would make it late."""
    assert power_table().keys() <= {check.id for check in ALL_CHECKS}
