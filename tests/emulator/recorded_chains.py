"""Chains with the signatures of those whose responses were recorded."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel


class HTTPException(Exception):
    """A copy of FastAPI's exception, which is not installed here."""

    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(f"{status_code}: {detail}")
        self.status_code = status_code


HTTPException.__module__ = "fastapi.exceptions"


class Opts(BaseModel):
    repeat: int = 1
    tag: str | None = None


class Out(BaseModel):
    greetings: list[str]


class Unprintable(Exception):
    """An exception whose __str__ raises."""

    def __str__(self) -> str:
        raise TypeError("not printable")


PROVOKED: dict[str, BaseException] = {
    "http_302": HTTPException(status_code=302, detail="elsewhere"),
    "http_600": HTTPException(status_code=600, detail="no such status"),
    "interrupt": KeyboardInterrupt(),
    "cancelled": asyncio.CancelledError(),
    "value_error": ValueError("boom"),
    "http_422": HTTPException(status_code=422, detail="This is a test error."),
    "http_429": HTTPException(status_code=429, detail="slow down"),
    "http_503": HTTPException(status_code=503, detail="draining"),
    "http_204": HTTPException(status_code=204, detail="no failure at all"),
    "exit": SystemExit(1),
    "silent": Unprintable(),
    "half": ValueError("\ud800"),
}
NONE = Opts()


class Hello:
    def run_remote(self, names: list[str], mode: str = "", delay: float = 0.0, opts: Opts = NONE) -> Out:
        if mode == "boom":
            raise ValueError("boom")
        if mode in PROVOKED:
            raise PROVOKED[mode].with_traceback(None)
        if mode == "mistyped":
            return "text"
        return Out(greetings=[f"Hello, {name}" for name in names])


class Text:
    def run_remote(self) -> str:
        return "Hello World! "


class Nothing:
    def run_remote(self) -> None:
        pass


class Pair:
    async def run_remote(self) -> tuple[int, str]:
        return 3, "y"


class Numbers:
    def run_remote(self, x: float, s: str = "") -> dict[str, float]:
        return {"x": x}


class Moment:
    def run_remote(self, at: datetime, price: Decimal) -> dict[str, datetime | Decimal]:
        return {"at": at, "price": price}


class TextStream:
    async def run_remote(self, parts: int = 3, fail_at: int = -1, mode: str = "") -> AsyncIterator[str]:
        for number in range(parts):
            if number == fail_at:
                raise PROVOKED.get(mode, ValueError("boom")).with_traceback(None)
            yield f"chunk{number}\n"


class ByteStream:
    async def run_remote(self, parts: int = 3) -> AsyncIterator[bytes]:
        for number in range(parts):
            yield bytes([number])
