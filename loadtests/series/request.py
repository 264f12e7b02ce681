"""The series of runs that the options ask for, and the target of its baseline."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from chainproof.clock import Seconds
from chainproof.contract.credentials import BASELINE_KEY_VARIABLE
from chainproof.contract.target import is_loopback
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.options import TARGET_VARIABLE
from chainproof.results.manifest import SeriesKind
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import Workload

from .planning import DEFAULT_PAIRS, SeriesPlan

PAUSE: Seconds = 10.0
"""Time between two runs: a target works off what a run has left."""
LOOPBACK_PAUSE: Seconds = 1.0
"""The same for a target on a loopback address."""


def requested_series(
    options: argparse.Namespace, workload: Workload, environment: Mapping[str, str] = os.environ
) -> SeriesPlan | None:
    """The series that the options ask for, with the pause of a remote target; None for one run. Raises UsageError."""
    kind = _kind(options)
    errors = _errors(options, kind, workload, environment)
    if errors:
        raise UsageError("; ".join(errors))
    if kind is None:
        return None
    default = DEFAULT_PAIRS if kind is SeriesKind.INTERLEAVE else 1
    return SeriesPlan(
        kind=kind,
        count=options.repeat or default,
        pause=PAUSE if options.pause is None else options.pause,
        duration=workload.duration,
    )


def _kind(options: argparse.Namespace) -> SeriesKind | None:
    """The kind of the series; None for one run."""
    if options.duet is not None:
        return SeriesKind.DUET
    if options.interleave is not None:
        return SeriesKind.INTERLEAVE
    return SeriesKind.REPEAT if options.repeat is not None else None


def _errors(
    options: argparse.Namespace, kind: SeriesKind | None, workload: Workload, environment: Mapping[str, str]
) -> list[str]:
    """What is wrong with the options."""
    if kind is None:
        alone = {"--pause": options.pause, "--baseline-api-key-env": options.baseline_api_key_env}
        given = [name for name, value in alone.items() if value is not None]
        return [f"expected --repeat, --interleave or --duet with {name}" for name in given]
    errors = []
    if options.calibrate or options.search or workload.search is not None:
        errors.append(
            f"expected no --{kind} with a search or --calibrate, which make runs of their own: start the command several times"
        )
    if kind is SeriesKind.REPEAT:
        if options.baseline_api_key_env is not None:
            errors.append("expected --interleave or --duet with --baseline-api-key-env: --repeat has one target")
        return errors
    if (options.duet if kind is SeriesKind.DUET else options.interleave) == "":
        errors.append(f"expected a URL with --{kind}, found an empty text; is the variable that should hold it set?")
    if not (options.target or options.chain_id or options.model_id or environment.get(TARGET_VARIABLE)):
        errors.append(f"expected --target URL with --{kind}: the target is compared with the baseline")
    if options.connect_to is not None:
        errors.append(f"expected no --connect-to with --{kind}: it is the address of one target, and there are two")
    if kind is SeriesKind.DUET and options.metrics is not None:
        errors.append(
            "expected no --metrics with --duet: it serves the metrics of one run, and there are two at a time"
        )
    if kind is SeriesKind.DUET and options.workers:
        errors.append("expected no --workers with --duet, whose sides are sent by one machine: use --processes")
    return errors


def requested_baseline(
    options: argparse.Namespace, requested: TargetOptions, environment: Mapping[str, str] = os.environ
) -> TargetOptions | None:
    """
    The baseline's target, reached as the candidate's; None if there is none.

    Its key is in the variable of `--baseline-api-key-env`, or in BASELINE_API_KEY if that is set, else it is the candidate's.
    """
    url = options.duet if options.duet is not None else options.interleave
    if url is None:
        return None
    default = BASELINE_KEY_VARIABLE if environment.get(BASELINE_KEY_VARIABLE) else requested.key_variable
    return replace(requested, url=url, key_variable=options.baseline_api_key_env or default)


def with_pause(plan: SeriesPlan, options: argparse.Namespace, endpoints: Iterable[Endpoint]) -> SeriesPlan:
    """The plan with the pause for its targets."""
    local = all(is_loopback(each.route.destination(each.target).host) for each in endpoints)
    return replace(plan, pause=LOOPBACK_PAUSE) if options.pause is None and local else plan
