"""
Chains that remember: correct ones, whose answers depend on earlier requests or on chance by design, and faulty ones.

The classes are read by `--input-schema` and served by `stateful_app.py`. They share no code with chainproof.
"""

from __future__ import annotations

import hashlib
import random
import threading
import time
import uuid
from collections import Counter, defaultdict, deque
from contextvars import ContextVar
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

CONNECTION: ContextVar[object] = ContextVar("CONNECTION", default=None)
"""Which connection a request came on, if the server does not have a thread for each."""

Short = Annotated[str, Field(min_length=1, max_length=40)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Language = Literal["de", "en", "ja"]


class BadRequest(Exception):
    """The chain rejects the input."""


class Style(BaseModel):
    """How a text is shown."""

    upper: bool = False
    tags: Annotated[list[Short], Field(max_length=5)] = []


def connection() -> object:
    """Which connection the present request came on."""
    return CONNECTION.get() or threading.get_ident()


def score(*values: object) -> float:
    """A number between 0 and 1 that depends on all values."""
    return hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).digest()[0] / 255


# ------------------------------------------------------------------ correct: remembered by an argument


class Stored(BaseModel):
    key: str
    value: str
    note: str | None
    created: bool


class FirstWriteWins:
    """A store in which the first value of a key stays."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[str, str | None]] = {}

    def run_remote(self, key: Short, value: Text, note: Short | None = None) -> Stored:
        created = key not in self.values
        stored, stored_note = self.values.setdefault(key, (value, note))
        return Stored(key=key, value=stored, note=stored_note, created=created)


class Value(BaseModel):
    value: str
    size: int


class SilentStore:
    """The same, and the answer does not say whether the value is new."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def run_remote(self, document_id: Short, text: Text) -> Value:
        stored = self.values.setdefault(document_id, text)
        return Value(value=stored, size=len(stored))


class Payment(BaseModel):
    payment: str
    amount: float
    currency: str
    reference: str | None


class IdempotentPayments:
    """A payment is made once for each idempotency key, and then returned again."""

    def __init__(self) -> None:
        self.payments: dict[str, Payment] = {}

    def run_remote(
        self,
        idempotency_key: Short,
        amount: Annotated[float, Field(gt=0, le=100_000)],
        currency: Literal["EUR", "JPY", "USD"],
        reference: Short | None = None,
    ) -> Payment:
        new = Payment(payment=uuid.uuid4().hex, amount=amount, currency=currency, reference=reference)
        return self.payments.setdefault(idempotency_key, new)


class StrictIdempotency(IdempotentPayments):
    """The same, and an idempotency key with other arguments is rejected."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, object] = {}

    def run_remote(
        self,
        idempotency_key: Short,
        amount: Annotated[float, Field(gt=0, le=100_000)],
        currency: Literal["EUR", "JPY", "USD"],
        reference: Short | None = None,
    ) -> Payment:
        if self.given.setdefault(idempotency_key, (amount, currency, reference)) != (amount, currency, reference):
            raise BadRequest("the idempotency key was used with other arguments")
        return super().run_remote(idempotency_key, amount, currency, reference)


class Reply(BaseModel):
    reply: str
    turn: int
    previous: str | None
    history: list[str]


class Conversation:
    """A chat that remembers the messages of a session."""

    def __init__(self) -> None:
        self.messages: dict[str, list[str]] = defaultdict(list)

    def run_remote(self, session_id: Short, message: Text, language: Language = "en") -> Reply:
        messages = self.messages[session_id]
        previous = messages[-1] if messages else None
        messages.append(message)
        reply = f"{language}: {message[:20]} {score(message, language):.4f}"
        return Reply(reply=reply, turn=len(messages), previous=previous, history=messages[-3:])


class Preferred(BaseModel):
    text: str
    language: str
    formal: bool
    score: float


class Preferences:
    """Optional arguments are remembered for each user until they are given again."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = defaultdict(dict)

    def run_remote(
        self, user: Short, text: Text, language: Language | None = None, formal: bool | None = None
    ) -> Preferred:
        known = self.known[user]
        known |= {name: value for name, value in (("language", language), ("formal", formal)) if value is not None}
        used, is_formal = known.get("language", "en"), known.get("formal", False)
        return Preferred(text=text, language=used, formal=is_formal, score=score(text, used, is_formal))


class Allowance(BaseModel):
    text: str
    used: int
    remaining: int
    status: Literal["granted", "exhausted"]


