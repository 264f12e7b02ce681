"""
Measure which faults are detected, and which correct endpoints cause false alarms.

`python benchmarks/power.py [--chain] [--whole] [--stock] [--seeds N]` runs `chainproof conformance` at standard depth against every fault of
the emulator: first only the checks of the clause that the fault violates, then, if these miss it, all checks. With --whole it
always runs all checks. With --stock it also runs `schemathesis run` with all checks. With --seeds N it tests the correct emulator,
also with a typed chain, and its unusual but legal variants with N seeds each. Results are stored in runs/power.jsonl and not measured again, so an
interrupted run can be continued. Each run writes docs/power.md. Everything runs on loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from chainproof.emulator.faults import FAULTS
from chainproof.emulator.faults.fault import Fault
from chainproof.emulator.faults.variants import VARIANTS
from chainproof.endpoint import Endpoint, start_emulator
from chainproof.errors import UsageError
from chainproof.processes import chainproof_command

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "runs" / "power.jsonl"
PAGE = ROOT / "docs" / "power.md"
SPEC = ROOT / "chainproof" / "contract" / "openapi.yaml"
_SLOW_OBJECT = b'{"slow":true,"text":"an input that takes long"}'
_SLOW_ORDER = (
    b'{"slow":true,"items":[{"name":"a thing that takes long","quantity":2,"unit_price":3}],'
    b'"address":{"recipient":"a patient recipient","city":"Long Eaton","country":"DE"}}'
)
"""Inputs of an echo and of the chain that the faults with slow inputs let wait."""
ORDERS = f"{ROOT / 'tests' / 'typed_chain' / 'orders.py'}:Orders"
"""A chain with required arguments of several types, which does not return its input."""
KNOWN_CHAIN = ("--input-schema", ORDERS, "--output-schema", ORDERS)
"""What a user says about that chain."""
CORRECT_CHAIN = "strict, through a typed chain"
"""The name of the correct emulator that runs that chain."""
SEED = 1
TIMED_OUT = -1
"""The code of a command that was ended after TIMEOUT_S."""
TIMEOUT_S = 300.0
"""A command that takes longer is ended and counts as having found nothing."""
CONTRACTS = ("strict", "documented", "observed")
EXPECTED_CODES = (0, 1, 3, 4)
"""Exit codes of commands that completed. After another code the end of the output is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The result of one command against one endpoint."""

    side: str
    """ours, chain (the same fault seen through a typed chain), stock, variant or contract."""
    name: str
    seed: int
    code: int
    """The exit code, or TIMED_OUT."""
    found: tuple[str, ...]
    """Clauses, or failure titles of the other tool."""
    seconds: float
    day: str
    narrow: bool = False
    """Whether only the checks of the fault's own clause ran, because they found it."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Identifies a measurement."""
        return self.side, self.name, self.seed


Measure = Callable[[], Record]


