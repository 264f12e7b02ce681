"""How tools that run as child processes end."""

from __future__ import annotations

import sys

import pytest

from chainproof.judgement.verdict import ExitCode
from chainproof.processes import run_process


def test_a_killed_tool_gives_a_documented_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    """The exit code is that of an invalid run, and one line names the tool and the signal."""
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    ended = run_process([sys.executable, "-c", program, "chainproof", "loadtests"])

    assert (ExitCode.INVALID, True) == (ended.code, ended.killed)
    assert "chainproof loadtests: killed by SIGKILL, not by chainproof; run it again\n" == capfd.readouterr().err
