"""The chains that both servers run: the real chain server and the emulator, with or without truss installed."""

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel

try:
    import truss_chains

    Base = truss_chains.ChainletBase
except ImportError:
    Base = object

try:
    from fastapi import HTTPException
except ImportError:

    class HTTPException(Exception):  # type: ignore[no-redef]  # fastapi is installed beside truss only
        """An exception like FastAPI's."""

        def __init__(self, status_code: int, detail: str, headers: dict[str, str] | None = None) -> None:
            super().__init__(f"{status_code}: {detail}")
            self.status_code = status_code
            self.headers = headers

    HTTPException.__module__ = "fastapi.exceptions"


class Options(BaseModel):
    """A nested model with defaults."""

    repeat: int = 1
    tag: str | None = None


class Greetings(BaseModel):
    """The output of `Greeter`."""

    greetings: list[str]
    x: float | None = None


NO_OPTIONS = Options()


def raise_for(mode: str) -> None:
    """Raise the exception that an argument asks for."""
    if mode == "value_error":
        raise ValueError("boom")
    if mode == "exit":
        raise SystemExit(3)
    if mode == "interrupt":
        raise KeyboardInterrupt
    if mode == "cancelled":
        raise asyncio.CancelledError
    if mode.startswith("http_"):
        raise HTTPException(status_code=int(mode[5:]), detail="on demand", headers={"Retry-After": "3"})


class Greeter(Base):
    """A plain function with required, optional and nested arguments."""

    def run_remote(self, names: list[str], mode: str = "", x: float = 0.0, options: Options = NO_OPTIONS) -> Greetings:
        """A greeting for each name."""
        raise_for(mode)
        if mode == "mistyped":
            return "text"
        return Greetings(greetings=[f"Hello, {name}" for name in names for _ in range(options.repeat)], x=x)


class Pair(Base):
    """A coroutine function with two return values."""

    async def run_remote(self, x: float, s: str = "", mode: str = "") -> tuple[float, str]:
        """The arguments."""
        raise_for(mode)
        return x, s


class TextStream(Base):
    """A stream of text that can fail."""

    async def run_remote(self, parts: int = 3, fail_at: int = -1, mode: str = "value_error") -> AsyncIterator[str]:
        """The numbers of the chunks."""
        for number in range(parts):
            if number == fail_at:
                raise_for(mode)
            yield f"chunk{number} \u00e9\n"


class ByteStream(Base):
    """A stream of bytes."""

    async def run_remote(self, parts: int = 3) -> AsyncIterator[bytes]:
        """One byte for each chunk."""
        for number in range(parts):
            yield bytes([number])