def main(arguments: Sequence[str]) -> int:
    """Run the missing measurements and write the page."""
    options = _options().parse_args(arguments)
    names = options.faults.split(",") if options.faults else list(FAULTS)
    variants = options.variants.split(",") if options.variants else []
    unknown = [*(name for name in names if name not in FAULTS), *(name for name in variants if name not in VARIANTS)]
    if unknown:
        print(
            f"power: expected names of `chainproof emulator --list-faults` or --list-variants, found {', '.join(unknown)}",
            file=sys.stderr,
        )
        return 2
    records = {record.key: record for record in _stored_records()}
    if options.again:
        records = {key: each for key, each in records.items() if each.name not in names}
    planned = [] if options.page else list(_measurements(names, options))
    missing = [measure for key, measure in planned if key not in records]
    print(f"{len(planned) - len(missing)} already measured, {len(missing)} to measure")
    RECORDS.parent.mkdir(exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool, RECORDS.open("a", encoding="utf-8") as file:
        for future in as_completed([pool.submit(_run_measurement, measure) for measure in missing]):
            record = future.result()
            if record is None:
                continue
            records[record.key] = record
            print(json.dumps(asdict(record)), file=file, flush=True)
            print(
                f"{record.side:8} {record.name:32} {record.code:3} {record.seconds:6.1f} s  {', '.join(record.found)}",
                flush=True,
            )
    if not options.faults:
        PAGE.write_text(page(records.values()), encoding="utf-8")
        print(f"written: {PAGE}")
    return 0


def _run_measurement(measure: Measure) -> Record | None:
    """The result of a measurement; None, with a message, if the emulator cannot start."""
    try:
        return measure()
    except UsageError as error:
        print(f"power: {error}", file=sys.stderr, flush=True)
        return None


def _options() -> argparse.ArgumentParser:
    """The command-line options."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0].strip())
    options.add_argument(
        "--faults", metavar="NAME,NAME", help="only these faults; do not write the page (default: all)"
    )
    options.add_argument("--stock", action="store_true", help="also run stock Schemathesis")
    options.add_argument(
        "--chain",
        action="store_true",
        help="also test each fault through a chain with required arguments, without --echo",
    )
    options.add_argument(
        "--whole", action="store_true", help="run all checks, not first those of the clause that the fault violates"
    )
    options.add_argument("--only-stock", action="store_true", help="run only stock Schemathesis")
    options.add_argument(
        "--seeds",
        type=int,
        default=0,
        metavar="N",
        help="also test the correct emulator, a typed chain and its variants, with N seeds each",
    )
    options.add_argument("--variants", metavar="NAME,NAME", help="only these variants (default: all)")
    options.add_argument("--page", action="store_true", help="write the page from stored results, without measuring")
    options.add_argument("--jobs", type=int, default=2, metavar="N", help="number of parallel commands (default: 2)")
    options.add_argument("--again", action="store_true", help="repeat stored measurements")
    return options


def _measurements(names: Iterable[str], options: argparse.Namespace) -> Iterable[tuple[tuple[str, str, int], Measure]]:
    """The key and function of every measurement."""
    for name in names:
        if not options.only_stock:
            yield (
                ("ours", name, SEED),
                partial(_find_fault, "ours", name, ("--fault", name), FAULTS[name].needs_options, options),
            )
        if options.chain and not FAULTS[name].needs_echo:
            known = (*KNOWN_CHAIN, *FAULTS[name].needs_options)
            emulator_options = ("--fault", name, "--chain", ORDERS)
            yield ("chain", name, SEED), partial(_find_fault, "chain", name, emulator_options, known, options)
        if options.stock or options.only_stock:
            yield ("stock", name, SEED), partial(_run_schemathesis, name)
    for seed in range(1, options.seeds + 1):
        for contract in CONTRACTS:
            option = ("--contract", contract)
            yield ("contract", contract, seed), partial(_run_chainproof, "contract", contract, seed, option, option)
        chain = partial(_run_chainproof, "contract", CORRECT_CHAIN, seed, ("--chain", ORDERS), KNOWN_CHAIN, echo=False)
        yield ("contract", CORRECT_CHAIN, seed), chain
        for name in options.variants.split(",") if options.variants else VARIANTS:
            yield ("variant", name, seed), partial(_run_chainproof, "variant", name, seed, ("--variant", name), ())


def _stored_records() -> Iterable[Record]:
    """The stored results. A truncated line and a command that was interrupted or failed are skipped, so they are measured again."""
    lines = RECORDS.read_text(encoding="utf-8").splitlines() if RECORDS.exists() else []
    for line in lines:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if data["code"] in (*EXPECTED_CODES, TIMED_OUT):
            yield Record(**{**data, "found": tuple(data["found"])})


def _find_fault(
    side: str, name: str, emulator_options: Sequence[str], options: Sequence[str], chosen: argparse.Namespace
) -> Record:
    """
    Whether a fault is found: by the checks of the clause that it violates or, if these miss it, by all checks.

    A whole run has the checks of the clause too, so what they find alone it finds as well, but takes several times as long.
    """
    run = partial(_run_chainproof, side, name, SEED, emulator_options, echo=side == "ours")
    clause = FAULTS[name].violates.id
    if not chosen.whole:
        record = run((*options, "-k", clause))
        if clause in record.found:
            return replace(record, narrow=True)
    return run(options)


def _run_chainproof(
    side: str, name: str, seed: int, emulator_options: Sequence[str], options: Sequence[str], *, echo: bool = True
) -> Record:
    """The result of `chainproof conformance` against an emulator."""
    with start_emulator(options=emulator_options) as endpoint, tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        target = (
            "--target",
            endpoint.target.origin,
            "--depth",
            "standard",
            "--steerable",
            *(("--echo",) if echo else ()),
        )
        options = with_slow_payload(options, Path(folder), _SLOW_ORDER if side == "chain" else _SLOW_OBJECT)
        command = chainproof_command("conformance", *target, "--seed", str(seed), "--out", str(out), *options)
        code, _, seconds = _run(command, endpoint, folder)
        return _record(side, name, seed, code=code, found=_clauses(out / "findings.jsonl"), seconds=seconds)


def with_slow_payload(options: Iterable[str], folder: Path, payload: bytes = _SLOW_OBJECT) -> Iterable[str]:
    """Options that a fault needs, with the file of `--slow-payload`, which is written into a folder."""
    slow = folder / "slow.json"
    slow.write_bytes(payload)
    return [value for each in options for value in ((each, str(slow)) if each == "--slow-payload" else (each,))]


def _clauses(path: Path) -> set[str]:
    """The clauses with findings in a run."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {json.loads(line)["clause"] for line in lines}


def _run_schemathesis(name: str) -> Record:
    """The result of `schemathesis run`. It reports nothing about the correct emulator, so every report counts."""
    with start_emulator(options=("--fault", name)) as endpoint, tempfile.TemporaryDirectory() as folder:
        command = ["schemathesis", "run", str(SPEC), "-u", endpoint.target.origin, "--checks", "all", "--no-color"]
        command += ["-H", f"Authorization: Api-Key {endpoint.key.reveal()}", "--seed", str(SEED)]
        command[0] = str(Path(sys.executable).with_name("schemathesis"))
        code, output, seconds = _run(command, endpoint, folder)
        titles = set(re.findall(r"^- (?!Reproduc)(.+)$", output, re.MULTILINE)) or {"errors"}
        return _record("stock", name, SEED, code=code, found=titles if code == 1 else set(), seconds=seconds)


def _run(command: Sequence[str], endpoint: Endpoint, folder: str) -> tuple[int, str, float]:
    """The exit code, output and duration of a command."""
    start = time.monotonic()
    environment = {**os.environ, "BASETEN_API_KEY": endpoint.key.reveal()}
    try:
        completed = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return TIMED_OUT, "", TIMEOUT_S
    output = completed.stdout + completed.stderr
    if completed.returncode not in EXPECTED_CODES:
        print(
            f"power: {' '.join(command)}: exit code {completed.returncode}\n{output[-3000:]}",
            file=sys.stderr,
            flush=True,
        )
    return completed.returncode, output, time.monotonic() - start


def _record(side: str, name: str, seed: int, *, code: int, found: Iterable[str], seconds: float) -> Record:
    """A record of today."""
    day = datetime.now(UTC).date().isoformat()
    return Record(
        side=side, name=name, seed=seed, code=code, found=tuple(sorted(found)), seconds=round(seconds, 1), day=day
    )


# ------------------------------------------------------------------ the page


def page(records: Iterable[Record]) -> str:
    """The text of docs/power.md."""
    known = {record.key: record for record in records}
    ours = {name: known[key] for name in FAULTS if (key := ("ours", name, SEED)) in known}
    stock = {name: known[key] for name in FAULTS if (key := ("stock", name, SEED)) in known}
    without_echo = [name for name, fault in FAULTS.items() if not fault.needs_echo]
    chain = {name: known[key] for name in without_echo if (key := ("chain", name, SEED)) in known}
    correct = [record for record in known.values() if record.side in ("contract", "variant")]
    return "\n".join(
        [
            "# Power: which faults are detected, and which correct endpoints cause false alarms",
            "",
            "<!-- Written by benchmarks/power.py. -->",
            "",
            *_summary(ours, stock, correct),
            *_chain_summary(chain),
            "",
            "## Faults",
            "",
            "*named*: a finding names the clause that the fault violates. Findings of level `should` are warnings and do not fail the run.",
            "An empty cell was not measured. Where the checks of the fault's own clause found it, the others were left out.",
            "",
            f"<details><summary>All {len(FAULTS)} faults</summary>",
            "",
            "| fault | stage | description | violates | chainproof | other clauses | through a typed chain | stock Schemathesis |",
            "|---|---|---|---|---|---|---|---|",
            *(_row(FAULTS[name], ours.get(name), chain.get(name), stock.get(name)) for name in FAULTS),
            "",
            "</details>",
            "",
            *_correct(correct),
        ]
    )


def _summary(ours: dict[str, Record], stock: dict[str, Record], correct: list[Record]) -> list[str]:
    """The totals and the commands."""
    named = sum(FAULTS[name].violates.id in record.found for name, record in ours.items())
    theirs = sum(record.code == 1 for record in stock.values())
    times = sorted(record.seconds for record in ours.values() if not record.narrow)
    lines = [
        f"- `chainproof conformance --depth standard --steerable --echo`: {named} of {len(ours)} faults detected, each with its own clause"
        + (f"; median {times[len(times) // 2]:.0f} s per whole run, with others at the same time" if times else "")
        + _days(ours.values()),
        f"- `schemathesis run openapi.yaml -u URL -H 'Authorization: Api-Key …' --checks all`: {theirs} of {len(stock)}"
        + _days(stock.values()),
    ]
    if correct:
        false_alarms = sum(record.code != 0 for record in correct)
        lines.append(f"- correct endpoints, {len(correct)} runs: {false_alarms} with false alarms{_days(correct)}")
    commands = (
        "`python benchmarks/power.py --stock --seeds N` (N is the number of runs in the table of correct endpoints)"
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("schemathesis", "hypothesis"))
    python = sys.version.split()[0]
    return [*lines, "", f"Measured by {commands}, seed {SEED}, with {versions}, Python {python}."]


def _days(records: Iterable[Record]) -> str:
    """When records were measured, in brackets."""
    days = sorted({record.day for record in records})
    return f" ({' to '.join(dict.fromkeys((days[0], days[-1])))})" if days else " (not measured)"


def _chain_summary(chain: dict[str, Record]) -> list[str]:
    """How many faults are found through a typed chain, of those that do not need an echo."""
    if not chain:
        return []
    missed = [name for name, record in chain.items() if not _detected(FAULTS[name], record)]
    found = len(chain) - len(missed)
    needing = sum(fault.needs_echo for fault in FAULTS.values())
    others = len(FAULTS) - needing
    sample = "" if len(chain) == others else f" (a sample of the {others} that need no echo)"
    text = (
        f"Through a chain with required arguments, with its schemas and without `--echo`: {found} of {len(chain)} faults{sample} "
        f"detected{_days(chain.values())}. Missed: {', '.join(f'`{name}`' for name in missed) or 'none'}. {needing} faults need a chain that "
        "accepts any object and returns it: they change an output into another valid one, or concern the empty object."
    )
    return ["", text]


def _detected(fault: Fault, record: Record) -> bool:
    """Whether a run failed, or warned of the fault's own clause."""
    return record.code == 1 or fault.violates.id in record.found


def _result(fault: Fault, record: Record | None) -> str:
    """Whether a fault was found, and by its own clause."""
    if record is None:
        return ""
    return "named" if fault.violates.id in record.found else "detected" if _detected(fault, record) else "**missed**"


def _row(fault: Fault, ours: Record | None, chain: Record | None, stock: Record | None) -> str:
    """The table row of a fault."""
    cells = (
        f"`{fault.name}`",
        fault.stage,
        fault.description,
        f"`{fault.violates.id}`",
        _result(fault, ours),
        "" if ours is None else ", ".join(f"`{each}`" for each in ours.found if each != fault.violates.id),
        "needs an echo" if fault.needs_echo else _result(fault, chain),
        "" if stock is None else "; ".join(stock.found) if stock.code == 1 else "—",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _correct(correct: list[Record]) -> list[str]:
    """The section on correct endpoints."""
    names = dict.fromkeys((record.side, record.name) for record in correct)
    lines = []
    for side, name in names:
        runs = [record for record in correct if (record.side, record.name) == (side, name)]
        alarms = [record for record in runs if record.code != 0]
        found = sorted({clause for record in alarms for clause in record.found})
        reason = VARIANTS[name].allowed_by if side == "variant" else "the emulator itself"
        lines.append(
            f"| `{name}` | {reason.replace('|', chr(92) + '|')} | {len(runs)} | {len(alarms)} | {', '.join(found)} |"
        )
    head = [
        "## Correct endpoints",
        "",
        f"<details><summary>All {len(names)} endpoints</summary>",
        "",
        "| endpoint | allowed by | runs | false alarms | clauses |",
        "|---|---|---|---|---|",
    ]
    return [*head, *lines, "", "</details>", ""] if lines else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
