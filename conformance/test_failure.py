"""
Errors on demand are those of the document.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, failure
from chainproof.conformance.runner.run import Observed

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("observed", checks_in(failure), indirect=True, ids=lambda check: check.name)
def test_errors_are_documented_ones(observed: Observed) -> None:
    """
    Errors on demand are those of the document.
    """
    observed.stands()
