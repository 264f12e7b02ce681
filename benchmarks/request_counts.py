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
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.options import Depth, Settings
from chainproof.conformance.probing.budget import CheckScope
from chainproof.conformance.runner.forecast import FORECAST_FILE
from chainproof.conformance.runner.run import blocked_reason
from chainproof.conformance.runner.setup import LoadedOptions, open_run, prepare_run
from chainproof.conformance.transport.check_skipped import CheckSkipped
from chainproof.conformance.transport.requested_target import EMULATOR_SCENARIO, requested_target
from chainproof.endpoint import open_endpoint

SEED = 1


Counts = dict[str, tuple[int, int]]
"""For each check, the number of its requests, and how many of them reach the chain."""


def request_counts(depth: Depth, known: Counts) -> Counts:
    """The counts of every check at a depth. Those that are known are not counted again."""
    counts: Counts = {}
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryDirectory())
        settings = Settings(depth=depth, seed=SEED, out=str(Path(out) / "run"))
        endpoint = stack.enter_context(open_endpoint(requested_target(settings), scenario=EMULATOR_SCENARIO))
        conformance_run = open_run(prepare_run(settings, LoadedOptions(), endpoint), stack)
        blocked_reason(conformance_run)
        for check in ALL_CHECKS:
            if check.id in known:
                counts[check.id] = known[check.id]
                continue
            scope = CheckScope(name=check.title)
            try:
                check.run(conformance_run.requester.for_check(scope))
            except CheckSkipped:
                continue
            counts[check.id] = (scope.sent_count, min(scope.reached_count, scope.sent_count))
    return counts


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
