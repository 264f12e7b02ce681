"""
Which broken endpoints are caught, and which correct ones accused? `python benchmarks/power.py [--stock] [--seeds N]`

Each fault of the emulator is put to `chainproof conformance` at standard depth, by the command that a user types, and with
--stock to `schemathesis run` with all its checks as well; with --seeds N the honest contracts and the odd but legal
variants are put to it under N seeds each. What has been measured is kept in runs/power.jsonl and not measured again, so
that a run may be cut off and taken up; docs/power.md is written from it each time. On loopback alone; two at a time.
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
from dataclasses import asdict, dataclass
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
SEED = 1
PATIENCE_S = 300.0
"""After this long a command is ended, and has found nothing."""
CONTRACTS = ("strict", "documented", "observed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    What one command said of one endpoint.
    """

    side: str
    """ours, stock, variant or contract."""
    name: str
    seed: int
    code: int
    """The exit code; -1 where it was ended."""
    found: tuple[str, ...]
    """Clauses, or the other tool's own words."""
    seconds: float
    day: str

    @property
    def key(self) -> tuple[str, str, int]:
        """What is not measured twice."""
        return self.side, self.name, self.seed


Measure = Callable[[], Record]


def main(arguments: Sequence[str]) -> int:
    """
    Measure what has not been measured, and write the page.
    """
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
    records = {record.key: record for record in _recorded()}
    if options.again:
        records = {key: each for key, each in records.items() if each.name not in names}
    wanted = [] if options.page else list(_wanted(names, options))
    left = [measure for key, measure in wanted if key not in records]
    print(f"{len(wanted) - len(left)} measured already, {len(left)} to go")
    RECORDS.parent.mkdir(exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool, RECORDS.open("a", encoding="utf-8") as file:
        for done in as_completed([pool.submit(_measured, measure) for measure in left]):
            record = done.result()
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


def _measured(measure: Measure) -> Record | None:
    """
    What a measurement comes to; None, and a word, where the emulator does not start.
    """
    try:
        return measure()
    except UsageError as mistake:
        print(f"power: {mistake}", file=sys.stderr, flush=True)
        return None


def _options() -> argparse.ArgumentParser:
    """
    What the command line may say.
    """
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0].strip())
    options.add_argument("--faults", metavar="NAME,NAME", help="these alone, and no page (default: all)")
    options.add_argument("--stock", action="store_true", help="put them to stock Schemathesis as well")
    options.add_argument("--only-stock", action="store_true", help="put them to stock Schemathesis alone")
    options.add_argument(
        "--seeds", type=int, default=0, metavar="N", help="honest contracts and variants, under N seeds each"
    )
    options.add_argument("--variants", metavar="NAME,NAME", help="of the variants these alone (default: all)")
    options.add_argument(
        "--page", action="store_true", help="write the page from what has been measured, and measure nothing"
    )
    options.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time (default: 2)")
    options.add_argument("--again", action="store_true", help="measure again what has been measured")
    return options


def _wanted(names: Iterable[str], options: argparse.Namespace) -> Iterable[tuple[tuple[str, str, int], Measure]]:
    """
    Everything to be measured.
    """
    for name in names:
        if not options.only_stock:
            yield (
                ("ours", name, SEED),
                partial(_ours, "ours", name, SEED, ("--fault", name), FAULTS[name].needs_options),
            )
        if options.stock or options.only_stock:
            yield ("stock", name, SEED), partial(_stock, name)
    for seed in range(1, options.seeds + 1):
        for contract in CONTRACTS:
            told = ("--contract", contract)
            yield ("contract", contract, seed), partial(_ours, "contract", contract, seed, told, told)
        for name in options.variants.split(",") if options.variants else VARIANTS:
            yield ("variant", name, seed), partial(_ours, "variant", name, seed, ("--variant", name), ())


def _recorded() -> Iterable[Record]:
    """
    What has been measured; a line that was cut off is read past.
    """
    lines = RECORDS.read_text(encoding="utf-8").splitlines() if RECORDS.exists() else []
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        yield Record(**{**said, "found": tuple(said["found"])})


def _ours(side: str, name: str, seed: int, bend: Sequence[str], needs: Sequence[str]) -> Record:
    """
    What `chainproof conformance` says of an emulator.
    """
    with start_emulator(options=bend) as endpoint, tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        asked = ("--target", endpoint.target.origin, "--depth", "standard", "--steerable", "--echo")
        command = chainproof_command("conformance", *asked, "--seed", str(seed), "--out", str(out), *needs)
        code, _, seconds = _run(command, endpoint, folder)
        return _record(side, name, seed, code=code, found=_clauses(out / "findings.jsonl"), seconds=seconds)


