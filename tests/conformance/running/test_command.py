"""`chainproof conformance` as its users run it: processes, sockets, signals, folders."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from chainproof.conformance import session
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.command import main
from chainproof.conformance.options import Settings
from chainproof.conformance.runner.setup import RunSetup, _manifest, load_options, prepare_run
from chainproof.conformance.transport.requested_target import requested_target
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.credentials import AuthScheme
from chainproof.endpoint import open_endpoint
from chainproof.judgement.verdict import ExitCode
from chainproof.processes import chainproof_command
from chainproof.results.folder import COVERAGE, MANIFEST, read_run
from chainproof.results.manifest import Ending

from ...processes import clean_environment, run_process
from ..endpoints import (
    KEY,
    EndpointAnswer,
    EndpointRequest,
    correct_endpoint,
    error,
    on_every_answer,
    on_status,
    serve,
    when,
)
from ..sampling import ALL

CERTIFICATE = Path(__file__).parents[2] / "loadtests" / "localhost.pem"
VARIABLE = "CHAINPROOF_TEST_KEY"
QUICK = ("--depth", "quick", "--seed", "1")


FEW_EXAMPLES = """
import sys
from chainproof.conformance.command import main
from chainproof.conformance.options import EXAMPLES_BY_DEPTH, Depth
EXAMPLES_BY_DEPTH[Depth.QUICK] = 2
sys.exit(main(sys.argv[1:]))
"""
"""The command with few generated examples."""


def environment(**more: str) -> dict[str, str]:
    """The environment without variables that name another target."""
    return {**clean_environment(), VARIABLE: KEY, "HYPOTHESIS_STORAGE_DIRECTORY": "/nonexistent", **more}


def conformance(
    folder: Path, *arguments: str, script: str = FEW_EXAMPLES, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    return run_process(
        [sys.executable, "-P", "-c", script, *arguments], cwd=folder, env=environment(**more), timeout=180
    )


def checked(
    url: str, folder: Path, *arguments: str, script: str = FEW_EXAMPLES, run: str = "run"
) -> subprocess.CompletedProcess[str]:
    """Run the command against a server that echoes and steers."""
    options = ("--target", url, "--api-key-env", VARIABLE, "--echo", "--steerable", "--out", run)
    return conformance(folder, *options, *QUICK, *arguments, script=script)


def files_in(folder: Path) -> str:
    """The text of all files in a folder."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_emulator_passes_whatever_the_working_folder_contains(tmp_path: Path) -> None:
    """Files in the working folder, such as conftest.py or pytest.ini, have no effect, and only the run folder is added."""
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
    assert [count.clause for count in run.clauses if not count.exercised] == ["retry-after", "answer-repeatable"]
    assert {count.clause for count in run.clauses} == {clause.id for clause in CLAUSES}
    assert {path.name for path in tmp_path.iterdir()} - before == {"run"}


