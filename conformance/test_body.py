"""
A JSON object is accepted, and nothing else is.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import body, checks_in
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(body), indirect=True, ids=lambda check: check.name)
def test_only_objects_are_accepted(check_result: CheckResult) -> None:
    """
    A JSON object is accepted, and nothing else is.
    """
    check_result.assert_passed()
