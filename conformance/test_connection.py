"""
Connections are kept, closed as they say, and never out of step.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, connection
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(connection), indirect=True, ids=lambda check: check.name)
def test_connections_stay_in_step(check_result: CheckResult) -> None:
    """
    Connections are kept, closed as they say, and never out of step.
    """
    check_result.assert_passed()
