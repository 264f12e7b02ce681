"""
A large object is accepted, and a larger one is refused as documented.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, limits
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(limits), indirect=True, ids=lambda check: check.name)
def test_size_is_no_reason_to_fail(check_result: CheckResult) -> None:
    """
    A large object is accepted, and a larger one is refused as documented.
    """
    check_result.assert_passed()
