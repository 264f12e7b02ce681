"""The page docs/ci.md: its workflow, test file and tox recipes run against an emulator."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from chainproof.endpoint import start_emulator

from ...processes import TOOLS_PATH, clean_environment, run_process
from ..sampling import ALL

PAGE = (Path(__file__).parents[3] / "docs" / "ci.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """The code block of the page under `<!-- name -->`."""
    found = re.search(rf"<!-- {name} -->\n```\w+\n(?P<text>.+?)\n```", PAGE, re.DOTALL)
    assert found is not None, f"the page has no block marked {name}"
    return found["text"]


WORKFLOW = yaml.safe_load(block("workflow"))
JOB = WORKFLOW["jobs"]["chainproof"]
STEPS = JOB["steps"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Values for the variables of the page: an emulator, its key, and the installed chainproof without an index."""
    home = tmp_path_factory.mktemp("home")
    with start_emulator(options=("--contract", "documented")) as found:
        yield {
            **clean_environment(PATH=TOOLS_PATH),
            "HOME": str(home),
            "PIP_NO_INDEX": "1",
            "CHAINPROOF": "chainproof[all]",
            "CHAIN_URL": found.target.origin,
            "BASETEN_API_KEY": found.key.reveal(),
            "GITHUB_STEP_SUMMARY": str(home / "summary.md"),
        }


