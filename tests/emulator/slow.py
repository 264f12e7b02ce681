"""
Chains that take their time.
"""

import asyncio
import os
import sys
import time


class Plain:
    """
    Sleeps on a thread, and writes down when it starts and ends.
    """

    def run_remote(self, seconds: float = 0.25, name: str = "") -> dict[str, str]:
        note(f"start {name}")
        time.sleep(seconds)
        note(f"end {name}")
        return {"name": name}


class Coroutine:
    """
    Sleeps as a coroutine should.
    """

    async def run_remote(self, seconds: float = 0.25, name: str = "") -> dict[str, str]:
        note(f"start {name}")
        await asyncio.sleep(seconds)
        note(f"end {name}")
        return {"name": name}


class Blocking:
    """
    Sleeps as a coroutine should not.
    """

    async def run_remote(self, seconds: float = 0.25, name: str = "") -> dict[str, str]:
        time.sleep(seconds)  # noqa: ASYNC251  # on purpose
        return {"name": name}


class ExitsLater:
    """
    Leaves behind what ends a process.
    """

    async def run_remote(self) -> dict[str, str]:
        asyncio.get_running_loop().call_soon(sys.exit)
        await asyncio.sleep(0.01)
        return {}


class Loud:
    """
    Prints wherever it can.
    """

    print("imported")

    def __init__(self) -> None:
        print("constructed")

    def run_remote(self) -> dict[str, str]:
        """Print, and return something."""
        print("run")
        return {}


def note(line: str) -> None:
    """
    Append a line to the file that the environment names, if it names one.
    """
    path = os.environ.get("SLOW_CHAIN_LOG")
    if path:
        with open(path, "a") as log:  # noqa: PTH123  # one write, however many threads
            log.write(line + "\n")
