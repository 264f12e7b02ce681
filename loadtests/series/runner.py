"""
Make a series of runs: one after the other against one target, or against two in turn or at the same time.

Each run is an ordinary run with its own run folder, whose manifest says to which series it belongs. All runs have the same
plan and payloads. A series ends at the first run that says nothing about the target: the comparison would be worth nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from chainproof.clock import Seconds, format_duration
from chainproof.command import print_run_folder
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.judgement.load_summary import summarise_load
from chainproof.judgement.verdict import EXIT_CODE_OF, ExitCode, Verdict, worst_verdict
from chainproof.machine_faults import usage_error_or_machine_fault
from chainproof.results.folder import END, INTERVALS, MANIFEST, FolderError, read_run
from chainproof.results.manifest import Ending, Series, SeriesKind, Side
from chainproof.results.series_record import SERIES_FILE, SeriesRecord, write_series
from chainproof.signals import handle_signals
from chainproof.target_options import TargetOptions

from ..demand import demand
from ..limits import apply_limits, limits
from ..locust_process import LocustExit, LocustRun, print_message, run_together
from .planning import SeriesPlan, Step, forecast, rounded
from .table import FinishedRun, finished_run, run_table, sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class SideTarget:
    """The target of one side of a series."""

    requested: TargetOptions
    endpoint: Endpoint


class SeriesStopped(Exception):
    """A series that cannot continue, and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesResult:
    """What became of a series."""

    runs: tuple[FinishedRun, ...]
    """All runs that sent anything, in order."""
    stopped: int | None
    """The exit code of a series that ended early; None if it is complete."""

    def _folders(self, side: Side) -> list[str]:
        """The folders of one side of the complete pairs."""
        complete = [run for run in self.runs if run.ending is Ending.COMPLETED]
        return [
            str(run.folder)
            for run in complete
            if run.series.side is side
            and set(Side) == {other.series.side for other in complete if other.series.index == run.series.index}
        ]

    @property
    def can_compare(self) -> bool:
        """Whether both sides of at least one pair are complete."""
        return bool(self._folders(Side.BASELINE))

    @property
    def arguments(self) -> list[str]:
        """The arguments of `chainproof reports` for the comparison, or without one for the runs; empty if there is nothing."""
        if self.can_compare:
            return [*self._folders(Side.CANDIDATE), "--against", *self._folders(Side.BASELINE)]
        return [str(run.folder) for run in self.runs]

    @property
    def exit_code(self) -> int:
        """The exit code without a comparison."""
        if self.stopped is not None:
            return self.stopped
        return EXIT_CODE_OF[worst_verdict(run.verdict for run in self.runs)]


def _check_limits(options: argparse.Namespace, sides: Mapping[Side, SideTarget]) -> None:
    """Raise UsageError if the limits of a target do not permit the runs: before the first one, not in the middle."""
    for side, target in sides.items():
        try:
            apply_limits(demand(options, options.num_users), limits(options, target.endpoint))
        except UsageError as error:
            raise UsageError(f"{side}: {error}" if len(sides) > 1 else str(error)) from None


def run_series(run: LocustRun, plan: SeriesPlan, sides: Mapping[Side, SideTarget]) -> SeriesResult:
    """Make runs like *run*, in folders of its folder, and print them as a table. Raises UsageError."""
    _check_limits(run.options, sides)
    _claim(run.folder, plan)
    print_message(forecast(plan))
    for side, target in sides.items() if len(sides) > 1 else ():
        variable = target.requested.key_variable
        print_message(f"{side}: {target.endpoint.target.url}, with the key in {variable}")
    runner = _SeriesRunner(run, plan, sides)
    stopped: int | None = None
    try:
        runner.write_record(runner.planned_runs(), ended=False)
        # Between two runs there is no child to which a signal could be sent on.
        with handle_signals(_interrupt):
            for step in plan.steps:
                runner.run(step)
    except (SeriesStopped, UsageError, OSError, MemoryError) as error:
        end = _end(error)
        stopped = end.code
        print_message(f"the series ended early: {end}")
    runs = runner.finished_runs()
    with suppress(OSError):  # on a full disk; the record then has the planned runs
        if runs:
            runner.write_record({each.folder.name: each.series for each in runs}, ended=True)
        else:
            (run.folder / SERIES_FILE).unlink(missing_ok=True)
    if runs:
        print("\n".join(run_table(runs)))
        print()
        print_run_folder(run.folder, "run folders")
    return SeriesResult(runs=tuple(runs), stopped=stopped)


def _end(error: Exception) -> SeriesStopped:
    """Why a series ended early. A problem of the machine, such as a full disk, makes it invalid. Raises other exceptions."""
    if isinstance(error, SeriesStopped):
        return error
    fault = usage_error_or_machine_fault(error)
    if fault is None:
        raise error
    return SeriesStopped(ExitCode.INVALID, fault)


