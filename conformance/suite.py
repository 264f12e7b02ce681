"""
The conformance tests for import into another project's pytest run:

    from chainproof.conformance.suite import *

    @pytest.fixture(scope="session")
    def chainproof_target():
        return "https://chain-abc123.api.baseten.co"  # or an ASGI app

The options are those of `chainproof conformance`; a target named by an option takes precedence over the fixture. The key
comes from the environment, or from a `chainproof_key` fixture.
"""

from __future__ import annotations

import pytest

from .test_checks import test_conformance

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]

__all__ = ["pytest", "pytest_plugins", "test_conformance"]
"""The tests, the plugin that they need, and pytest itself for the fixture."""
