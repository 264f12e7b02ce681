"""
Every answer has its own id, and belongs to its request.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, identity
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(identity), indirect=True, ids=lambda check: check.name)
def test_an_answer_has_one_request(check_result: CheckResult) -> None:
    """
    Every answer has its own id, and belongs to its request.
    """
    check_result.assert_passed()
