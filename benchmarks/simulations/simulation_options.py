"""The options that simulations share: how many, from which seed, and how far from their goals figures may be."""

from __future__ import annotations

import argparse


def simulation_parser(description: str | None, count: str, what: str) -> argparse.ArgumentParser:
    """A parser with `--COUNT`, `--seed` and `--tolerance`. *what* says what is counted, for the help."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{count}", type=int, default=2000, metavar="N", help=f"{what} (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="N",
        help="standard errors by which a figure may miss its goal, for few repetitions (default: 0)",
    )
    return parser
