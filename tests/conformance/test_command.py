"""
`chainproof conformance` as its users run it: processes, sockets, signals, folders.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chainproof.conformance.command import main
from chainproof.conformance.ledger import binding_levels
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.levels import Level
from chainproof.results.folder import read_run
from chainproof.results.manifest import Ending

from .endpoints import KEY, Asked, Said, error, on_every_answer, on_status, serving, when

VARIABLE = "CHAINPROOF_TEST_KEY"
QUICK = ("--depth", "quick", "--seed", "1")


FEW = """
import sys
from chainproof.conformance.command import main
from chainproof.conformance.settings import EXAMPLES, Depth
EXAMPLES[Depth.QUICK] = 3
sys.exit(main(sys.argv[1:]))
"""
"""The command with fewer examples than it has to offer."""


def environment(**more: str) -> dict[str, str]:
    """
    Our own, without what would point at another target.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHAINPROOF", "BASETEN", "PYTEST"))
    }
    return {**kept, VARIABLE: KEY, "HYPOTHESIS_STORAGE_DIRECTORY": "/nonexistent", **more}


def conformance(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """
    The command, run in a folder.
    """
    return subprocess.run(
        [sys.executable, "-P", "-c", FEW, *arguments],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def checked(url: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    The command, on a server of ours that echoes and steers.
    """
    options = ("--target", url, "--api-key-env", VARIABLE, "--echo", "--steerable", "--out", "run")
    return conformance(folder, *options, *QUICK, *arguments)


def files_in(folder: Path) -> str:
    """
    Everything written there.
    """
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_emulator_keeps_every_clause_whatever_lies_in_the_folder(tmp_path: Path) -> None:
    """
    No conftest, ini file, configuration of Schemathesis or module of the working folder has a say, and none is added.
    """
    hostile = {
        "conftest.py": "raise SystemExit('hostile')",
        "pytest.ini": "[pytest]\naddopts = --no-such-option",
        "schemathesis.toml": '[auth.openapi.X]\napi_key = "${NOT_SET}"',
        "hypothesis.py": "raise SystemExit('hostile')",
        "chainproof/__init__.py": "raise SystemExit('hostile')",
    }
    for name, text in hostile.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = {path.name for path in tmp_path.iterdir()}

    ended = conformance(tmp_path, *QUICK, "--out", "run", PYTEST_ADDOPTS="--nonsense")
    run = read_run(tmp_path / "run")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert run.findings == ()
    assert [count.clause for count in run.clauses if not count.exercised] == []
    assert {count.clause for count in run.clauses} == {clause.id for clause in CLAUSES}
    assert {path.name for path in tmp_path.iterdir()} - before == {"run"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target", "nonsense"), "expected a URL"),
        (("--target", "http://chain-abc.api.baseten.co"), "expected https"),
        (("--target", "http://127.0.0.1:9"), "nobody listens at http://127.0.0.1:9"),
        (
            ("--target", "http://127.0.0.1:9", "--api-key-env", "NOT_SET"),
            "no API key: expected one in the environment variable NOT_SET",
        ),
        (("--depth", "abysmal"), "expected one of quick, standard, deep, found 'abysmal'"),
        (("--seed", "-1"), "expected a whole number"),
        (("--out", "occupied"), "expected a new or an empty folder"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """
    What can be known before the first request is said in one line, and leaves no folder behind.
    """
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.delenv("CHAINPROOF_TARGET", raising=False)
    try:
        code = main(["--api-key-env", VARIABLE, *arguments])
    except SystemExit as ended:  # argparse's way
        code = int(ended.code or 0)
    told = capsys.readouterr().err

    assert code == 2
    assert said in told.splitlines()[-1]
    assert told.splitlines()[-1].startswith("chainproof conformance: ")
    assert {path.name for path in tmp_path.iterdir()} == {"occupied"}


def no_empty_object(asked: Asked) -> bool:
    """
    An empty object, sent by whoever is let in.
    """
    return (
        asked.authorized and asked.body == b"{}" and asked.method == "POST" and asked.path == "/production/run_remote"
    )


def test_a_departure_is_a_finding_and_fails(tmp_path: Path) -> None:
    """
    A server that answers 500 to `{}` fails, with a finding that says all there is to know.
    """
    with serving(when(no_empty_object, lambda asked, said: error(500, None))) as url:
        ended = checked(url, tmp_path)
    run = read_run(tmp_path / "run")
    found = next(found for found in run.findings if found.clause == "status")

    assert ended.returncode == 1, ended.stderr
    assert (found.level, found.expected, found.actual) == ("must", "one of 200, 400, 401, 429, 502, 503, 504", "500")
    assert found.count > 1
    assert '"Authorization: Api-Key "' not in found.reproduce
    assert f'"${{{VARIABLE}}}"' in found.reproduce
    assert found.request_id
    assert found.seed == run.manifest.seed == 1
    assert "status" in ended.stdout
    assert found.reproduce in ended.stdout.replace("\n", " ") or "curl" in ended.stdout


def test_advice_fails_whoever_asks_for_it(tmp_path: Path) -> None:
    """
    A departure from a should-clause is a finding; under `--fail-on should` it fails the run.
    """
    with serving(on_every_answer(lambda said: replace(said, more=()))) as url:
        ended = checked(url, tmp_path, "--fail-on", "should")

    assert ended.returncode == 1
    assert {found.clause for found in read_run(tmp_path / "run").findings} == {"allow-listed"}
    assert "allow-listed" in ended.stdout


@pytest.mark.parametrize(
    ("fail_on", "levels"),
    [("must", {"must"}), ("assumed", {"must", "assumed"}), ("should", {"must", "assumed", "should"})],
)
def test_a_level_fails_with_those_above_it(fail_on: str, levels: set[str]) -> None:
    """
    What fails at a level fails at every wider one.
    """
    assert levels == binding_levels(Level(fail_on))


def test_a_refused_key_is_inconclusive(tmp_path: Path) -> None:
    """
    Where the key itself is refused, that is said with the variable's name and the target's answer, and nothing else is.
    """
    with serving(on_status(200, lambda said: error(401, "unauthorized", "Unknown key."))) as url:
        ended = checked(url, tmp_path)
    run = read_run(tmp_path / "run")

    assert ended.returncode == 3
    assert VARIABLE in ended.stdout
    assert "401 ('Unknown key.')" in " ".join(ended.stdout.split())
    assert run.findings == ()


def test_the_key_is_in_no_output_and_no_file(tmp_path: Path) -> None:
    """
    Not even where the target repeats it, whole, in part or encoded, and every request is in a finding.
    """

    def talkative(asked: Asked) -> Said:
        return replace(
            error(500, "gremlins", f"you said {asked.fields} {asked.path} {asked.body!r}"),
            more=(("X-Debug", "".join(asked.values("authorization"))),),
        )

    with serving(talkative) as url:
        ended = checked(url, tmp_path)
    told = ended.stdout + ended.stderr + files_in(tmp_path)
    encoded = [base64.b64encode(text.encode()).decode() for text in (f"{KEY}:", f":{KEY}")]

    assert ended.returncode == 1
    assert "no-secret" in told
    assert [secret for secret in (KEY, KEY[:-1], KEY[1:], KEY.swapcase(), *encoded) if secret in told] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_its_results(number: signal.Signals, tmp_path: Path) -> None:
    """
    Ctrl-C half-way: the findings so far, how it ended, the report all the same, and 130.
    """
    with serving(on_every_answer(lambda said: replace(said, request_id=None))) as url:
        child = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "chainproof", "conformance", "--target", url),
                *("--api-key-env", VARIABLE, "--depth", "deep", "--out", "run"),
            ],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(2)]
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    run = read_run(tmp_path / "run")

    assert child.returncode == 130, out + err
    assert "interrupted" in err
    assert "an object is accepted" in lines[1]
    assert run.end is not None
    assert run.end.ending is Ending.INTERRUPTED
    assert {found.clause for found in run.findings} == {"request-id-present"}
    assert "run folder: run" in out


def test_our_own_error_is_not_the_targets(tmp_path: Path) -> None:
    """
    What breaks in a check of ours ends in 70 and in no finding.
    """
    script = f"""
import sys
from chainproof.conformance.command import main
from chainproof.conformance.examination import Examination
from chainproof.conformance.settings import EXAMPLES, Depth
EXAMPLES[Depth.QUICK] = 2
ask = Examination.ask
Examination.ask = lambda self, request: 1 / 0 if request.path == "/" else ask(self, request)
sys.exit(main({[*QUICK, "--out", "run"]!r}))
"""
    ended = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    run = read_run(tmp_path / "run")

    assert ended.returncode == 70
    assert "ZeroDivisionError" in ended.stderr
    assert run.end is not None
    assert run.end.ending is Ending.BROKEN
    assert run.findings == ()


def test_plain_pytest_runs_the_same_checks(tmp_path: Path) -> None:
    """
    From anywhere, with the same options; a failure reads by itself.
    """
    with serving(when(no_empty_object, lambda asked, said: error(500, None))) as url:
        ended = subprocess.run(
            [
                *(sys.executable, "-P", "-m", "pytest", "--pyargs", "chainproof.conformance", "-q", "--target", url),
                *("--api-key-env", VARIABLE, "--echo", "--steerable", "--out", "run", *QUICK),
            ],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    run = read_run(tmp_path / "run")

    assert ended.returncode == 1, ended.stdout
    assert "status" in {found.clause for found in run.findings}
    for words in (
        "status (must): expected one of 200",
        "#/paths/~1production~1run_remote/post/responses",
        "curl ",
        "seed 1",
    ):
        assert words in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_the_plugin_is_light() -> None:
    """
    Every pytest run of the environment loads it: nothing heavy comes along.
    """
    script = "import sys, chainproof.conformance.plugin; print([n for n in %r if n in sys.modules])"
    heavy = ("schemathesis", "hypothesis", "h11", "yaml", "orjson", "scipy", "numpy", "requests")
    child = subprocess.run([sys.executable, "-P", "-c", script % (heavy,)], capture_output=True, text=True, check=False)

    assert (child.stdout, child.stderr) == ("[]\n", "")
