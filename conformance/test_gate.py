"""
The gate stands everywhere and every time.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import auth_bypass, checks_in
from chainproof.conformance.runner.run import Observed

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("observed", checks_in(auth_bypass), indirect=True, ids=lambda check: check.name)
def test_the_gate_stands(observed: Observed) -> None:
    """
    The gate stands everywhere and every time.
    """
    observed.stands()
