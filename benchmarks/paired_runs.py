"""
Measure what `--duet` and `--interleave` find: `python benchmarks/paired_runs.py [--kind duet] [--comparisons N]`

Two emulators as real processes, with lognormal service times from different seeds. In half of the comparisons they are equal, in
the other half the candidate is 10 % slower. A difference counts as found if a comparison with tolerance 0 says that the candidate
is worse; between equal versions, each claim of a difference is a false alarm. The last column has the exit codes with the default
tolerance.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE
from chainproof.endpoint import start_emulator
from chainproof.processes import chainproof_command

MEDIAN, P99 = 0.020, 0.060
"""Service time of the baseline, in seconds."""
SLOWER = 1.1


def scenario(folder: Path, factor: float) -> Path:
    """A scenario file whose service times are *factor* times those of the baseline."""
    path = folder / f"times-{factor:g}.toml"
    times = {name: f"{factor * seconds * 1000:g}ms" for name, seconds in (("median", MEDIAN), ("p99", P99))}
    table = ", ".join(f'{name} = "{text}"' for name, text in times.items())
    path.write_text(f'description = "lognormal"\nservice_time = {{ {table} }}\n', encoding="utf-8")
    return path


def comparison(kind: str, options: argparse.Namespace, folder: Path, factor: float, seed: int) -> tuple[int, int]:
    """The exit codes of one comparison: with tolerance 0, and with the default."""
    with ExitStack() as stack:
        candidate, baseline = (
            stack.enter_context(start_emulator(str(scenario(folder, each)), options=("--seed", str(number))))
            for each, number in ((factor, 2 * seed + 1), (1.0, 2 * seed + 2))
        )
        seconds, count = options.duet if kind == "duet" else options.interleave
        words = [f"--{kind}", baseline.target.url, "--target", candidate.target.url, "--repeat", f"{count:g}"]
        words += ["--rate", str(options.rate), "--duration", f"{seconds:g}s", "--seed", str(seed)]
        out = folder / f"{kind}-{factor:g}-{seed}"
        arguments = chainproof_command("loadtests", *words, "--out", str(out), "--quiet", "--no-html")
        key = {DEFAULT_KEY_VARIABLE: candidate.key.reveal()}
        default = subprocess.run(arguments, env={**os.environ, **key}, capture_output=True, text=True, check=False)
    sides = [sorted(str(path) for path in out.glob(f"*_{side}")) for side in ("candidate", "baseline")]
    if not all(sides):
        sys.exit(default.stderr)
    exact = chainproof_command("reports", *sides[0], "--against", *sides[1], "--tolerance", "0")
    return subprocess.run(exact, capture_output=True, check=False).returncode, default.returncode


def rows(kinds: Sequence[str], options: argparse.Namespace) -> Iterator[str]:
    """One line of the table for each kind and each pair of versions."""
    with tempfile.TemporaryDirectory() as name:
        for kind in kinds:
            for factor, title in ((1.0, "equal"), (SLOWER, "10 % slower")):
                codes = [comparison(kind, options, Path(name), factor, seed) for seed in range(options.comparisons)]
                exact = Counter(code for code, _ in codes)
                claims = exact[1] if factor != 1.0 else exact[0] + exact[1]
                default = ", ".join(f"{code}: {count}" for code, count in sorted(Counter(d for _, d in codes).items()))
                yield f"{kind:12}{title:14}{claims:3} of {len(codes):<6}{default}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=["duet", "interleave"], help="default: both")
    parser.add_argument("--comparisons", type=int, default=10, help="for each cell (10)")
    parser.add_argument("--rate", type=float, default=50, help="requests per second (50)")
    pair = {"nargs": 2, "type": float, "metavar": ("SECONDS", "PAIRS")}
    parser.add_argument("--duet", default=(60.0, 1), help="length and number of pairs (60 1)", **pair)  # type: ignore[arg-type]  # argparse's signature
    parser.add_argument("--interleave", default=(20.0, 6), help="the same (20 6)", **pair)  # type: ignore[arg-type]  # argparse's signature
    options = parser.parse_args()
    print(f"{'kind':12}{'versions':14}{'claims':13}exit codes with the default tolerance", flush=True)
    for row in rows([options.kind] if options.kind else ["duet", "interleave"], options):
        print(row, flush=True)


if __name__ == "__main__":
    main()
