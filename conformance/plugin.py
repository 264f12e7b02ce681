"""
A pytest plugin: the options, and nothing else.

pytest loads it in every run of the environment it is installed in. So it imports nothing heavy and hooks into nothing;
what conformance tests need lies in `session`, which their own files ask for.
"""

from __future__ import annotations

from argparse import ArgumentError

import pytest

from .options import OPTIONS, Option, Settings, settings_from


def pytest_addoption(parser: pytest.Parser) -> None:
    """
    The options of `chainproof conformance`, in a group of their own.
    """
    group = parser.getgroup("chainproof", "conformance of POST /production/run_remote (chainproof)")
    for option in OPTIONS:
        try:
            group.addoption(option.name, dest=_dest(option), **option.keyword_arguments())
        except (ArgumentError, ValueError):
            # Another plugin owns the name; its runs are worth more to it than our spelling to us.
            group.addoption(f"--chainproof-{option.name[2:]}", dest=_dest(option), **option.keyword_arguments())


def settings_of(config: pytest.Config) -> Settings:
    """
    The settings that a pytest run was given.
    """
    return settings_from({option.field: config.getoption(_dest(option)) for option in OPTIONS})


def _dest(option: Option) -> str:
    """
    Where pytest keeps an option's value, apart from everybody else's.
    """
    return f"chainproof_{option.field}"
