"""
What a load run is, worked out from the options: one workload, one contract, one seed.
"""

from __future__ import annotations

import argparse
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from chainproof.clock import Seconds
from chainproof.command import Mistake
from chainproof.contract.levels import Contract
from chainproof.results.manifest import Settings, as_settings
from chainproof.workload.arrivals import PROCESSES, digest, until
from chainproof.workload.objectives import parse_objective
from chainproof.workload.payloads import Payload, drawn
from chainproof.workload.workload import Model, Workload

from .catalogue import workload

MOST_ARRIVALS = 20_000_000
"""The longest plan that is held in memory."""

OF_ONE_MODEL = {
    "rate": Model.OPEN,
    "arrivals": Model.OPEN,
    "max_in_flight": Model.OPEN,
    "users": Model.CLOSED,
    "think_time": Model.CLOSED,
}
"""Options that mean nothing in the other model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """
    Which of a plan's requests are this worker's: every *of*-th, beginning with *index*.
    """

    index: int = 0
    of: int = 1

    def numbers(self, count: int) -> range:
        """The places in a plan of *count* requests."""
        return range(self.index, count, self.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """
    The workload with the options in place of its own values, and what is drawn from the seed.
    """

    workload: Workload
    contract: Contract
    seed: int

    def plan(self) -> array[float]:
        """Every intended start of the open model; empty in the closed one, whose starts nobody knows."""
        work = self.workload
        if work.model is Model.CLOSED:
            return array("d")
        return array("d", until(work.duration, PROCESSES[work.arrivals](work.rate, self.seed)))

    def payloads(self, share: Share) -> Iterator[Payload]:
        """The payload of each request of a share, in order."""
        return islice(drawn(self.workload.payloads, self.seed), share.index, None, share.of)

    def settings(self, plan: array[float]) -> Settings:
        """What the manifest says beside contract, seed and objectives."""
        work = self.workload
        common = as_settings(
            model=work.model.value,
            duration_s=work.duration,
            deadline_s=work.deadline,
            payloads=[payload.name for payload in work.payloads],
        )
        if work.model is Model.CLOSED:
            return common | as_settings(users=work.users, think_time_s=work.think_time)
        return common | as_settings(
            rate_per_s=work.rate,
            arrivals=work.arrivals,
            max_in_flight=work.max_in_flight,
            plan={"arrivals": len(plan), "sha256": digest(plan)},
        )


def demand(options: argparse.Namespace, users: int | None) -> Demand:
    """
    The demand that the options describe. Raises BadWorkload, BadObjective or Mistake.
    """
    objectives = None if options.objective is None else tuple(parse_objective(text) for text in options.objective)
    given: dict[str, Seconds | int | str | None] = {
        "rate": options.rate,
        "arrivals": options.arrivals,
        "max_in_flight": options.max_in_flight,
        "users": users,
        "think_time": options.think_time,
    }
    work = workload(options.workload).with_options(
        model=options.model, duration=options.duration, deadline=options.deadline, objectives=objectives, **given
    )
    for name, model in OF_ONE_MODEL.items():
        if given[name] is not None and model is not work.model:
            option = f"--{name.replace('_', '-')}"
            raise Mistake(
                f"{option} belongs to the {model} model, and the run is of the {work.model} one: add --model {model}"
            )
    if work.model is Model.OPEN and work.rate * work.duration > MOST_ARRIVALS:
        raise Mistake(
            f"expected at most {MOST_ARRIVALS} planned requests, found {work.rate:g} a second for {work.duration:g} s; "
            "make the run shorter or the rate lower"
        )
    return Demand(workload=work, contract=options.contract, seed=options.seed)
