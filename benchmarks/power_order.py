"""
Measure which requests find which faults, and write the order in which a run without much time sends them.

`python benchmarks/power_order.py [--faults NAME,NAME]` runs every check at quick depth against every fault of the emulator,
and writes `conformance/power_order.json`. Results are stored in runs/power_order.jsonl and not measured again, so an
interrupted measurement can be continued.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from chainproof.conformance.checks import Check
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.judging.finding_recorder import Evidence
from chainproof.conformance.options import Depth, Settings
from chainproof.conformance.probing.budget import CheckScope
from chainproof.conformance.probing.requester import Requester
from chainproof.conformance.probing.waits import Waits
from chainproof.conformance.runner.power_order import POWER_FILE
from chainproof.conformance.runner.run import blocked_reason
from chainproof.conformance.runner.setup import LoadedOptions, open_run, prepare_run
from chainproof.conformance.transport.check_skipped import CheckSkipped
from chainproof.contract.clauses import SINGLE_ANSWER_CLAUSES, Clause
from chainproof.contract.violations import Violation
from chainproof.emulator.faults import FAULTS
from chainproof.endpoint import start_emulator

RECORDS = Path(__file__).parents[1] / "runs" / "power_order.jsonl"
SEED = 1
DEADLINE_S = 2.0
"""Deadline of each answer: a fault that never answers must be found soon."""
_SHORT_WAITS = Waits(max_busy_wait=3.0, recovery_pauses=(0.5,), start=0.5, idle=0.1, close=0.3, optional_answer=0.15)
_ENOUGH_LABELS = 4
"""Labels that find a fault, after which the rest of a check is not run."""
_ENOUGH_CHECKS = 12
"""Checks that find a fault, after which the others are not run: nearly every request finds it."""
_UNLABELLED = ""
"""Stands for the requests that a check always sends."""


class _Enough(BaseException):
    """Ends a check that has found the fault often enough."""


@dataclass(slots=True)
class Watch:
    """Watches which requests of the running check violate the clauses of a fault."""

    wanted: frozenset[str]
    scope: CheckScope
    found: dict[str, int] = field(default_factory=dict)
    """Labels, and the number of requests with that label when the fault was found first."""

    def see(self, violations: Iterable[Violation], evidence: Evidence) -> None:
        """Note a judged answer. Raises _Enough."""
        label = evidence.request.label
        if not self.wanted & {each.clause.id for each in violations}:
            return
        self.found.setdefault(label, max(1, self.scope.seen[label]))
        if len(self.found) >= _ENOUGH_LABELS:
            raise _Enough


def measure(fault_name: str | None) -> dict[str, dict[str, int]]:
    """
    For each check that finds a fault, the labels of the requests that do. Without a fault: the number of requests of each
    check by label.
    """
    fault = FAULTS[fault_name] if fault_name else None
    wanted = frozenset({each.id for each in (fault.violates, *fault.also_violates)} if fault else ())
    rows: dict[str, dict[str, int]] = {}
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryDirectory())
        endpoint = stack.enter_context(start_emulator(options=("--fault", fault_name) if fault_name else ()))
        settings = Settings(
            depth=Depth.QUICK,
            seed=SEED,
            out=str(Path(out) / "run"),
            echo=True,
            steerable=True,
            overload=True,
            deadline=DEADLINE_S,
        )
        conformance_run = open_run(prepare_run(settings, LoadedOptions(), endpoint), stack)
        conformance_run.requester.waits = _SHORT_WAITS
        blocked_reason(conformance_run)
        for check in _checks_for(wanted):
            scope = CheckScope(name=check.title)
            watch = Watch(wanted, scope)
            _run_watched(conformance_run.requester.for_check(scope), check.run, watch)
            if fault is None:
                rows[check.id] = {**scope.seen, _UNLABELLED: max(0, scope.sent_count - scope.seen.total())}
            elif watch.found:
                rows[check.id] = {label if label in scope.seen else _UNLABELLED: n for label, n in watch.found.items()}
            if len(rows) >= _ENOUGH_CHECKS and fault is not None:
                break
    return rows


def _checks_for(wanted: frozenset[str]) -> list[Check]:
    """
    The checks that may find violations of some clauses: those that test them, and all others if any answer may violate them.

    Without clauses: all checks.
    """
    if not wanted:
        return list(ALL_CHECKS)
    # An exclusive check sends many equal requests: they are never the first to find a fault.
    own = [check for check in ALL_CHECKS if wanted & {each.id for each in check.clauses} and not check.exclusive]
    if own and not wanted & {each.id for each in SINGLE_ANSWER_CLAUSES}:
        return own
    return own + [check for check in ALL_CHECKS if check not in own and not check.exclusive]


def _run_watched(requester: Requester, run: object, watch: Watch) -> None:
    """Run a check until it has found enough."""
    finding_recorder = requester.finding_recorder
    record = type(finding_recorder).record

    def watched(exercised: Iterable[Clause], violations: Iterable[Violation], evidence: Evidence) -> None:
        found = tuple(violations)
        record(finding_recorder, exercised, found, evidence)
        watch.see(found, evidence)

    finding_recorder.record = watched  # type: ignore[method-assign]  # for the time of one check
    try:
        run(requester)  # type: ignore[operator]  # a check
    except (CheckSkipped, _Enough):
        pass
    finally:
        del finding_recorder.record


# ------------------------------------------------------------------ the order


@dataclass(slots=True)
class Selection:
    """The checks and labels of the first round, in the order in which they were chosen."""

    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    gains: Counter[str] = field(default_factory=Counter)


def select(sizes: Mapping[str, Mapping[str, int]], found: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Selection:
    """
    The cheapest requests that together find all faults: again and again those that find most further faults per request.

    *sizes* has the number of requests by check and label, *found* the labels that find each fault by fault and check.
    """
    finders: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for fault, checks in found.items():
        for check, labels in checks.items():
            for label, number in labels.items():
                finders[check, label, 1 if label == _UNLABELLED else number].add(fault)
    chosen, missing = Selection(), set(found)

    def cost(item: tuple[str, str, int]) -> int:
        check, label, number = item
        fixed = 0 if check in chosen.labels else sizes.get(check, {}).get(_UNLABELLED, 1)
        more = 0 if label == _UNLABELLED else number - chosen.labels.get(check, {}).get(label, 0)
        return max(1, fixed + more)

    while True:
        best = max(finders, key=lambda item: (len(finders[item] & missing) / cost(item), item), default=None)
        if best is None or not finders[best] & missing:
            return chosen
        check, label, number = best
        row = chosen.labels.setdefault(check, {})
        if label != _UNLABELLED:
            row[label] = max(number, row.get(label, 0))
        covered = {
            fault
            for (each, name, least), faults in finders.items()
            if each == check and (name == _UNLABELLED or least <= row.get(name, 0))
            for fault in faults & missing
        }
        chosen.gains[check] += len(covered)
        missing -= covered


def table(
    sizes: Mapping[str, Mapping[str, int]], found: Mapping[str, Mapping[str, Mapping[str, int]]]
) -> dict[str, dict[str, object]]:
    """The rows of `power_order.json`: the chosen checks in their order, then the others with their first request."""
    chosen = select(sizes, found)
    totals = Counter(check for checks in found.values() for check in checks)
    rows: dict[str, dict[str, object]] = {}
    for check in (*chosen.labels, *(check for check in sizes if check not in chosen.labels)):
        first = next((label for label in sizes.get(check, {}) if label != _UNLABELLED), None)
        labels = chosen.labels.get(check) or ({} if first is None else {first: 1})
        requests = sizes.get(check, {}).get(_UNLABELLED, 0) + sum(labels.values())
        rows[check] = {
            "found": totals[check],
            "gain": chosen.gains[check],
            "first": max(1, requests),
            "labels": labels,
        }
    return rows


def main(arguments: Sequence[str]) -> None:
    """Measure what is missing and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0].strip())
    parser.add_argument("--faults", metavar="NAME,NAME", help="only these faults (default: all)")
    parser.add_argument("--table", action="store_true", help="write the table from stored results, without measuring")
    options = parser.parse_args(arguments)
    # In a random order, so that an interrupted measurement is a sample.
    everything = random.Random(SEED).sample(list(FAULTS), len(FAULTS))
    names = [None, *(options.faults.split(",") if options.faults else everything)]
    records: dict[str | None, dict[str, dict[str, int]]] = {}
    if RECORDS.exists():
        records = {row["fault"]: row["checks"] for row in map(json.loads, RECORDS.read_text().splitlines())}
    RECORDS.parent.mkdir(exist_ok=True)
    with RECORDS.open("a", encoding="utf-8") as file:
        for name in names:
            if name in records or options.table:
                continue
            records[name] = measure(name)
            print(json.dumps({"fault": name, "checks": records[name]}, ensure_ascii=False), file=file, flush=True)
            print(f"{name or 'correct'}: {len(records[name])} checks", flush=True)
    found = {name: checks for name, checks in records.items() if name is not None and checks}
    rows = table(records[None], found)
    lines = (f" {json.dumps(check)}: {json.dumps(row, ensure_ascii=False)}" for check, row in rows.items())
    POWER_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
