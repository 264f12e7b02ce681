"""
An answer keeps the key and the inside of the chain to itself.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, internals
from chainproof.conformance.runner.run import Observed

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("observed", checks_in(internals), indirect=True, ids=lambda check: check.name)
def test_nothing_leaks(observed: Observed) -> None:
    """
    An answer keeps the key and the inside of the chain to itself.
    """
    observed.stands()
