"""
What is no HTTP message is no request.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, malformed
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(malformed), indirect=True, ids=lambda check: check.name)
def test_malformed_messages_are_refused(check_result: CheckResult) -> None:
    """
    What is no HTTP message is no request.
    """
    check_result.assert_passed()
