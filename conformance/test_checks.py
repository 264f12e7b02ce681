"""One pytest test for each check. Run them with `pytest conformance --target URL`; select a module or a check with `-k`."""

from __future__ import annotations

import pytest

from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.runner.run import CheckResult

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("check_result", ALL_CHECKS, indirect=True, ids=lambda check: check.id)
def test_conformance(check_result: CheckResult) -> None:
    """The target passes the check."""
    check_result.assert_passed()
