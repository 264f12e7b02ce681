"""A chain that sleeps when the run begins: the first requests wait until it is up, and the next ones are slow."""

import asyncio
import time


class Sleeping:
    """Up after 12 s, warm after 25 s."""

    def __init__(self) -> None:
        self.first: float | None = None

    async def run_remote(self, names: list[str]) -> dict[str, list[str]]:
        """The names."""
        now = time.monotonic()
        if self.first is None:
            self.first = now
        await asyncio.sleep(max(self.first + 12 - now, 0.0))
        await asyncio.sleep(max(0.06, 1.2 - (time.monotonic() - self.first) / 20))
        return {"names": names}
