"""
Chainproof's options at the end of `locust -f FILE --help`.

Locust prints its help and exits before it reads the locustfile, so the locustfile cannot add options to it. gevent calls
this plugin when Locust patches the process. In every other process with gevent it does nothing and imports nothing.
"""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def add_to_help(event: object) -> None:
    """Print our options when Locust has printed its own, if the locustfile imports chainproof."""
    del event
    if "locust" in sys.modules and is_help_requested(sys.argv[1:]) and uses_chainproof(sys.argv[1:], os.environ):
        atexit.register(_print_options)


def is_help_requested(words: Sequence[str]) -> bool:
    """Whether Locust's arguments ask for its help."""
    return not {"-h", "--help"}.isdisjoint(words)


def uses_chainproof(words: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether one of the locustfiles that Locust's arguments name contains the word chainproof."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-f", "--locustfile", default=environment.get("LOCUST_LOCUSTFILE", "locustfile.py"))
    try:
        names = parser.parse_known_args(words)[0].locustfile
    except argparse.ArgumentError:
        return False
    return any(_contains_chainproof(Path(name.strip())) for name in names.split(","))


def _contains_chainproof(path: Path) -> bool:
    try:
        return b"chainproof" in path.read_bytes()
    except OSError:
        return False


def _print_options() -> None:
    """Print the options of a load run, as Locust's help shows its own."""
    from .locust_arguments import add_locust_options  # noqa: PLC0415  # heavy: only for the help

    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False)
    add_locust_options(parser)
    print(parser.format_help())
