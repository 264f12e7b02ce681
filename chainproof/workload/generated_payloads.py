"""
Generate small, distinct payloads from a JSON Schema and a seed.

The generator supports what type hints lead to: objects, arrays, strings, numbers, enumerations, alternatives, references
within the schema, bounds and the usual formats. Strings with a `pattern` are taken from `examples` or `default`. Every
generated value is validated against the schema, and invalid ones are discarded.
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
"""The number of distinct payloads to generate."""
MAX_SIZE = 4096
"""Bytes of a payload, encoded."""
MAX_ATTEMPTS = 1000
"""The number of attempts to generate them."""
NAME = "generated"

_ROOMY_DEPTH = 4
_ROOMY_PARTS = 60
"""Beyond this depth or number of parts, a value gets only what the schema requires."""
_MAX_DEPTH = 40
_MAX_PARTS = 1000
_MORE_CHARACTERS = 12
_MORE_ITEMS = 3
_REACH = 1000
"""The distance of a missing bound of a number from the other bound or from 0."""
_LETTERS = string.ascii_letters + string.digits + " -_'éß漢🙂"

SchemaObject = dict[str, Any]
"""A schema that is an object, with its keywords."""


class _Hopeless(Exception):
    """
    The value cannot be completed within the limits.
    """


def generate_payloads(document: SchemaObject, accepts: Callable[[JSON], bool], seed: int) -> tuple[Payload, ...]:
    """
    At most MAX_PAYLOADS distinct JSON objects for the schema in *document*, each valid according to *accepts*.
    """
    # A separate generator, as for every other sequence.
    source = random.Random(f"generated {seed}")
    bodies: dict[bytes, dict[str, JSON]] = {}
    for _ in range(MAX_ATTEMPTS):
        if len(bodies) == MAX_PAYLOADS:
            break
        value = _valid_object(_Value(document, source), accepts)
        if value is not None:
            bodies.setdefault(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), value)
    return tuple(Payload(name=NAME, body=body, weight=1 / len(bodies)) for body in bodies.values())


def _valid_object(value: _Value, accepts: Callable[[JSON], bool]) -> dict[str, JSON] | None:
    """
    A generated object that is valid and small enough, or None.
    """
    try:
        encoded = orjson.dumps(value.of(value.document))
    except (_Hopeless, ArithmeticError, RecursionError, orjson.JSONEncodeError):
        return None  # a number beyond floats, an endless reference
    # Validate the decoded value, since that is what the target receives.
    decoded = orjson.loads(encoded)
    return decoded if isinstance(decoded, dict) and len(encoded) <= MAX_SIZE and accepts(decoded) else None


@dataclass(slots=True)
class _Value:
    """
    A generator for a single value.
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
        """A value for a schema, valid if all keywords are supported. Raises _Hopeless."""
        self._count()
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _Hopeless
        value = self._value_of(self._flat(schema))
        self.depth -= 1
        return value

    def _count(self) -> None:
        self.parts += 1
        if self.parts > _MAX_PARTS:
            raise _Hopeless

    @property
    def _roomy(self) -> bool:
        return self.depth <= _ROOMY_DEPTH and self.parts <= _ROOMY_PARTS

    def _value_of(self, form: SchemaObject) -> JSON:
        """
        A value for a schema without references and alternatives.
        """
        if "const" in form:
            return cast(JSON, form["const"])
        if "enum" in form:
            return cast(JSON, self._one_of(form["enum"]))
        examples = _examples(form)
        if examples and ("pattern" in form or self.source.random() < 0.1):
            return self.source.choice(examples)
        return self._makers[self._type(form)](form)

    def _one_of(self, choices: list[Any]) -> Any:
        if not choices:
            raise _Hopeless
        return self.source.choice(choices)

    def _type(self, form: SchemaObject) -> str:
        """
        The type of a value: from `type`, else from the other keywords, else any scalar type.
        """
        types = form.get("type")
        if isinstance(types, str):
            return types
        if types:
            return str(self.source.choice(types if self._roomy else [min(types, key=_SIMPLEST.index)]))
        implied = next((kind for kind, keywords in _KEYWORDS.items() if keywords & form.keys()), None)
        return implied if implied is not None else self.source.choice(["string", "integer", "boolean", "null"])

    # ------------------------------------------------------------------ combining schemas

    def _flat(self, schema: Any) -> SchemaObject:
        """
        A schema merged with everything that it refers to, and with one of its alternatives.
        """
        self._count()
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise _Hopeless  # `false` accepts nothing
        form = {name: member for name, member in schema.items() if name not in _COMBINING}
        if "$ref" in schema:
            form = _merged(form, self._flat(self._referred(schema["$ref"])))
        for part in schema.get("allOf", ()):
            form = _merged(form, self._flat(part))
        for name in ("anyOf", "oneOf"):
            if name in schema:
                form = _merged(form, self._flat(self._alternative(schema[name])))
        return form

    def _alternative(self, choices: list[Any]) -> Any:
        """
        One of the alternatives; the simplest one if the value is large already.
        """
        return self.source.choice(choices) if self._roomy else min(choices, key=_rank)

    def _referred(self, pointer: str) -> Any:
        """
        The schema that a reference within the document points to.
        """
        node: Any = self.document
        for token in pointer.removeprefix("#").split("/")[1:] if pointer.startswith("#") else [pointer]:
            name = token.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or name not in node:
                raise _Hopeless
            node = node[name]
        if node is self.document and pointer != "#":
            raise _Hopeless  # an anchor, which is not supported
        return node

    # ------------------------------------------------------------------ objects and arrays

    def _object(self, form: SchemaObject) -> JSON:
        properties, required = form.get("properties", {}), set(form.get("required", ()))
        members: dict[str, JSON] = {}
        for name, member in properties.items():
            if name in required or (member is not False and self._roomy and self.source.random() < 0.7):
                members[name] = self.of(member)
        others = form.get("additionalProperties", True)
        # Not in the order of the set, which differs between processes.
        for name in form.get("required", ()):
            if name not in members:
                members[name] = self.of(others)
        low, high = _counts(form, "Properties", _MORE_ITEMS if "additionalProperties" in form and others else 0)
        size = self.source.randint(low, high) if self._roomy else low
        while len(members) < size:
            self._count()
            members.setdefault(self._name(form), self.of(others))
        return members

    def _name(self, form: SchemaObject) -> str:
        """
        A name for an additional property.
        """
        names = form.get("propertyNames", True)
        if names is not True:
            return str(self.of({"type": "string", **names} if isinstance(names, dict) else names))
        return "".join(self.source.choices(string.ascii_lowercase, k=self.source.randint(1, 8)))

    def _array(self, form: SchemaObject) -> JSON:
        prefix, rest = form.get("prefixItems", []), form.get("items", True)
        low, high = _counts(form, "Items", 0 if rest is False else max(_MORE_ITEMS, len(prefix)))
        low = min(max(low, len(prefix)), high)
        if rest is False:
            high = min(high, len(prefix))
        size = self.source.randint(low, max(low, high)) if self._roomy else low
        items: list[JSON] = []
        seen: set[bytes] = set()
        while len(items) < size:
            self._count()
            item = self.of(prefix[len(items)] if len(items) < len(prefix) else rest)
            encoded = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
            if form.get("uniqueItems") and encoded in seen:
                if len(items) >= low:
                    break
                continue
            seen.add(encoded)
            items.append(item)
        return items

    # ------------------------------------------------------------------ scalars

    def _string(self, form: SchemaObject) -> JSON:
        generate = _FORMATS.get(form.get("format", ""))
        if generate is not None:
            return generate(self.source)
        low, high = _counts(form, "Length", _MORE_CHARACTERS)
        if low > MAX_SIZE:
            raise _Hopeless
        return "".join(self.source.choices(_LETTERS, k=self.source.randint(low, high)))

    def _integer(self, form: SchemaObject) -> JSON:
        step = Decimal(str(form.get("multipleOf", 1)))
        # The least common multiple of the step and 1: 1 for 0.5, 3 for 1.5.
        numerator, _ = step.as_integer_ratio()
        return numerator * self._factor(form, Decimal(numerator))

    def _factor(self, form: SchemaObject, step: Decimal) -> int:
        """
        A multiplier of *step* that gives a number within the bounds.
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
        A whole number within the bounds, often one of the bounds.
        """
        return self.source.choice([first, last, *(self.source.randint(first, last) for _ in range(6))])

    def _number(self, form: SchemaObject) -> JSON:
        low, high = _range(form)
        if "multipleOf" in form:
            step = Decimal(str(form["multipleOf"]))
            return float(step * self._factor(form, step))
        fraction = self.source.random()
        # Not low + fraction * (high - low): the difference may be beyond floats.
        number = min(max(float(low) * (1 - fraction) + float(high) * fraction, float(low)), float(high))
        rounded = round(number, 3)
        return rounded if low < Decimal(rounded) < high else number


