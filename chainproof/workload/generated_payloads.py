"""
Payloads made from a JSON Schema: small, distinct, and the same ones for the same seed.

What is understood is what type hints lead to: objects, arrays, strings, numbers, enumerations, alternatives, references
within the schema, their bounds and the usual formats. A regular expression is not: such strings come from `examples` or
`default`. Nothing here decides what is valid: the schema itself does, and what it does not accept is thrown away.
"""

from __future__ import annotations

import math
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import orjson

from chainproof.json_text import JSON

from .payloads import Payload

MAX_PAYLOADS = 50
"""Distinct payloads that are made."""
MAX_SIZE = 4096
"""Octets of each, encoded."""
TRIES = 1000
"""Values that are made, at most, to find them."""
NAME = "generated"

_ROOMY_DEPTH = 4
_ROOMY_PARTS = 60
"""Deeper, or with more parts, a value gets nothing that it can do without."""
_DEEPEST = 40
_MOST_PARTS = 1000
_MORE_CHARACTERS = 12
_MORE_ITEMS = 3
_REACH = 1000
"""How far a number is from its only bound, or from 0."""
_LETTERS = string.ascii_letters + string.digits + " -_'éß漢🙂"

SchemaObject = dict[str, Any]
"""A schema that is an object, its keywords as they come."""


class _Hopeless(Exception):
    """
    The value begun cannot be brought to a small end.
    """


def generate_payloads(document: SchemaObject, accepts: Callable[[JSON], bool], seed: int) -> tuple[Payload, ...]:
    """
    JSON objects that the schema in a document *accepts*, none twice; fewer where there are fewer, or none is found.
    """
    # A seed of its own, as for every other sequence.
    source = random.Random(f"generated {seed}")
    found: dict[bytes, dict[str, JSON]] = {}
    for _ in range(TRIES):
        if len(found) == MAX_PAYLOADS:
            break
        value = _tried(_Value(document, source), accepts)
        if value is not None:
            found.setdefault(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), value)
    return tuple(Payload(name=NAME, body=body, weight=1 / len(found)) for body in found.values())


def _tried(value: _Value, accepts: Callable[[JSON], bool]) -> dict[str, JSON] | None:
    """
    One object that can be sent; None where this was none.
    """
    try:
        made = value.of(value.document)
        octets = orjson.dumps(made)
    except (_Hopeless, ArithmeticError, RecursionError, orjson.JSONEncodeError):
        return None  # a number beyond floats, a reference to itself: nothing that could be sent
    # Read back: what is sent is what must be valid.
    back = orjson.loads(octets)
    return back if isinstance(back, dict) and len(octets) <= MAX_SIZE and accepts(back) else None


