"""
What holds once holds every time, and under more than the target can do.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, repetition
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(repetition), indirect=True, ids=lambda check: check.name)
def test_it_holds_every_time(check_result: CheckResult) -> None:
    """
    What holds once holds every time, and under more than the target can do.
    """
    check_result.assert_passed()
