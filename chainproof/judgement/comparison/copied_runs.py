"""The same run in two folders: counted twice, it would make figures look more certain than they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chainproof.results.folder import MANIFEST, Run
from chainproof.results.integrity import FileDigestData
from chainproof.results.manifest import RunKind, Series

_Start = tuple[RunKind, str, str, int, Series | None]
"""Kind, time of the start (milliseconds), target, seed, and place in a series."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What tells a run from every other one, wherever its folder is."""

    path: Path
    start: _Start
    digests: Mapping[str, FileDigestData] | None
    """Of its files, without the manifest, whose label may have been edited; None if the run did not end, or its end was not copied."""

    def is_same_run(self, other: RunIdentity) -> bool:
        """True if both folders contain the same run, also if one of them is incomplete."""
        is_complete = self.digests is not None and other.digests is not None
        return self.start == other.start and (not is_complete or self.digests == other.digests)


def identity(run: Run) -> RunIdentity:
    """The identity of a run."""
    manifest = run.manifest
    start = (manifest.kind, manifest.started, manifest.target, manifest.seed, manifest.series)
    digests = {name: digest for name, digest in run.digests.items() if name != MANIFEST}
    return RunIdentity(run.path, start, None if run.end is None else digests)


@dataclass(slots=True)
class SeenRuns:
    """Runs that were seen, to find copies of them."""

    _by_start: dict[_Start, list[RunIdentity]] = field(default_factory=dict)

    def original_of(self, run: Run) -> Path | None:
        """The folder in which this run was seen before; None if it was not. From now on it was."""
        new = identity(run)
        seen = self._by_start.setdefault(new.start, [])
        original = next((each.path for each in seen if each.is_same_run(new)), None)
        seen.append(new)
        return original


def copies(runs: Iterable[Run]) -> Iterator[tuple[Path, Path]]:
    """Two folders with the same run, for each run that is in more than one."""
    seen = SeenRuns()
    for run in runs:
        original = seen.original_of(run)
        if original is not None:
            yield original, run.path
