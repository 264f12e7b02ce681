"""`--check` judges every output by the user's own function."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.conformance.options import Settings
from chainproof.conformance.runner.setup import load_options
from chainproof.contract.answer import Answer
from chainproof.errors import UsageError
from chainproof.user_check import UserCheck, UserCheckError

from ..conformance.conftest import RunSuite, checks_named, run_suite
from .endpoints import Changed, TypedEndpoint
from .test_faults import options

__all__ = ["run_suite"]

COMBINATIONS = checks_named("combinations_of_values_are_accepted")
CHECK = """
import json

def counts_items(payload, answer):
    expected = sum(item["quantity"] for item in payload["items"])
    found = json.loads(answer.body)["item_count"]
    return None if found == expected else f"expected {expected} items, found {found}"

def careless(payload, answer):
    return 1 / 0
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A file with two checks."""
    path = tmp_path / "my_checks.py"
    path.write_text(CHECK, encoding="utf-8")
    return path


def test_wrong_outputs_are_found_by_the_users_check(module: Path, run_suite: RunSuite) -> None:
    """The finding has the message of the check, also for an output that is always wrong and matches the schema."""
    given = options() | {"checks": COMBINATIONS, "user_check": UserCheck(f"{module}:counts_items")}
    wrong = Changed(
        lambda value, output: output | {"item_count": output["item_count"] + (output["priority"] == "high")}
    )

    assert [] == run_suite(TypedEndpoint(), **given).lines
    assert {"user-check"} == run_suite(wrong, **given).clauses


def test_an_exception_of_the_check_names_its_file(module: Path) -> None:
    """It is neither a finding nor blamed on chainproof."""
    with pytest.raises(
        UserCheckError, match=r"my_checks.py:careless raised ZeroDivisionError: .*my_checks.py, line 10\)"
    ):
        UserCheck(f"{module}:careless").violation({}, Answer(status=200, headers=(), body=b"{}"))


def test_a_missing_function_is_a_usage_error(module: Path) -> None:
    """It is reported before the first request."""
    with pytest.raises(UsageError, match="has no function 'missing'"):
        load_options(Settings(check=f"{module}:missing"))
