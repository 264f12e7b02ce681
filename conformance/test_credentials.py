"""
The right key in its place is let in, and nothing else is.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, credentials
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(credentials), indirect=True, ids=lambda check: check.name)
def test_only_the_right_key_opens(check_result: CheckResult) -> None:
    """
    The right key in its place is let in, and nothing else is.
    """
    check_result.assert_passed()
