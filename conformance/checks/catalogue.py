"""All checks, in the order in which a run makes them."""

from __future__ import annotations

from . import (
    auth_bypass,
    body,
    checks_in,
    connection,
    credentials,
    extended_generation,
    failure,
    framing,
    header_fields,
    identity,
    internals,
    limits,
    malformed,
    media_type,
    openapi_document,
    recovery,
    repetition,
    routing,
    shared_state,
    state,
)
from .typed_chains import consistency, typed_inputs

CHECK_MODULES = (
    recovery,  # first: a target that bad requests use up would leave the other checks without an answer
    body,
    connection,
    credentials,
    failure,
    framing,
    header_fields,
    auth_bypass,
    openapi_document,
    identity,
    internals,
    limits,
    routing,
    malformed,
    media_type,
    repetition,
    shared_state,
    state,
    typed_inputs,
    consistency,
    extended_generation,
)
"""Every module of checks; a new one is added here."""

ALL_CHECKS = tuple(check for module in CHECK_MODULES for check in checks_in(module))
