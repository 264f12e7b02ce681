"""Chains that take time, block or print."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator


class Plain:
    """Sleeps in a plain function, and logs start and end."""

    def run_remote(self, seconds: float = 0.25, name: str = "") -> dict[str, str]:
        log_line(f"start {name}")
        time.sleep(seconds)
        log_line(f"end {name}")
        return {"name": name}


class Coroutine:
    """Sleeps in a coroutine without blocking, and logs start and end."""

    async def run_remote(self, seconds: float = 0.25, name: str = "") -> dict[str, str]:
        log_line(f"start {name}")
        await asyncio.sleep(seconds)
        log_line(f"end {name}")
        return {"name": name}


class Blocking:
    """Blocks the event loop in a coroutine."""

    async def run_remote(self, seconds: float = 0.25, name: str = "") -> dict[str, str]:
        time.sleep(seconds)  # noqa: ASYNC251  # on purpose
        return {"name": name}


class ExitsLater:
    """Schedules a callback that raises SystemExit."""

    async def run_remote(self) -> dict[str, str]:
        asyncio.get_running_loop().call_soon(sys.exit)
        await asyncio.sleep(0.01)
        return {}


class Loud:
    """Prints on import, in the constructor and in run_remote."""

    print("imported")

    def __init__(self) -> None:
        print("constructed")

    def run_remote(self) -> dict[str, str]:
        """Print, and return an empty object."""
        print("run")
        return {}


def log_line(line: str) -> None:
    """Append a line to the file named by SLOW_CHAIN_LOG, if it is set."""
    path = os.environ.get("SLOW_CHAIN_LOG")
    if path:
        with open(path, "a") as log:  # noqa: PTH123  # a single write, atomic across threads
            log.write(line + "\n")


class SlowStream:
    """Yields a chunk at once, and the others after pauses; logs its end."""

    async def run_remote(self, seconds: float = 0.25, parts: int = 2, name: str = "") -> AsyncIterator[str]:
        for number in range(parts):
            if number:
                await asyncio.sleep(seconds)
            yield f"{name}{number};"
        log_line(f"end {name}")


class Draining:
    """Raises HTTPException(503) for the first calls."""

    def __init__(self) -> None:
        self.calls = 0

    def run_remote(self, failures: int = 2) -> dict[str, int]:
        self.calls += 1
        if self.calls <= failures:
            raise HTTPException
        return {"calls": self.calls}


class HTTPException(Exception):
    """An exception with the name and the attribute of FastAPI's."""

    status_code = 503
