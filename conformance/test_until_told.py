"""
Generation goes on for as long as told, and finds nothing.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, extended_generation
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(extended_generation), indirect=True, ids=lambda check: check.name)
def test_generation_goes_on(check_result: CheckResult) -> None:
    """
    Generation goes on for as long as told, and finds nothing.
    """
    check_result.assert_passed()
