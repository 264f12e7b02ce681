"""
The live page: objectives, percentiles with their intervals, and results of the current run as charts.

Another process computes them from the run folder, and less often the longer that takes, so that the page does not delay
requests.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from gevent.lock import RLock

from chainproof.clock import Seconds

from .limited_process import run_limited

MIN_PAUSE: Seconds = 2.0
MAX_LOAD = 0.1
"""The largest share of one processor for the figures of the page."""

_PAGE = Path(__file__).parent / "live.html"

NOTE = (
    '<p style="margin:0;padding:6px 16px;font:15px/1.5 system-ui,sans-serif;background:#0b6b4f;color:#fff">'
    '<a style="color:#fff;font-weight:600" href="./chainproof/live">Live: objectives, percentiles and results</a> · '
    "Locust’s own tables and charts below show response times of all answers, also failed ones, rounded to two digits; "
    "the tabs Outcomes, Percentiles, and Requests and generator show the figures of the report.</p>"
)
"""Shown above Locust's page."""


class LivePage:
    """The figures of the run so far, computed at most as often as `MAX_LOAD` allows."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """*environment* is that of the process which computes the figures."""
        self._environment = environment
        self._lock = RLock()
        self._folder: Path | None = None
        self._figures: dict[str, Any] = {}
        self._due = 0.0
        self._pause: Seconds = MIN_PAUSE

    def figures(self, folder: Path, state: str) -> bytes:
        """The figures as JSON, at most as old as the pause after which they may be computed again."""
        with self._lock:  # several readers get the same figures
            if folder != self._folder or time.monotonic() >= self._due:
                start = time.monotonic()
                self._figures = _compute(folder, self._environment)
                self._folder, self._due = folder, time.monotonic()
                self._pause = max(MIN_PAUSE, (self._due - start) / MAX_LOAD)
                self._due += self._pause
        return orjson.dumps(self._figures | {"name": folder.name, "state": state, "refresh_s": self._pause})


def _compute(folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The figures of a run folder, from a process of its own. Empty spans if it cannot be read yet."""
    command = [sys.executable, "-P", "-m", "chainproof.loadtests.run_so_far", str(folder)]
    try:
        child = run_limited(command, environment)
    except subprocess.TimeoutExpired:
        return {"spans": []}
    figures: dict[str, Any] = orjson.loads(child.stdout) if child.returncode == 0 else {"spans": []}
    return figures


def page() -> tuple[str, dict[str, str]]:
    """The page and its header fields: it may run its own script and fetch from its own origin."""
    text = _PAGE.read_text(encoding="utf-8")
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script is not None, "the page has a script"
    digest = b64encode(sha256(script[1].encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; connect-src 'self'; img-src data:"
    return text, {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
