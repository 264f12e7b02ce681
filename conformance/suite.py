"""
The conformance tests for a project of your own, in its own pytest run:

    from chainproof.conformance.suite import *

    @pytest.fixture(scope="session")
    def chainproof_target():
        return "https://chain-abc123.api.baseten.co"  # or an ASGI app

Options are those of `chainproof conformance`; where one names a target, it goes before the fixture. `chainproof_key` is the
fixture for the key of an app, which is otherwise in the environment.
"""

from __future__ import annotations

import pytest

from .test_body import test_only_objects_are_accepted
from .test_credentials import test_only_the_right_key_opens
from .test_failure import test_errors_are_documented_ones
from .test_generated import test_the_document_holds
from .test_identity import test_an_answer_has_one_request
from .test_internals import test_nothing_leaks
from .test_location import test_the_operation_is_where_it_is
from .test_media_type import test_a_body_counts_as_json

pytest_plugins = ["chainproof.conformance.session"]

__all__ = [
    "pytest",
    "pytest_plugins",
    "test_a_body_counts_as_json",
    "test_an_answer_has_one_request",
    "test_errors_are_documented_ones",
    "test_nothing_leaks",
    "test_only_objects_are_accepted",
    "test_only_the_right_key_opens",
    "test_the_document_holds",
    "test_the_operation_is_where_it_is",
]
"""The tests, what they need of pytest, and pytest itself, for the fixture."""
