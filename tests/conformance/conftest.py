"""
An examination of any server, in this process and without a run folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import pytest

from chainproof.conformance import options as settings_file
from chainproof.conformance.checks import (
    CHECKS,
    Check,
    auth_bypass,
    body,
    connection,
    credentials,
    extended_generation,
    failure,
    framing,
    identity,
    internals,
    limits,
    malformed,
    media_type,
    openapi_document,
    repetition,
    routing,
    state,
)
from chainproof.conformance.inputs.chain_schema import ChainSchema, simplest_input
from chainproof.conformance.judging.ledger import Ledger
from chainproof.conformance.options import Depth, Settings
from chainproof.conformance.probing import hypothesis_runner
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.rate_limit import UNLIMITED, RateLimiter
from chainproof.contract.chain_schema import Schema
from chainproof.contract.credentials import ApiKey, AuthScheme
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.target import parse_target
from chainproof.results.finding import Finding

from .endpoints import KEY, AnswerFunction, serve

CHECK_MODULES = (
    body,
    connection,
    credentials,
    failure,
    framing,
    auth_bypass,
    openapi_document,
    identity,
    internals,
    limits,
    routing,
    malformed,
    media_type,
    repetition,
    state,
    extended_generation,
)
"""Imported, so that their checks are entered."""

WIRE_CHECKS = tuple(
    check for check in CHECKS if check.group in ("connection", "framing", "identity", "malformed", "rare", "state")
)
"""What is asked for the sake of the messages, the connections and their order; it takes a few seconds."""
HANDWRITTEN_CHECKS = tuple(
    check for check in CHECKS if check.group == "identity" or (check.group != "generated" and check not in WIRE_CHECKS)
)
GENERATED_CHECKS = tuple(check for check in CHECKS if check.group == "generated")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """
    What an examination came to.
    """

    ledger: Ledger
    skipped: dict[str, str]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found."""
        return self.ledger.findings

    @property
    def lines(self) -> list[str]:
        """What was found, in a line each."""
        return [f"{found.clause}: {found.actual} ({found.check})" for found in self.findings]

    @property
    def clauses(self) -> set[str]:
        """The clauses that were departed from."""
        return {found.clause for found in self.findings}


RunSuite = Callable[..., SuiteResult]


@pytest.fixture
def run_suite(monkeypatch: pytest.MonkeyPatch) -> RunSuite:
    """
    Puts every check to a server, or to a URL, a few examples each, and waits for nobody.
    """

    def examined(server: AnswerFunction | str, *, examples: int = 4, path: str = "", **options: object) -> SuiteResult:
        monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, Depth.QUICK, examples)
        monkeypatch.setattr(hypothesis_runner, "_SHRINKING", 10 * examples)
        monkeypatch.setattr(Requester, "scale_factor", 1.0)
        if not callable(server):
            return _examined(server + path, **options)  # type: ignore[arg-type]
        with serve(server) as url:
            return _examined(url + path, **options)  # type: ignore[arg-type]

    return examined


def _examined(
    url: str,
    *,
    checks: Sequence[Check] = tuple(CHECKS),
    key: str = KEY,
    scheme: AuthScheme = AuthScheme.API_KEY,
    fields: tuple[HeaderField, ...] = (),
    input_schema: Schema | None = None,
    output_schema: Schema | None = None,
    rate_limiter: RateLimiter = UNLIMITED,
    **options: object,
) -> SuiteResult:
    """
    What comes of every check, asked in turn.
    """
    asked = {"echo": True, "steerable": True, "depth": Depth.QUICK, "seed": 1, **options}
    settings = Settings(**asked)  # type: ignore[arg-type]
    client = Client(parse_target(url), settings.deadline, fields=fields)
    client.rate_limiter = rate_limiter
    ledger = Ledger(None, client.target, 1)
    requester = Requester(
        client,
        ledger,
        key=ApiKey(key, scheme),
        settings=settings,
        chain_schema=ChainSchema(
            input_schema=input_schema,
            output_schema=output_schema,
            minimal_input=simplest_input(input_schema) if input_schema else b"{}",
        ),
        pause=lambda seconds: None,
    )
    skipped = {}
    with suppress(pytest.skip.Exception):
        requester.send_valid_body(requester.minimal_body)
    for check in checks:
        requester.check_name = check.name
        try:
            check.run(requester)
        except pytest.skip.Exception as why:
            skipped[check.name] = str(why)
    client.close()
    return SuiteResult(ledger=ledger, skipped=skipped)
