"""
A chain with typed arguments that returns something other than its input: it prices orders.

Its output depends on every argument and on every character of every string, and is the same for the same arguments.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, Field


class Priority(StrEnum):
    """How fast an order is delivered."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Item(BaseModel):
    """One position of an order."""

    name: str = Field(min_length=1, max_length=40)
    quantity: int = Field(ge=1, le=100)
    unit_price: float = Field(gt=0, le=10_000)
    tags: list[Annotated[str, Field(max_length=20)]] = Field(default=[], max_length=5)


class Address(BaseModel):
    """Where an order is delivered."""

    recipient: str = Field(min_length=1, max_length=60)
    city: str = Field(max_length=30)
    country: Literal["DE", "FR", "JP"]


class Line(BaseModel):
    """One line of a quote."""

    label: str
    amount: float
    description: str


class Quote(BaseModel):
    """What `run_remote` returns."""

    reference: str = Field(pattern="^[0-9a-f]{12}$")
    lines: list[Line]
    total: float = Field(ge=0)
    item_count: int = Field(ge=1)
    days: int = Field(ge=1, le=30)
    priority: Priority
    greeting: str
    note_length: int | None = None
    is_gift: bool = False
    tags: dict[str, int] = {}


_DAYS = {Priority.LOW: 9, Priority.NORMAL: 4, Priority.HIGH: 1}


class Orders:
    """The entrypoint of the chain."""

    def run_remote(  # noqa: PLR0917  # as many arguments as chains have
        self,
        items: Annotated[list[Item], Field(min_length=1, max_length=2000)],
        address: Address,
        priority: Priority | None = None,
        discount: Annotated[float, Field(ge=0, lt=1)] | None = None,
        note: Annotated[str, Field(max_length=200)] | None = None,
        gift: bool | None = None,
    ) -> Quote:
        """The quote for an order."""
        priority, note, gift = priority or Priority.NORMAL, note or "", bool(gift)
        lines = [_line(number, item) for number, item in enumerate(items, 1)]
        tags = [tag for item in items for tag in item.tags]
        return Quote(
            reference=reference(items, address, priority, discount, note, gift),
            lines=lines,
            total=round(sum(line.amount for line in lines) * (1 - (discount or 0.0)), 4),
            item_count=sum(item.quantity for item in items),
            days=_DAYS[priority] + (3 if address.country == "JP" else 0),
            priority=priority,
            greeting=f"Dear {address.recipient} in {address.city}",
            note_length=len(note) if note else None,
            is_gift=gift,
            tags={tag: tags.count(tag) for tag in tags},
        )


def _line(number: int, item: Item) -> Line:
    """The line of an item."""
    return Line(
        label=f"{item.quantity} × {item.name}",
        amount=round(item.quantity * item.unit_price, 4),
        description=f"Position {number}: {item.name}, {item.unit_price:.2f} each, delivered with the other positions.",
    )


def reference(items: list[Item], address: Address, *rest: object) -> str:
    """Digits that depend on every argument."""
    text = json.dumps([[item.model_dump() for item in items], address.model_dump(), *rest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
