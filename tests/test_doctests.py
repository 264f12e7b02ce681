"""The examples in docstrings run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .processes import run_process

ROOT = Path(__file__).parents[1]

SCRIPT = """
import doctest, importlib, sys
results = [doctest.testmod(importlib.import_module(name)) for name in sys.argv[1:]]
print(sum(result.failed for result in results), sum(result.attempted for result in results))
"""


def modules_with_examples(folder: str) -> list[str]:
    """The import names of the modules in a top-level folder that contain `>>>`."""
    prefix = "" if folder == "chainproof" else "chainproof."
    return [
        prefix + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if ">>> " in path.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("folder", ["chainproof", "emulator", "conformance", "loadtests", "reports"])
def test_the_examples_in_docstrings_run(folder: str) -> None:
    """Every `>>>` example prints what its docstring shows. One child process for each folder: Locust patches its process."""
    names = modules_with_examples(folder)
    child = run_process([sys.executable, "-P", "-c", SCRIPT, *names])

    failed, attempted = child.stdout.splitlines()[-1].split() if child.returncode == 0 else ("", "")
    assert failed == "0", child.stdout + child.stderr
    assert bool(names) == (attempted != "0")