def test_too_little_address_space_for_the_threads_is_a_usage_error(tmp_path: Path) -> None:
    """CPython may crash, or wait for ever, when it can start no more threads."""
    line = 'ulimit -v 400000; exec "$@"'
    done = run_process(
        ["bash", "-c", line, "bash", *chainproof_command("conformance", "--target", "http://127.0.0.1:9")], cwd=tmp_path
    )

    assert done.returncode == 2
    assert done.stderr.startswith("chainproof conformance: cannot reserve 512 MiB of address space")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "nonsense"), "expected a URL"),
        (("--target", "http://chain-abc.api.baseten.co"), "expected https"),
        (("--target", "http://127.0.0.1:9"), "cannot connect to http://127.0.0.1:9"),
        (
            ("--target", "http://127.0.0.1:9", "--api-key-env", "NOT_SET"),
            "no API key: expected one in the environment variable NOT_SET",
        ),
        (("--depth", "abysmal"), "expected one of quick, standard, deep, found 'abysmal'"),
        (("--seed", "-1"), "expected a whole number"),
        (("--out", "occupied"), "expected a new or an empty folder"),
        (("--accept", "error-mesage"), "expected a clause such as error-message or"),
        (("--accept", "error-message:soon"), "expected a day such as error-message:2026-12-31, found 'soon'"),
        (("--chain-id", "abc", "--target", "http://127.0.0.1:9"), "expected --target or an id, found both"),
        (("--environment", "staging"), "expected --chain-id or --model-id"),
        (("--header", "Authorization: Api-Key x"), "--header cannot set Authorization"),
        (("--connect-to", "nowhere"), "expected HOST:PORT"),
        (("--ca-file", "missing.pem", "--target", "https://localhost:9"), "expected a PEM file of certificates"),
        (("--auth-scheme", "basic"), "expected one of api-key, bearer"),
    ],
)
def test_a_usage_error_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Usage errors are reported before the first request, and leave no folder behind."""
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.delenv("CHAINPROOF_TARGET", raising=False)
    try:
        code = main(["--api-key-env", VARIABLE, *arguments])
    except SystemExit as ended:  # by argparse
        code = int(ended.code or 0)
    errors = capsys.readouterr().err

    assert code == 2
    assert message in errors.splitlines()[-1]
    assert errors.splitlines()[-1].startswith("chainproof conformance: ")
    assert {path.name for path in tmp_path.iterdir()} == {"occupied"}


def is_empty_object(request: EndpointRequest) -> bool:
    """Whether a request is valid and its body is an empty object."""
    return (
        request.authorized
        and request.body == b"{}"
        and request.method == "POST"
        and request.path == "/production/run_remote"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRun:
    """A run of the command, and its folder."""

    ended: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def output(self) -> str:
        """All output and the text of all files."""
        return self.ended.stdout + self.ended.stderr + files_in(self.folder)


@pytest.fixture(scope="module")
def leaking_run(tmp_path_factory: pytest.TempPathFactory) -> CommandRun:
    """A run against a server that answers every request with 500 and repeats it: each request is in a finding."""
    selected = () if ALL else ("-k", "credentials- or failure-")

    def leaking(request: EndpointRequest) -> EndpointAnswer:
        return replace(
            error(500, "gremlins", f"you sent {request.fields} {request.path} {request.body!r}"),
            extra_fields=(("X-Debug", "".join(request.values("authorization"))),),
        )

    folder = tmp_path_factory.mktemp("leaking")
    with serve(leaking) as url:
        return CommandRun(ended=checked(url, folder, *selected), folder=folder)


def test_a_violation_is_a_finding_and_fails_the_run(leaking_run: CommandRun) -> None:
    """The finding has the level, both values, a count, a curl command, a request id and the seed."""
    run = read_run(leaking_run.folder / "run")
    found = next(found for found in run.findings if found.clause == "status")

    assert leaking_run.ended.returncode == 1, leaking_run.ended.stderr
    assert (found.level, found.expected, found.actual) == (
        "must",
        "status 200, 400, 401, 429, 502, 503, 504",
        "status 500",
    )
    assert found.count > 100
    assert f'"${{{VARIABLE}}}"' in found.reproduce
    assert found.request_id
    assert found.seed == run.manifest.seed == 1
    assert "status" in leaking_run.ended.stdout
    assert found.reproduce.split(" -H")[0] in " ".join(leaking_run.ended.stdout.replace("\\\n", " ").split())


def test_the_key_is_in_no_output_and_no_file(leaking_run: CommandRun) -> None:
    """Not even if the target repeats it, completely, in part or encoded."""
    encoded = [base64.b64encode(text.encode()).decode() for text in (f"{KEY}:", f":{KEY}")]

    assert "no-credential-leak" in leaking_run.output
    assert [
        secret for secret in (KEY, KEY[:-1], KEY[1:], KEY.swapcase(), *encoded) if secret in leaking_run.output
    ] == []


def test_a_rejected_key_is_inconclusive(tmp_path: Path) -> None:
    """The output names the variable and the target's answer, and there is no finding."""
    with serve(on_status(200, lambda answer: error(401, "unauthorized", "Unknown key."))) as url:
        ended = checked(url, tmp_path)
    run = read_run(tmp_path / "run")

    assert ended.returncode == 3
    assert VARIABLE in ended.stdout
    assert "401 ('Unknown key.')" in " ".join(ended.stdout.split())
    assert run.findings == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_has_its_results(number: signal.Signals, tmp_path: Path) -> None:
    """After Ctrl-C or SIGTERM there are the findings so far, the ending, the report, and exit code 130."""
    with serve(on_every_answer(lambda answer: replace(answer, request_id=None))) as url:
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
        before_checks = list(takewhile(lambda line: ALL_CHECKS[0].title not in line, child.stdout))
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    run = read_run(tmp_path / "run")

    assert child.returncode == 130, out + err
    assert "interrupted" in err
    assert "plan: about" in before_checks[1]
    assert run.end is not None
    assert run.end.ending is Ending.INTERRUPTED
    assert {found.clause for found in run.findings} <= {"request-id-present", "request-id-on-errors"}
    assert run.findings
    assert "run folder: run" in out
    assert run.coverage is not None
    note = next(note for note in run.coverage.notes if "because the run was interrupted" in note)
    assert int(re.sub(r"\D", "", note.partition("planned")[0])) > 10_000  # every check that did not end


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a file without its beginning": lambda folder: os.truncate(folder / COVERAGE, 0),
    "no manifest": lambda folder: (folder / MANIFEST).unlink(),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_run_folder_that_is_changed_during_the_run_makes_it_invalid(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The exit code is that of the report, also if every check passed."""
    run_checks = session._run_checks

    def damaged(setup: RunSetup) -> ExitCode:
        code = run_checks(setup)
        DAMAGE[name](tmp_path / "run")
        return code

    monkeypatch.setattr(session, "_run_checks", damaged)
    monkeypatch.setenv(VARIABLE, KEY)
    options = ["--api-key-env", VARIABLE, "--out", str(tmp_path / "run"), "-k", "without_a_body"]
    with serve(correct_endpoint) as url:
        assert ExitCode.INVALID == main(["--target", url, *QUICK, *options])


def test_a_deleted_working_folder_ends_the_run(tmp_path: Path) -> None:
    """One line says why, and the exit code is that of a run that the machine ended."""
    folder = tmp_path / "work"
    folder.mkdir()
    with serve(correct_endpoint) as url:
        command = ("conformance", "--target", url, "--api-key-env", VARIABLE, "--depth", "quick")
        child = subprocess.Popen(
            chainproof_command(*command),
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        list(takewhile(lambda line: "  ok" not in line, child.stdout))
        shutil.rmtree(folder)
        out, err = child.communicate(timeout=60)

    assert child.returncode == 4, out + err
    assert "leave files and folders of a running command where they are" in err
    assert "Traceback" not in err


def test_an_error_in_chainproof_is_no_finding(tmp_path: Path) -> None:
    """An exception in a check gives exit code 70."""
    broken = """
from chainproof.conformance.probing.requester import Requester
ask = Requester.send
Requester.send = lambda self, request: 1 / 0 if request.path == "/" else ask(self, request)
"""
    with serve(correct_endpoint) as url:
        ended = checked(url, tmp_path, "-k", "routing-", script=broken + FEW_EXAMPLES)
    run = read_run(tmp_path / "run")

    assert ended.returncode == 70
    assert "ZeroDivisionError" in ended.stderr
    assert run.end is not None
    assert run.end.ending is Ending.INTERNAL_ERROR
    assert run.findings == ()


def test_an_exception_in_a_user_check_ends_the_run(tmp_path: Path) -> None:
    """It is shown once, with exit code 70, and nothing more is sent: every further check would meet it too."""
    (tmp_path / "mine.py").write_text("def check(payload, answer):\n    return answer['a']\n")
    with serve(correct_endpoint) as url:
        ended = checked(url, tmp_path, "--check", "mine.py:check")
    run = read_run(tmp_path / "run")

    assert 70 == ended.returncode, ended.stdout
    assert 1 == ended.stderr.count("your code: mine.py:check raised TypeError")
    assert 1 == ended.stdout.count("  ERROR  ")
    assert 1 == ended.stdout.count("ERROR  Your code failed")
    assert run.end is not None
    assert run.end.ending is Ending.INTERNAL_ERROR
    assert run.coverage is not None
    assert run.coverage.requests < 10


def test_findings_before_an_error_are_shown_once(tmp_path: Path) -> None:
    """The report shows them, although its exit code is that of the error."""
    (tmp_path / "mine.py").write_text(
        "calls = []\ndef check(*call):\n    calls.append(call)\n    assert len(calls) < 3\n"
    )
    with serve(on_every_answer(lambda answer: replace(answer, request_id=None))) as url:
        ended = checked(url, tmp_path, "--check", "mine.py:check")

    assert 70 == ended.returncode, ended.stdout
    assert "request-id-present" in ended.stdout
    assert "first seen by" not in ended.stdout


def test_plain_pytest_runs_the_same_checks(tmp_path: Path) -> None:
    """From any folder, with the same options and readable failures."""
    with serve(when(is_empty_object, lambda request, answer: error(500, None))) as url:
        ended = run_process(
            [
                *(sys.executable, "-P", "-m", "pytest", "--pyargs", "chainproof.conformance", "-q", "--target", url),
                *("--api-key-env", VARIABLE, "--echo", "--steerable", "--out", "run", *QUICK),
                *("--junitxml", "junit.xml", "-k", "body-"),
            ],
            cwd=tmp_path,
            env=environment(),
        )
    run = read_run(tmp_path / "run")

    assert ended.returncode == 1, ended.stdout
    assert "status" in {found.clause for found in run.findings}
    for words in (
        "status (must): expected status 200",
        "#/paths/~1production~1run_remote/post/responses",
        "curl ",
        "seed 1",
    ):
        assert words in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    case = next(case for case in ET.parse(tmp_path / "junit.xml").iter("testcase") if case.find("failure") is not None)
    assert {
        "clauses": "object-accepted, echo-exact",
        "contract": "strict",
        "target": f"{url}/production/run_remote",
        "seed": "1",
        "violated": "status",
    } == {each.get("name"): each.get("value") for each in case.iter("property")}


def test_an_accepted_violation_is_shown_and_fails_nothing(tmp_path: Path) -> None:
    """
    It is in the run folder, and its test fails as expected; a warning fails with `--fail-on should`. Progress names the
    clause of a finding once.
    """

    def faulty(request: EndpointRequest) -> EndpointAnswer:
        answer = correct_endpoint(request)
        body = b'{"error":["no"]}' if answer.status == 400 and not request.values("x-emulate") else answer.body
        return replace(answer, body=body, extra_fields=())

    with serve(faulty) as url:
        selected = ("-k", "body- or routing-")
        ended = checked(url, tmp_path, "--accept", "error-message", "--fail-on", "should", *selected)
    run = read_run(tmp_path / "run")

    assert 1 == ended.returncode, ended.stdout + ended.stderr
    assert {"error-message", "allow-header"} == {found.clause for found in run.findings}
    assert [{"clause": "error-message", "until": None}] == run.manifest.settings["accept"]
    assert "--accept requests without a body are rejected" in ended.stdout
    assert "FAILED   other methods are rejected" in ended.stdout
    assert 1 == len(re.findall(r"\): allow-header\n", ended.stdout))


def test_the_route_to_the_target_is_in_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that the path is assumed, the label, and the names of additional fields without their values."""
    monkeypatch.setenv(VARIABLE, KEY)
    with serve(correct_endpoint, certificate=CERTIFICATE) as url:
        settings = Settings(
            target="https://localhost/environments/staging/run_remote",
            connect_to=url.removeprefix("https://"),
            ca_file=str(CERTIFICATE),
            header=("X-Tenant: blue",),
            api_key_env=VARIABLE,
            auth_scheme=AuthScheme.BEARER,
            label="before",
            seed=1,
        )
        with open_endpoint(requested_target(settings)) as found:
            manifest = _manifest(prepare_run(settings, load_options(settings), found))
    expected = {
        "label": "before",
        "path_assumed": True,
        "connect_to": url.removeprefix("https://"),
        "ca_file": str(CERTIFICATE),
        "headers": ["X-Tenant"],
        "auth_scheme": "bearer",
    }

    assert expected == {name: manifest.settings[name] for name in expected}
    assert "blue" not in str(manifest)


def test_each_xdist_worker_has_its_own_run_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pytest-xdist distributes the tests over processes, and no two of them write to one folder."""
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    with serve(correct_endpoint) as url:
        settings = Settings(target=url, api_key_env=VARIABLE, out=str(tmp_path / "run"))
        with open_endpoint(requested_target(settings)) as found:
            path = prepare_run(settings, load_options(settings), found).path

    assert tmp_path / "run" / "gw1" == path


def test_an_option_name_of_another_plugin_gets_a_prefix(tmp_path: Path) -> None:
    """Their option is unchanged, and ours begins with `--chainproof-`."""
    (tmp_path / "theirs.py").write_text("def pytest_addoption(parser): parser.addoption('--seed', default='theirs')")
    (tmp_path / "test_it.py").write_text(
        "def test_it(pytestconfig): assert pytestconfig.getoption('seed') == 'x'\n"
        "def test_ours(pytestconfig): assert pytestconfig.getoption('chainproof_seed') == 7"
    )
    ended = run_process(
        [*(sys.executable, "-P", "-m", "pytest", "-q", "--seed=x", "--chainproof-seed=7"), *("-p", "theirs")],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(tmp_path)),
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_plugin_imports_nothing_heavy() -> None:
    """Every pytest run of the environment loads it."""
    script = "import sys, chainproof.conformance.plugin; print([n for n in %r if n in sys.modules])"
    heavy = ("schemathesis", "hypothesis", "h11", "yaml", "orjson", "scipy", "numpy", "requests")
    child = run_process([sys.executable, "-P", "-c", script % (heavy,)])

    assert (child.stdout, child.stderr) == ("[]\n", "")
