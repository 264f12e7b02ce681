"""
Messages are what RFC 9112 says, in both directions.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import checks_in, framing
from chainproof.conformance.runner.run import Observed

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]


@pytest.mark.parametrize("observed", checks_in(framing), indirect=True, ids=lambda check: check.name)
def test_messages_are_framed(observed: Observed) -> None:
    """
    Messages are what RFC 9112 says, in both directions.
    """
    observed.stands()
