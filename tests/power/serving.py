"""An emulator with a fault hook in a thread of this process, and the findings of some checks against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from chainproof.clock import Seconds
from chainproof.conformance.checks import Check
from chainproof.conformance.inputs.chain_schema import ChainSchema
from chainproof.conformance.judging.finding_recorder import Evidence, FindingRecorder
from chainproof.conformance.options import Depth, Settings
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.probing.waits import Waits
from chainproof.conformance.runner.input_discovery import discover_inputs
from chainproof.conformance.runner.reproduction import reproduce_findings
from chainproof.conformance.runner.rerun import call_options, rerun_command
from chainproof.conformance.transport.check_skipped import CheckSkipped
from chainproof.conformance.transport.client import Client
from chainproof.contract.clauses import Clause
from chainproof.contract.credentials import ApiKey
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.contract.route import Address, Route
from chainproof.contract.target import Target, parse_target
from chainproof.contract.violations import Violation
from chainproof.emulator.chain.chain import UserChain
from chainproof.emulator.decision import EmulatorConfig
from chainproof.emulator.faults import Fault
from chainproof.emulator.faults.hooks import FaultHook
from chainproof.emulator.scenario import find_scenario
from chainproof.emulator.server import Stop, new_request_id_prefix, serve
from chainproof.emulator.transport.access_log import AccessLog
from chainproof.emulator.transport.connection import listening_socket
from chainproof.results.finding import Finding

SLOW_INPUT = b'{"slow":true,"text":"an input that takes long"}'
"""The input of faults that need `--slow-payload`."""

DEADLINE: Seconds = 1.0
"""Deadline of each answer: a fault that never answers must be found soon."""

SHORT_WAITS = Waits(idle=2.5, close=0.5)
"""Faults that depend on a pause show after two seconds."""
QUICK_WAITS = Waits.for_depth(Depth.QUICK)
"""Waits that are long enough for a correct target on a busy machine."""


@contextmanager
def running_emulator(hook: FaultHook | None, chain: UserChain | None = None) -> Iterator[str]:
    """Run an emulator with a fault hook, and with *chain* in place of the echo chain. Yields its URL."""
    config = EmulatorConfig(
        scenario=find_scenario("warm"),
        key=ApiKey(EMULATOR_KEY),
        request_id_prefix=new_request_id_prefix(),
        has_chain=chain is not None,
    )
    sock = listening_socket("127.0.0.1", 0)
    port = sock.getsockname()[1]
    running: list[tuple[asyncio.AbstractEventLoop, Stop]] = []
    thread = threading.Thread(
        target=serve,
        args=(config, sock, AccessLog(None), lambda loop, stop: running.append((loop, stop))),
        kwargs={"hook": hook, "chain": chain},
        daemon=True,
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop, stop = running[0]
        loop.call_soon_threadsafe(stop)
        thread.join(10)


class ClauseFound(Exception):
    """The wanted clause was violated."""


class StoppingFindingRecorder(FindingRecorder):
    """A recorder of findings that ends the run with the first violation of the wanted clause."""

    def __init__(self, target: Target, seed: int, wanted: str | None, call_options: tuple[str, ...] = ()) -> None:
        super().__init__(None, target, seed, call_options=call_options)
        self._wanted = wanted

    def record(self, exercised: Iterable[Clause], violations: Iterable[Violation], evidence: Evidence) -> None:
        """Record the violations, and raise ClauseFound if the wanted clause is among them."""
        found = tuple(violations)
        super().record(exercised, found, evidence)
        if self._wanted in {each.clause.id for each in found}:
            raise ClauseFound


def run_checks(
    url: str,
    checks: Sequence[Check],
    *,
    wanted: str | None = None,
    seed: int = 1,
    overload: bool = False,
    deadline: Seconds = DEADLINE,
    depth: Depth = Depth.STANDARD,
    duration: Seconds | None = None,
    chain_schema: ChainSchema | None = None,
    needs_options: Sequence[str] = (),
    reproduce: bool = False,
    connect_to: Address | None = None,
    waits: Waits = SHORT_WAITS,
) -> tuple[Finding, ...]:
    """
    The findings of some checks, up to the first violation of the *wanted* clause. Without *chain_schema* the chain returns
    its input. *connect_to* is the server's address if the URL has another host. *needs_options* are options of a fault. With *reproduce*, the commands of findings were tried, as in a run
    of the command.
    """
    settings = Settings(
        echo=chain_schema is None,
        steerable=True,
        depth=depth,
        seed=seed,
        deadline=deadline,
        overload=overload or "--overload" in needs_options,
        duration=duration,
    )
    client = Client(parse_target(url, loopback=True), settings.deadline, route=Route(connect_to=connect_to))
    finding_recorder = StoppingFindingRecorder(client.target, seed, wanted, call_options(settings))
    requester = Requester(
        client,
        finding_recorder,
        key=ApiKey(EMULATOR_KEY),
        settings=settings,
        chain_schema=chain_schema or ChainSchema(slow_input=SLOW_INPUT if "--slow-payload" in needs_options else None),
        waits=waits,
        pause=lambda seconds: None,
    )
    try:
        with suppress(ClauseFound):
            discover_inputs(requester)
        for check in checks:
            requester.check_name = check.name
            try:
                check.run(requester)
            except CheckSkipped:
                continue
            except (ClauseFound, pytest.fail.Exception):
                break
            finally:
                if reproduce:
                    rerun = partial(rerun_command, settings=settings, target=client.target, embedded=False)
                    reproduce_findings(requester, (check.name, ""), check.id, rerun)
    finally:
        client.close()
    return finding_recorder.findings


def attempts(fault: Fault) -> range:
    """
    How often the checks are tried on a fault: on a busy machine, concurrent requests may not overlap in the first attempt,
    and what is cached for a moment may be forgotten.
    """
    return range(3 if fault.name.endswith(("when-concurrent", "when-busy", "-cached-without-key")) else 1)
