"""
The pytest plugin of chainproof: it adds the options of a conformance run.

pytest loads it in every run of the environment it is installed in, so it imports nothing heavy and adds no hooks. The
hooks of the checks are in `runner.pytest_hooks`, which test files import themselves.
"""

from __future__ import annotations

from argparse import ArgumentError
from contextlib import suppress

import pytest

from chainproof.options import Option, RenamedOption, Surface

from .options import OPTIONS, Settings, settings_from


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `chainproof conformance`, in a group of their own."""
    group = parser.getgroup("chainproof", "conformance of POST /production/run_remote (chainproof)")
    for option in _PYTEST_OPTIONS:
        keywords = {**option.keyword_arguments(), "dest": _dest(option)}
        try:
            group.addoption(option.name, **keywords)
        except (ArgumentError, ValueError):  # another plugin has an option of this name
            group.addoption(f"--chainproof-{option.name[2:]}", **keywords)
        for old in option.replaces:
            with suppress(ArgumentError, ValueError):
                group.addoption(old, action=RenamedOption, new_name=option.name)


def settings_of(config: pytest.Config) -> Settings:
    """The settings of a pytest run."""
    values = {option.dest: config.getoption(_dest(option)) for option in _PYTEST_OPTIONS}
    return settings_from({**values, "selection": config.getoption("keyword")})


_PYTEST_OPTIONS = tuple(option for option in OPTIONS if Surface.PYTEST in option.valid_in)


def _dest(option: Option) -> str:
    """The attribute in which pytest keeps an option's value, distinct from those of other plugins."""
    return f"chainproof_{option.dest}"
