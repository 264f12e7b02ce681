"""
Errors on demand are those of the document.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, failure
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", checks_in(failure), indirect=True, ids=lambda check: check.name)
def test_errors_are_documented_ones(check_result: CheckResult) -> None:
    """
    Errors on demand are those of the document.
    """
    check_result.assert_passed()
