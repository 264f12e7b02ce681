"""
An answer keeps the key and the inside of the chain to itself.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, internals
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(internals), indirect=True, ids=lambda check: check.name)
def test_nothing_leaks(check_result: CheckResult) -> None:
    """
    An answer keeps the key and the inside of the chain to itself.
    """
    check_result.assert_passed()
