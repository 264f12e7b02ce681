"""What a check knows of its target and its run, and the requests that follow from it. Nothing here sends a request."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.accepted_violations import is_accepted, parse_acceptance
from chainproof.contract.credentials import ApiKey
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.target import Target
from chainproof.json_text import JSON
from chainproof.results.shell_command import Secret

from ..inputs.bodies import describe_body
from ..inputs.chain_inputs import initial_inputs
from ..inputs.chain_schema import UNKNOWN_CHAIN, ChainSchema
from ..inputs.generated_inputs import input_label
from ..judging.expectation import Terms
from ..judging.finding_recorder import FindingRecorder
from ..judging.output_comparison import FirstOutputs
from ..options import EXAMPLES_BY_DEPTH, USUAL_CONCURRENCY, Permission, Settings
from ..transport.check_skipped import CheckSkipped
from ..transport.client import Client
from ..transport.request import JSON_TYPE, CheckRequest, key_secret
from .budget import FIRST_EXAMPLES, CheckScope, Round, RunLimits, TimeBudget
from .waits import Waits

Item = TypeVar("Item")

NEEDS_ECHO = "needs --echo: a chain that returns its input"
"""Why a check is skipped that compares outputs with inputs."""


class DefaultBody(Enum):
    """Stands for the simplest body that the chain accepts."""

    DEFAULT_BODY = "plain"


DEFAULT_BODY = DefaultBody.DEFAULT_BODY


class CheckContext:
    """One target, what is known about it, and what the run may do to it."""

    first_outputs: FirstOutputs | None = None
    """The outputs for the first input of the run, if the chain does not accept any object."""

    def __init__(
        self,
        client: Client,
        finding_recorder: FindingRecorder,
        *,
        key: ApiKey,
        settings: Settings,
        chain_schema: ChainSchema = UNKNOWN_CHAIN,
        other_secrets: tuple[str, ...] = (),
        waits: Waits | None = None,
        pause: Callable[[Seconds], None] = time.sleep,
    ) -> None:
        assert settings.seed is not None
        self.finding_recorder = finding_recorder
        self.settings = settings
        self.seed: int = settings.seed
        self.key = key
        self.secret = key_secret(key, settings.api_key_env)
        self.terms = Terms(
            key=key,
            other_secrets=other_secrets,
            contract=settings.contract,
            echo=settings.echo,
            input_schema=chain_schema.input_schema,
            output_schema=chain_schema.output_schema,
            user_check=chain_schema.user_check,
            is_status_accepted=is_accepted(
                clauses.STATUS.id, map(parse_acceptance, settings.accept), datetime.now(UTC).date()
            ),
        )
        self.inputs = initial_inputs(
            minimal_input=chain_schema.minimal_input,
            payloads=chain_schema.payloads,
            any_object=self.terms.any_object,
        )
        """Inputs that the chain accepts, as far as is known; `discover_inputs` asks for them."""
        self.learnt: dict[str, JSON] = {}
        """What one check has found out about the chain for all of them, by what it is."""
        self.slow_input = chain_schema.slow_input
        """An input that takes the chain long, if the user names one."""
        self.waits = waits or Waits.for_depth(settings.depth)
        self.started: Seconds = monotonic()
        self.time_budget = TimeBudget()
        """The time that the run has left."""
        self.scope = CheckScope()
        """The part of the running check's requests that is sent."""
        self._client, self._pause = client, pause
        self._has_user_inputs = bool(chain_schema.input_schema or chain_schema.payloads or settings.echo)
        finding_recorder.chain_reasons = self._chain_reasons()
        self._prepare(client)

    def _prepare(self, client: Client) -> None:
        """Make what a subclass needs beside the parameters, when all else is there."""

    @property
    def may_search_inputs(self) -> bool:
        """Whether the user named no inputs, so that the chain's own errors are the only lead."""
        return not self._has_user_inputs

    @property
    def target(self) -> Target:
        """Where the requests go."""
        return self._client.target

    @property
    def on_loopback(self) -> bool:
        """Whether the target is on this machine."""
        return self._client.on_loopback

    @property
    def speaks_only_http_1_0(self) -> bool:
        """Whether every answer of the target was HTTP/1.0, which has neither chunks nor interim answers."""
        return self._client.speaks_only_http_1_0

    @property
    def max_examples(self) -> int:
        """How many requests a generating check makes; fewer on slow targets, so that the run ends in time."""
        return self.share(EXAMPLES_BY_DEPTH[self.settings.depth])

    def share(self, planned: int, first: int = FIRST_EXAMPLES) -> int:
        """
        How many of *planned* similar requests a check sends; fewer on slow targets.

        If the run has two rounds, the check runs twice, and *first* of them belong to the first round.
        """
        return self.scope.share(planned, first)

    def part(self, items: Sequence[Item], first: int) -> Sequence[Item]:
        """The items of the current round: the *first* ones, or as many of the others as there is time for."""
        count = self.share(len(items), first)
        return items[first:][:count] if self.scope.round is Round.REST else items[:count]

    def _chain_reasons(self) -> dict[str, str]:
        """Clause ids, and why they are not exercised if they are not: what is known of the chain."""
        is_output_known = self.terms.output_schema is not None or self.terms.echo
        needs_schema = "needs --output-schema: what the chain returns is unknown"
        reasons = {
            clauses.OBJECT_ACCEPTED.id: self.no_accepted_input,
            clauses.OUTPUT_SCHEMA.id: "no output was a JSON object" if is_output_known else needs_schema,
        }
        return reasons if self.terms.echo else reasons | {clauses.ECHO_EXACT.id: NEEDS_ECHO}

    @property
    def no_accepted_input(self) -> str:
        """Why nothing can be said about inputs if none was accepted: none were given, or the chain rejected them."""
        if self._has_user_inputs:
            return "the chain accepted none of the given or generated inputs"
        return "no input is known that the chain accepts: give --input-schema or --payloads"

    def require_accepted_input(self) -> None:
        """Raises CheckSkipped if no input is known that the chain accepts."""
        if self.inputs.is_accepted is False:
            raise CheckSkipped(self.no_accepted_input)

    def unique_input(self, purpose: str, size: int = 0) -> bytes:
        """An input of at least *size* bytes that no other purpose has, if the chain accepts any object; else a known one."""
        return self.inputs.unique(self.rng(purpose), size)

    def reseed(self, turn: int) -> None:
        """Derive a new seed from the run's seed; turn 0 restores the run's own."""
        assert self.settings.seed is not None
        self.seed = self.settings.seed + turn * 2**53  # more than `--seed` accepts

    def rng(self, purpose: str) -> random.Random:
        """Random numbers that follow from the seed, different ones for each purpose."""
        return random.Random(f"{purpose} {self.seed}")

    def is_permitted(self, permission: Permission) -> bool:
        """Whether the target may be sent something intrusive. On loopback everything but overload may be sent."""
        if permission in self.settings.allow or (permission is Permission.OVERLOAD and self.settings.overload):
            return True
        return self._client.on_loopback and permission is not Permission.OVERLOAD

    def require_permission(self, permission: Permission) -> None:
        """Raises CheckSkipped if the target may not be sent something intrusive."""
        if not self.is_permitted(permission):
            needs = "needs" if self._client.on_loopback else "remote targets need"
            raise CheckSkipped(f"{needs} --allow {permission}")

    def pause(self, seconds: Seconds) -> None:
        """Wait, but not longer than the run may last."""
        self._pause(min(seconds, self.time_budget.left))

    @property
    def limits(self) -> RunLimits:
        """What the run may spend from now on."""
        limiter = self._client.rate_limiter
        return RunLimits(
            seconds=self.time_budget.left,
            requests=limiter.left,
            rate=limiter.rate or float("inf"),
            concurrency=self.settings.concurrency or USUAL_CONCURRENCY,
        )

    def note(self, text: str) -> None:
        """Enter an observation about the target that is no violation."""
        self.finding_recorder.note(text)

    @property
    def notes(self) -> tuple[str, ...]:
        """The observations so far."""
        return self.finding_recorder.coverage.notes

    def build_request(
        self,
        body: bytes | DefaultBody | None = DEFAULT_BODY,
        *,
        fields: Iterable[HeaderField] = (JSON_TYPE,),
        authorization: str | None = None,
        secret: Secret | None = None,
        label: str = "",
        **parts: object,
    ) -> CheckRequest:
        """A valid request with the right key and a simple body, except for what the arguments change."""
        body = self.inputs.base if body is DEFAULT_BODY else body
        fields = (("Authorization", authorization or self.key.authorization), *fields)
        place = {"operation": self.target.path, "path": self.target.path} | parts
        label = label or self.body_label(body)
        return CheckRequest(fields=fields, body=body, secret=secret or self.secret, label=label, **place)  # type: ignore[arg-type]  # the request's other fields, unchanged

    def body_label(self, body: bytes | None) -> str:
        """A body in words."""
        schema = self.terms.input_schema
        return describe_body(body) if schema is None else input_label(schema, body)
