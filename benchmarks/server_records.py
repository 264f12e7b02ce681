"""
What common servers and proxies do with the requests of the HTTP clauses, and which level follows from it.

`http_servers.py` measures and stores the records; `docs/generate.py` writes the page; a test compares the levels of the
clauses with the records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from chainproof.contract.http_clauses import HTTP_CLAUSE_BY_ID, RFC_MUSTS
from chainproof.contract.levels import Clause, Level

RECORDS_FILE = Path(__file__).with_suffix(".json")
MAX_VIOLATING_SHARE = 0.1
"""Share of servers that may violate a MUST before a violation is only a warning."""
MIN_MEASURED = 10
"""Servers that have to be measured before a violation fails a run."""
MOST_USED = (
    "nginx",
    "Apache",
    "HAProxy",
    "Caddy",
    "uvicorn-h11",
    "uvicorn-httptools",
    "gunicorn-sync",
    "gunicorn-gthread",
    "Node.js",
    "Go net/http",
)
"""Servers whose defaults most deployments have: a violation by one of them is never more than a warning."""
NOT_COUNTED = {
    "werkzeug": "is documented as unfit for production",
    "PHP development server": "is documented as unfit for production",
    "bjoern": "has had no release since 2022",
}
"""Servers that are shown and do not count, and why. With bjoern, `length-conflict` and `space-before-colon` would be warnings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """Which clauses one server keeps and violates in its default configuration. A clause in neither could not be tested."""

    name: str
    version: str
    is_proxy: bool
    kept: tuple[str, ...]
    violated: tuple[str, ...]


def read_records(path: Path = RECORDS_FILE) -> list[ServerRecord]:
    """The stored records."""
    if not path.exists():
        return []
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [
        ServerRecord(**{**each, "kept": tuple(each["kept"]), "violated": tuple(each["violated"])}) for each in stored
    ]


def write_records(records: Iterable[ServerRecord], path: Path = RECORDS_FILE) -> None:
    """Store records."""
    path.write_text(json.dumps([asdict(each) for each in records], indent=1) + "\n", encoding="utf-8")


def measured_level(clause: Clause, records: Iterable[ServerRecord]) -> Level:
    """The level that a clause has by the rule: `must` for a MUST that nearly all servers keep, else `should`."""
    measured = [each for each in records if each.name not in NOT_COUNTED and clause.id in (*each.kept, *each.violated)]
    violating = [each.name for each in measured if clause.id in each.violated]
    is_kept = len(measured) >= MIN_MEASURED and len(violating) <= MAX_VIOLATING_SHARE * len(measured)
    is_kept &= not set(violating) & set(MOST_USED)
    return Level.MUST if clause.id in RFC_MUSTS and is_kept else Level.SHOULD


def page(records: list[ServerRecord]) -> str:
    """The page that shows the records."""
    return "\n".join([*_introduction(records), *_totals(records), *_details(records)]) + "\n"


def _introduction(records: list[ServerRecord]) -> Iterator[str]:
    """What was measured, and the rule."""
    proxies = sum(each.is_proxy for each in records)
    yield from (
        "# What common HTTP servers keep",
        "",
        "<!-- Written by docs/generate.py from benchmarks/server_records.json; measure with benchmarks/http_servers.py. -->",
        "",
        f"Each clause of this page is one sentence of RFC 9110 or RFC 9112. {len(records)} servers ({proxies} of them proxies, in front of",
        "the emulator) were started in their default configuration and sent the requests of the conformance checks.",
        "`python benchmarks/http_servers.py` repeats the measurement with the servers that are installed.",
        "",
        "**The rule.** A MUST of an RFC has the level `must`, so that a violation fails the run, if",
        "",
        f"- at least 9 of 10 servers keep it (at least {MIN_MEASURED} could be tested), and",
        f"- each of the most used ones keeps it: {', '.join(MOST_USED)}.",
        "",
        "Some servers are shown, but do not count: "
        + "; ".join(f"{name} {reason}" for name, reason in NOT_COUNTED.items())
        + ".",
        "With bjoern, `length-conflict` and `space-before-colon` would be warnings.",
        "",
        "Otherwise a violation is a warning (`should`): it is as likely to be the default of the server as a defect of the",
        "deployment. A SHOULD of an RFC, and a grammar without a rule for recipients, is always a warning. A test compares the",
        "levels with this table.",
        "",
    )


def _totals(records: list[ServerRecord]) -> Iterator[str]:
    """One row for each clause: its level, and how many servers keep it."""
    yield from (
        "| clause | source | in the RFC | kept | violated | not tested | level |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    )
    for clause in HTTP_CLAUSE_BY_ID.values():
        kept = sum(clause.id in each.kept for each in records)
        violating = [each.name for each in records if clause.id in each.violated]
        strength = "MUST" if clause.id in RFC_MUSTS else "SHOULD or grammar"
        cells = (f"`{clause.id}`", clause.source, strength, kept, len(violating))
        yield f"| {' | '.join(map(str, cells))} | {len(records) - kept - len(violating)} | {clause.level.value} |"
    yield ""


def _details(records: list[ServerRecord]) -> Iterator[str]:
    """The whole table, folded."""
    yield from (
        "<details><summary>Every server and clause</summary>",
        "",
        "✓ kept, ✗ violated, – not tested: the server rejects the valid form of the request too, or does not answer.",
        "",
        f"| clause | {' | '.join(f'{each.name} {each.version}' for each in records)} |",
        f"| --- |{' --- |' * len(records)}",
    )
    for clause_id in HTTP_CLAUSE_BY_ID:
        cells = ("✓" if clause_id in each.kept else "✗" if clause_id in each.violated else "–" for each in records)
        yield f"| `{clause_id}` | {' | '.join(cells)} |"
    yield from ("", "</details>")
