"""
Writes `docs/contract.md` from the contract itself: `python docs/generate.py`. A test holds the page to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from chainproof.contract.clauses import ASSUMED, CLAUSES, WAIVERS, Clause
from chainproof.contract.errors import PAIRINGS, UNPAIRED_STATUSES, allowed_statuses
from chainproof.contract.levels import Contract, Level
from chainproof.contract.spec import documented_statuses

PAGE = Path(__file__).with_name("contract.md")

MEANING = {
    Level.MUST: "the document says so, or an RFC's MUST",
    Level.ASSUMED: "every caller relies on it, though no sentence of the document says it",
    Level.SHOULD: "advice: shown, and fails a run only with `--fail-on should`",
}


def page() -> str:
    """
    The whole page.
    """
    return "\n".join([*_introduction(), *_codes(), *_statuses(), *_waivers(), *_clauses()]) + "\n"


def _introduction() -> Iterator[str]:
    yield from (
        "# The contract",
        "",
        "<!-- Written by docs/generate.py from chainproof/contract/; edit there. -->",
        "",
        "The document is `chainproof/contract/openapi.yaml`, as published. `--contract` says how far beyond it an answer may go:",
        "",
        "- `strict` (the default): the document to the letter;",
        "- `documented`: and what Baseten's documentation, its other specifications or its published source say;",
        "- `observed`: and what third parties recorded of live endpoints.",
        "",
    )


def _codes() -> Iterator[str]:
    yield from (
        "## Which error code goes with which status",
        "",
        "The document lists codes and statuses side by side and never pairs them, so the pairing is assumed. A code outside the",
        "ten, or with a status outside its row, is a departure; an absent code is none. *Who acts* is what reports call blame.",
        "",
    )
    yield from _table(
        ("error_code", "strict", "also in documented", "who acts", "source of the wider row"),
        (
            (f"`{row.code}`", _numbers(row.strict), _numbers(row.documented), row.blame.value, row.citation)
            for row in PAIRINGS
        ),
    )


def _statuses() -> Iterator[str]:
    yield from ("## Which statuses an answer of the operation may have", "")
    yield from _table(
        ("contract", "statuses"),
        ((f"`{contract}`", _numbers(sorted(allowed_statuses(contract)))) for contract in Contract),
    )
    for status, citation in UNPAIRED_STATUSES.items():
        yield from (f"{status}: {citation}.", "")
    yield from (f"The document's own seven: {_numbers(documented_statuses())}.", "")


def _waivers() -> Iterator[str]:
    yield from ("## What the wider contracts take back", "")
    yield from _table(
        ("clause", "no longer held from", "because"),
        ((f"`{waiver.clause.id}`", f"`{waiver.contract}`", waiver.citation) for waiver in WAIVERS),
    )


def _clauses() -> Iterator[str]:
    yield from ("## The clauses", "")
    for level, meaning in MEANING.items():
        yield from (f"### {level.value}: {meaning}", "")
        yield from _table(
            ("clause", "what is held against an answer", "source", "in its words"),
            (
                (f"`{clause.id}`", clause.statement, _source(clause), _quotation(clause))
                for clause in CLAUSES
                if clause.level is level
            ),
        )


def _source(clause: Clause) -> str:
    return clause.source if not clause.source.startswith("#") else f"`{clause.source}`"


def _quotation(clause: Clause) -> str:
    return clause.quotation if clause.source == ASSUMED else f"“{clause.quotation}”"


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield _row(head)
    yield _row("---" for _ in head)
    for row in rows:
        yield _row(cell.replace("|", "\\|") for cell in row)
    yield ""


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
