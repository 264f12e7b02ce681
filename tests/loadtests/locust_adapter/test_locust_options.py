"""Tests of Locust's own options: each works, means an option of ours, or is rejected, and none is ignored without a word."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chainproof.command import build_parser
from chainproof.errors import UsageError
from chainproof.loadtests.command import LOCUSTFILE, main
from chainproof.loadtests.locust_arguments import add_locust_options, requested_target
from chainproof.loadtests.locust_help import is_help_requested, uses_chainproof
from chainproof.loadtests.locust_options import LOCUST_OPTIONS, REJECTED, Treatment
from chainproof.loadtests.options import OPTIONS
from chainproof.results.folder import read_run
from chainproof.results.manifest import Ending
from chainproof.target_options import TargetOptions

from ...processes import clean_environment, run_process

RunServer = Callable[..., Any]

PARSING = """
import contextlib, io, json, os, sys
from locust import User, argument_parser, events
from chainproof.errors import UsageError
from chainproof.loadtests.distributed.user_classes import classes_of_model, hosts_of, with_class_host
from chainproof.loadtests.locust_adapter.web_form import read_form
from chainproof.loadtests.locustfile import ClosedUser, OpenUser
from chainproof.loadtests.locust_arguments import add_locust_options
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import WorkloadModel

def form(fields):
    before = vars(argument_parser.get_parser([]).parse_args(["--target=http://127.0.0.1:1", "--duration=60s"]))
    found = read_form(fields, before, "http://127.0.0.1:1")
    return {name: value for name, value in found.items() if value != before[name]}

def target(source, model, environment):
    names = {}
    exec(source, names)
    users = [each for each in names.values() if isinstance(each, type) and issubclass(each, User) and each.__module__ == "builtins"]
    classes = classes_of_model([OpenUser, ClosedUser, *users], WorkloadModel(model))
    return with_class_host(TargetOptions(), hosts_of(users), classes, environment).url

events.init_command_line_parser._handlers.clear()
own = argument_parser.get_parser([])
options = [[a.option_strings, getattr(a, "env_var", None), a.nargs] for a in own._actions if a.option_strings]
print(json.dumps(options), flush=True)
events.init_command_line_parser.add_listener(add_locust_options)
for line in sys.stdin:
    words, variables, files = json.loads(line)
    if files in (["users"], ["form"]):
        try:
            found = {"options": target(*words, variables) if files == ["users"] else form(variables)}
        except UsageError as error:
            found = {"options": None, "error": str(error)}
        print(json.dumps(found), flush=True)
        continue
    os.environ.update(variables)
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            found = vars(argument_parser.get_parser(files).parse_args(words))
        except SystemExit:
            found = {}
    for name in variables:
        del os.environ[name]
    print(json.dumps({"options": found, "error": errors.getvalue()}, default=str), flush=True)
"""


def environment_with_key(**others: str) -> dict[str, str]:
    """The environment without variables of Locust and chainproof, with a key."""
    return clean_environment(BASETEN_API_KEY="key", **others)


class Parser:
    """Locust's parser with our options, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.locusts: list[tuple[list[str], str | None, Any]] = json.loads(self._read())
        """Locust's own options: names, environment variable, nargs."""

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def __call__(self, *words: str, files: tuple[str, ...] = (), **variables: str) -> dict[str, Any]:
        """The options, or an error."""
        found = self._exchange(words, files, variables)
        return found["options"] or {"error": found["error"]}

    def target(self, source: str, model: str, **variables: str) -> str | None:
        """The target that the user classes of a locustfile name, or an error."""
        found = self._exchange(
            (f"from chainproof.loadtests import ClosedUser, OpenUser\n{source}", model), ("users",), variables
        )
        return found.get("error", found["options"])

    def form(self, **fields: str) -> dict[str, Any] | str:
        """The options that a form of the web page changes, or an error."""
        found = self._exchange((), ("form",), fields)
        return found.get("error") or found["options"]

    def _exchange(self, words: tuple[str, ...], files: tuple[str, ...], variables: dict[str, str]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([words, variables, files]) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._read())
        return found


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    """Locust's parser with our options."""
    command = [sys.executable, "-P", "-c", PARSING]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment_with_key()
    ) as process:
        yield Parser(process)