class RateCounter:
    """Each user has an allowance of 20 texts, after which texts are shortened."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()

    def run_remote(self, user: Short, text: Text, style: Style | None = None) -> Allowance:
        self.used[user] += 1
        used = self.used[user]
        shown = text.upper() if style and style.upper else text
        return Allowance(
            text=shown if used <= 20 else shown[:3],
            used=used,
            remaining=max(20 - used, 0),
            status="granted" if used <= 20 else "exhausted",
        )


# ------------------------------------------------------------------ correct: counters, chance, time


class Counted(BaseModel):
    text: str
    served: int
    seen: int
    first: bool
    words: dict[str, int]


class Statistics:
    """Counts all requests, and how often a text was sent."""

    def __init__(self) -> None:
        self.served = 0
        self.texts: Counter[str] = Counter()

    def run_remote(self, text: Text, style: Style | None = None) -> Counted:
        self.served += 1
        self.texts[text] += 1
        shown = text.upper() if style and style.upper else text
        words = {word: shown.split().count(word) for word in shown.split()}
        return Counted(text=shown, served=self.served, seen=self.texts[text], first=self.texts[text] == 1, words=words)


class Generated(BaseModel):
    text: str
    tokens: int
    finish_reason: Literal["stop", "length"]


_WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet")


class Sampling:
    """Generates text: at temperature 0 always the same, else by chance."""

    def run_remote(
        self,
        prompt: Text,
        temperature: Annotated[float, Field(ge=0, le=2)] = 0.0,
        max_tokens: Annotated[int, Field(ge=1, le=50)] = 8,
    ) -> Generated:
        rng = random.Random() if temperature else random.Random(prompt)
        length = rng.randint(1, 12)
        words = [rng.choice(_WORDS) for _ in range(min(length, max_tokens))]
        return Generated(
            text=" ".join(words), tokens=len(words), finish_reason="stop" if length <= max_tokens else "length"
        )


class Routed(BaseModel):
    text: str
    model: Literal["small-2025-01", "large-2025-03"]
    score: float


class Experiment:
    """Two models share the requests by chance, one of them gets a few only."""

    def run_remote(self, text: Text, style: Style | None = None) -> Routed:
        model = "large-2025-03" if random.random() < 0.1 else "small-2025-01"
        shown = text.upper() if style and style.upper else text
        return Routed(text=shown, model=model, score=score(shown, model))


class Cached(BaseModel):
    text: str
    score: float
    cached: bool
    age_s: float


class CorrectCache:
    """A cache of all arguments that forgets after a second and after 100 inputs."""

    def __init__(self) -> None:
        self.cache: dict[object, tuple[float, float]] = {}

    def run_remote(self, text: Text, language: Language, style: Style | None = None) -> Cached:
        key = (text, language, style and style.model_dump_json())
        now = time.monotonic()
        stored = self.cache.get(key)
        is_cached = stored is not None and now - stored[0] < 1
        made, value = stored if stored is not None and is_cached else (now, score(key))
        self.cache[key] = (made, value)
        if len(self.cache) > 100:
            self.cache.pop(next(iter(self.cache)))
        return Cached(text=text, score=value, cached=is_cached, age_s=round(now - made, 3))


class Quadratic:
    """Takes a time that grows with the square of the length."""

    def run_remote(self, text: str, language: Language) -> Routed:
        time.sleep(min((len(text) / 10_000) ** 2 / 2, 6.0))
        return Routed(text=text[:50], model="small-2025-01", score=score(text, language))


CORRECT: tuple[type, ...] = (
    FirstWriteWins,
    SilentStore,
    IdempotentPayments,
    StrictIdempotency,
    Conversation,
    Preferences,
    RateCounter,
    Statistics,
    Sampling,
    Experiment,
    CorrectCache,
    Quadratic,
)

# ------------------------------------------------------------------ faulty


class Scored(BaseModel):
    text: str
    language: str
    score: float
    tags: list[str]


class Scores:
    """A correct chain without state, which the faulty ones below change."""

    def run_remote(self, text: Text, language: Language, style: Style | None = None) -> Scored:
        return self.scored(text, language, style)

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        shown = text.upper() if style and style.upper else text
        return Scored(text=shown[:50], language=language, score=score(text, language), tags=style.tags if style else [])


class CachedByText(Scores):
    """The key of the cache lacks the language."""

    def __init__(self) -> None:
        self.cache: dict[object, Scored] = {}

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        return self.cache.setdefault((text, style and style.model_dump_json()), super().scored(text, language, style))


class CachedWithoutNested(CachedByText):
    """The key of the cache lacks a nested optional argument."""

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        key = (text, language, style and tuple(style.tags))
        return self.cache.setdefault(key, Scores.scored(self, text, language, style))


class CachedByBeginning(CachedByText):
    """The key of the cache has the first 30 characters of the text."""

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        key = (text[:30], language, style and style.model_dump_json())
        return self.cache.setdefault(key, Scores.scored(self, text, language, style))


class SharedVariable(Scores):
    """Concurrent requests share the text."""

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        self.text = text
        time.sleep(0.003)
        return super().scored(self.text, language, style)


class StyleSticks(Scores):
    """The style of an earlier request is used if a request has none."""

    style: Style | None = None

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        self.style = style or self.style
        return super().scored(text, language, self.style)


class LanguageSticks(Scores):
    """A language other than the default one is used for all later requests that have the default one or none."""

    language: Language = "en"

    def run_remote(self, text: Text, language: Language = "en", style: Style | None = None) -> Scored:
        self.language = language if language != "en" else self.language
        return super().run_remote(text, self.language, style)


class CapitalsForEver(Scores):
    """After the first text in capitals, all are."""

    upper = False

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        self.upper = self.upper or bool(style and style.upper)
        return super().scored(text.upper() if self.upper else text, language, style)


class SwappedRarely(Scores):
    """Two requests that end within the same millisecond have each other's answer."""

    def __init__(self) -> None:
        self.running: dict[int, Scored] = {}
        self.lock = threading.Lock()

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        own = super().scored(text, language, style)
        with self.lock:
            number = len(self.running)
            self.running[threading.get_ident()] = own
        time.sleep(0.003)
        with self.lock:
            others = [each for thread, each in self.running.items() if thread != threading.get_ident()]
            self.running.pop(threading.get_ident(), None)
        return others[0] if others and number % 2 else own


