"""
Count the requests of conformance runs against the emulator, by depth and check module.

`python benchmarks/request_counts.py [DEPTH …]` writes `conformance/forecast.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chainproof.conformance.options import Depth
from chainproof.conformance.runner.forecast import FORECAST_FILE
from chainproof.results.folder import read_run

SEED = 1


def request_counts(depth: Depth) -> dict[str, int]:
    """
    The number of requests by check module, of a run at a depth.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-P", "-m", "chainproof", "conformance"]
        subprocess.run([*command, "--depth", depth.value, "--seed", str(SEED), "--out", str(out)], check=True)
        coverage = read_run(out).coverage
    assert coverage is not None
    return dict(coverage.requests_by_module)


def main(arguments: Sequence[str]) -> None:
    """
    Count at the named depths, or at all.
    """
    parser = argparse.ArgumentParser(description="Count the requests of conformance runs against the emulator.")
    parser.add_argument("depths", nargs="*", type=Depth, metavar="DEPTH", help="quick, standard or deep (default: all)")
    depths = parser.parse_args(arguments).depths or list(Depth)
    plan = json.loads(FORECAST_FILE.read_text())
    for depth in depths:
        plan[depth.value] = request_counts(depth)
    FORECAST_FILE.write_text(json.dumps({depth.value: plan.get(depth.value, {}) for depth in Depth}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