def test_the_table_has_every_option_of_locust(parser: Parser) -> None:
    """A new option of Locust, or one that is gone, fails this test: decide what it means for our users."""
    theirs = {next(name for name in names if name.startswith("--")) for names, _, _ in parser.locusts}

    assert sorted(theirs) == sorted(option.name for option in LOCUST_OPTIONS)
    assert all(option.text for option in LOCUST_OPTIONS if option.treatment is not Treatment.WORKS)


@pytest.mark.parametrize("option", REJECTED, ids=lambda option: option.name)
def test_a_rejected_option_fails_wherever_it_is_given(parser: Parser, option: Any, tmp_path: Path) -> None:
    """As an option, as a variable and in a configuration file, with the reason; a switch may be off."""
    (found,) = [each for each in parser.locusts if option.name in each[0]]
    names, variable, nargs = found
    value = () if nargs == 0 else ('{"user_class_name": "A"}',) if nargs == "*" else ("3",)
    file = tmp_path / "locust.conf"
    file.write_text(f"{option.name[2:]} = {value[0] if value else 'true'}\n")
    errors = [parser(name, *value)["error"] for name in names] + [parser(files=(str(file),))["error"]]
    if variable is not None:
        errors.append(parser(**{variable: value[0] if value else "true"})["error"])

    for error in errors:
        assert f": error: expected no {option.name}" in error
        assert option.text in error
        assert 1 == error.count("\n")
    if variable is not None and nargs == 0:
        assert "error" not in parser(**{variable: "false"})


