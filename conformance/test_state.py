"""
No request changes what comes after it, and no answer is another's.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, state
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(state), indirect=True, ids=lambda check: check.name)
def test_nothing_stays_behind(check_result: CheckResult) -> None:
    """
    No request changes what comes after it, and no answer is another's.
    """
    check_result.assert_passed()
