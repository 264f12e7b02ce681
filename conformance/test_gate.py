"""
The gate stands everywhere and every time.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import auth_bypass, checks_in
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(auth_bypass), indirect=True, ids=lambda check: check.name)
def test_the_gate_stands(check_result: CheckResult) -> None:
    """
    The gate stands everywhere and every time.
    """
    check_result.assert_passed()
