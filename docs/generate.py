"""Write the generated pages of this folder from the code: `python docs/generate.py`. A test compares the pages."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import cast

from chainproof.clock import format_duration
from chainproof.completion import OPTIONS as COMPLETION_OPTIONS
from chainproof.conformance import checks
from chainproof.conformance.checks import CHECKS
from chainproof.conformance.judging.exercised_clauses import EVERY_ANSWER_CLAUSES
from chainproof.conformance.options import CALL_OPTIONS
from chainproof.conformance.options import OPTIONS as CONFORMANCE_OPTIONS
from chainproof.contract.addresses import ADDRESSES, ServerKind
from chainproof.contract.clauses import ASSUMED, CLAUSES, Clause
from chainproof.contract.deviations import DEVIATIONS, is_waived
from chainproof.contract.errors import PAIRINGS, UNPAIRED_STATUSES, allowed_statuses
from chainproof.contract.levels import Contract, Level
from chainproof.contract.openapi import documented_statuses
from chainproof.contract.remedies import REMEDIES
from chainproof.demo import OPTIONS as DEMO_OPTIONS
from chainproof.doctor.command import OPTIONS as DOCTOR_OPTIONS
from chainproof.emulator.options import OPTIONS as EMULATOR_OPTIONS
from chainproof.loadtests.catalogue import workload, workload_names
from chainproof.loadtests.locust_options import LOCUST_OPTIONS, Treatment
from chainproof.loadtests.options import OPTIONS as LOADTEST_OPTIONS
from chainproof.options import TARGET_OPTIONS, Option, OptionGroup, Surface
from chainproof.reports.comparison.history_json import HistoryData
from chainproof.reports.comparison.json_comparison import ComparisonData
from chainproof.results.folder import FILE_TYPES
from chainproof.results.manifest import FORMAT
from chainproof.typed_json import json_schema

for _part in sorted((Path(checks.__file__).parent).glob("*.py")):
    import_module(f"{checks.__name__}.{_part.stem}")  # importing a module registers its checks

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

MEANING = {
    Level.MUST: "the document says so, or an RFC's MUST",
    Level.ASSUMED: "every caller relies on it, but the document does not say so",
    Level.SHOULD: "a recommendation: a violation is a warning, and fails the run only with `--fail-on should`",
}


def contract_page() -> str:
    """The page on the clauses of the contract."""
    return (
        "\n".join([*_introduction(), *_addresses(), *_codes(), *_statuses(), *_waivers(), *_clauses(), *_remedies()])
        + "\n"
    )


def _introduction() -> Iterator[str]:
    yield from (
        "# The contract",
        "",
        "<!-- Written by docs/generate.py from chainproof/contract/; edit there. -->",
        "",
        "The document is `chainproof/contract/openapi.yaml`, as published. `--contract` selects which sources an answer may follow:",
        "",
        "- `strict` (the default): only the document, to the letter;",
        "- `documented`: also what Baseten's documentation, other specifications and published source say;",
        "- `observed`: also what third parties recorded of live endpoints.",
        "",
    )


def _addresses() -> Iterator[str]:
    yield from (
        "## The addresses of the operation",
        "",
        "Every address is tested in the same way. The document has the first one only; for the others the contract is assumed to",
        "hold, and every report of such a run says so (caveat `ASSUMED_PATH`).",
        "",
    )
    yield from _table(
        ("operationId", "hosts", "path", "name or id in the path", "source"),
        (
            (
                f"`{address.operation_id}`",
                " or ".join(f"`{server.host}`" for server in ServerKind if server.regional is address.regional),
                f"`{address.template}`",
                address.identifier.description if address.identifier else "",
                address.source,
            )
            for address in ADDRESSES
        ),
    )


def _codes() -> Iterator[str]:
    yield from (
        "## Which error code goes with which status",
        "",
        "The document lists codes and statuses but does not pair them, so this table is an assumption. An unknown code, or a",
        "code with a status outside its row, is a violation. A missing code is not. Reports name who is responsible.",
        "",
    )
    yield from _table(
        ("error_code", "strict", "also in documented", "responsible", "source of the additional statuses"),
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
    yield from (f"The seven statuses of the document: {_numbers(documented_statuses())}.", "")


def _waivers() -> Iterator[str]:
    yield from ("## Clauses that the wider contracts waive", "")
    yield from _table(
        ("clause", "waived from", "because", "source"),
        (
            (f"`{clause.id}`", f"`{deviation.contract}`", deviation.description, deviation.citation)
            for deviation in DEVIATIONS
            for clause in deviation.waives
        ),
    )


def _clauses() -> Iterator[str]:
    yield from ("## The clauses", "")
    for level, meaning in MEANING.items():
        yield from (f"### {level.value}: {meaning}", "")
        yield from _table(
            ("clause", "what must hold", "source", "quotation", "holds in", "exercised by"),
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


def _remedies() -> Iterator[str]:
    yield from (
        "## Remedies",
        "",
        "What to change in common frameworks and gateways. Reports show it with a finding. Code is tested.",
        "",
    )
    for remedy in REMEDIES:
        names = ", ".join(f"`{clause.id}`" for clause in remedy.clauses)
        yield from (f"**{remedy.framework}** ({names}): {remedy.text}", "")
        if remedy.code:
            yield from ("```", *remedy.code.splitlines(), "```", "")


def _source(clause: Clause) -> str:
    return clause.source if not clause.source.startswith("#") else f"`{clause.source}`"


def _quotation(clause: Clause) -> str:
    return clause.quotation if clause.source == ASSUMED else f"“{clause.quotation}”"


def _contracts(clause: Clause) -> str:
    holding = [contract.value for contract in Contract if not is_waived(clause, contract)]
    return "all" if len(holding) == len(Contract) else ", ".join(holding)


def _exercise(clause: Clause) -> str:
    titles = [check.title for check in CHECKS if clause in check.clauses]
    return "; ".join((["every answer"] if clause in EVERY_ANSWER_CLAUSES else []) + titles)


def options_page() -> str:
    """The page on the options of the commands."""
    return "\n".join([*_options_introduction(), *_option_sections()]) + "\n"


def _options_introduction() -> Iterator[str]:
    yield from (
        "# Options",
        "",
        "<!-- Written by docs/generate.py from the tables of options; edit there. -->",
        "",
        "`chainproof TOOL --help` shows the same. A duration is written with its unit, as `250ms`, `20s` or `1m30s`, a share as `5%` or `0.05`.",
        "`chainproof reports --help` shows those of reports; see [reports.md](reports.md) and [comparing.md](comparing.md).",
        "",
    )


def _option_sections() -> Iterator[str]:
    yield from (
        "## Target",
        "",
        "`chainproof conformance`, `loadtests`, `call` and `doctor`, pytest and Locust have these options.",
        "",
    )
    yield from _option_table(TARGET_OPTIONS, ())
    yield from ("## chainproof conformance", "", "pytest has the same options.", "")
    yield from _option_tables(CONFORMANCE_OPTIONS)
    yield from ("## chainproof call", "")
    yield from _option_tables(CALL_OPTIONS)
    yield from (
        "## chainproof loadtests",
        "",
        'The last two columns show which options `locust -f "$(chainproof locustfile)"` and its web form have too. Locust has',
        "`--users` itself, and the workload is `--workload` there; see [locust.md](locust.md).",
        "",
    )
    yield from _option_tables(LOADTEST_OPTIONS, (Surface.LOCUST, Surface.WEB_FORM))
    yield from _workloads()
    yield from ("### Options of Locust", "", "What each option of Locust means with our users.", "")
    yield from _table(
        ("option", "with our users", ""),
        (
            (
                " ".join(f"`{name}`" for each in options for name in (each.short, each.name) if name),
                treatment.value,
                f"`{text}`" if treatment is Treatment.SAME else text,
            )
            for (treatment, text), options in groupby(LOCUST_OPTIONS, lambda each: (each.treatment, each.text))
        ),
    )
    yield from ("## chainproof emulator", "")
    yield from _option_tables(EMULATOR_OPTIONS)
    for name, options in (
        ("demo", DEMO_OPTIONS),
        ("doctor", DOCTOR_OPTIONS),
        ("completion", COMPLETION_OPTIONS),
    ):
        yield from (f"## chainproof {name}", "")
        yield from _option_tables(options)


def _workloads() -> Iterator[str]:
    yield from (
        "### Workloads",
        "",
        "`--objective`, `--deadline` and `--payloads` replace what a built-in workload has.",
        "",
    )
    yield from _table(
        ("workload", "objectives", "deadline", "payloads"),
        (
            (
                f"`{name}`",
                "<br>".join(f"`{objective.text}`" for objective in workload(name).objectives),
                format_duration(workload(name).deadline),
                "<br>".join(
                    f"`{payload.encoded().decode()}`"
                    + f", weight {payload.weight:g}" * (len(workload(name).payloads) > 1)
                    for payload in workload(name).payloads
                ),
            )
            for name in workload_names()
        ),
    )


def _option_tables(options: Iterable[Option], surfaces: tuple[Surface, ...] = ()) -> Iterator[str]:
    """A table for each group of options, those without a group first. The target's options have a section of their own."""
    groups: dict[OptionGroup | None, list[Option]] = {None: []}
    shared = {option.name for option in TARGET_OPTIONS}
    for option in options:
        if option.group is None or option.name not in shared:
            groups.setdefault(option.group, []).append(option)
    for group, rows in groups.items():
        if group is not None:
            yield from (f"### {group.title}", "")
            yield from (group.description, "") if group.description else ()
        yield from _option_table(rows, surfaces)


