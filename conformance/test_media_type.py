"""
A body counts under application/json, and under nothing else.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, media_type
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(media_type), indirect=True, ids=lambda check: check.name)
def test_a_body_counts_as_json(check_result: CheckResult) -> None:
    """
    A body counts under application/json, and under nothing else.
    """
    check_result.assert_passed()
