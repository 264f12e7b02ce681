"""Child processes that tests start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .waiting import PATIENCE

TOOLS_PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""The value of PATH with the commands of this Python environment."""
_SETTING = ("CHAINPROOF", "BASETEN", "LOCUST_", "PYTEST", "SSL_CERT_")


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without variables that change what the tools do, and with some *more*."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_SETTING)} | more


def run_process(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command that reads nothing, to its end."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        timeout=timeout,
        check=check,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def start_process(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a command that reads nothing. Its errors are part of its output."""
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
