"""Tests of the record of a search: which runs it names, and that a wrong record is rejected."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from chainproof.results.folder import find_runs, find_searches
from chainproof.results.run_writer import RunWriter
from chainproof.results.search_record import SEARCH_FILE, SearchRecordError

from ...manifests import load_manifest

LOAD = load_manifest(target="https://a", seed=7)
PROBE = {
    "purpose": "doubling",
    "verdict": "met",
    "reason": "",
    "seconds": 1,
    "planned": 2,
    "ok": 2,
    "response_time": {"p50": 0.5},
    "in_flight": 0.5,
    "growing": False,
}
PROBES = [
    {**PROBE, "rate": 20, "folder": "01_20"},
    {**PROBE, "rate": 40, "folder": "02_40", "verdict": "missed"},
    {**PROBE, "rate": 20, "folder": "03_20"},
]
RECORD = {
    "format": 2,
    "workload": "saturation",
    "target": "https://a",
    "emulated": False,
    "objectives": ["error_rate < 1%"],
    "verdict": "pass",
    "saturation_rate_per_s": 20,
    "missed_at_per_s": 40,
    "interval_per_s": [19, 42],
    "no_rate_reason": None,
    "probes": PROBES,
    "summary": "up to 20 a second",
}


def write_search(path: Path, record: object) -> None:
    """The folder of a search with three runs."""
    for name in ("01_20", "02_40", "03_20"):
        with RunWriter(path / name, LOAD):
            pass
    (path / SEARCH_FILE).write_bytes(record if isinstance(record, bytes) else orjson.dumps(record))


def test_find_runs_of_a_search_finds_its_verification_runs(tmp_path: Path) -> None:
    """Other runs can be named explicitly."""
    write_search(tmp_path / "search", RECORD)

    verified = [tmp_path / "search" / "01_20", tmp_path / "search" / "03_20"]
    assert verified == find_runs(tmp_path / "search") == find_runs(tmp_path)
    assert ["up to 20 a second"] == [found.summary for found in find_searches(tmp_path / "search")]
    assert find_searches(tmp_path / "search") == find_searches(tmp_path)


def test_a_search_without_a_result_means_all_of_its_runs(tmp_path: Path) -> None:
    """They show why there is none."""
    write_search(tmp_path / "search", {**RECORD, "verdict": "inconclusive", "saturation_rate_per_s": None})

    assert [path.name for path in find_runs(tmp_path / "search")] == ["01_20", "02_40", "03_20"]


def one_probe(**changes: object) -> dict[str, object]:
    """A record whose last probe is changed."""
    return {**RECORD, "probes": [*PROBES[:2], {**PROBES[2], **changes}]}


WRONG = {
    "nothing": (b"", "no JSON object"),
    "a list": (b"[]", "no JSON object"),
    "null": (b"null", "no JSON object"),
    "not UTF-8": (b"\xff", "no JSON object"),
    "no format": (b"{}", "format 2, found None"),
    "an older format": ({**RECORD, "format": 1}, "format 2, found 1"),
    "probes that are no list": ({**RECORD, "probes": 7}, "TypeError"),
    "a missing member": ({name: value for name, value in RECORD.items() if name != "summary"}, "KeyError: 'summary'"),
    "an unknown verdict": ({**RECORD, "verdict": "good"}, "the verdict 'good'"),
    "a pass without a rate": ({**RECORD, "saturation_rate_per_s": None}, "the verdict pass with no saturation rate"),
    "a rate without a pass": ({**RECORD, "verdict": "fail"}, "the verdict fail with a saturation rate"),
    "a rate that was missed": ({**RECORD, "saturation_rate_per_s": 40, "missed_at_per_s": None}, "no probe met"),
    "a rate without a probe": ({**RECORD, "saturation_rate_per_s": 21}, "no probe met"),
    "a reason besides a rate": ({**RECORD, "no_rate_reason": "unstable"}, "a reason why there is none"),
    "a miss without a probe": ({**RECORD, "missed_at_per_s": 41}, "at which there is no probe"),
    "a rate outside its interval": ({**RECORD, "interval_per_s": [21, None]}, "outside its interval"),
    "an interval without ends": ({**RECORD, "interval_per_s": []}, "ValueError"),
    "a miss below the rate": ({**RECORD, "missed_at_per_s": 20}, "but 20 missed"),
    "a folder above": (one_probe(folder="../03_20"), "outside the search"),
    "an absolute folder": (one_probe(folder="/etc"), "outside the search"),
    "the folder itself": (one_probe(folder="."), "outside the search"),
    "the folder above": (one_probe(folder=".."), "outside the search"),
    "no folder": (one_probe(folder=""), "outside the search"),
    "a folder in a run": (one_probe(folder="01_20/x"), "outside the search"),
    "a link to elsewhere": (one_probe(folder="link"), "outside the search"),
    "a negative rate": (one_probe(rate=-1), "impossible numbers"),
    "more ok than planned": (one_probe(ok=3), "impossible numbers"),
    "a text for a number": (one_probe(planned="many"), "ValueError"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_record_is_rejected(case: str, tmp_path: Path) -> None:
    """The message names the file and what is wrong with it."""
    record, message = WRONG[case]
    write_search(tmp_path / "search", record)
    (tmp_path / "search" / "link").symlink_to(tmp_path)

    with pytest.raises(SearchRecordError, match=message) as raised:
        find_searches(tmp_path / "search")
    assert str(tmp_path / "search" / SEARCH_FILE) in str(raised.value)
    with pytest.raises(SearchRecordError, match=message):
        find_runs(tmp_path)
