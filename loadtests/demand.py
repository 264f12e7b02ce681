"""The demand of a load run: workload, contract and seed, from the options."""

from __future__ import annotations

import argparse
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import cast

from chainproof.clock import Seconds
from chainproof.contract.levels import Contract
from chainproof.errors import UsageError
from chainproof.json_text import JSON
from chainproof.options import DEFAULT_RESPONSE_MEMORY
from chainproof.results.manifest import RunSettings, Side, as_settings
from chainproof.results.settings import PhaseSpan
from chainproof.workload.arrivals import WITH_VARIATION, digest
from chainproof.workload.objectives import parse_objective
from chainproof.workload.payloads import Payload, draw_payloads, load_payloads
from chainproof.workload.phases import phase_ends
from chainproof.workload.replay import DEFAULT_TIMESTAMP_KEY, load_instants
from chainproof.workload.workload import Workload, WorkloadModel

from .catalogue import workload
from .output_schema import OutputSchema

MAX_ARRIVALS = 20_000_000
"""The longest plan that fits in memory."""
PAIR_OFFSET: Seconds = 0.001
"""How much later the second request of a pair is planned: longer than a process needs to wake up."""
_CHUNK = 20_000
"""Intended starts to draw between two pauses."""

OPTION_MODELS = {
    "rate": WorkloadModel.OPEN,
    "arrivals": WorkloadModel.OPEN,
    "variation": WorkloadModel.OPEN,
    "replay": WorkloadModel.OPEN,
    "replay_key": WorkloadModel.OPEN,
    "warm_up": WorkloadModel.OPEN,
    "max_in_flight": WorkloadModel.OPEN,
    "users": WorkloadModel.CLOSED,
    "think_time": WorkloadModel.CLOSED,
    "think_time_distribution": WorkloadModel.CLOSED,
}
"""Options that apply to one model only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The share of a plan that one worker sends: every *of*-th request, starting with *index*."""

    index: int = 0
    of: int = 1

    def request_numbers(self, count: int) -> range:
        """The numbers of the requests of this share, in a plan of *count* requests."""
        return range(self.index, count, self.of)

    def share_of(self, total: int) -> int:
        """The worker's part of a total; the first workers get the remainder."""
        return total // self.of + (self.index < total % self.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A workload with the options applied, and the plan and payloads that the seed gives."""

    workload: Workload
    contract: Contract
    seed: int
    input_schema: str | None = None
    """The value of `--input-schema`; None if the payloads are not generated."""
    output: OutputSchema | None = None
    """The schema that the body of every 200 must match, if there is one."""
    output_sample: float = 1.0
    """The share of 200s that are checked against it."""
    check: str | None = None
    """The value of `--check`."""
    retry: str | None = None
    """The name of the retry policy; None: no retries."""
    max_response_memory: int = DEFAULT_RESPONSE_MEMORY
    """Bytes of the answers that a process reads at the same time."""
    keep_bodies: bool = False
    """Whether exemplars contain request and answer bodies."""
    record_requests: int = 0
    """How many requests are recorded one by one."""

    def plan(self, pause: Callable[[], object] = bool) -> array[float]:
        """
        Every intended start of the open model; empty for the closed model, which has none.

        Drawing a long plan takes seconds: *pause* is called in between, so that other greenlets can run.
        """
        work, plan = self.workload, array("d")
        if work.model is WorkloadModel.CLOSED:
            return plan
        starts = work.starts(self.seed)
        while chunk := list(islice(starts, _CHUNK)):
            plan.extend(chunk)
            pause()
        return plan

    def plan_of_side(self, plan: array[float], side: Side) -> array[float]:
        """
        The intended starts of one side of a duet: it is first in every other pair, in the order ABBA.

        Requests of one pair at the same instant would compete for this machine in an order that is not ours.
        """
        # The order ABBA is fair to both sides also if payloads, or workers, take turns.
        is_second = side is Side.BASELINE
        gaps = (later - start for start, later in pairwise([*plan, self.workload.duration]))
        return array(
            "d",
            (
                start + min(PAIR_OFFSET, max(gap, 0.0) / 2) * (((number >> 1 ^ number) & 1) != is_second)
                for number, (start, gap) in enumerate(zip(plan, gaps, strict=True))
            ),
        )

    def payloads(self, share: Shard) -> Iterator[Payload]:
        """The payloads of the requests of a share, in order."""
        return islice(draw_payloads(self.workload.payloads, self.seed), share.index, None, share.of)

    def settings(self, plan: array[float]) -> RunSettings:
        """The settings for the manifest, other than contract, seed and objectives."""
        work = self.workload
        common = as_settings(
            model=work.model.value,
            duration_s=work.duration,
            deadline_s=work.deadline,
            drain_s=work.deadline if work.drain is None else work.drain,
            payloads=list(work.payload_names),
            input_schema=self.input_schema,
            output_schema=self.output.source if self.output is not None else None,
            retry=self.retry,
            keep_bodies=self.keep_bodies,
            output_sample=None if self.output is None else self.output_sample,
            check=self.check,
        )
        if work.max_requests is not None:
            common |= as_settings(max_requests=work.max_requests)
        if self.record_requests:
            common |= as_settings(record_requests=self.record_requests)
        if work.model is WorkloadModel.CLOSED:
            return common | as_settings(
                users=work.users,
                think_time_s=work.think_time,
                think_time_distribution=work.think_time_distribution.value,
            )
        if work.phases:
            common |= as_settings(phases=list(_phase_rows(work)))
        if work.arrivals in WITH_VARIATION:
            common |= as_settings(variation=work.variation)
        return common | as_settings(
            rate_per_s=work.rate,
            arrivals=work.arrivals,
            max_in_flight=work.max_in_flight,
            plan={"arrivals": len(plan), "sha256": digest(plan)},
        )


