"""
How an examination is opened: what options and fixtures name, the way to the target, the run folder.
"""

from __future__ import annotations

import os
import secrets
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from chainproof.command import Mistake, Wanted, wanted
from chainproof.contract.accepted_violations import Acceptance, BadAcceptance, parse_acceptance
from chainproof.contract.chain_schema import BadSchema
from chainproof.contract.credentials import NoKey
from chainproof.contract.header_fields import BadField
from chainproof.contract.target import BadTarget
from chainproof.endpoint import Endpoint, endpoint
from chainproof.results.folder import DEFAULT_ROOT, FolderMistake, RunWriter, check_writable, default_path, now
from chainproof.results.manifest import Kind, Manifest, as_settings, versions

from ..inputs.chain_schema import UNKNOWN, Signature, signature
from ..judging.ledger import Ledger
from ..options import POLITE_RATE, POLITE_REQUESTS, Settings
from ..probing.requester import Examination
from ..transport.asgi import App, BadApp, served
from ..transport.client import Client
from ..transport.rate_limit import Allowance
from .forecast import plan_lines
from .run import Conduct

SCENARIO = "instant"
"""What the embedded emulator serves to conformance: that its answers take a while would show nothing."""

GIVEN = "chainproof-given"
"""Under which name `chainproof conformance` registers what it has opened itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """
    What options name that is read before anything is opened: departures that are known of, and the chain's signature.
    """

    acceptances: tuple[Acceptance, ...] = ()
    signature: Signature = UNKNOWN


@dataclass(slots=True)
class Given:
    """
    What `chainproof conformance` hands to its pytest session, and gets back.
    """

    settings: Settings
    endpoint: Endpoint
    path: Path
    agreed: Agreed
    plan: tuple[str, ...] = ()
    """What is going to be sent, in words."""
    conduct: Conduct | None = None
    mistake: Exception | None = None
    """Why the session could not begin, if it could not."""


def agreed(settings: Settings) -> Agreed:
    """
    What `--accept`, `--input-schema` and `--output-schema` name. Raises Mistake.
    """
    try:
        return Agreed(
            acceptances=tuple(parse_acceptance(text) for text in settings.accept), signature=signature(settings)
        )
    except BadAcceptance as wrong:
        raise Mistake(f"--accept: {wrong}") from None
    except BadSchema as wrong:
        raise Mistake(str(wrong)) from None


def prepared(settings: Settings, known: Agreed, found: Endpoint) -> Given:
    """
    Everything settled that can be before the first request: the seed, what an emulator can do, the run folder's place.

    Raises FolderMistake, or Mistake where the target takes no connection.
    """
    seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
    emulated = found.target.emulated
    settled = replace(
        settings,
        seed=seed,
        steerable=settings.steerable or emulated,
        echo=settings.echo or emulated,
        provoke=settings.provoke or emulated,
    )
    path = Path(settings.out) if settings.out else default_path(settings.depth, found.target, now(), DEFAULT_ROOT)
    # Under pytest-xdist each worker has a share of the checks, and a run of its own beside the others.
    path = path / os.environ.get("PYTEST_XDIST_WORKER", "")
    check_writable(path)
    client = client_of(found, settings)
    client.check()
    client.close()
    plan = tuple(plan_lines(settled, client.allowance, local=client.on_loopback))
    return Given(settings=settled, endpoint=found, path=path, agreed=known, plan=plan)


def client_of(found: Endpoint, settings: Settings) -> Client:
    """
    A client for an endpoint, by the route there.
    """
    client = Client(found.target, settings.deadline, route=found.route, fields=found.fields)
    client.allowance = _allowance(settings, polite=not client.on_loopback)
    return client


def _allowance(settings: Settings, *, polite: bool) -> Allowance:
    """
    How much may be sent, and how fast; a target that is not on loopback is asked politely unless told otherwise.
    """
    most, rate = settings.max_requests, settings.rate_limit
    if polite:
        most = POLITE_REQUESTS[settings.depth] if most is None else most
        rate = POLITE_RATE if rate is None else rate
    return Allowance(most=most, rate=rate)


def asked(settings: Settings) -> Wanted:
    """
    Where requests are to go, as the settings say it. Raises Mistake, BadField or BadTarget.
    """
    return wanted(Namespace(**{each.name: getattr(settings, each.name) for each in fields(settings)}))


def opened(given: Given, stack: ExitStack) -> Conduct:
    """
    The run folder and the client.
    """
    settings, target = given.settings, given.endpoint.target
    assert settings.seed is not None
    manifest = _manifest(given)
    folder = stack.enter_context(RunWriter(given.path, manifest))
    client = client_of(given.endpoint, settings)
    stack.callback(client.close)
    ledger = Ledger(folder, target, settings.seed, given.endpoint.route)
    examination = Examination(
        client, ledger, key=given.endpoint.key, settings=settings, signature=given.agreed.signature
    )
    return Conduct(
        examination=examination,
        folder=folder,
        settings=settings,
        acceptances=given.agreed.acceptances,
        day=manifest.day,
    )


def _manifest(given: Given) -> Manifest:
    """
    What is known before the first request.
    """
    settings, target = given.settings, given.endpoint.target
    assert settings.seed is not None
    return Manifest(
        kind=Kind.CONFORMANCE,
        name=settings.depth.value,
        started=now(),
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
            allow=[intrusion.value for intrusion in settings.allow],
            provoke=settings.provoke,
            max_requests=settings.max_requests,
            rate_limit=settings.rate_limit,
            duration_s=settings.duration,
            keep_bodies=settings.keep_bodies,
            input_schema=settings.input_schema,
            output_schema=settings.output_schema,
            accept=[acceptance.to_json() for acceptance in given.agreed.acceptances],
        )
        | given.endpoint.settings,
        versions=versions("h11", "hypothesis", "pytest", "schemathesis"),
    )


@dataclass(slots=True, kw_only=True)
class Conducts:
    """
    The examinations of one pytest session: one for each target that its tests name.
    """

    settings: Settings
    stack: ExitStack
    """Closed behind the last test."""
    given: Given | None = None
    """What `chainproof conformance` has opened itself."""
    mistakes: dict[str | int, Exception] = field(default_factory=dict)
    _opened: dict[str | int, Conduct] = field(default_factory=dict)

    @property
    def all(self) -> tuple[Conduct, ...]:
        """Those that have begun."""
        return tuple(self._opened.values())

    def of(self, named: str | App | None, key: str | None) -> Conduct:
        """
        The examination of what a project's fixtures name, else of what the options do, opened when it is first asked for.

        Raises one of MISTAKES, the same one each time.
        """
        place = named if isinstance(named, str) else id(named)  # not every app has a hash
        if place in self.mistakes:
            raise self.mistakes[place]
        if place not in self._opened:
            try:
                self._opened[place] = opened(self.given or self._found(named, key), self.stack)
            except MISTAKES as mistake:
                self.mistakes[place] = mistake
                raise
        return self._opened[place]

    def _found(self, named: str | App | None, key: str | None) -> Given:
        """
        The endpoint, with everything else that is settled before the first request.
        """
        settings, known = self.settings, agreed(self.settings)
        chosen = asked(settings)
        if chosen.url is None and named is not None:
            url = named if isinstance(named, str) else self.stack.enter_context(served(named))
            chosen = replace(chosen, url=url)
        environment = os.environ if key is None else {**os.environ, chosen.variable: key}
        emulator = ("--contract", settings.contract.value)
        found = self.stack.enter_context(endpoint(chosen, scenario=SCENARIO, options=emulator, environment=environment))
        return prepared(settings, known, found)


MISTAKES = (Mistake, BadApp, BadField, BadTarget, NoKey, FolderMistake)
"""Asked wrongly, or cannot start."""
