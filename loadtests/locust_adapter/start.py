"""
Start Locust after importing this package, without configuration files that happen to be there.

Locust puts the working folder first on the import path. In a checkout that folder contains a folder `chainproof` with
only a part of the package. Locust also reads options from files (`locust.conf`, `~/.locust.conf`, `pyproject.toml`), which
`chainproof loadtests` must not: nobody gave it those options.
"""

from __future__ import annotations

from locust import argument_parser
from locust.main import main


def ignore_configuration_files() -> None:
    """Make no configuration file the default of Locust's parsers; a file that `--config` names is still read."""
    argument_parser.get_empty_argument_parser.__defaults__ = (True, ())
    argument_parser.get_parser.__defaults__ = ((),)


if __name__ == "__main__":
    ignore_configuration_files()
    main()  # type: ignore[no-untyped-call]  # Locust has no type hints here
