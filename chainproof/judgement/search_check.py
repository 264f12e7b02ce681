"""Whether the record of a search agrees with the run folders of its probes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from chainproof.judgement.load_summary import summarise_load
from chainproof.judgement.verdict import Verdict
from chainproof.results.exchange import Result
from chainproof.results.folder import read_run
from chainproof.results.manifest import RunKind
from chainproof.results.search_record import SEARCH_FILE, ProbeRecord, SearchRecord, SearchRecordError


def check_search(search: SearchRecord) -> None:
    """
    Compare every probe with its run folder, where that still exists. Raises SearchRecordError.

    The runs at the saturation rate and at the lowest missed rate, on which the result rests, are judged again.
    """
    for probe in search.probes:
        if probe.folder in search.missing_folders:
            continue
        problem = next(_problems(search, probe), None)
        if problem is not None:
            raise SearchRecordError(
                f"expected {search.path / SEARCH_FILE} to agree with its run folders, but {problem}: run the search again, or "
                "name its run folders one by one"
            )


def _problems(search: SearchRecord, probe: ProbeRecord) -> Iterator[str]:
    """Where a probe differs from its run."""
    run = read_run(search.path / probe.folder)
    manifest, rate = run.manifest, run.manifest.settings.get("rate_per_s")
    if manifest.kind is not RunKind.LOAD or not isinstance(rate, int | float) or not math.isclose(rate, probe.rate):
        yield f"{probe.folder} is a run at {rate} per second, not at {probe.rate:g}"
    elif manifest.target != search.target or manifest.objectives != search.objectives:
        yield f"{probe.folder} is a run with another target or other objectives"
    elif probe.rate in (search.saturation_rate, search.missed_at):
        summary = summarise_load(run)
        counted = summary.judged.planned, summary.judged.count(Result.OK)
        if counted != (probe.planned, probe.ok):
            yield f"{probe.folder} has {counted[1]} ok of {counted[0]} planned, not {probe.ok} of {probe.planned}"
        contradicting = {"met": Verdict.FAIL, "missed": Verdict.PASS}.get(probe.verdict)
        if summary.verdict is contradicting and not probe.growing:
            yield f"the verdict on {probe.folder} is {summary.verdict}, not {probe.verdict}"