def run(line: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step with the shell that GitHub uses, in a folder with the inputs that the page asks for."""
    (folder / "inputs.jsonl").write_text('{"names": ["Ada"]}\n', encoding="utf-8")
    return run_process(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line], cwd=folder, env=environment, timeout=100
    )


SELECTED = "--depth quick -k 'failure- or credentials-'"
"""The checks that are run, in place of all of them."""


def test_the_workflow_runs(tmp_path: Path, environment: dict[str, str]) -> None:
    """
    Each step passes, the summary is on the page of the run, and every uploaded file exists.

    All checks are run with CHAINPROOF_SAMPLE=all only.
    """
    Path(environment["GITHUB_STEP_SUMMARY"]).touch()
    for step in STEPS:
        if "run" in step:
            line = step["run"]
            ended = run(line if ALL else line.replace("--depth quick", SELECTED), tmp_path, environment)
            assert 0 == ended.returncode, (step, ended.stdout, ended.stderr)
    uploaded = STEPS[-1]["with"]["path"].split()
    suites = list(ET.parse(tmp_path / "junit.xml").getroot())

    assert [] == [name for name in uploaded if not (tmp_path / name).exists()]
    assert Path(environment["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8").startswith("# ✅ pass")
    assert [("0", "0"), ("0", "0")] == [(suite.get("failures"), suite.get("errors")) for suite in suites]
    assert environment["BASETEN_API_KEY"] not in "".join(
        path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()
    )


def test_the_workflow_defines_the_variables_of_its_steps() -> None:
    """The key is a secret, results are shown after a failed step too, and no shell line contains an expression."""
    names = {name for step in STEPS for name in re.findall(r"\$(\w+)", step.get("run", ""))}

    assert names - {"GITHUB_STEP_SUMMARY"} <= set(JOB["env"])
    assert "${{ secrets.BASETEN_API_KEY }}" == JOB["env"]["BASETEN_API_KEY"]
    assert [] == [step for step in STEPS if "${{" in step.get("run", "")]
    after = [step for step in STEPS if "run" in step][2:] + STEPS[-1:]
    assert ["${{ !cancelled() }}"] * len(after) == [step.get("if") for step in after]


COMPARISON = block("comparison")
COMPARISON_STEPS = yaml.safe_load(COMPARISON)["jobs"]["compare"]["steps"]
LOAD, COMPARE = (step["run"] for step in COMPARISON_STEPS if "run" in step)


@pytest.fixture
def project(tmp_path: Path, environment: dict[str, str]) -> Callable[[str], tuple[int, str]]:
    """
    A function that runs the comparison workflow on an answer time of the chain; gives exit code and summary.

    Runs are shorter and fewer than on the page, and only p50 decides. pipx does nothing: chainproof is installed.
    """
    tools, times = tmp_path / "tools", tmp_path / "times.toml"
    tools.mkdir()
    (tools / "pipx").write_text("#!/bin/sh\n")
    (tools / "pipx").chmod(0o755)

    def workflow(answer_time: str) -> tuple[int, str]:
        summary = tmp_path / "summary.md"
        summary.write_text("")
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        times.write_text(f'description = "constant"\nservice_time = "{answer_time}"\n')
        with start_emulator(str(times), options=("--contract", "documented")) as found:
            variables = {
                **environment,
                "PATH": f"{tools}:{environment['PATH']}",
                "CHAIN_URL": found.target.origin,
                "GITHUB_STEP_SUMMARY": str(summary),
            }
            objective = "--objective 'p50 response_time < 1s'"  # fewer requests decide no other
            short = LOAD.replace("--repeat 5", f"--repeat 2 --duration 1s --rate 100 --pause 0s --no-html {objective}")
            assert short != LOAD
            loaded = run(short, tmp_path, variables)
            assert 0 == loaded.returncode, loaded.stdout + loaded.stderr
        # So few requests tell nothing about other metrics.
        ended = run(COMPARE.replace("--force", "--force --metric p50"), tmp_path, variables)
        return ended.returncode, summary.read_text() + ended.stderr

    return workflow


def test_runs_are_compared_also_if_one_of_them_failed() -> None:
    """A run that misses an objective ends its step with 1, and the summary has to say so."""
    assert "!cancelled()" == COMPARISON_STEPS[-1]["if"]


def test_the_comparison_fails_on_a_regression_only(project: Callable[[str], tuple[int, str]], tmp_path: Path) -> None:
    """
    The first run becomes the baseline, and a slower one fails and does not replace it.

    That an equal one passes is tested with CHAINPROOF_SAMPLE=all.
    """
    first = project("80ms")
    stored = sorted(path.name for path in (tmp_path / "baseline").iterdir())
    slower = project("160ms")
    same = project("80ms") if ALL else first

    assert (0, 1) == (first[0], slower[0]), (first, slower)
    assert first[1].startswith("# ✅ pass")
    assert [True, False] == ["These runs are the baseline from now on." in each[1] for each in (first, slower)]
    assert "regressed" in slower[1]
    assert 0 == same[0], same
    assert ["01", "02", "series.json"] == stored == sorted(path.name for path in (tmp_path / "baseline").iterdir())


def test_the_comparison_workflow_has_ten_lines() -> None:
    """The key is a secret, variables are defined, no shell line contains an expression, and the baseline is stored."""
    job = yaml.safe_load(COMPARISON)["jobs"]["compare"]
    names = {name for line in (LOAD, COMPARE) for name in re.findall(r"\$(\w+)", line)}

    assert len(COMPARISON.splitlines()) <= 10
    assert names - {"GITHUB_STEP_SUMMARY"} <= set(job["env"])
    assert "${{ secrets.BASETEN_API_KEY }}" == job["env"]["BASETEN_API_KEY"]
    assert "${{" not in LOAD + COMPARE
    assert ["baseline"] == [step["with"]["path"] for step in job["steps"] if "cache" in step.get("uses", "")]


def test_the_test_file_runs_unchanged(tmp_path: Path, environment: dict[str, str]) -> None:
    """It passes with the command of the page; the emulator follows the documented contract, so the strict one fails."""
    (tmp_path / "test_chain.py").write_text(block("test"), encoding="utf-8")
    ended = run(f"{block('pytest')} -k credentials-", tmp_path, environment)
    strict = run(f"{block('pytest')} -k credentials- --contract strict", tmp_path, environment)
    cases = list(ET.parse(tmp_path / "junit.xml").iter("testcase"))

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert 1 == strict.returncode
    assert len(cases) > 3


@pytest.mark.parametrize(
    ("name", "arguments"), [("chain", "--depth quick -k credentials-"), ("load", "--rate 100 --duration 1s")]
)
def test_a_tox_recipe_runs(name: str, arguments: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Its command runs with tox's substitutions and the variables that it passes on."""
    recipes = configparser.ConfigParser(interpolation=None)
    recipes.read_string(block("tox"))
    recipe = recipes[f"testenv:{name}"]
    line = re.sub(r"\{env:(\w+)\}", lambda found: environment[found[1]], recipe["commands"])
    line = re.sub(r"\{posargs(?::[^}]*)?\}", arguments, line)
    passed = {key: environment[key] for key in (*recipe["pass_env"].split(), "PATH", "HOME")}
    ended = run(line, tmp_path, passed)

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert {"CHAIN_URL", "BASETEN_API_KEY"} == set(recipe["pass_env"].split())
    assert "{" not in line