@pytest.mark.parametrize(
    ("names", "dest", "text", "value"),
    [
        (("-H", "--host", "--target", "LOCUST_HOST"), "target", "http://127.0.0.1:1", "http://127.0.0.1:1"),
        (("-t", "--run-time", "--duration", "LOCUST_RUN_TIME"), "duration", "1m30s", 90.0),
        (("-s", "--stop-timeout", "--drain", "LOCUST_STOP_TIMEOUT"), "drain", "7", 7.0),
        (("-u", "--users", "LOCUST_USERS"), "num_users", "5", 5),
    ],
)
def test_an_option_has_one_meaning_under_every_name(
    parser: Parser, tmp_path: Path, *, names: tuple[str, ...], dest: str, text: str, value: object
) -> None:
    """Locust's name, ours, the variable and a configuration file set the same option; two different values are an error."""
    *words, variable = names
    other = text.replace("1", "2").replace("7", "8")
    file = tmp_path / "locust.conf"
    file.write_text(f"{words[1][2:]} = {text}\n")
    found = [parser(word, text)[dest] for word in words]
    found += [parser(**{variable: text})[dest], parser(files=(str(file),))[dest]]

    assert {value} == set(found)
    if len(words) > 2:
        assert "expected one value of" in parser(words[0], text, words[2], other)["error"]
        assert value == parser(words[2], text, **{variable: other})[dest]


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        (["-f", "a.py"], {}, True),
        (["--locustfile=a.py", "-h"], {}, True),
        (["-f", "other.py, a.py"], {}, True),
        (["-f", "other.py"], {}, False),
        (["-f"], {}, False),
        (["-f", "missing.py"], {}, False),
        ([], {"LOCUST_LOCUSTFILE": "a.py"}, True),
        ([], {}, False),
    ],
)
def test_the_help_has_our_options_if_the_locustfile_is_ours(
    words: list[str], environment: dict[str, str], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is found as Locust finds it, and is one that mentions chainproof."""
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("from chainproof.loadtests import OpenUser\n")
    Path("other.py").write_text("import locust\n")

    assert expected == uses_chainproof(words, environment)
    assert is_help_requested([*words, "--help"])
    assert not is_help_requested(["-f", "a.py"])


A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"
FORMS: dict[str, tuple[dict[str, str], dict[str, Any] | str]] = {
    "untouched": (
        {"user_count": "1", "spawn_rate": "1", "host": A, "target": "", "duration": "60", "run_time": ""},
        {},
    ),
    "another host": ({"host": B, "target": ""}, {"target": B}),
    "another target": ({"host": A, "target": B}, {"target": B}),
    "host and target": ({"host": B, "target": "http://127.0.0.1:3"}, "the fields host and target; fill in one of them"),
    "a chain": ({"host": A, "target": "", "chain_id": "abc"}, {"target": None, "chain_id": "abc"}),
    "a run time": ({"run_time": "20", "duration": "60"}, {"duration": 20.0}),
    "a run time and a duration": (
        {"run_time": "20s", "duration": "30s"},
        "expected one duration, found 20s as Run time",
    ),
    "an invalid run time": ({"run_time": "soon"}, "expected a duration such as 20s"),
    "a ramp up": ({"spawn_rate": "5"}, "expected 1 as Ramp up, found 5: users start when the run starts"),
    "an invalid rate": ({"rate": "fast"}, "expected a number, found 'fast'"),
    "an unknown field": ({"user_cuont": "5"}, "unknown field user_cuont; did you mean user_count?"),
    "objectives": ({"objective": "error_rate < 1%; "}, {"objective": ["error_rate < 1%"]}),
}


@pytest.mark.parametrize("case", FORMS)
def test_no_field_of_the_form_is_ignored(parser: Parser, case: str) -> None:
    """Each field changes an option or is an error that says what to write, also Locust's own."""
    fields, expected = FORMS[case]
    found = parser.form(**fields)

    assert expected in found if isinstance(expected, str) else expected == found


def locust(folder: Path, *words: str, file: Path = LOCUSTFILE, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `locust -f FILE` in a folder."""
    command = shutil.which("locust", path=str(Path(sys.executable).parent))
    assert command is not None
    return run_process(
        [command, "-f", str(file), *words], cwd=folder, env=environment_with_key(**variables), timeout=100
    )


def test_the_help_of_locust_ends_with_our_options(tmp_path: Path) -> None:
    """`locust -f "$(chainproof locustfile)" --help` lists both; without our locustfile, only Locust's."""
    (tmp_path / "other.py").write_text("from locust import User\n")
    ours, other = locust(tmp_path, "--help"), locust(tmp_path, "--help", file=tmp_path / "other.py")

    assert 0 == ours.returncode == other.returncode
    assert ours.stdout.startswith(other.stdout)
    assert {"--rate", "--objective", "--target", "--host"} <= set(ours.stdout.replace(",", " ").split())
    assert "--objective" not in other.stdout


def test_the_path_of_the_locustfile_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`chainproof locustfile` prints one line, the path of a file that exists."""
    from chainproof.__main__ import main as chainproof  # noqa: PLC0415  # only here

    assert 0 == chainproof(["locustfile"])
    assert f"{LOCUSTFILE}\n" == capsys.readouterr().out
    assert LOCUSTFILE.is_file()


MINE = """
from locust import events
from chainproof.loadtests import ClosedUser, OpenUser

class Mine(OpenUser):
    host = {host!r}
"""

TARGETS = ("--host", "host of the class", "environment.host")


@pytest.mark.parametrize("how", TARGETS)
def test_the_target_is_the_one_that_locusts_words_name(run_server: RunServer, tmp_path: Path, how: str) -> None:
    """Every request reaches that server, and the run folder names it; no emulator is started."""
    mine = tmp_path / "mine.py"
    with run_server(lambda request: request.answer()) as server:
        url = server.target.origin
        mine.write_text(MINE.format(host=url if how == "host of the class" else None))
        if how == "environment.host":
            with mine.open("a") as file:
                file.write(
                    f"@events.init.add_listener\ndef choose(environment, **_):\n    environment.host = {url!r}\n"
                )
        words = (how, url) if how.startswith("-") else ()
        words = (*words, "--headless", "-t", "500ms", "--rate=20", "--objective=error_rate < 90%", "--out=run")
        done = locust(tmp_path, *words, file=mine)
    run = read_run(tmp_path / "run")

    assert 0 == done.returncode, done.stderr
    assert run.manifest.target.startswith(url)
    assert not run.manifest.emulated
    assert Ending.COMPLETED is run.end.ending
    assert run.end.accounting["ok"] == len(server.requests) > 3
    assert done.stdout.rstrip().endswith("run folder: run")
    assert "PASS  Every objective is met" in done.stdout


USERS = {
    "no host": ("class Mine(OpenUser):\n    pass\n", "open", None),
    "a host": ("class Mine(OpenUser):\n    host = 'http://127.0.0.1:1'\n", "open", "http://127.0.0.1:1"),
    "an inherited host": (
        "class Base(ClosedUser):\n    host = 'http://127.0.0.1:1'\nclass Mine(Base):\n    pass\n",
        "closed",
        "http://127.0.0.1:1",
    ),
    "a host of the other model": ("class Mine(ClosedUser):\n    host = 'http://127.0.0.1:1'\n", "open", None),
    "two hosts": (
        "class A(ClosedUser):\n    host = 'http://127.0.0.1:1'\nclass B(ClosedUser):\n    host = 'http://127.0.0.1:2'\n",
        "closed",
        "expected one target, found http://127.0.0.1:1 and http://127.0.0.1:2",
    ),
    "a user of Locust": (
        "from locust import HttpUser\nclass Other(HttpUser):\n    pass\n",
        "open",
        "expected subclasses of OpenUser or ClosedUser, found Other",
    ),
    "a pause in the open model": (
        "from locust import between\nclass Mine(OpenUser):\n    wait_time = between(1, 2)\n",
        "open",
        "expected no wait_time in Mine",
    ),
    "a task set in the open model": (
        "from locust import TaskSet\nclass Flow(TaskSet):\n    pass\nclass Mine(OpenUser):\n    tasks = [Flow]\n",
        "open",
        "expected functions as tasks of Mine, found the task set Flow",
    ),
    "a pause in the closed model": (
        "from locust import between\nclass Mine(ClosedUser):\n    wait_time = between(1, 2)\n",
        "closed",
        None,
    ),
}


@pytest.mark.parametrize("case", USERS)
def test_the_user_classes_name_the_target(parser: Parser, case: str) -> None:
    """The attribute `host` of the users of the run is the target; what a user class cannot have is a usage error."""
    source, model, expected = USERS[case]
    found = parser.target(source, model)

    assert (found is None) == (expected is None)
    assert (found or "").startswith(expected or "")


def test_a_variable_comes_before_the_host_of_a_class(parser: Parser) -> None:
    """$CHAINPROOF_TARGET stands for `--target`, and an option comes before a class in Locust."""
    source, model, _ = USERS["a host"]

    assert parser.target(source, model, CHAINPROOF_TARGET="http://127.0.0.1:2") is None


def test_a_load_shape_is_a_usage_error(tmp_path: Path) -> None:
    """Exit code 2 and a line that says what to write instead."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from locust import LoadTestShape\nfrom chainproof.loadtests import OpenUser\n"
        "class Shape(LoadTestShape):\n    def tick(self):\n        return 1, 1\n"
    )
    done = locust(tmp_path, "--headless", "--skip-log-setup", file=mine)

    assert 2 == done.returncode
    assert "expected no load shape, found Shape" in done.stderr


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("--host", "use --target"),
        ("-t", "use --duration"),
        ("-u", "use --users"),
        ("-s", "use --drain"),
        ("-r", "users start when the run starts"),
        ("--csv", "it is an option of Locust: give it after a bare --"),
        ("--worker", "did you mean --workers?"),
    ],
)
def test_the_command_names_its_own_option_for_one_of_locust(
    capsys: pytest.CaptureFixture[str], word: str, hint: str
) -> None:
    """A user of Locust need not look for it."""
    with pytest.raises(SystemExit) as ended:
        main([word, "5"])

    assert 2 == ended.value.code
    assert f"unknown option {word}; {hint}" in capsys.readouterr().err


