"""Setup of a conformance run: target, seed, client and run folder, from options and fixtures."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from chainproof.clock import Seconds
from chainproof.contract.accepted_violations import Acceptance, AcceptanceError, parse_acceptance
from chainproof.contract.target import is_loopback, parse_target
from chainproof.endpoint import Endpoint, open_endpoint
from chainproof.errors import UsageError
from chainproof.hardware import this_machine
from chainproof.options import TARGET_VARIABLE
from chainproof.results.manifest import Manifest, RunKind, as_settings, versions
from chainproof.results.run_writer import RunWriter, check_writable, create_run_folder, utc_timestamp

from ..inputs.chain_schema import UNKNOWN_CHAIN, ChainSchema, load_chain_schema
from ..judging.finding_recorder import FindingRecorder
from ..options import REMOTE_MAX_REQUESTS, REMOTE_RATE_LIMIT, USUAL_CONCURRENCY, Settings
from ..probing.budget import RunLimits, TimeBudget
from ..probing.requester import Requester
from ..transport.asgi import App, serve_app
from ..transport.client import Client
from ..transport.rate_limit import RateLimiter
from ..transport.request import with_accept
from ..transport.requested_target import EMULATOR_SCENARIO, requested_target
from .forecast import forecast_lines
from .interruption import Interruption
from .plan import time_limit
from .rerun import call_options, rerun_command
from .run import ConformanceRun

RUN_SETUP = "chainproof-run-setup"
"""Name under which `chainproof conformance` registers its setup with pytest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedOptions:
    """The values of options that are read first: accepted violations, and the schemas and payloads of the chain."""

    acceptances: tuple[Acceptance, ...] = ()
    chain_schema: ChainSchema = UNKNOWN_CHAIN


@dataclass(slots=True)
class RunSetup:
    """What `chainproof conformance` passes to its pytest session, and the run that it gets back."""

    settings: Settings
    endpoint: Endpoint
    path: Path | None
    """The run folder of `--out`; None: a new one under runs/."""
    loaded: LoadedOptions
    forecast: tuple[str, ...] = ()
    """The forecast of requests, line by line."""
    began: Seconds | None = None
    """When the command began; None if the run is all that there is."""
    conformance_run: ConformanceRun | None = None
    error: Exception | None = None
    """Why the run could not start; None if it could."""
    interruption: Interruption = field(default_factory=Interruption)


def load_options(settings: Settings) -> LoadedOptions:
    """Read `--accept`, `--input-schema`, `--output-schema` and `--payloads`. Raises UsageError."""
    try:
        return LoadedOptions(
            acceptances=tuple(parse_acceptance(text) for text in settings.accept),
            chain_schema=load_chain_schema(settings),
        )
    except AcceptanceError as error:
        raise UsageError(f"--accept: {error}") from None


def prepare_run(settings: Settings, loaded: LoadedOptions, endpoint: Endpoint) -> RunSetup:
    """
    Set up a run as far as possible without a request: seed, capabilities of an emulator, path of the run folder.

    Raises UsageError if the folder cannot be written or the target cannot be connected to.
    """
    seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
    emulated = endpoint.target.emulated
    resolved = replace(
        settings,
        seed=seed,
        steerable=settings.steerable or emulated,
        echo=settings.echo or emulated,
        overload=settings.overload or emulated,
    )
    # Under pytest-xdist each worker runs some of the checks, and needs a run folder of its own.
    path = Path(settings.out, os.environ.get("PYTEST_XDIST_WORKER", "")) if settings.out else None
    if path is not None:
        check_writable(path)
    client = make_client(endpoint, settings)
    client.check_connection()
    client.close()
    forecast = tuple(forecast_lines(resolved, client.rate_limiter, local=client.on_loopback))
    return RunSetup(settings=resolved, endpoint=endpoint, path=path, loaded=loaded, forecast=forecast)


def planned_limits(settings: Settings) -> tuple[RunLimits, bool]:
    """The limits of a run with these settings, and whether its target is remote. Raises UsageError."""
    target = requested_target(settings)
    is_remote = target.url is not None and not is_loopback(parse_target(target.url).host)
    limiter = _rate_limiter(settings, is_remote=is_remote)
    limits = RunLimits(
        seconds=time_limit(settings, 0.0, is_remote=is_remote),
        requests=limiter.left,
        rate=limiter.rate or float("inf"),
        concurrency=settings.concurrency or USUAL_CONCURRENCY,
    )
    return limits, is_remote


def make_client(endpoint: Endpoint, settings: Settings) -> Client:
    """A client for an endpoint, with the rate limit of the settings."""
    client = Client(
        endpoint.target,
        settings.deadline,
        route=endpoint.route,
        fields=with_accept(endpoint.fields),
        max_response_memory=settings.max_response_memory << 20,
    )
    client.rate_limiter = _rate_limiter(settings, is_remote=not client.on_loopback)
    return client


def _rate_limiter(settings: Settings, *, is_remote: bool) -> RateLimiter:
    """The limits on requests; remote targets have default limits."""
    max_requests, rate = settings.max_requests, settings.rate_limit
    if is_remote:
        max_requests = REMOTE_MAX_REQUESTS[settings.depth] if max_requests is None else max_requests
        rate = REMOTE_RATE_LIMIT if rate is None else rate
    return RateLimiter(max_requests=max_requests, rate=rate)


