"""The commands on the page about the sample chain print what the page shows."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chainproof.results.folder import read_run

from ..loadtests.conftest import is_late
from ..processes import TOOLS_PATH, clean_environment
from ..waiting import PATIENCE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "chain" / "README.md"


def test_the_commands_of_the_page_print_what_it_shows(tmp_path):
    """All commands are typed into one shell, in CI without those that show the same once more. `console` blocks are not run."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    kinds = {kind for kind, _ in blocks}
    blocks = blocks if os.environ.get("CHAINPROOF_SAMPLE") == "all" else shortened(blocks)
    typed = "".join(text for kind, text in blocks if kind == "sh")
    shown = "".join(text for kind, text in blocks if kind == "text")
    files_before = files()
    with terminal(typed) as screen, subprocess.Popen(
        ["sh"], cwd=ROOT, env=environment(tmp_path), stdin=screen,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    ) as shell:  # fmt: skip
        try:
            output, errors = shell.communicate(timeout=4 * PATIENCE)
        finally:
            shell.kill()

    assert {"sh", "text", "console"} == kinds
    runs = [read_run(folder) for name in ("load", "locust") for folder in tmp_path.glob(f"*/runs/{name}")]
    if shown.splitlines() != output.splitlines() and any(map(is_late, runs)):
        pytest.skip("needs a machine with time for a load run: the load generator was late")
    assert (0, shown.splitlines()) == (shell.returncode, output.splitlines()), errors
    assert 2 == len(re.findall(r"^chainproof emulator: warm, \S+/hello\.py:Hello at http://\S+$", errors, re.MULTILINE))
    assert "Traceback" not in errors
    assert files_before == files()


LEFT_OUT = ("accepted", "pytest")
"""Runs that show what other runs on the page show, too."""


def shortened(blocks: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The blocks without some runs and their output, and with the check that finds the defect instead of all."""
    kept, is_left_out = [], False
    for kind, text in blocks:
        if kind == "sh":
            is_left_out = any(f'--out "$OUT/runs/{name}"' in text for name in LEFT_OUT)
        if not is_left_out:
            checked = text.replace('--out "$OUT/runs/found"', '-k schemathesis --out "$OUT/runs/found"')
            kept.append((kind, re.sub(rf"^runs/({'|'.join(LEFT_OUT)})\n", "", checked, flags=re.MULTILINE)))
    assert len(blocks) == len(kept) + 2 * len(LEFT_OUT)
    return kept


def files() -> set[str]:
    """The names in the root of the repository, without those that other tests make at the same time."""
    return {path.name for path in ROOT.iterdir()} - {".hypothesis", ".pytest_cache"}


def environment(folder: Path) -> dict[str, str]:
    """The environment of a new user: the tools on the path, and folders for temporary files and caches."""
    return clean_environment(
        PATH=TOOLS_PATH,
        TMPDIR=str(folder),
        PYTEST_ADDOPTS="-p no:cacheprovider",
        HYPOTHESIS_STORAGE_DIRECTORY=str(folder / "hypothesis"),
    )


@contextmanager
def terminal(typed: str) -> Iterator[int]:
    """A pseudo-terminal with typed input, which a shell reads line by line."""
    keyboard, screen = pty.openpty()
    attributes = termios.tcgetattr(screen)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(screen, termios.TCSANOW, attributes)
    os.write(keyboard, typed.encode() + b"\x04")
    try:
        yield screen
    finally:
        os.close(screen)
        os.close(keyboard)
