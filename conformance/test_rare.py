"""
What holds once holds every time, and under more than the target can do.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, repetition
from chainproof.conformance.runner.run import Observed

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("observed", checks_in(repetition), indirect=True, ids=lambda check: check.name)
def test_it_holds_every_time(observed: Observed) -> None:
    """
    What holds once holds every time, and under more than the target can do.
    """
    observed.stands()