def open_run(setup: RunSetup, stack: ExitStack) -> ConformanceRun:
    """Open the run folder and the client; *stack* closes them."""
    settings, target = setup.settings, setup.endpoint.target
    assert settings.seed is not None
    manifest = _manifest(setup)
    folder = stack.enter_context(RunWriter(setup.path or create_run_folder(settings.depth, target), manifest))
    client = make_client(setup.endpoint, settings)
    stack.callback(client.close)
    is_embedded = target.emulated and TARGET_VARIABLE not in os.environ
    finding_recorder = FindingRecorder(
        folder, target, settings.seed, setup.endpoint.route, call_options(settings), redact=setup.endpoint.redact
    )
    requester = Requester(
        client,
        finding_recorder,
        key=setup.endpoint.key,
        other_secrets=setup.endpoint.secrets[1:],
        settings=settings,
        chain_schema=setup.loaded.chain_schema,
    )
    requester.time_budget = TimeBudget(time_limit(settings, 0.0, is_remote=not client.on_loopback))
    if setup.began is not None:
        requester.time_budget.began = setup.began
    client.rate_limiter.limit = requester.time_budget.deadline
    return ConformanceRun(
        requester=requester,
        folder=folder,
        settings=settings,
        chain_schema=setup.loaded.chain_schema,
        rerun=partial(rerun_command, settings=settings, target=target, embedded=is_embedded),
        acceptances=setup.loaded.acceptances,
        day=manifest.day,
        interruption=setup.interruption,
        redact=setup.endpoint.redact,
    )


def _manifest(setup: RunSetup) -> Manifest:
    """The manifest of a run."""
    settings, target = setup.settings, setup.endpoint.target
    assert settings.seed is not None
    return Manifest(
        kind=RunKind.CONFORMANCE,
        name=settings.depth.value,
        started=utc_timestamp(),
        target=target.url,
        emulated=target.emulated,
        contract=settings.contract.value,
        seed=settings.seed,
        settings=as_settings(
            depth=settings.depth.value,
            steerable=settings.steerable,
            echo=settings.echo,
            deterministic=settings.deterministic,
            fail_on=settings.fail_on.value,
            deadline_s=settings.deadline,
            allow=[permission.value for permission in settings.allow],
            overload=settings.overload,
            max_requests=settings.max_requests,
            rate_limit=settings.rate_limit,
            time_budget_s=settings.time_budget,
            concurrency=settings.concurrency,
            duration_s=settings.duration,
            keep_bodies=settings.keep_bodies,
            input_schema=settings.input_schema,
            output_schema=settings.output_schema,
            check=settings.check,
            payloads=settings.payloads,
            slow_payload=settings.slow_payload,
            accept=[acceptance.to_json() for acceptance in setup.loaded.acceptances],
        )
        | (as_settings(selection=settings.selection) if settings.selection else {})
        | (as_settings(label=settings.label) if settings.label else {})
        | setup.endpoint.settings,
        versions=versions("h11", "hypothesis", "pytest", "schemathesis"),
        hardware=this_machine(),
    )


@dataclass(slots=True, kw_only=True)
class ConformanceRuns:
    """The runs of one pytest session, one for each target that its tests name."""

    settings: Settings
    stack: ExitStack
    """Closed after the last test."""
    setup: RunSetup | None = None
    """The setup of `chainproof conformance`; None in other sessions."""
    not_selected: frozenset[str] = frozenset()
    """Ids of the clauses that only checks which were not selected exercise."""
    errors: dict[str | int, UsageError] = field(default_factory=dict)
    _opened: dict[str | int, ConformanceRun] = field(default_factory=dict)

    @property
    def all(self) -> tuple[ConformanceRun, ...]:
        """The runs that have been opened."""
        return tuple(self._opened.values())

    def get(self, target: str | App | None, key: str | None) -> ConformanceRun:
        """
        The run for the target that the options name, else for that of a fixture; opened when first used.

        Raises UsageError, the same one each time.
        """
        place = target if isinstance(target, str) else id(target)  # not every app has a hash
        if place in self.errors:
            raise self.errors[place]
        if place not in self._opened:
            try:
                opened = open_run(self.setup or self._prepare(target, key), self.stack)
                opened.requester.finding_recorder.not_selected = self.not_selected
                self._opened[place] = opened
            except UsageError as mistake:
                self.errors[place] = mistake
                raise
        return self._opened[place]

    def _prepare(self, target: str | App | None, key: str | None) -> RunSetup:
        """Set up a run for a target. Raises UsageError."""
        settings, loaded = self.settings, load_options(self.settings)
        chosen = requested_target(settings)
        if chosen.url is None and target is not None:
            url = target if isinstance(target, str) else self.stack.enter_context(serve_app(target))
            chosen = replace(chosen, url=url)
        environment = os.environ if key is None else {**os.environ, chosen.key_variable: key}
        emulator = ("--contract", settings.contract.value)
        endpoint = self.stack.enter_context(
            open_endpoint(chosen, scenario=EMULATOR_SCENARIO, options=emulator, environment=environment)
        )
        return prepare_run(settings, loaded, endpoint)
