"""
An emulator in a thread of this process, bent or honest, and what a conformance run of some checks makes of it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from chainproof.clock import Seconds
from chainproof.conformance.checks import Check
from chainproof.conformance.client import Client
from chainproof.conformance.examination import Examination
from chainproof.conformance.ledger import Ledger
from chainproof.conformance.settings import Depth, Settings
from chainproof.conformance.signature import Signature
from chainproof.contract.credentials import EMULATOR_KEY, ApiKey
from chainproof.contract.targets import parse_target
from chainproof.emulator.bend import Bend
from chainproof.emulator.decision import Model
from chainproof.emulator.scenario import find_scenario
from chainproof.emulator.server import Stop, new_run, serve
from chainproof.emulator.transport import listening
from chainproof.emulator.truth import Truth
from chainproof.results.finding import Finding

DEADLINE: Seconds = 1.0
"""For each answer: a fault that never answers is to be seen soon."""


@contextmanager
def bent(bend: Bend | None) -> Iterator[str]:
    """
    The URL of an emulator with a bend in it.
    """
    model = Model(scenario=find_scenario("warm"), key=ApiKey(EMULATOR_KEY), run=new_run())
    sock = listening("127.0.0.1", 0)
    port = sock.getsockname()[1]
    begun: list[tuple[asyncio.AbstractEventLoop, Stop]] = []
    thread = threading.Thread(
        target=serve,
        args=(model, sock, Truth(None), lambda loop, stop: begun.append((loop, stop))),
        kwargs={"bend": bend},
        daemon=True,
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop, stop = begun[0]
        loop.call_soon_threadsafe(stop)
        thread.join(10)


def findings(
    url: str, checks: Sequence[Check], *, wanted: str | None = None, seed: int = 1, provoke: bool = False
) -> tuple[Finding, ...]:
    """
    What some checks find; no further than to the first finding of the clause that is *wanted*.
    """
    settings = Settings(echo=True, steerable=True, depth=Depth.STANDARD, seed=seed, deadline=DEADLINE, provoke=provoke)
    client = Client(parse_target(url), settings.deadline)
    ledger = Ledger(None, client.target, seed)
    examination = Examination(
        client,
        ledger,
        key=ApiKey(EMULATOR_KEY),
        settings=settings,
        signature=Signature(),
        pause=lambda seconds: None,
    )
    try:
        examination.ask_plainly(examination.plain)
        for check in checks:
            examination.check = check.name
            try:
                check.ask(examination)
            except pytest.skip.Exception:
                continue
            except pytest.fail.Exception:
                break
            if wanted in {found.clause for found in ledger.findings}:
                break
    finally:
        client.close()
    return ledger.findings