def _phase_rows(work: Workload) -> Iterator[dict[str, JSON]]:
    """The phases with their rates, for the manifest."""
    for phase, end in zip(work.phases, phase_ends(work.phases), strict=True):
        row = PhaseSpan(name=phase.name, start=end - phase.duration, end=end, judged=phase.judged)
        rates: dict[str, JSON] = {"rate_per_s": phase.rate, "final_rate_per_s": phase.final_rate}
        if phase.amplitude:
            rates |= {"amplitude_per_s": phase.amplitude, "period_s": phase.period}
        yield {**cast(dict[str, JSON], row.to_json()), **rates}


def demand(options: argparse.Namespace, users: int | None) -> Demand:
    """The demand that the options describe. Raises UsageError."""
    objectives = None if options.objective is None else tuple(parse_objective(text) for text in options.objective)
    given: dict[str, Seconds | int | str | None] = {
        "rate": options.rate,
        "arrivals": options.arrivals,
        "variation": options.variation,
        "max_in_flight": options.max_in_flight,
        "users": users,
        "think_time": options.think_time,
        "think_time_distribution": options.think_time_distribution,
    }
    work = _base(options).with_options(
        model=options.model,
        duration=options.duration,
        deadline=options.deadline,
        drain=options.drain,
        objectives=objectives,
        payloads=_payloads(options),
        **given,
    )
    given |= {name: getattr(options, name) for name in ("replay", "replay_key", "warm_up")}
    _check_model(given, work.model)
    if options.variation is not None and work.arrivals not in WITH_VARIATION:
        raise UsageError(
            f"--variation belongs to {' or '.join(WITH_VARIATION)} arrivals, but the arrivals are {work.arrivals}: add "
            f"--arrivals {WITH_VARIATION[0]}"
        )
    if options.warm_up:
        work = work.with_warm_up(options.warm_up)
    if work.model is WorkloadModel.OPEN and work.expected_requests > MAX_ARRIVALS:
        raise UsageError(
            f"expected at most {MAX_ARRIVALS} planned requests, found about {work.expected_requests:.0f}; make the run shorter or "
            "the rate lower"
        )
    return Demand(
        workload=work,
        contract=options.contract,
        seed=options.seed,
        input_schema=options.input_schema,
        output=_output(options.output_schema),
        output_sample=_sample(options),
        check=validate_check(options.check),
        retry=options.retry,
        keep_bodies=options.keep_bodies,
        record_requests=options.record_requests or 0,
        max_response_memory=options.max_response_memory << 20,
    )


def _check_model(given: Mapping[str, object], used: WorkloadModel) -> None:
    """Raises UsageError if an option of the other workload model is given."""
    for name, model in OPTION_MODELS.items():
        if given[name] is not None and model is not used:
            raise UsageError(
                f"--{name.replace('_', '-')} belongs to the {model} model, but this run uses the {used} model: "
                f"leave it out, or use --model {model}"
            )


def _base(options: argparse.Namespace) -> Workload:
    """The named workload, with the arrivals of `--replay` if given. Raises UsageError."""
    work = workload(options.workload)
    if options.replay is None:
        if options.replay_key is not None:
            raise UsageError("expected --replay with --replay-key: the key names the time in each line")
        return work
    if WorkloadModel.CLOSED in (options.model, work.model if options.model is None else None):
        raise UsageError(
            "--replay belongs to the open model, but this run uses the closed model: leave it out, or use --model open"
        )
    return work.with_recording(load_instants(Path(options.replay), options.replay_key or DEFAULT_TIMESTAMP_KEY))


def _payloads(options: argparse.Namespace) -> tuple[Payload, ...] | None:
    """The payloads of `--payloads` or `--input-schema`; None without either. Raises UsageError."""
    path, schema = options.payloads, options.input_schema
    if path is not None and schema is not None:
        raise UsageError("expected --payloads or --input-schema, found both: each sets the payloads; leave one out")
    if schema is not None:
        from .user_files import input_payloads  # noqa: PLC0415  # heavy: only with a schema

        return input_payloads(schema, options.seed)
    return None if path is None else load_payloads(Path(path))


def _sample(options: argparse.Namespace) -> float:
    """The share of outputs to check. Raises UsageError."""
    share = options.output_sample
    if share is None:
        return 1.0
    if options.output_schema is None:
        raise UsageError("expected --output-schema with --output-sample: without a schema nothing is checked")
    if not 0 < share <= 1:
        raise UsageError(f"expected --output-sample from more than 0% to 100%, found {share:.3%}")
    return float(share)


def validate_check(text: str | None) -> str | None:
    """The value of `--check`, after loading its function once. Raises UsageError."""
    if text is not None:
        from chainproof.user_check import load_check  # noqa: PLC0415  # heavy: only with --check

        load_check(text)
    return text


def _output(text: str | None) -> OutputSchema | None:
    """The schema of `--output-schema`; None without it. Raises UsageError."""
    if text is None:
        return None
    from .user_files import load_output  # noqa: PLC0415  # heavy: only with a schema

    return load_output(text)
