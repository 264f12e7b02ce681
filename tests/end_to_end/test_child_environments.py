"""Child processes get only the environment variables that they need, and no argument list contains the key."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from chainproof.processes import chainproof_command

from ..processes import clean_environment
from ..waiting import PATIENCE
from .test_reflected_key import KEY, reflecting_server

CANARY = "a-canary-that-nobody-needs"
TOKEN = "a-token-that-only-load-processes-need"
SITE = """
import json, os, sys, pathlib
pathlib.Path(os.environ["PYTHONSEEN"], f"{os.getpid()}.json").write_text(json.dumps([sys.orig_argv, dict(os.environ)]))
"""
"""Python runs this in every process of ours: it stores the argument list and the environment."""


TOOLS = {
    "reports": "reports",
    "emulator": "emulator",
    "chainproof.loadtests.locust_adapter.start": "load process",
}
"""The words by which argument lists are told apart."""


def children_of(tmp_path: Path, *words: str) -> dict[str, list[dict[str, str]]]:
    """The environments of all child processes of a command, by what they run."""
    seen = tmp_path / "seen"
    seen.mkdir()
    (tmp_path / "sitecustomize.py").write_text(SITE)
    own = {"PYTHONPATH": str(tmp_path), "PYTHONSEEN": str(seen), "CANARY": CANARY, "MY_PROXY_PASSWORD": CANARY}
    secrets = {"BASETEN_API_KEY": KEY, "CHAINPROOF_WORKER_TOKEN": TOKEN, "http_proxy": "http://user:pass@127.0.0.1:9"}
    with subprocess.Popen(
        chainproof_command(*words),
        cwd=tmp_path,
        env={**clean_environment(), **own, **secrets, "no_proxy": "127.0.0.1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.wait(PATIENCE) in {0, 1, 3, 4}
    found: dict[str, list[dict[str, str]]] = {}
    for path in seen.iterdir():
        arguments, environment = json.loads(path.read_text())
        assert KEY not in " ".join(arguments)
        if path.stem != str(process.pid):
            found.setdefault(next(name for word, name in TOOLS.items() if word in arguments), []).append(environment)
    return found


def test_only_the_load_process_gets_the_key(tmp_path: Path) -> None:
    """Reports get neither the key nor anything else of the user's environment; the load process gets what it uses."""
    with reflecting_server() as url:
        children = children_of(tmp_path, "loadtests", "--rate=20", "--duration=300ms", "--target", url)

    assert {"reports", "load process"} == children.keys()
    for name, environments in children.items():
        for environment in environments:
            values = environment.values()
            assert CANARY not in values
            assert (KEY in values) is (name == "load process")
            assert (TOKEN in values) is (name == "load process")
            assert ("http_proxy" in environment) is (name == "load process")
            assert environment["PATH"]


def test_an_emulator_gets_no_key(tmp_path: Path) -> None:
    """A run against an emulator needs no key of the user, and no child gets it."""
    children = children_of(tmp_path, "conformance", "-k", "without_a_body", "--max-requests=20")

    assert {"reports", "emulator"} == children.keys()
    assert {KEY, CANARY, TOKEN}.isdisjoint(
        value for environments in children.values() for environment in environments for value in environment.values()
    )
