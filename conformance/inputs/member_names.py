"""
What the name of a member says about its value: that it may differ between equal requests, or that it identifies something.

An answer that depends on earlier requests may be right or wrong, and only the names tell which.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

_VARYING_WORDS = """
    age attempts cache cached clock created date duration elapsed expires expiry generated hit host hostname id
    instance latency millis ms node now ns pid process queue queued replica request requests retries runtime
    seconds seed server session since span start started thread time timestamp took trace ts updated uptime us
    uuid version wait waited worker
"""
"""Words in the name of an output value that differs with the time, with the process or with chance."""

_STATE_WORDS = """
    allowance attempt balance calls counter created credits duplicate exhausted existing granted history latest
    limited previous quota remaining repeated replayed seen seq sequence served throttled turn turns used visits
"""
"""Words in the name of an output value that depends on earlier requests."""

_VARYING_PHRASES = (("batch", "size"), ("in", "flight"))
"""The same for words in a row: how many requests a chain processes together."""

_CACHE_WORDS = frozenset({"cache", "cached", "hit"})

_IDENTIFIER_WORDS = """
    account cart channel client conversation customer device email guid handle id idempotency identifier key
    member nonce owner player room session slug tenant thread token user username uuid wallet
"""
"""Words in the name of an argument by which a chain may remember what it got."""


def may_vary(names: Iterable[str | int]) -> bool:
    """
    True if the name of a value says that it may differ between equal requests, like a duration or a counter.

    >>> may_vary(("meta", "elapsed_ms")), may_vary(("remainingCalls",)), may_vary(("batchSize",))
    (True, True, True)
    >>> may_vary(("lines", "[]", "amount")), may_vary(("batch", "score"))
    (False, False)
    """
    words = _words(names)
    single = set(f"{_VARYING_WORDS} {_STATE_WORDS}".split())
    return not single.isdisjoint(words) or not set(_VARYING_PHRASES).isdisjoint(pairwise(words))


def tells_of_cache(names: Iterable[str | int]) -> bool:
    """
    True if the name of a value says that it tells whether the output was cached.

    >>> tells_of_cache(("from_cache",)), tells_of_cache(("created",))
    (True, False)
    """
    return not _CACHE_WORDS.isdisjoint(_words(names))


def is_identifier(place: tuple[str | int, ...]) -> bool:
    """
    True if the name of an argument says that it identifies something that outlives the request, such as a session.

    >>> is_identifier(("session_id",)), is_identifier(("idempotencyKey",)), is_identifier(("texts", 0))
    (True, True, False)
    """
    return (
        bool(place) and isinstance(place[-1], str) and not set(_IDENTIFIER_WORDS.split()).isdisjoint(_words(place[-1:]))
    )


def _words(names: Iterable[str | int]) -> tuple[str, ...]:
    """The words in some names, in lower case."""
    texts = [name for name in names if isinstance(name, str) and name != "[]"]
    spaced = "".join(f"_{char.lower()}" if char.isupper() else char for text in texts for char in f"_{text}")
    return tuple(spaced.replace("-", "_").split("_"))
