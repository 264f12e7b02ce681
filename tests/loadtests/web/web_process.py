"""A Locust process with its web page, for tests."""

from __future__ import annotations

import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainproof.results.folder import Run, find_runs, read_run

from ...ports import free_port
from ...processes import start_process
from ...reports.pages.browser import Page
from ...waiting import PATIENCE, await_condition
from ..conftest import locust_command, locust_environment

KEY = "a-key.that-must-not-be-seen"


@dataclass(slots=True)
class Ui:
    """A Locust process with its web UI."""

    process: subprocess.Popen[str]
    url: str
    folder: Path
    output: str = ""
    """What it printed, once it has ended."""

    def fetch(self, path: str, form: str | None = None, **fields: str) -> tuple[int, str, dict[str, str]]:
        """Get a page, or post a form to it: status, text and header fields."""
        data = form.encode() if form is not None else None
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=fields)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode(), dict(refused.headers)

    def fetch_or_reset(self, path: str, form: str, **fields: str) -> tuple[int, str, dict[str, str]]:
        """As `fetch`, with 400 for a connection that is closed before the form is sent completely."""
        try:
            return self.fetch(path, form, **fields)
        except (ConnectionError, urllib.error.URLError):
            return 400, "", {}

    @property
    def runs(self) -> list[Run]:
        """The runs so far, in the order of their start: names of runs that start in the same second differ by the port."""
        folder = self.folder / "runs"
        runs = [read_run(path) for path in find_runs(folder)] if folder.exists() else []
        return sorted(runs, key=lambda run: run.manifest.started)


def is_listening(port: int) -> bool:
    """Whether a server of this machine accepts connections at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def web_ui(target: str, folder: Path, *words: str) -> Iterator[Ui]:
    """`locust -f locustfile.py` with its web UI; it ends on Ctrl-C."""
    port = free_port()
    command = locust_command(f"--web-port={port}", "--target", target, *words)
    process = start_process(command, cwd=folder, env=locust_environment(KEY))
    ui = Ui(process, f"http://127.0.0.1:{port}", folder)
    try:
        await_condition(lambda: process.poll() is not None or is_listening(port))
        assert process.poll() is None, process.communicate()
        yield ui
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            ui.output = process.communicate(timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def evaluate(tab: Page, script: str) -> Any:
    """The result of a script in a page."""
    found = tab.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
    assert "exceptionDetails" not in found, found
    return found["result"].get("value")