@dataclass(slots=True)
class _Value:
    """
    A value in the making.
    """

    document: SchemaObject
    source: random.Random
    depth: int = 0
    parts: int = 0
    _makers: dict[str, Callable[[SchemaObject], JSON]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._makers = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _: self.source.random() < 0.5,
            "null": lambda _: None,
        }

    def of(self, schema: Any) -> JSON:
        """A value of a schema, valid as far as its keywords are understood. Raises _Hopeless."""
        self._count()
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _Hopeless
        made = self._made(self._flat(schema))
        self.depth -= 1
        return made

    def _count(self) -> None:
        self.parts += 1
        if self.parts > _MOST_PARTS:
            raise _Hopeless

    @property
    def _roomy(self) -> bool:
        return self.depth <= _ROOMY_DEPTH and self.parts <= _ROOMY_PARTS

    def _made(self, form: SchemaObject) -> JSON:
        """
        A value of a schema without references and alternatives.
        """
        if "const" in form:
            return cast(JSON, form["const"])
        if "enum" in form:
            return cast(JSON, self._one_of(form["enum"]))
        known = _known(form)
        if known and ("pattern" in form or self.source.random() < 0.1):
            return self.source.choice(known)
        return self._makers[self._type(form)](form)

    def _one_of(self, choices: list[Any]) -> Any:
        if not choices:
            raise _Hopeless
        return self.source.choice(choices)

    def _type(self, form: SchemaObject) -> str:
        """
        The type of a value: as it is said, as the keywords have it, or any that holds no others.
        """
        said = form.get("type")
        if isinstance(said, str):
            return said
        if said:
            return str(self.source.choice(said if self._roomy else [min(said, key=_SIMPLEST.index)]))
        meant = next((kind for kind, keywords in _KEYWORDS.items() if keywords & form.keys()), None)
        return meant if meant is not None else self.source.choice(["string", "integer", "boolean", "null"])

    # ------------------------------------------------------------------ one schema from several

    def _flat(self, schema: Any) -> SchemaObject:
        """
        A schema and all it refers to as one, an alternative chosen.
        """
        self._count()
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise _Hopeless  # false: nothing is valid
        form = {name: member for name, member in schema.items() if name not in _JOINING}
        if "$ref" in schema:
            form = _both(form, self._flat(self._referred(schema["$ref"])))
        for part in schema.get("allOf", ()):
            form = _both(form, self._flat(part))
        for name in ("anyOf", "oneOf"):
            if name in schema:
                form = _both(form, self._flat(self._alternative(schema[name])))
        return form

    def _alternative(self, choices: list[Any]) -> Any:
        """
        One of the alternatives; where there is no room, one that holds no others.
        """
        return self.source.choice(choices) if self._roomy else min(choices, key=_rank)

    def _referred(self, pointer: str) -> Any:
        """
        What a reference within the document leads to.
        """
        place: Any = self.document
        for word in pointer.removeprefix("#").split("/")[1:] if pointer.startswith("#") else [pointer]:
            name = word.replace("~1", "/").replace("~0", "~")
            if not isinstance(place, dict) or name not in place:
                raise _Hopeless
            place = place[name]
        if place is self.document and pointer != "#":
            raise _Hopeless  # an anchor, which is not looked for
        return place

    # ------------------------------------------------------------------ values that hold others

    def _object(self, form: SchemaObject) -> JSON:
        properties, required = form.get("properties", {}), set(form.get("required", ()))
        made: dict[str, JSON] = {}
        for name, member in properties.items():
            if name in required or (member is not False and self._roomy and self.source.random() < 0.7):
                made[name] = self.of(member)
        others = form.get("additionalProperties", True)
        # In the schema's order: that of a set is another in every process.
        for name in form.get("required", ()):
            if name not in made:
                made[name] = self.of(others)
        low, high = _counts(form, "Properties", _MORE_ITEMS if "additionalProperties" in form and others else 0)
        wanted = self.source.randint(low, high) if self._roomy else low
        while len(made) < wanted:
            self._count()
            made.setdefault(self._name(form), self.of(others))
        return made

    def _name(self, form: SchemaObject) -> str:
        """
        A name for a property of no name in particular.
        """
        names = form.get("propertyNames", True)
        if names is not True:
            return str(self.of({"type": "string", **names} if isinstance(names, dict) else names))
        return "".join(self.source.choices(string.ascii_lowercase, k=self.source.randint(1, 8)))

    def _array(self, form: SchemaObject) -> JSON:
        first, rest = form.get("prefixItems", []), form.get("items", True)
        low, high = _counts(form, "Items", 0 if rest is False else max(_MORE_ITEMS, len(first)))
        low = min(max(low, len(first)), high)
        if rest is False:
            high = min(high, len(first))
        wanted = self.source.randint(low, max(low, high)) if self._roomy else low
        made: list[JSON] = []
        seen: set[bytes] = set()
        while len(made) < wanted:
            self._count()
            item = self.of(first[len(made)] if len(made) < len(first) else rest)
            octets = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
            if form.get("uniqueItems") and octets in seen:
                if len(made) >= low:
                    break
                continue
            seen.add(octets)
            made.append(item)
        return made

    # ------------------------------------------------------------------ values that hold none

    def _string(self, form: SchemaObject) -> JSON:
        written = _FORMATS.get(form.get("format", ""))
        if written is not None:
            return written(self.source)
        low, high = _counts(form, "Length", _MORE_CHARACTERS)
        if low > MAX_SIZE:
            raise _Hopeless
        return "".join(self.source.choices(_LETTERS, k=self.source.randint(low, high)))

    def _integer(self, form: SchemaObject) -> JSON:
        step = Decimal(str(form.get("multipleOf", 1)))
        # The least common step of a fraction and 1 is a multiple of both: 0.5 leads to 1, 1.5 to 3.
        numerator, _ = step.as_integer_ratio()
        return numerator * self._factor(form, Decimal(numerator))

    def _factor(self, form: SchemaObject, step: Decimal) -> int:
        """
        How many steps from 0 lead to a number within the bounds.
        """
        low, high = _range(form)
        first, last = math.ceil(low / step), math.floor(high / step)
        first += first * step == form.get("exclusiveMinimum")
        last -= last * step == form.get("exclusiveMaximum")
        if first > last:
            raise _Hopeless
        return self._within(first, last)

    def _within(self, first: int, last: int) -> int:
        """
        A whole number, the outermost more often than by chance.
        """
        return self.source.choice([first, last, *(self.source.randint(first, last) for _ in range(6))])

    def _number(self, form: SchemaObject) -> JSON:
        low, high = _range(form)
        if "multipleOf" in form:
            step = Decimal(str(form["multipleOf"]))
            return float(step * self._factor(form, step))
        part = self.source.random()
        # Not low + part of the difference, which may be beyond floats.
        chosen = min(max(float(low) * (1 - part) + float(high) * part, float(low)), float(high))
        short = round(chosen, 3)
        return short if low < Decimal(short) < high else chosen


