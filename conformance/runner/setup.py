"""
How an examination is opened: what options and fixtures name, the way to the target, the run folder.
"""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from chainproof.contract.accepted_violations import Acceptance, AcceptanceError, parse_acceptance
from chainproof.endpoint import Endpoint, open_endpoint
from chainproof.errors import UsageError
from chainproof.options import TARGET_OPTIONS
from chainproof.results.folder import (
    DEFAULT_ROOT,
    RunWriter,
    check_writable,
    default_run_path,
    utc_timestamp,
)
from chainproof.results.manifest import Manifest, RunKind, as_settings, versions
from chainproof.target_options import TargetOptions, parse_target_options

from ..inputs.chain_schema import UNKNOWN_CHAIN, ChainSchema, load_chain_schema
from ..judging.ledger import Ledger
from ..options import REMOTE_MAX_REQUESTS, REMOTE_RATE_LIMIT, Settings
from ..probing.requester import Requester
from ..transport.asgi import App, serve_app
from ..transport.client import Client
from ..transport.rate_limit import RateLimiter
from .forecast import forecast_lines
from .run import ConformanceRun

EMULATOR_SCENARIO = "instant"
"""What the embedded emulator serves to conformance: that its answers take a while would show nothing."""

RUN_SETUP = "chainproof-run-setup"
"""Under which name `chainproof conformance` registers what it has opened itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedOptions:
    """
    What options name that is read before anything is opened: violations that are known of, and the chain's signature.
    """

    acceptances: tuple[Acceptance, ...] = ()
    chain_schema: ChainSchema = UNKNOWN_CHAIN


@dataclass(slots=True)
class RunSetup:
    """
    What `chainproof conformance` hands to its pytest session, and gets back.
    """

    settings: Settings
    endpoint: Endpoint
    path: Path
    loaded: LoadedOptions
    forecast: tuple[str, ...] = ()
    """What is going to be sent, in words."""
    conformance_run: ConformanceRun | None = None
    error: Exception | None = None
    """Why the session could not begin, if it could not."""


def load_options(settings: Settings) -> LoadedOptions:
    """
    What `--accept`, `--input-schema` and `--output-schema` name. Raises UsageError.
    """
    try:
        return LoadedOptions(
            acceptances=tuple(parse_acceptance(text) for text in settings.accept),
            chain_schema=load_chain_schema(settings),
        )
    except AcceptanceError as wrong:
        raise UsageError(f"--accept: {wrong}") from None


def prepare_run(settings: Settings, known: LoadedOptions, found: Endpoint) -> RunSetup:
    """
    Everything settled that can be before the first request: the seed, what an emulator can do, the run folder's place.

    Raises FolderError, or UsageError where the target takes no connection.
    """
    seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
    emulated = found.target.emulated
    settled = replace(
        settings,
        seed=seed,
        steerable=settings.steerable or emulated,
        echo=settings.echo or emulated,
        overload=settings.overload or emulated,
    )
    path = (
        Path(settings.out)
        if settings.out
        else default_run_path(settings.depth, found.target, utc_timestamp(), DEFAULT_ROOT)
    )
    # Under pytest-xdist each worker has a share of the checks, and a run of its own beside the others.
    path = path / os.environ.get("PYTEST_XDIST_WORKER", "")
    check_writable(path)
    client = make_client(found, settings)
    client.check_connection()
    client.close()
    forecast = tuple(forecast_lines(settled, client.rate_limiter, local=client.on_loopback))
    return RunSetup(settings=settled, endpoint=found, path=path, loaded=known, forecast=forecast)


def make_client(found: Endpoint, settings: Settings) -> Client:
    """
    A client for an endpoint, by the route there.
    """
    client = Client(found.target, settings.deadline, route=found.route, fields=found.fields)
    client.rate_limiter = _allowance(settings, polite=not client.on_loopback)
    return client


def _allowance(settings: Settings, *, polite: bool) -> RateLimiter:
    """
    How much may be sent, and how fast; a target that is not on loopback is asked politely unless told otherwise.
    """
    most, rate = settings.max_requests, settings.rate_limit
    if polite:
        most = REMOTE_MAX_REQUESTS[settings.depth] if most is None else most
        rate = REMOTE_RATE_LIMIT if rate is None else rate
    return RateLimiter(max_requests=most, rate=rate)


def requested_target(settings: Settings) -> TargetOptions:
    """
    Where requests are to go, as the settings say it. Raises UsageError, HeaderError or TargetError.
    """
    return parse_target_options({option.dest: getattr(settings, option.dest) for option in TARGET_OPTIONS})


def open_run(setup: RunSetup, stack: ExitStack) -> ConformanceRun:
    """
    The run folder and the client.
    """
    settings, target = setup.settings, setup.endpoint.target
    assert settings.seed is not None
    manifest = _manifest(setup)
    folder = stack.enter_context(RunWriter(setup.path, manifest))
    client = make_client(setup.endpoint, settings)
    stack.callback(client.close)
    ledger = Ledger(folder, target, settings.seed, setup.endpoint.route)
    requester = Requester(
        client, ledger, key=setup.endpoint.key, settings=settings, chain_schema=setup.loaded.chain_schema
    )
    return ConformanceRun(
        requester=requester,
        folder=folder,
        settings=settings,
        acceptances=setup.loaded.acceptances,
        day=manifest.day,
    )


def _manifest(setup: RunSetup) -> Manifest:
    """
    What is known before the first request.
    """
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
            fail_on=settings.fail_on.value,
            deadline_s=settings.deadline,
            allow=[permission.value for permission in settings.allow],
            overload=settings.overload,
            max_requests=settings.max_requests,
            rate_limit=settings.rate_limit,
            duration_s=settings.duration,
            keep_bodies=settings.keep_bodies,
            input_schema=settings.input_schema,
            output_schema=settings.output_schema,
            accept=[acceptance.to_json() for acceptance in setup.loaded.acceptances],
        )
        | setup.endpoint.settings,
        versions=versions("h11", "hypothesis", "pytest", "schemathesis"),
    )


@dataclass(slots=True, kw_only=True)
class ConformanceRuns:
    """
    The examinations of one pytest session: one for each target that its tests name.
    """

    settings: Settings
    stack: ExitStack
    """Closed behind the last test."""
    setup: RunSetup | None = None
    """What `chainproof conformance` has opened itself."""
    errors: dict[str | int, Exception] = field(default_factory=dict)
    _opened: dict[str | int, ConformanceRun] = field(default_factory=dict)

    @property
    def all(self) -> tuple[ConformanceRun, ...]:
        """Those that have begun."""
        return tuple(self._opened.values())

    def get(self, named: str | App | None, key: str | None) -> ConformanceRun:
        """
        The examination of what a project's fixtures name, else of what the options do, opened when it is first asked for.

        Raises UsageError, the same one each time.
        """
        place = named if isinstance(named, str) else id(named)  # not every app has a hash
        if place in self.errors:
            raise self.errors[place]
        if place not in self._opened:
            try:
                self._opened[place] = open_run(self.setup or self._found(named, key), self.stack)
            except UsageError as mistake:
                self.errors[place] = mistake
                raise
        return self._opened[place]

    def _found(self, named: str | App | None, key: str | None) -> RunSetup:
        """
        The endpoint, with everything else that is settled before the first request.
        """
        settings, known = self.settings, load_options(self.settings)
        chosen = requested_target(settings)
        if chosen.url is None and named is not None:
            url = named if isinstance(named, str) else self.stack.enter_context(serve_app(named))
            chosen = replace(chosen, url=url)
        environment = os.environ if key is None else {**os.environ, chosen.key_variable: key}
        emulator = ("--contract", settings.contract.value)
        found = self.stack.enter_context(
            open_endpoint(chosen, scenario=EMULATOR_SCENARIO, options=emulator, environment=environment)
        )
        return prepare_run(settings, known, found)
