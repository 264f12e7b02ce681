"""
The operation is where the document puts it, and nowhere else.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, routing
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(routing), indirect=True, ids=lambda check: check.name)
def test_the_operation_is_where_it_is(check_result: CheckResult) -> None:
    """
    The operation is where the document puts it, and nowhere else.
    """
    check_result.assert_passed()
