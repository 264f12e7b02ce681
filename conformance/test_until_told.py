"""
Generation goes on for as long as told, and finds nothing.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, until_told
from chainproof.conformance.conduct import Observed

pytest_plugins = ["chainproof.conformance.session"]


@pytest.mark.parametrize("observed", checks_in(until_told), indirect=True, ids=lambda check: check.name)
def test_generation_goes_on(observed: Observed) -> None:
    """
    Generation goes on for as long as told, and finds nothing.
    """
    observed.stands()