def test_two_variables_with_different_targets_are_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither LOCUST_HOST nor CHAINPROOF_TARGET is ignored; an option on the command line comes before both."""
    monkeypatch.setenv("LOCUST_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("CHAINPROOF_TARGET", "http://127.0.0.1:2")
    options = build_parser("loadtests", "…", options=OPTIONS).parse_args(["--target", "http://127.0.0.1:1"])
    options.target_json = None
    with pytest.raises(UsageError, match="expected LOCUST_HOST or CHAINPROOF_TARGET, found both"):
        requested_target(options)
    options.target = "http://127.0.0.1:3"

    assert "http://127.0.0.1:3" == requested_target(options).url


def test_the_command_does_not_replace_the_host_of_a_class_by_the_emulator(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`chainproof loadtests -- -f FILE` names no target: the host of the class must be given as --target."""
    monkeypatch.delenv("CHAINPROOF_TARGET", raising=False)
    (tmp_path / "mine.py").write_text(MINE.format(host="http://127.0.0.1:1"))

    assert 2 == main([f"--out={tmp_path / 'run'}", "--", "-f", str(tmp_path / "mine.py")])
    assert "use --target http://127.0.0.1:1, or locust -f" in capfd.readouterr().err


@pytest.mark.parametrize("words", [["--host=http://127.0.0.1:1"], ["--chain-id=abc"], ["--connect-to=127.0.0.1:1"]])
def test_a_target_for_locust_alone_is_a_usage_error(words: list[str]) -> None:
    """`chainproof loadtests -- --host URL` would be ignored, since the command passes on its own target."""
    parser = argparse.ArgumentParser()
    add_locust_options(parser)
    options = parser.parse_args([*words, "--target-json", json.dumps(TargetOptions().to_json())])
    with pytest.raises(UsageError, match="as an option of chainproof loadtests, found it among those of Locust"):
        requested_target(options)