def _claim(folder: Path, plan: SeriesPlan) -> None:
    """Create the folder with that of the first run, which must not exist. Raises FolderError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        first = plan.steps[0]
        for side in first.sides:
            (folder / plan.folder_name(first, side)).mkdir()
    except FileExistsError:
        raise FolderError(
            f"expected a new or an empty folder for the series, found runs in {folder}; name another with --out"
        ) from None
    except OSError as error:
        raise FolderError(f"cannot write a run folder in {folder}: {(error.strerror or str(error)).lower()}") from error


def _interrupt(number: int) -> None:
    """End the series because of a signal. Raises SeriesStopped."""
    del number
    raise SeriesStopped(ExitCode.INTERRUPTED, "it was interrupted")


class _SeriesRunner:
    """Makes the runs of a series and keeps where they are."""

    def __init__(self, run: LocustRun, plan: SeriesPlan, sides: Mapping[Side, SideTarget]) -> None:
        self._base = run
        self._plan = plan
        self._sides = sides
        self._id = uuid4().hex
        self._begun: dict[Path, int] = {}
        """The folder of each run, with the number of its step."""
        self._judged: dict[Path, FinishedRun] = {}

    def run(self, step: Step) -> None:
        """Make the runs of a step. Raises SeriesStopped."""
        if step.number > 1 and self._plan.pause:
            left = rounded(self._plan.pause + self._plan.time_left(step.number))
            print_message(f"pause of {format_duration(self._plan.pause)}; about {left} left")
            time.sleep(self._plan.pause)
        runs = {side: self._locust_run(step, side) for side in step.sides}
        self._begun |= {run.folder: step.number for run in runs.values()}
        begin = time.monotonic()
        exits = run_together(
            {side.value if len(runs) > 1 else "": run for side, run in runs.items()},
            lambda: self._title(step, time.monotonic() - begin),
        )
        self._check_exits(step, dict(zip((run.folder for run in runs.values()), exits, strict=True)))
        for run in runs.values():
            finished = self._judge(run.folder)
            print_message(f"{_name(step, self._plan)}: {sentence(finished)}")
            self._check_run(finished)

    def planned_runs(self) -> dict[str, Series]:
        """The place of each run in the series, by the name of its folder."""
        return {
            self._plan.folder_name(step, side): self._place(step, side)
            for step in self._plan.steps
            for side in step.sides
        }

    def write_record(self, runs: Mapping[str, Series], *, ended: bool) -> None:
        """Write which runs the series has. Raises OSError."""
        write_series(self._base.folder, SeriesRecord(runs=runs, ended=ended))

    def _place(self, step: Step, side: Side) -> Series:
        """The place of a run in the series."""
        return Series(id=self._id, kind=self._plan.kind, index=step.index, side=side)

    def finished_runs(self) -> list[FinishedRun]:
        """All runs that have begun to send, in order. Folders of others are removed."""
        runs = []
        for folder in self._begun:
            if _has_begun(folder):
                with suppress(UsageError):  # a folder that cannot be read has ended the series
                    runs.append(self._judge(folder))
            else:
                _remove_unused(folder)
        return runs

    def _locust_run(self, step: Step, side: Side) -> LocustRun:
        """One run of a step."""
        target = self._sides[side]
        return replace(
            self._base,
            requested=target.requested,
            endpoint=target.endpoint,
            folder=self._base.folder / self._plan.folder_name(step, side),
            series=self._place(step, side),
        )

    def _title(self, step: Step, elapsed: Seconds) -> str:
        """Which run of how many is in progress, and how long the series goes on."""
        left = rounded(self._plan.time_left(step.number, elapsed))
        return f"{_name(step, self._plan)}, about {left} left"

    def _check_exits(self, step: Step, exits: Mapping[Path, LocustExit]) -> None:
        """Raise SeriesStopped if a process was interrupted or failed. The keys are the run folders."""
        name = _name(step, self._plan)
        if any(ended.interrupted for ended in exits.values()):
            raise SeriesStopped(ExitCode.INTERRUPTED, f"it was interrupted in {name}")
        if any(ended.code == ExitCode.USAGE for ended in exits.values()):
            raise SeriesStopped(ExitCode.USAGE, f"{name} could not start, see above")
        for folder, ended in exits.items():
            # A side of a duet is interrupted if the other one ends early, which is then the reason.
            has_run = ended.code in (ExitCode.PASS, ExitCode.INVALID, ExitCode.INTERRUPTED)
            if has_run and not (folder / MANIFEST).exists():
                raise SeriesStopped(ExitCode.INVALID, f"the run folder {folder} was deleted")
            if not has_run:
                raise SeriesStopped(
                    ExitCode.SOFTWARE,
                    f"the Locust process of {name} failed (exit code {ended.code}), see above; this says nothing about the target",
                )

    def _judge(self, folder: Path) -> FinishedRun:
        """A run with its verdict."""
        if folder not in self._judged:
            self._judged[folder] = finished_run(self._begun[folder], summarise_load(read_run(folder)))
        return self._judged[folder]

    def _check_run(self, run: FinishedRun) -> None:
        """Raise SeriesStopped if a run is worth nothing for a comparison."""
        verdict, name = run.verdict, run.folder.name
        if run.ending is Ending.INTERRUPTED:
            return  # stopped because the other side of a duet ended early, and checked with it
        if verdict in (Verdict.INVALID, Verdict.ERROR):
            raise SeriesStopped(
                EXIT_CODE_OF[verdict],
                f"run {name} is {verdict}: {run.reason} Correct that, then start the series again",
            )
        if run.ending is not Ending.COMPLETED:
            raise SeriesStopped(EXIT_CODE_OF[verdict] or ExitCode.INVALID, f"run {name} ended early: {run.reason}")


def _name(step: Step, plan: SeriesPlan) -> str:
    """A step in words."""
    what = "pair" if len(step.sides) > 1 else "run"
    side = f" ({step.sides[0]})" if plan.kind is SeriesKind.INTERLEAVE else ""
    return f"{what} {step.number} of {len(plan.steps)}{side}"


def _has_begun(folder: Path) -> bool:
    """Whether a run has recorded anything, or its end."""
    intervals = folder / INTERVALS
    return (folder / END).exists() or (intervals.exists() and intervals.stat().st_size > 0)


def _remove_unused(folder: Path) -> None:
    """Remove the folder of a run that sent nothing."""
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
