"""
The gate stands everywhere and every time.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, gate
from chainproof.conformance.conduct import Observed

pytest_plugins = ["chainproof.conformance.session"]


@pytest.mark.parametrize("observed", checks_in(gate), indirect=True, ids=lambda check: check.name)
def test_the_gate_stands(observed: Observed) -> None:
    """
    The gate stands everywhere and every time.
    """
    observed.stands()