CONFIGURATION = {
    "locust.conf": "master = true\nusers = 7\ncsv = leak\nmax-requests = 4\nhost = http://127.0.0.1:1\nspawn-rate = 2\n",
    "pyproject.toml": "[tool.locust]\nmaster = true\nmax-requests = 4\n",
    ".locust.conf": "version = true\nworker = true\n",
}


def test_the_command_ignores_the_configuration_of_locust(
    run_server: RunServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and variables that nobody named on the command line change nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCUST_MODE_WORKER", "true")
    monkeypatch.setenv("LOCUST_RUN_TIME", "1h")
    monkeypatch.setenv("BASETEN_API_KEY", "key")
    for name, text in CONFIGURATION.items():
        Path(name).write_text(text)
    with run_server(lambda request: request.answer()) as server:
        words = ["--target", server.target.origin, "--rate=40", "--arrivals=constant", "--duration=500ms"]
        code = main([*words, "--objective=error_rate < 90%", "--out=run"])

    assert 0 == code
    assert 20 == len(server.requests)
    assert {*CONFIGURATION, "run"} == {path.name for path in tmp_path.iterdir()}


def test_the_locust_command_reads_its_configuration(run_server: RunServer, tmp_path: Path) -> None:
    """`locust` honours locust.conf, with Locust's names and ours, and writes the files that it asks for."""
    with run_server(lambda request: request.answer()) as server:
        (tmp_path / "locust.conf").write_text(
            f"headless = true\nhost = {server.target.origin}\nrun-time = 1s\nmodel = closed\nusers = 2\ncsv = tables\n"
            "html = report_{u}_{t}.html\nthink-time = 50ms\nobjective = error_rate < 90%\nout = run\nonly-summary = true\n"
        )
        done = locust(tmp_path, "--json")
    settings = read_run(tmp_path / "run").manifest.settings

    assert 0 == done.returncode, done.stderr
    assert (1.0, 2) == (settings["duration_s"], settings["users"])
    assert {"report_2_1.html", "tables_stats.csv", "tables_failures.csv"} <= {path.name for path in tmp_path.iterdir()}
    assert len(server.requests) == json.loads(done.stdout)[0]["num_requests"] > 10
    assert "run folder: run" in done.stderr.splitlines()
