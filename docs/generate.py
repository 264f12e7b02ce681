"""
Writes `docs/contract.md` from the contract and the checks themselves: `python docs/generate.py`. A test holds the page to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from chainproof.conformance import checks
from chainproof.conformance.checks import CHECKS
from chainproof.conformance.judging.exercised_clauses import EVERY_ANSWER_CLAUSES
from chainproof.contract.clauses import ASSUMED, CLAUSES, WAIVERS, Clause, is_waived
from chainproof.contract.errors import PAIRINGS, UNPAIRED_STATUSES, allowed_statuses
from chainproof.contract.levels import Contract, Level
from chainproof.contract.openapi import documented_statuses

for _part in sorted((Path(checks.__file__).parent).glob("*.py")):
    import_module(f"{checks.__name__}.{_part.stem}")  # each file enters its checks when it is imported

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
        "ten, or with a status outside its row, is a violation; an absent code is none. *Who acts* is what reports call responsible.",
        "",
    )
    yield from _table(
        ("error_code", "strict", "also in documented", "who acts", "source of the wider row"),
        (
            (f"`{row.code}`", _numbers(row.strict), _numbers(row.documented), row.responsible.value, row.citation)
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
            ("clause", "what is held against an answer", "source", "in its words", "holds in", "exercised by"),
            (
                (
                    f"`{clause.id}`",
                    clause.statement,
                    _source(clause),
                    _quotation(clause),
                    _contracts(clause),
                    _exercise(clause),
                )
                for clause in CLAUSES
                if clause.level is level
            ),
        )


def _source(clause: Clause) -> str:
    return clause.source if not clause.source.startswith("#") else f"`{clause.source}`"


def _quotation(clause: Clause) -> str:
    return clause.quotation if clause.source == ASSUMED else f"“{clause.quotation}”"


def _contracts(clause: Clause) -> str:
    held = [contract.value for contract in Contract if not is_waived(clause, contract)]
    return "all" if len(held) == len(Contract) else ", ".join(held)


def _exercise(clause: Clause) -> str:
    titles = [check.title for check in CHECKS if clause in check.clauses]
    return "; ".join((["every answer"] if clause in EVERY_ANSWER_CLAUSES else []) + titles)


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
