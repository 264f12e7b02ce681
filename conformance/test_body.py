"""
A JSON object is accepted, and nothing else is.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import body, checks_in
from chainproof.conformance.runner.run import Observed

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("observed", checks_in(body), indirect=True, ids=lambda check: check.name)
def test_only_objects_are_accepted(observed: Observed) -> None:
    """
    A JSON object is accepted, and nothing else is.
    """
    observed.stands()
