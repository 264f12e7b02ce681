"""
The README's commands are the ones that are run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def command_line(name):
    """
    The one line of the README's shell block under `<!-- name -->`.
    """
    found = re.search(rf"<!-- {name} -->\n```sh\n(?P<line>.+)\n```", README)
    assert found is not None, f"the README has no block marked {name}"
    return found["line"]


def test_ci_runs_the_line_that_passes_the_tests():
    """
    CI runs the test command of the README, word for word.
    """
    assert command_line("tests") in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_lines_create_what_they_need():
    """
    Both lines begin with a virtual environment, so that nothing global is touched.
    """
    for name in ("demo", "tests"):
        assert command_line(name).startswith("python3 -m venv .venv && .venv/bin/pip install ")


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?://|#)([^)#]+)", README))
def test_a_link_leads_somewhere(path):
    """
    A relative link of the README names a file of the repository.
    """
    assert (ROOT / path).exists()


def test_the_wheel_holds_every_module_and_file(tmp_path):
    """
    Whatever lies in the source folders is in the wheel, under the one import name.
    """
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(checkout(tmp_path))],
        check=True,
    )
    wheel = next(tmp_path.glob("*.whl"))
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("chainproof/")}
    wanted = {
        str(Path("chainproof") / path if path.parts[0] != "chainproof" else path)
        for path in tracked()
        if path.parts[0] in ("chainproof", "emulator", "conformance", "loadtests", "reports")
    }

    assert wanted == packed


def checkout(folder):
    """
    The tracked files, copied, so that a build leaves nothing behind in the working tree.
    """
    copy = folder / "checkout"
    for path in tracked():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes((ROOT / path).read_bytes())
    return copy


def tracked():
    """
    The files under version control that are there.
    """
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    return [Path(name) for name in listed.stdout.decode().splitlines() if (ROOT / name).is_file()]
