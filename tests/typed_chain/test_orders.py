"""The typed chain that the other tests use prices orders as it says."""

from __future__ import annotations

from .orders import Address, Item, Orders, Priority

ADDRESS = Address(recipient="Ada", city="Köln", country="DE")
ITEM = Item(name="Stuhl", quantity=3, unit_price=2.5, tags=["Holz"])


def test_quote_has_a_line_for_each_item() -> None:
    """Quantities and prices are multiplied and added."""
    quote = Orders().run_remote([ITEM, ITEM], ADDRESS, discount=0.5)

    assert ["3 × Stuhl", "3 × Stuhl"] == [line.label for line in quote.lines]
    assert (7.5, 6, {"Holz": 2}) == (quote.total, quote.item_count, quote.tags)


def test_reference_depends_on_every_argument() -> None:
    """Changing one argument changes the reference; leaving out an optional argument does the same as its default."""
    run = Orders().run_remote
    plain = run([ITEM], ADDRESS)
    others = [
        run([ITEM.model_copy(update={"name": "stuhl"})], ADDRESS),
        run([ITEM], ADDRESS.model_copy(update={"country": "JP"})),
        run([ITEM], ADDRESS, priority=Priority.HIGH),
        run([ITEM], ADDRESS, discount=0.1),
        run([ITEM], ADDRESS, note="bald"),
        run([ITEM], ADDRESS, gift=True),
    ]

    assert len({quote.reference for quote in (plain, *others)}) == len(others) + 1
    assert plain == run([ITEM], ADDRESS, priority=None, note="", gift=False)
