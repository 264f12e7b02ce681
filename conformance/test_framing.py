"""
Messages are what RFC 9112 says, in both directions.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, framing
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(framing), indirect=True, ids=lambda check: check.name)
def test_messages_are_framed(check_result: CheckResult) -> None:
    """
    Messages are what RFC 9112 says, in both directions.
    """
    check_result.assert_passed()
