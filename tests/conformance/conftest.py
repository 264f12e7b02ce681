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
from chainproof.conformance.inputs.chain_schema import Signature, simplest
from chainproof.conformance.judging.ledger import Ledger
from chainproof.conformance.options import Depth, Settings
from chainproof.conformance.probing import hypothesis_runner
from chainproof.conformance.probing.requester import Examination
from chainproof.conformance.transport.client import Client
from chainproof.conformance.transport.rate_limit import ANY, Allowance
from chainproof.contract.chain_schema import Schema
from chainproof.contract.credentials import ApiKey, Scheme
from chainproof.contract.header_fields import Field
from chainproof.contract.target import parse_target
from chainproof.results.finding import Finding

from .endpoints import KEY, Server, serving

PARTS = (
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

WIRE = tuple(
    check for check in CHECKS if check.part in ("connection", "framing", "identity", "malformed", "rare", "state")
)
"""What is asked for the sake of the messages, the connections and their order; it takes a few seconds."""
BY_HAND = tuple(
    check for check in CHECKS if check.part == "identity" or (check.part != "generated" and check not in WIRE)
)
GENERATED = tuple(check for check in CHECKS if check.part == "generated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
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


Examine = Callable[..., Examined]


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch) -> Examine:
    """
    Puts every check to a server, or to a URL, a few examples each, and waits for nobody.
    """

    def examined(server: Server | str, *, examples: int = 4, path: str = "", **options: object) -> Examined:
        monkeypatch.setitem(settings_file.EXAMPLES, Depth.QUICK, examples)
        monkeypatch.setattr(hypothesis_runner, "_SHRINKING", 10 * examples)
        monkeypatch.setattr(Examination, "haste", 1.0)
        if not callable(server):
            return _examined(server + path, **options)  # type: ignore[arg-type]
        with serving(server) as url:
            return _examined(url + path, **options)  # type: ignore[arg-type]

    return examined


def _examined(
    url: str,
    *,
    checks: Sequence[Check] = tuple(CHECKS),
    key: str = KEY,
    scheme: Scheme = Scheme.API_KEY,
    fields: tuple[Field, ...] = (),
    takes: Schema | None = None,
    gives: Schema | None = None,
    allowance: Allowance = ANY,
    **options: object,
) -> Examined:
    """
    What comes of every check, asked in turn.
    """
    asked = {"echo": True, "steerable": True, "depth": Depth.QUICK, "seed": 1, **options}
    settings = Settings(**asked)  # type: ignore[arg-type]
    client = Client(parse_target(url), settings.deadline, fields=fields)
    client.allowance = allowance
    ledger = Ledger(None, client.target, 1)
    examination = Examination(
        client,
        ledger,
        key=ApiKey(key, scheme),
        settings=settings,
        signature=Signature(takes=takes, gives=gives, plain=simplest(takes) if takes else b"{}"),
        pause=lambda seconds: None,
    )
    skipped = {}
    with suppress(pytest.skip.Exception):
        examination.ask_plainly(examination.plain)
    for check in checks:
        examination.check = check.name
        try:
            check.ask(examination)
        except pytest.skip.Exception as why:
            skipped[check.name] = str(why)
    client.close()
    return Examined(ledger=ledger, skipped=skipped)
