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
from .test_connection import test_connections_stay_in_step
from .test_credentials import test_only_the_right_key_opens
from .test_failure import test_errors_are_documented_ones
from .test_framing import test_messages_are_framed
from .test_gate import test_the_gate_stands
from .test_generated import test_the_document_holds
from .test_identity import test_an_answer_has_one_request
from .test_internals import test_nothing_leaks
from .test_limits import test_size_is_no_reason_to_fail
from .test_location import test_the_operation_is_where_it_is
from .test_malformed import test_malformed_messages_are_refused
from .test_media_type import test_a_body_counts_as_json
from .test_rare import test_it_holds_every_time
from .test_state import test_nothing_stays_behind
from .test_until_told import test_generation_goes_on

pytest_plugins = ["chainproof.conformance.runner.pytest_hooks"]

__all__ = [
    "pytest",
    "pytest_plugins",
    "test_a_body_counts_as_json",
    "test_an_answer_has_one_request",
    "test_connections_stay_in_step",
    "test_errors_are_documented_ones",
    "test_generation_goes_on",
    "test_it_holds_every_time",
    "test_malformed_messages_are_refused",
    "test_messages_are_framed",
    "test_nothing_leaks",
    "test_nothing_stays_behind",
    "test_only_objects_are_accepted",
    "test_only_the_right_key_opens",
    "test_size_is_no_reason_to_fail",
    "test_the_document_holds",
    "test_the_gate_stands",
    "test_the_operation_is_where_it_is",
]
"""The tests, what they need of pytest, and pytest itself, for the fixture."""
