"""The target of a run: what the options name, or else an emulator that is started for it."""

from __future__ import annotations

from chainproof.options import TARGET_OPTIONS
from chainproof.target_options import TargetOptions, parse_target_options

from ..options import Settings

EMULATOR_SCENARIO = "instant"
"""Scenario of the embedded emulator: slow answers would test nothing."""


def requested_target(settings: Settings) -> TargetOptions:
    """The target that the settings name. Raises UsageError."""
    return parse_target_options({option.dest: getattr(settings, option.dest) for option in TARGET_OPTIONS})
