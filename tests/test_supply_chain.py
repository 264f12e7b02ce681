"""The pins with hashes are those of constraints.txt and name no index, and CI installs nothing else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
REQUIREMENTS = (ROOT / ".ci" / "requirements.txt").read_text(encoding="utf-8")


def pins(text: str) -> dict[str, str]:
    """The version of each package, by its normalised name."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_hashed_pins_are_those_of_the_constraints() -> None:
    """Every version is the same; packages that only other systems need are added. Make them anew with `tox -e pins`."""
    hashed = pins(REQUIREMENTS)
    added = {
        name
        for name in hashed.keys() - pins(CONSTRAINTS).keys()
        if not re.search(rf"^{name}==\S+ ;", REQUIREMENTS, re.MULTILINE)
    }

    assert pins(CONSTRAINTS).items() <= hashed.items()
    assert added == set()


def test_every_pin_has_a_hash_and_nothing_names_an_index() -> None:
    """So `pip install --require-hashes` accepts the file on every machine."""
    blocks = re.split(r"^(?=[\w.-]+==)", REQUIREMENTS, flags=re.MULTILINE)[1:]

    assert all("--hash=sha256:" in block for block in blocks)
    assert re.findall(r"^--.*|://", CONSTRAINTS + REQUIREMENTS, re.MULTILINE) == []


def test_ci_installs_only_files_with_hashes() -> None:
    """Every installation before the index is switched off checks hashes, or adds nothing but this project."""
    installs = re.findall(r"^.*pip\"? install .*$", CI.partition("PIP_NO_INDEX=1")[0], re.MULTILINE)

    assert len(installs) >= 2
    assert [
        line for line in installs if "--require-hashes -r .ci/requirements.txt" not in line and "--no-deps" not in line
    ] == []
