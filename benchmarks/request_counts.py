"""
Count the requests of each check against the emulator, at each depth.

`python benchmarks/request_counts.py [DEPTH …]` adds the checks that `conformance/forecast.json` does not have, and removes
those that no longer exist; with `--all` it counts every check again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from chainproof.chain_schema.schema import Schema
from chainproof.conformance.checks import Check
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.inputs.chain_schema import ChainSchema
from chainproof.conformance.inputs.generated_inputs import simplest_input
from chainproof.conformance.options import Depth, Settings
from chainproof.conformance.probing.budget import CheckScope, Round
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.runner.forecast import FORECAST_FILE, TYPED_CHAIN, TYPED_MODULES
from chainproof.conformance.runner.power_order import power_of
from chainproof.conformance.runner.run import blocked_reason
from chainproof.conformance.runner.setup import LoadedOptions, open_run, prepare_run
from chainproof.conformance.transport.check_skipped import CheckSkipped
from chainproof.conformance.transport.requested_target import EMULATOR_SCENARIO, requested_target
from chainproof.endpoint import open_endpoint

SEED = 1


Count = tuple[int, int, int, int]
"""The requests of a check, how many of them reach the chain, and both for its part of the first round."""
Counts = dict[str, Count]
"""By the id of the check."""


def request_counts(depth: Depth, known: Counts) -> Counts:
    """The counts of every check at a depth. Those that are known are not counted again."""
    counts = _counts(depth, known, LoadedOptions())
    schema = Schema(source="a chain with typed arguments", document=TYPED_CHAIN)
    typed = LoadedOptions(chain_schema=ChainSchema(input_schema=schema, minimal_input=simplest_input(schema)))
    return _counts(depth, known | counts, typed, only=TYPED_MODULES)


def _counts(depth: Depth, known: Counts, loaded: LoadedOptions, only: Collection[str] = ()) -> Counts:
    """The counts of the checks of some modules, or of all, with what is said of the chain; and those that are known."""
    counts: Counts = {}
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryDirectory())
        settings = Settings(depth=depth, seed=SEED, out=str(Path(out) / "run"))
        endpoint = stack.enter_context(open_endpoint(requested_target(settings), scenario=EMULATOR_SCENARIO))
        setup = prepare_run(settings, loaded, endpoint)
        setup.settings = replace(setup.settings, echo=loaded.chain_schema.input_schema is None)
        conformance_run = open_run(setup, stack)
        blocked_reason(conformance_run)
        for check in ALL_CHECKS:
            if check.id in known:
                counts[check.id] = known[check.id]
                continue
            if only and check.module not in only:
                continue
            with suppress(CheckSkipped):
                everything = _count(conformance_run.requester, check, Round.ALL)
                counts[check.id] = (*everything, *_count(conformance_run.requester, check, Round.FIRST))
    return counts


def _count(requester: Requester, check: Check, turn: Round) -> tuple[int, int]:
    """The requests of a check in a round, and how many of them reach the chain. Raises CheckSkipped."""
    scope = CheckScope(name=check.title, round=turn, labels=power_of(check).labels)
    check.run(requester.for_check(scope))
    return scope.sent_count, min(scope.reached_count, scope.sent_count)


def main(arguments: Sequence[str]) -> None:
    """Count at the named depths, or at each."""
    parser = argparse.ArgumentParser(description="Count the requests of each check against the emulator.")
    parser.add_argument(
        "depths", nargs="*", type=Depth, metavar="DEPTH", help="quick, standard or deep (default: each)"
    )
    parser.add_argument("--all", action="store_true", help="count every check again")
    options = parser.parse_args(arguments)
    known = json.loads(FORECAST_FILE.read_text())
    for depth in options.depths or Depth:
        known[depth.value] = request_counts(depth, {} if options.all else known.get(depth.value, {}))
    # One check on each line, so that a change of one check is a change of three lines.
    parts = [
        f' "{depth.value}": {{\n'
        + ",\n".join(f'  "{name}": {json.dumps(count)}' for name, count in known.get(depth.value, {}).items())
        + "\n }"
        for depth in Depth
    ]
    FORECAST_FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
