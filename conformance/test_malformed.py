"""
What is no HTTP message is no request.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, malformed
from chainproof.conformance.runner.run import Observed

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("observed", checks_in(malformed), indirect=True, ids=lambda check: check.name)
def test_malformed_messages_are_refused(observed: Observed) -> None:
    """
    What is no HTTP message is no request.
    """
    observed.stands()