# ------------------------------------------------------------------ keywords

_COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})

_KEYWORDS = {
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "propertyNames"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}
"""Keywords that imply the type of a schema without `type`."""

_SIMPLEST = ("null", "boolean", "integer", "number", "string", "array", "object")


def _rank(schema: Any) -> int:
    """
    The complexity of a schema's values. References are not followed and count as complex.
    """
    if not isinstance(schema, dict):
        return 0
    if "const" in schema or "enum" in schema:
        return 0
    kind = schema.get("type")
    return _SIMPLEST.index(kind) if isinstance(kind, str) else len(_SIMPLEST)


def _examples(form: SchemaObject) -> list[JSON]:
    """
    The examples and the default of a schema.
    """
    examples = list(form.get("examples", ())) if isinstance(form.get("examples"), list) else []
    return [*examples, form["default"]] if "default" in form else examples


def _counts(form: SchemaObject, unit: str, extra: int) -> tuple[int, int]:
    """
    The bounds of a length or number of members; the upper one is at most *extra* above the lower one.
    """
    low = int(form.get(f"min{unit}", 0))
    high = int(min(form.get(f"max{unit}", low + extra), low + extra))
    if high < low:
        raise _Hopeless
    return low, high


def _range(form: SchemaObject) -> tuple[Decimal, Decimal]:
    """
    The bounds of a number; a missing bound is near the other one.
    """
    lows = list(_finite_values(form, "minimum", "exclusiveMinimum"))
    highs = list(_finite_values(form, "maximum", "exclusiveMaximum"))
    low = max(lows) if lows else min([Decimal(-_REACH), *(high - _REACH for high in highs)])
    high = min(highs) if highs else max(low + _REACH, Decimal(_REACH))
    return low, high


def _finite_values(form: SchemaObject, *names: str) -> Iterator[Decimal]:
    for name in names:
        if name in form and math.isfinite(form[name]):
            yield Decimal(str(form[name]))


_MERGE: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "required": lambda one, other: list(dict.fromkeys([*one, *other])),
    "enum": lambda one, other: [choice for choice in one if choice in other],
    "properties": lambda one, other: {
        name: {"allOf": [one[name], other[name]]} if name in one and name in other else one.get(name, other.get(name))
        for name in dict.fromkeys([*one, *other])
    },
}
"""How to merge a keyword that both schemas have. For other keywords the second schema wins."""


def _merged(one: SchemaObject, other: SchemaObject) -> SchemaObject:
    """
    A schema for the values that are valid for both schemas.
    """
    merged = one | other
    for name in one.keys() & other.keys() & _MERGE.keys():
        merged[name] = _MERGE[name](one[name], other[name])
    return merged


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
"""Generators of strings by format. Addresses are from the ranges for documentation."""
