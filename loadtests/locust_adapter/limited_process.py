"""Child processes of the web page: with lower priority, limits of time and memory, and without secrets."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Mapping, Sequence

from chainproof.clock import Seconds

TIME_LIMIT: Seconds = 120.0
MEMORY_LIMIT = 1 << 30
"""Bytes that a process may write to. Address space that it only reserves does not count; the chart library reserves much."""
_NICENESS = 5
"""With 19, a machine whose cores are all busy would hardly ever finish a report."""


def without_secrets(*variables: str) -> dict[str, str]:
    """The environment variables of this process but for those that hold a secret."""
    return {name: value for name, value in os.environ.items() if name not in variables}


def run_limited(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    time_limit: Seconds = TIME_LIMIT,
    memory_limit: int = MEMORY_LIMIT,
) -> subprocess.CompletedProcess[bytes]:
    """Run a child process and return its output. Raises subprocess.TimeoutExpired after ending it."""

    def limit_resources() -> None:
        os.nice(_NICENESS)
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit, memory_limit))

    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=environment,
        timeout=time_limit,
        preexec_fn=limit_resources,  # two system calls; gevent forks in Python anyway
    )
