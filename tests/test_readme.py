"""The README's commands, links and packaging are correct."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chainproof.conformance.options import REMOTE_MAX_REQUESTS, Depth
from chainproof.conformance.runner.forecast import TYPED_MODULES, by_module, forecast_counts
from chainproof.emulator.faults import FAULTS
from chainproof.emulator.faults.variants import VARIANTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def command_line(name):
    """The one line of the README's shell block under `<!-- name -->`."""
    found = re.search(rf"<!-- {name} -->\n```sh\n(?P<line>.+)\n```", README)
    assert found is not None, f"the README has no block marked {name}"
    return found["line"]


def test_ci_runs_the_test_command_of_the_readme():
    """`.ci/run` contains the README's test command, word for word."""
    assert command_line("tests") in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_commands_create_a_virtual_environment():
    """Both commands start with a virtual environment, so nothing is installed globally."""
    for name in ("demo", "tests"):
        assert command_line(name).startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_figures_are_those_of_the_code():
    """The numbers of faults, variants and requests in the README are near enough: one more of them changes no page."""
    faults, variants = (
        int(number) for number in re.search(r"serve about (\d+) faulty endpoints and (\d+) unusual", README).groups()
    )
    requests, remote = (
        int(number.replace(",", ""))
        for number in re.search(
            r"`quick` sends about ([\d,]+) requests .* at most ([\d,]+) to a remote", README
        ).groups()
    )

    assert len(FAULTS) == pytest.approx(faults, rel=0.1)
    assert len(VARIANTS) == pytest.approx(variants, rel=0.2)
    counts = by_module(forecast_counts(Depth.QUICK))
    sent = sum(count.requests for module, count in counts.items() if module not in TYPED_MODULES)
    assert sent == pytest.approx(requests, rel=0.05)
    assert REMOTE_MAX_REQUESTS[Depth.QUICK] == remote


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?://|#)([^)#]+)", README))
def test_a_link_names_an_existing_file(path):
    """A relative link of the README names a file of the repository."""
    assert (ROOT / path).exists()