def _clauses(path: Path) -> set[str]:
    """
    The clauses of a run's findings.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {json.loads(line)["clause"] for line in lines}


def _stock(name: str) -> Record:
    """
    What `schemathesis run` says of an emulator. Against the honest one it reports nothing, so whatever it reports is found.
    """
    with start_emulator(options=("--fault", name)) as endpoint, tempfile.TemporaryDirectory() as folder:
        command = ["schemathesis", "run", str(SPEC), "-u", endpoint.target.origin, "--checks", "all", "--no-color"]
        command += ["-H", f"Authorization: Api-Key {endpoint.key.reveal()}", "--seed", str(SEED)]
        command[0] = str(Path(sys.executable).with_name("schemathesis"))
        code, said, seconds = _run(command, endpoint, folder)
        titles = set(re.findall(r"^- (?!Reproduc)(.+)$", said, re.MULTILINE)) or {"errors"}
        return _record("stock", name, SEED, code=code, found=titles if code == 1 else set(), seconds=seconds)


def _run(command: Sequence[str], endpoint: Endpoint, folder: str) -> tuple[int, str, float]:
    """
    A command's exit code, what it said, and how long it took.
    """
    begun = time.monotonic()
    environment = {**os.environ, "BASETEN_API_KEY": endpoint.key.reveal()}
    try:
        ended = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, "", PATIENCE_S
    return ended.returncode, ended.stdout + ended.stderr, time.monotonic() - begun


def _record(side: str, name: str, seed: int, *, code: int, found: Iterable[str], seconds: float) -> Record:
    """
    One line of the file.
    """
    day = datetime.now(UTC).date().isoformat()
    return Record(
        side=side, name=name, seed=seed, code=code, found=tuple(sorted(found)), seconds=round(seconds, 1), day=day
    )


# ------------------------------------------------------------------ the page


def page(records: Iterable[Record]) -> str:
    """
    What the measurements come to, as docs/power.md.
    """
    known = {record.key: record for record in records}
    ours = {name: known[key] for name in FAULTS if (key := ("ours", name, SEED)) in known}
    stock = {name: known[key] for name in FAULTS if (key := ("stock", name, SEED)) in known}
    correct = [record for record in known.values() if record.side in ("contract", "variant")]
    return "\n".join(
        [
            "# Power: which broken endpoints are caught, and which correct ones accused",
            "",
            "<!-- Written by benchmarks/power.py. -->",
            "",
            *_summary(ours, stock, correct),
            "",
            "## Faults",
            "",
            "*Named*: the run names the clause that the fault breaks. Level `should` is reported and fails no run.",
            "",
            "| fault | stage | what it does | breaks | chainproof | names besides | stock Schemathesis |",
            "|---|---|---|---|---|---|---|",
            *(_row(FAULTS[name], ours.get(name), stock.get(name)) for name in FAULTS),
            "",
            *_correct(correct),
        ]
    )


def _summary(ours: dict[str, Record], stock: dict[str, Record], correct: list[Record]) -> list[str]:
    """
    The figures, and how they were come by.
    """
    named = sum(FAULTS[name].violates.id in record.found for name, record in ours.items())
    theirs = sum(record.code == 1 for record in stock.values())
    days = sorted({record.day for record in (*ours.values(), *stock.values(), *correct)})
    times = sorted(record.seconds for record in ours.values())
    lines = [
        f"- `chainproof conformance --depth standard --steerable --echo`: {named} of {len(ours)} faults caught, each for its own clause"
        + (f"; median {times[len(times) // 2]:.0f} s a run" if times else ""),
        f"- `schemathesis run openapi.yaml -u URL -H 'Authorization: Api-Key …' --checks all`: {theirs} of {len(stock)}",
    ]
    if correct:
        accused = sum(record.code != 0 for record in correct)
        lines.append(f"- correct endpoints, {len(correct)} runs: {accused} accused")
    commands = "`python benchmarks/power.py --stock --seeds 20` (of correct endpoints as many seeds as the table says)"
    versions = ", ".join(f"{name} {version(name)}" for name in ("schemathesis", "hypothesis"))
    when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "not yet"
    python = sys.version.split()[0]
    return [*lines, "", f"Measured by {commands}, seed {SEED}, with {versions}, Python {python}, {when}."]


def _row(fault: Fault, ours: Record | None, stock: Record | None) -> str:
    """
    One fault.
    """
    cells = (
        f"`{fault.name}`",
        fault.stage,
        fault.description,
        f"`{fault.violates.id}`",
        ""
        if ours is None
        else "named"
        if fault.violates.id in ours.found
        else "caught"
        if ours.code == 1
        else "**missed**",
        "" if ours is None else ", ".join(f"`{each}`" for each in ours.found if each != fault.violates.id),
        "" if stock is None else "; ".join(stock.found) if stock.code == 1 else "—",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _correct(correct: list[Record]) -> list[str]:
    """
    The honest contracts and the variants.
    """
    names = dict.fromkeys((record.side, record.name) for record in correct)
    lines = []
    for side, name in names:
        runs = [record for record in correct if (record.side, record.name) == (side, name)]
        accused = [record for record in runs if record.code != 0]
        found = sorted({clause for record in accused for clause in record.found})
        why = VARIANTS[name].allowed_by if side == "variant" else "the emulator itself"
        lines.append(
            f"| `{name}` | {why.replace('|', chr(92) + '|')} | {len(runs)} | {len(accused)} | {', '.join(found)} |"
        )
    head = ["## Correct endpoints", "", "| endpoint | why it is legal | runs | accused | of |", "|---|---|---|---|---|"]
    return [*head, *lines, ""] if lines else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
