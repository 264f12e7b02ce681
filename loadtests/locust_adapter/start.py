"""
Start Locust after importing this package, without configuration files that happen to be there.

Locust puts the working folder first on the import path. In a checkout that folder contains a folder `chainproof` with
only a part of the package, and any folder may have files with the names of libraries. Locust also reads options from files (`locust.conf`, `~/.locust.conf`, `pyproject.toml`), which
must not change a run of `chainproof loadtests`.
"""

from __future__ import annotations

import sys

from chainproof.judgement.verdict import ExitCode
from chainproof.machine_faults import machine_fault


def ignore_configuration_files() -> None:
    """Make no configuration file the default of Locust's parsers; a file that `--config` names is still read."""
    from locust import argument_parser  # noqa: PLC0415  # may fail for lack of memory or files

    argument_parser.get_empty_argument_parser.__defaults__ = (True, ())
    argument_parser.get_parser.__defaults__ = ((),)


def main() -> None:
    """Run Locust. A problem of the machine is reported in one line."""
    sys.argv[0] = "locust"  # the name in Locust's usage errors
    try:
        ignore_configuration_files()
        from locust.main import main as locust  # noqa: PLC0415  # may fail for lack of memory or files

        from . import api  # noqa: F401, PLC0415  # with all that it imports

        locust()  # type: ignore[no-untyped-call]  # Locust has no type hints here
    except Exception as error:
        fault = machine_fault(error)
        if fault is None:
            raise
        print(f"chainproof loadtests: {fault}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)


if __name__ == "__main__":
    main()
