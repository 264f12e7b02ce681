"""`chainproof reports CANDIDATE --against BASELINE` says what changed, how certain that is, and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from chainproof.contract.clauses import CLAUSES
from chainproof.hardware import Hardware
from chainproof.judgement.comparison.change import Change
from chainproof.judgement.comparison.metrics import Metric, measure
from chainproof.judgement.judged_requests import JudgedRequests
from chainproof.judgement.verdict import ExitCode
from chainproof.reports.command import main
from chainproof.reports.comparison.json_comparison import ComparisonData
from chainproof.results.coverage import Coverage
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.results.manifest import Ending, Manifest, RunEnd, RunKind, Series, SeriesKind, Side
from chainproof.results.run_writer import RunWriter
from chainproof.typed_json import mismatch

from ..sample_reports import finished_search
from .compared_runs import CLOSED, MACHINE, OPEN, write_run, write_side

EQUAL, SLOWER, FAILING = 0, 100, 200
"""The first seeds of the versions."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Runs of a baseline, and of versions that are equal, 40 % slower, and failing."""
    root = tmp_path_factory.mktemp("runs")
    sides = {
        "baseline": write_side(root, "baseline", 300),
        "equal": write_side(root / "earlier", "equal", EQUAL),
        "slower": write_side(root, "slower", SLOWER, factor=1.4),
        "faster": write_side(root, "faster", 400, factor=0.6),
        "failing": write_side(root, "failing", FAILING, errors=0.05),
    }
    return {name: list(map(str, paths)) for name, paths in sides.items()}


def compared(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict]:
    """The exit code and the JSON of a comparison."""
    code = main([*map(str, arguments), "--json", "-"])
    found = json.loads(capsys.readouterr().out)
    assert mismatch(found, ComparisonData) is None
    return code, found


def classes(result: dict) -> dict[str, str]:
    """The class of each metric."""
    return {each["metric"]: each["result"] for each in result["load"]["metrics"]}


@pytest.mark.parametrize(
    ("candidate", "code", "metric", "expected"),
    [
        ("equal", ExitCode.PASS, "p50", Change.UNCHANGED),
        ("slower", ExitCode.FAIL, "p95", Change.REGRESSED),
        ("faster", ExitCode.PASS, "p50", Change.IMPROVED),
        ("failing", ExitCode.FAIL, "error_rate", Change.REGRESSED),
    ],
)
def test_several_runs_a_side_decide(
    runs: dict[str, list[str]],
    capsys: pytest.CaptureFixture[str],
    *,
    candidate: str,
    code: int,
    metric: str,
    expected: Change,
) -> None:
    """Equal versions pass, worse ones fail, better ones pass; detectable change and runs needed are always there."""
    found, result = compared(capsys, *runs[candidate], "--against", *runs["baseline"])

    assert (code, expected) == (found, classes(result)[metric])
    assert all(each["smallest_detectable"] > 0 and each["runs_needed"] for each in result["load"]["metrics"])
    assert "throughput" not in classes(result)


