"""Runs the checks against a server in this process, without a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from chainproof.chain_schema.schema import Schema
from chainproof.clock import Seconds
from chainproof.conformance import options as settings_file
from chainproof.conformance.checks import Check
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.inputs.chain_schema import ChainSchema
from chainproof.conformance.inputs.generated_inputs import simplest_input
from chainproof.conformance.judging.finding_recorder import FindingRecorder
from chainproof.conformance.options import Depth, Settings
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.probing.waits import Waits
from chainproof.conformance.runner.input_discovery import discover_inputs
from chainproof.conformance.transport.check_skipped import CheckSkipped
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.rate_limit import UNLIMITED, RateLimiter
from chainproof.contract.credentials import ApiKey, AuthScheme
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.target import parse_target
from chainproof.results.finding import Finding
from chainproof.user_check import UserCheck

from .endpoints import KEY, AnswerFunction, serve
from .sampling import ALL

WIRE_CHECKS = tuple(
    check
    for check in ALL_CHECKS
    if check.module
    in ("connection", "framing", "header_fields", "identity", "malformed", "recovery", "repetition", "state")
)
"""Checks of messages, connections and the order of requests; they take a few seconds."""
GENERATED_CHECKS = tuple(check for check in ALL_CHECKS if check.module == "openapi_document")
HANDWRITTEN_CHECKS = tuple(
    check
    for check in ALL_CHECKS
    if check.module == "identity" or (check not in GENERATED_CHECKS and check not in WIRE_CHECKS)
)
COSTLY_MODULES = ("limits", "recovery", "repetition")
"""Modules whose checks send large bodies or many equal requests, or wait."""
LIGHT_CHECKS = tuple(check for check in ALL_CHECKS if ALL or check.module not in COSTLY_MODULES)
"""All checks but the costly ones, which `CHAINPROOF_SAMPLE=all` adds. The simplest endpoint and a busy one get all of them."""
LIGHT_HANDWRITTEN_CHECKS = tuple(check for check in LIGHT_CHECKS if check in HANDWRITTEN_CHECKS)


def checks_named(*names: str) -> tuple[Check, ...]:
    """The checks with these names, in the order of a run."""
    found = tuple(check for check in ALL_CHECKS if check.name in names)
    assert len(names) == len(found), names
    return found


def checks_in(*modules: str) -> tuple[Check, ...]:
    """The checks of these modules."""
    found = tuple(check for check in ALL_CHECKS if check.module in modules)
    assert set(modules) == {check.module for check in found}, modules
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """The findings of a run, and the checks that were skipped."""

    finding_recorder: FindingRecorder
    skipped: dict[str, str]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings."""
        return self.finding_recorder.findings

    @property
    def lines(self) -> list[str]:
        """One line for each finding."""
        return [f"{found.clause}: {found.actual} ({found.check})" for found in self.findings]

    @property
    def clauses(self) -> set[str]:
        """The violated clauses."""
        return {found.clause for found in self.findings}


SHORT_WAITS = Waits(
    max_busy_wait=10.0,
    idle=0.1,
    close=0.3,
    optional_answer=0.15,
    continue_answer=0.15,
    late_answer=0.1,
    start=0.3,
    recovery=0.5,
)
"""Short waits."""

RunSuite = Callable[..., SuiteResult]


@pytest.fixture
def run_suite(monkeypatch: pytest.MonkeyPatch) -> RunSuite:
    """Runs every check against a server or a URL, with few examples and short waits."""

    def run(server: AnswerFunction | str, *, examples: int = 4, path: str = "", **options: object) -> SuiteResult:
        monkeypatch.setitem(settings_file.EXAMPLES_BY_DEPTH, Depth.QUICK, examples)
        options.setdefault("waits", replace(SHORT_WAITS, shrink_requests=10 * examples))
        if not callable(server):
            return _run_checks(server + path, **options)  # type: ignore[arg-type]
        with serve(server) as url:
            return _run_checks(url + path, **options)  # type: ignore[arg-type]

    return run


def _run_checks(
    url: str,
    *,
    checks: Sequence[Check] = ALL_CHECKS,
    key: str = KEY,
    scheme: AuthScheme = AuthScheme.API_KEY,
    fields: tuple[HeaderField, ...] = (),
    input_schema: Schema | None = None,
    output_schema: Schema | None = None,
    payloads: tuple[bytes, ...] = (),
    user_check: UserCheck | None = None,
    slow_input: bytes | None = None,
    rate_limiter: RateLimiter = UNLIMITED,
    waits: Waits,
    pause: Callable[[Seconds], None] = lambda seconds: None,
    **options: object,
) -> SuiteResult:
    """The result of the checks, run one after the other. A chain with inputs of its own is no echo chain."""
    is_echo = input_schema is None and not payloads
    values = {"echo": is_echo, "steerable": is_echo, "depth": Depth.QUICK, "seed": 1, **options}
    settings = Settings(**values)  # type: ignore[arg-type]
    client = Client(parse_target(url), settings.deadline, fields=fields)
    client.rate_limiter = rate_limiter
    finding_recorder = FindingRecorder(None, client.target, 1)
    requester = Requester(
        client,
        finding_recorder,
        key=ApiKey(key, scheme),
        settings=settings,
        chain_schema=ChainSchema(
            input_schema=input_schema,
            output_schema=output_schema,
            minimal_input=simplest_input(input_schema) if input_schema else b"{}",
            payloads=payloads,
            user_check=user_check,
            slow_input=slow_input,
        ),
        waits=waits,
        pause=pause,
    )
    skipped = {}
    with suppress(CheckSkipped):
        discover_inputs(requester)
    for check in checks:
        requester.check_name = check.name
        try:
            check.run(requester)
        except CheckSkipped as reason:
            skipped[check.name] = str(reason)
    client.close()
    return SuiteResult(finding_recorder=finding_recorder, skipped=skipped)