def _option_table(options: Iterable[Option], surfaces: tuple[Surface, ...]) -> Iterator[str]:
    yield from _table(
        ("option", "meaning", "default", *surfaces),
        (
            (
                f"`{' '.join(filter(None, (option.name, _value_text(option))))}`",
                option.help,
                option.shown_default,
                *("yes" if surface in option.valid_in else "" for surface in surfaces),
            )
            for option in options
        ),
    )


def _value_text(option: Option) -> str:
    """The value of an option as `--help` shows it."""
    if option.is_switch or not option.name.startswith("-"):
        return ""
    return "|".join(option.choices) if option.choices else option.metavar or ""


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


def http_servers_page() -> str:
    """The page on what common servers keep."""
    specification = importlib.util.spec_from_file_location("server_records", BENCHMARKS / "server_records.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return cast(str, module.page(module.read_records()))


def run_folder_schema() -> str:
    """The JSON Schema of the files of a run folder, as members of an object."""
    schema = json_schema(FILE_TYPES)
    schema["title"] = f"A run folder of format {FORMAT}"
    schema["description"] = (
        "A member for each file; of a .jsonl file, for each of its lines. Written by docs/generate.py."
    )
    return json.dumps(schema, indent=2) + "\n"


def comparison_schema() -> str:
    """The JSON Schema of a comparison."""
    return _object_schema("A comparison of runs", ComparisonData)


def history_schema() -> str:
    """The JSON Schema of a history."""
    return _object_schema("The history of workloads", HistoryData)


def _object_schema(title: str, annotation: type) -> str:
    """The JSON Schema of a TypedDict."""
    schema = json_schema({"root": annotation})
    schema["title"], schema["description"] = title, "Written by docs/generate.py."
    del schema["type"]
    return json.dumps(schema | schema.pop("properties")["root"], indent=2) + "\n"


PAGES = {
    "comparison.schema.json": comparison_schema,
    "contract.md": contract_page,
    "history.schema.json": history_schema,
    "http-servers.md": http_servers_page,
    "options.md": options_page,
    "run-folder.schema.json": run_folder_schema,
}
"""What writes each generated page of this folder."""

if __name__ == "__main__":
    for _name, _page in PAGES.items():
        Path(__file__).with_name(_name).write_text(_page(), encoding="utf-8")