def test_one_run_a_side_never_decides(runs: dict[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """A ratio of two single runs is shown without an interval, with what to do; earlier runs decide it."""
    pair = (runs["slower"][0], "--against", runs["baseline"][0])
    code, result = compared(capsys, *pair)
    history = Path(runs["equal"][0]).parent
    with_history, precise = compared(capsys, *pair, "--history", history, "--tolerance", "5%", "--metric", "p50")

    assert (ExitCode.INCONCLUSIVE, {"inconclusive"}) == (code, set(classes(result).values()))
    assert all(each["low"] is None for each in result["load"]["metrics"])
    assert any("--repeat" in step for step in result["next_steps"])
    assert (ExitCode.FAIL, "regressed") == (with_history, classes(precise)["p50"])
    assert 4 == precise["load"]["metrics"][0]["history"]


def test_every_format_names_verdict_reason_and_next_step(
    runs: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Terminal, page, Markdown and JUnit say what changed, how certain it is, and what to do."""
    arguments = [*runs["slower"], "--against", *runs["baseline"]]
    assert ExitCode.FAIL == main(arguments)
    terminal = capsys.readouterr().out
    files = [("--markdown", "m"), ("--junit", "j"), ("--html", "h")]
    main([*arguments, *(text for name, file in files for text in (name, str(tmp_path / file)))])
    suite = ET.parse(tmp_path / "j").getroot()

    page = (tmp_path / "h").read_text()
    assert 1 == page.count("<script>")
    banner = page.partition("<main")[0]
    assert all(
        words in banner for words in ("tolerance of 10 %: p50 +", "95 % interval +", "Do not release", "Caveat:")
    )
    for text in (terminal, (tmp_path / "m").read_text(), page):
        for words in ("p95", "95 % certainty", "Do not release", "detectable"):
            assert words in text
    assert max(map(len, terminal.splitlines())) <= 100
    assert ["p50", "p95", "p99"] == [
        case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None
    ]


PLAN = {"plan": {"arrivals": 1200, "sha256": "a"}}
DIFFERENT = {
    "rate": (
        {"settings": {**OPEN, "rate_per_s": 20.0}},
        "the plans differ: rate_per_s is 40.0 in the first run of the baseline, and 20.0 in another run",
    ),
    "model": ({"settings": CLOSED}, "the plans differ: model"),
    "plan": ({"settings": {**OPEN, **PLAN}}, "the plans differ: the requests start at other times"),
    "seed": ({"seed_option": 7}, "the seeds are 0 and 7"),
    "objectives": ({"objectives": ()}, "the objectives differ"),
    "contract": ({"contract": "documented"}, "the contracts differ"),
    "machine": ({"hardware": replace(MACHINE, cores=8)}, "the generators differ"),
    "phases": (
        {"settings": {**OPEN, "phases": [{"name": "a", "from_s": 0.0, "to_s": 9.0, "judged": True}]}},
        "the phases differ",
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_runs_that_differ_are_refused(
    case: str, runs: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A difference in plan, phases, objectives, contract or machine is a usage error with its reason; --force makes it a caveat."""
    changes, words = DIFFERENT[case]
    changes = {("seed" if name == "seed_option" else name): value for name, value in changes.items()}
    seed = changes.pop("seed", None)
    other = write_run(tmp_path / "other", EQUAL, **changes)
    if seed is not None:
        manifest = json.loads((other / "manifest.json").read_text())
        (other / "manifest.json").write_text(json.dumps({**manifest, "seed": seed}))
        end = json.loads((other / "end.json").read_text())
        (other / "end.json").write_text(json.dumps({**end, "files": {}}))
    arguments = [str(other), "--against", *runs["baseline"]]

    assert ExitCode.USAGE == main(arguments)
    assert words in capsys.readouterr().err
    main([*arguments, "--force", "--json", "-"])
    caveats = json.loads(capsys.readouterr().out)["caveats"]
    assert any(words in each["text"].lower() for each in caveats) or words in str(caveats)


def test_an_invalid_run_makes_the_comparison_invalid(
    runs: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged run is named and nothing is compared; --force compares nevertheless."""
    damaged = write_run(tmp_path / "damaged", EQUAL)
    lines = (damaged / "intervals.jsonl").read_text().splitlines(keepends=True)
    (damaged / "intervals.jsonl").write_text("".join(lines[:-1]))
    code, result = compared(capsys, damaged, "--against", *runs["baseline"])
    _, forced = compared(capsys, damaged, "--against", *runs["baseline"], "--force")

    assert (ExitCode.INVALID, None) == (code, result["load"])
    assert "damaged" in result["reason"]
    assert forced["load"]["metrics"]


@pytest.mark.parametrize(("kind", "count"), [(SeriesKind.DUET, 1), (SeriesKind.INTERLEAVE, 4)])
@pytest.mark.parametrize("factor", [1.0, 1.4])
def test_pairs_are_compared_within_each_pair(
    kind: SeriesKind, count: int, factor: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One duet decides, and so do interleaved runs, whatever the two runs of a pair share."""
    sides: dict[Side, list[str]] = {side: [] for side in Side}
    for index in range(count):
        shared = 1.0 + 0.3 * index
        for side, own in ((Side.CANDIDATE, factor), (Side.BASELINE, 1.0)):
            seed = 10 * index + list(Side).index(side)
            series = Series(id="one", kind=kind, index=index, side=side)
            path = write_run(tmp_path / f"{side}-{index}", seed, factor=own * shared, noise=0.0, series=series)
            sides[side].append(str(path))
    extra = [] if factor > 1.0 else ["--metric", "p50"]
    code, result = compared(capsys, *sides[Side.CANDIDATE], "--against", *sides[Side.BASELINE], *extra)

    assert {1.0: ExitCode.PASS, 1.4: ExitCode.FAIL}[factor] == code
    assert {SeriesKind.DUET: "duets", SeriesKind.INTERLEAVE: "pairs"}[kind] == result["load"]["design"]
    assert {1.0: "unchanged", 1.4: "regressed"}[factor] == classes(result)["p50"]


def test_a_duet_that_is_too_short_for_its_slow_times_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the targets are slow at different times, for long, 40 % is not certain, and a caveat names the necessary length."""
    series = Series(id="one", kind=SeriesKind.DUET, index=0, side=Side.CANDIDATE)
    candidate = write_run(tmp_path / "a", 0, factor=1.4, waves=0.4, series=series)
    baseline = write_run(tmp_path / "b", 2, waves=0.4, series=replace(series, side=Side.BASELINE))
    code, result = compared(capsys, candidate, "--against", baseline)
    (caveat,) = [each for each in result["caveats"] if "slow at different times" in json.dumps(each)]

    assert ExitCode.INCONCLUSIVE == code
    assert "or longer" in json.dumps(caveat)


def test_throughput_is_compared_in_the_closed_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the closed model the target decides how much is answered."""
    sides = [write_side(tmp_path, name, seed, settings=CLOSED) for name, seed in (("a", 0), ("b", 10))]
    _, result = compared(capsys, *sides[0], "--against", *sides[1])

    assert "unchanged" == classes(result)["throughput"]


def conformance(path: Path, *violated: int, exercised: int = 20, seed: int = 1) -> str:
    """A conformance run that exercised the first clauses and found violations of some."""
    manifest = Manifest(
        kind=RunKind.CONFORMANCE, name="quick", started="2026-11-27T00:00:00.000Z", target="http://x/", seed=seed
    )
    with RunWriter(path, manifest) as writer:
        for place, clause in enumerate(CLAUSES[:exercised]):
            count = int(place in violated)
            writer.write_clause(ClauseCount(clause=clause.id, exercised=29, violations=count))
            if count:
                texts = {"source": "s", "quotation": "q", "expected": "this", "actual": "that", "reproduce": "curl"}
                writer.write_finding(Finding(clause=clause.id, level="must", count=1, **texts))
        writer.write_coverage(Coverage(requests=9, statuses={200: 9}))
        writer.finish(RunEnd(ending=Ending.COMPLETED, seconds=1.0))
    return str(path)


@pytest.mark.parametrize(
    ("candidate", "exercised", "code", "counts"),
    [
        ((0, 1), 20, ExitCode.PASS, (0, 0, 2, 0)),
        ((0,), 20, ExitCode.PASS, (0, 1, 1, 0)),
        ((0, 1, 2), 20, ExitCode.FAIL, (1, 0, 2, 0)),
        ((0, 1), 19, ExitCode.INCONCLUSIVE, (0, 0, 2, 1)),
        ((0,), 1, ExitCode.INCONCLUSIVE, (0, 0, 1, 19)),
    ],
)
def test_findings_are_compared(
    *,
    candidate: tuple[int, ...],
    exercised: int,
    code: int,
    counts: tuple[int, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """New findings fail, lost coverage is inconclusive, and a finding on a clause that is no longer tested is not fixed."""
    before = conformance(tmp_path / "before", 0, 1)
    after = conformance(tmp_path / "after", *candidate, exercised=exercised, seed=2)
    found, result = compared(capsys, after, "--against", before)
    part = result["conformance"]

    assert code == found
    assert counts == tuple(len(part[name]) for name in ("new", "fixed", "unchanged", "lost_coverage"))
    assert any("--seed 2" in each["remedy"] for each in result["caveats"]) is bool(counts[0])
    assert code == main([after, "--against", before])
    assert result["reason"].split(":")[0] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{a}", "--tolerance", "5%"], "belongs to a comparison"),
        (["{a}", "--against", "{a}"], "different runs on both sides"),
        (["{a}", "--against", "{conformance}"], "runs of the same kind"),
    ],
)
def test_a_wrong_comparison_is_a_usage_error(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what was expected."""
    names = {"a": write_run(tmp_path / "a", 1), "conformance": conformance(tmp_path / "c")}

    assert ExitCode.USAGE == main([each.format(**names) for each in arguments])
    assert words in capsys.readouterr().err


def linked(original: Path, copy: Path) -> None:
    """A folder with a link to the run."""
    copy.mkdir()
    (copy / "link").symlink_to(original)


def without_end(original: Path, copy: Path) -> None:
    """A copy that was made while the run went on."""
    shutil.copytree(original, copy, ignore=lambda *_: ["end.json"])


def relabelled(original: Path, copy: Path) -> None:
    """A copy with another label."""
    shutil.copytree(original, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "settings": {**manifest["settings"], "label": "x"}}))


@pytest.mark.parametrize("is_other_side", [True, False])
@pytest.mark.parametrize("make_copy", [shutil.copytree, linked, without_end, relabelled])
def test_a_copy_of_a_run_is_refused(
    make_copy: Callable[[Path, Path], object],
    runs: dict[str, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    is_other_side: bool,
) -> None:
    """The message names both folders, whichever sides they are on; so does a CI job's summary; --force makes it a caveat."""
    original, copy = Path(runs["slower"][0]), tmp_path / "copy"
    make_copy(original, copy)
    sides = [[str(original)], [runs["baseline"][0]]]
    sides[is_other_side].append(str(copy))
    arguments = [*sides[0], "--against", *sides[1]]

    assert ExitCode.USAGE == main([*arguments, "--markdown", str(tmp_path / "summary")])
    assert "the same run" in (tmp_path / "summary").read_text()
    message = capsys.readouterr().err
    assert all(str(path) in message for path in (original, copy))
    _, forced = compared(capsys, *arguments, "--force")
    assert any("the same run" in each["text"] for each in forced["caveats"])


def test_a_copy_in_the_history_counts_once(
    runs: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copies of the compared runs and of other earlier runs do not make a comparison more precise."""
    for name in ("a", "b"):
        shutil.copytree(runs["equal"][0], tmp_path / name)
    shutil.copytree(runs["slower"][0], tmp_path / "c")
    pair = (runs["slower"][0], "--against", runs["baseline"][0])
    histories = [Path(runs["equal"][0]), tmp_path]
    results = [compared(capsys, *pair, "--history", each)[1]["load"]["metrics"] for each in histories]

    assert results[0] == results[1]


def test_machines_are_described() -> None:
    """The reason of a refusal names processor, cores and memory."""
    assert "1 core of an unknown processor, 8 GiB" == str(Hardware(cpu="", cores=1, memory_mib=8192))


def test_searches_are_compared_by_their_saturation_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The saturation rate is the throughput; one search a side is inconclusive; copies and other workloads are refused."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        finished_search(tmp_path / name)
    record = next((tmp_path / "b").glob("*/search.json"))
    search = json.loads(record.read_text())
    assert ExitCode.USAGE == main([str(tmp_path / "a"), "--against", str(tmp_path / "b")])
    assert "the same run" in capsys.readouterr().err
    search["probes"][0]["in_flight"] += 0.1
    record.write_text(json.dumps(search))
    code, result = compared(capsys, tmp_path / "a", "--against", tmp_path / "b")
    record.write_text(json.dumps({**search, "workload": "other"}))

    assert (ExitCode.INCONCLUSIVE, "searches") == (code, result["load"]["design"])
    assert {"throughput": "inconclusive"} == classes(result)
    assert ExitCode.USAGE == main([str(tmp_path / "a"), "--against", str(tmp_path / "b")])
    assert "the workloads differ" in capsys.readouterr().err
    assert ExitCode.INCONCLUSIVE == main([str(tmp_path / "a"), "--against", str(tmp_path / "b"), "--force"])


def test_other_runs_beside_searches_are_not_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Conformance runs beside them are compared too, a load run is named; options that searches do not have are refused."""
    for name, violated in (("new", (0, 1)), ("old", (0,))):
        (tmp_path / name).mkdir()
        finished_search(tmp_path / name)
        conformance(tmp_path / name / "conformance", *violated)
        write_run(tmp_path / name / "steady", len(name))
    record = next((tmp_path / "new").glob("*/search.json"))
    search = json.loads(record.read_text())
    search["probes"][0]["in_flight"] += 0.1
    record.write_text(json.dumps(search))
    sides = [str(tmp_path / "new"), "--against", str(tmp_path / "old")]
    code, result = compared(capsys, *sides)

    assert (ExitCode.FAIL, 1, 1) == (code, len(result["conformance"]["new"]), len(result["conformance"]["unchanged"]))
    assert {"throughput"} == set(classes(result))
    (left_out,) = [each["text"] for each in result["caveats"] if "were not compared" in each["text"]]
    assert "new/steady, old/steady" in left_out
    assert ExitCode.USAGE == main([*sides, "--metric", "p95"])
    assert "expected --metric with a figure that these runs have (throughput)" in capsys.readouterr().err
    assert ExitCode.USAGE == main([*sides, "--history", str(tmp_path)])
    assert "--history" in capsys.readouterr().err


def test_a_metric_that_the_runs_do_not_have_is_a_usage_error(
    runs: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing would decide."""
    assert ExitCode.USAGE == main([*runs["equal"], "--against", *runs["baseline"], "--metric", "throughput"])
    assert "expected --metric" in capsys.readouterr().err


def test_requests_in_flight_between_two_seconds_do_not_blur_the_share_of_ok() -> None:
    """A run in which every request is ok has no variance of that share, however long the answers take."""
    seconds = []
    for place in range(30):
        second = RequestStats(planned=40)
        second.outcomes[Outcome(Transport.ANSWERED, 200, None, Result.OK)] = (37, 43)[place % 2]
        seconds.append(second)
    found = measure(JudgedRequests(stats=RequestStats(), seconds=seconds), is_closed=False)[Metric.OK_OF_PLANNED]

    assert found is not None
    assert 1.0 == found.value
    assert found.error < 0.001
