"""
Run folders with wrong values anywhere: a report, or a message that names the file; never an error in chainproof.

The seed is fixed. `CHAINPROOF_SAMPLE=all pytest tests/reports/test_damaged_folders.py` tries ten times as many.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from chainproof.judgement.verdict import ExitCode
from chainproof.reports.command import FORMATS, main
from chainproof.results.folder import END, MANIFEST

from .sample_runs import (
    EXCHANGES,
    a_finding,
    drawn_intervals,
    failing_conformance,
    phased_intervals,
    phased_manifest,
    write_load,
)

QUICK_FORMATS = [name for name in FORMATS if name != "html"]
"""Those without charts."""
BATCHES = 24
PER_BATCH = 1000 if os.environ.get("CHAINPROOF_SAMPLE") == "all" else 100
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2**31, 2**53, 2**63, -(2**63), 1.5, -0.0, 1e-300, 1e300, -1e300),
    *("", "x", "ok", "\x1b[31m", "\u202e", "1e9", "../..", "a" * 5000),
    *([], [[]], [None], [1, 2], ["x"], [{}], {}, {"": None}, {"x": {"y": []}}, {"ok": -1}),
)


def a_small_load(path: Path) -> None:
    """A load run of three seconds with some of everything."""
    write_load(path, drawn_intervals(3, 20, not_sent=1), exchanges=EXCHANGES, findings=[a_finding(count=2)])


def a_load_with_phases(path: Path) -> None:
    """A load run with phases and payloads."""
    write_load(path, phased_intervals(rates=(2, 3, 2)), manifest=phased_manifest())


WRITERS = (a_small_load, a_load_with_phases, failing_conformance)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield place
    for name, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(part, (*place, name))


def mutated(value: Any, dice: random.Random) -> Any:
    """A JSON value with one part replaced, removed or added."""
    *parents, last = (None, *dice.choice(list(places(value))))
    if last is None:
        return dice.choice(VALUES)
    container = value
    for name in parents[1:]:
        container = container[name]
    kind = dice.randrange(4)
    if kind == 0:
        del container[last]
    elif kind == 1 and isinstance(container, dict):
        container[dice.choice(("x", "", "second", "count"))] = dice.choice(VALUES)
    else:
        container[last] = dice.choice(VALUES)
    return value


def mutate(folder: Path, dice: random.Random) -> str:
    """Change one line of one file. Returns the name of the file."""
    path = dice.choice(sorted(folder.iterdir()))
    lines = [path.read_bytes()] if path.suffix == ".json" else path.read_bytes().splitlines()
    number = dice.randrange(len(lines))
    lines[number] = orjson.dumps(mutated(orjson.loads(lines[number]), dice))
    path.write_bytes(b"\n".join((*lines, b"")))
    return path.name


@pytest.mark.parametrize("write", WRITERS)
def test_files_match_the_published_schema(write, tmp_path):
    """Every file is described, and every line of it is valid."""
    write(tmp_path / "run")
    schema = json.loads((Path(__file__).parents[2] / "docs" / "run-folder.schema.json").read_text())
    for path in (tmp_path / "run").iterdir():
        lines = [path.read_bytes()] if path.suffix == ".json" else path.read_bytes().splitlines()
        for line in lines:
            jsonschema_rs.validate({**schema, "additionalProperties": False}, {path.name: orjson.loads(line)})


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_mutated_folder_is_reported_or_rejected(batch, tmp_path, capsys):
    """With `end.json`, the run is invalid; without it, as if it were killed; a manifest without sense is a usage error."""
    dice = random.Random(batch)
    WRITERS[batch % len(WRITERS)](tmp_path / "good")
    was_killed = batch % 2 == 1
    for _ in range(PER_BATCH):
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "good", folder)
        if was_killed:
            (folder / END).unlink()
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        name = mutate(folder, dice)
        formats = dice.choice(((), *((f"--{name}", "-") for name in QUICK_FORMATS)))
        code = main([str(folder), *formats])
        shown = capsys.readouterr()
        changed = (folder / name).read_bytes() != before[name]
        if code == ExitCode.USAGE:
            assert name == MANIFEST
            assert MANIFEST in shown.err or "format" in shown.err
        elif changed and name != END and not was_killed:
            assert code == ExitCode.INVALID, (name, shown.err)
        else:
            assert code in {ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE, ExitCode.INVALID}, shown.err


ODD_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "circle of links": lambda path: path.symlink_to(path.name),
    "folder": Path.mkdir,
    "line without an end": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
}
"""What may stand in place of a file."""


@pytest.mark.parametrize("kind", ODD_FILES)
def test_a_file_of_another_kind_is_damage(kind, tmp_path, capsys):
    """A report neither waits for it nor reads it to an end that it does not have; a failing run is never a pass."""
    failing_conformance(tmp_path / "good")
    for name in sorted(path.name for path in (tmp_path / "good").iterdir()):
        folder = tmp_path / f"run-{name}"
        shutil.copytree(tmp_path / "good", folder)
        (folder / name).unlink()
        ODD_FILES[kind](folder / name)
        code = main([str(folder)])
        shown = capsys.readouterr()

        assert code == (ExitCode.USAGE if name == MANIFEST else ExitCode.INVALID)
        assert name in shown.out + shown.err