# ------------------------------------------------------------------ keywords

_JOINING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})

_KEYWORDS = {
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "propertyNames"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}
"""What a schema without `type` is about."""

_SIMPLEST = ("null", "boolean", "integer", "number", "string", "array", "object")


def _rank(schema: Any) -> int:
    """
    How much a schema's values hold, by its look alone; a reference may lead to anything.
    """
    if not isinstance(schema, dict):
        return 0
    if "const" in schema or "enum" in schema:
        return 0
    kind = schema.get("type")
    return _SIMPLEST.index(kind) if isinstance(kind, str) else len(_SIMPLEST)


def _known(form: SchemaObject) -> list[JSON]:
    """
    Values that the schema itself names.
    """
    named = list(form.get("examples", ())) if isinstance(form.get("examples"), list) else []
    return [*named, form["default"]] if "default" in form else named


def _counts(form: SchemaObject, of: str, more: int) -> tuple[int, int]:
    """
    The bounds of a length or a number of members, the upper one not far from the lower.
    """
    low = int(form.get(f"min{of}", 0))
    high = int(min(form.get(f"max{of}", low + more), low + more))
    if high < low:
        raise _Hopeless
    return low, high


def _range(form: SchemaObject) -> tuple[Decimal, Decimal]:
    """
    The bounds of a number, those that are not said not far from those that are.
    """
    lows = list(_finite(form, "minimum", "exclusiveMinimum"))
    highs = list(_finite(form, "maximum", "exclusiveMaximum"))
    low = max(lows) if lows else min([Decimal(-_REACH), *(high - _REACH for high in highs)])
    high = min(highs) if highs else max(low + _REACH, Decimal(_REACH))
    return low, high


def _finite(form: SchemaObject, *names: str) -> Iterator[Decimal]:
    for name in names:
        if name in form and math.isfinite(form[name]):
            yield Decimal(str(form[name]))


_STRICTER: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "enum": lambda one, other: [choice for choice in one if choice in other],
    "properties": lambda one, other: {
        name: {"allOf": [one[name], other[name]]} if name in one and name in other else one.get(name, other.get(name))
        for name in dict.fromkeys([*one, *other])
    },
}
"""What holds when two schemas say the same keyword; the later one's word where nothing is said here."""


def _both(one: SchemaObject, other: SchemaObject) -> SchemaObject:
    """
    A schema for what is valid for two.
    """
    both = one | other
    for name in one.keys() & other.keys() & _STRICTER.keys():
        both[name] = _STRICTER[name](one[name], other[name])
    return both


# ------------------------------------------------------------------ formats


def _date(source: random.Random) -> str:
    return f"{source.randint(1970, 2037)}-{source.randint(1, 12):02}-{source.randint(1, 28):02}"


def _time(source: random.Random) -> str:
    return f"{source.randint(0, 23):02}:{source.randint(0, 59):02}:{source.randint(0, 59):02}Z"


def _host(source: random.Random) -> str:
    return f"{''.join(source.choices(string.ascii_lowercase, k=8))}.example"


def _uuid(source: random.Random) -> str:
    digits = f"{source.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"8{digits[17:20]}", digits[20:]))


_FORMATS: dict[str, Callable[[random.Random], str]] = {
    "date": _date,
    "time": _time,
    "date-time": lambda source: f"{_date(source)}T{_time(source)}",
    "duration": lambda source: f"PT{source.randint(0, 10_000)}S",
    "uuid": _uuid,
    "hostname": _host,
    "email": lambda source: f"{source.choice(string.ascii_lowercase)}@{_host(source)}",
    "uri": lambda source: f"https://{_host(source)}/",
    "ipv4": lambda source: f"192.0.2.{source.randint(0, 255)}",
    "ipv6": lambda source: f"2001:db8::{source.randint(1, 0xFFFF):x}",
}
"""Strings of a form; addresses are of the ranges for documentation."""