class LongTextsMixedUp(Scores):
    """A long text gets the answer to the long text before it."""

    latest: Scored | None = None

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        own = super().scored(text, language, style)
        if len(text) < 1000:
            return own
        self.latest, earlier = own, self.latest
        return earlier or own


class WrongAfterError(Scores):
    """After an error on a connection, the next answer on it is that to an earlier request."""

    def __init__(self) -> None:
        self.failed: set[object] = set()
        self.latest: dict[object, Scored] = {}

    def fail(self) -> None:
        """Notice an error."""
        self.failed.add(connection())

    def scored(self, text: str, language: str, style: Style | None) -> Scored:
        here, own = connection(), super().scored(text, language, style)
        earlier = self.latest.get(here)
        if here in self.failed and earlier is not None:
            self.failed.discard(here)
            return earlier
        self.latest[here] = own
        return own


class StoreOfShortKeys(FirstWriteWins):
    """A store that compares only the first 8 characters of a key."""

    def run_remote(self, key: Short, value: Text, note: Short | None = None) -> Stored:
        stored = super().run_remote(key[:8], value, note)
        return stored.model_copy(update={"key": key})


class SharedConversation(Conversation):
    """Sessions share the latest message."""

    def __init__(self) -> None:
        super().__init__()
        self.recent: deque[str] = deque(maxlen=3)

    def run_remote(self, session_id: Short, message: Text, language: Language = "en") -> Reply:
        reply = super().run_remote(session_id, message, language)
        self.recent.append(message)
        return reply.model_copy(update={"history": list(self.recent)})


class PreferencesOfEveryone(Preferences):
    """Preferences of one user are used for all."""

    def run_remote(
        self, user: Short, text: Text, language: Language | None = None, formal: bool | None = None
    ) -> Preferred:
        return super().run_remote("all", text, language, formal)


FAULTY: dict[type, frozenset[str]] = dict.fromkeys(
    (
        CachedByText,
        CachedWithoutNested,
        CachedByBeginning,
        SharedVariable,
        StyleSticks,
        LanguageSticks,
        CapitalsForEver,
        SwappedRarely,
        LongTextsMixedUp,
        WrongAfterError,
        StoreOfShortKeys,
        SharedConversation,
        PreferencesOfEveryone,
    ),
    frozenset({"answer-matches-request", "request-isolation", "answer-repeatable"}),
)
"""Faulty chains, and the clauses of which at least one must have a finding."""

CHAINS = {chain.__name__: chain for chain in (*CORRECT, *FAULTY)}
