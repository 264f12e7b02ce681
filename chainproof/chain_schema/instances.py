"""
Generate JSON values that match a schema, from random numbers.

One generator serves the load tests, which draw from a seed, and the conformance tests, which draw from Hypothesis. Each part
of a value is checked against its own schemas as soon as it is made, so that few attempts are lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from itertools import islice
from random import Random
from typing import Any, cast

from chainproof.json_text import JSON, encode_json

from .alternatives import TYPES, Alternatives, Choose, TooLarge, Unsatisfiable
from .error_text import format_path, truncated
from .numbers import any_number, interval, next_number, simplest_number
from .objects_and_arrays import (
    Items,
    Nodes,
    declared_names,
    dependent_names,
    dependent_schemas,
    least,
    member_schemas,
    most,
    name_patterns,
    required_names,
    unique,
)
from .patterns import matching_string
from .references import Node
from .strings import FORMATS, LETTERS, TEXT_FORMATS, plain_text, text_in_several_scripts

_ROOMY_DEPTH = 4
_ROOMY_PARTS = 60
"""Beyond this depth or number of parts, a value gets only what the schema requires."""
_MAX_REPEATS = 1
"""Values of the same schema, one inside the other, of which a rich one has all that the schema describes."""
_MORE_LEVELS = 2
"""Levels by which a deep alternative may be higher than the simplest one."""
_MAX_DEPTH = 60
_MAX_PARTS = 20_000
_MORE = 3
"""How many items or members a value gets beyond what is required."""
_MORE_CHARACTERS = 12
_MAX_WORK = 100_000
"""Schemas that are followed for one value."""
_MAX_LENGTH = 1_000_000
"""Characters of a string."""
_MAX_CHARACTERS = 4_000_000
"""Characters of all strings in a value."""
_MAX_CHOICES = 100
"""Values of an enumeration that are tried."""
_ATTEMPTS = 6
"""Attempts to make a part of a value."""
_UNIQUE_ATTEMPTS = 30
_MORE_ATTEMPTS = 10
"""Attempts to make a list of different items; further ones for each item, and for each member of an object."""
_MANY_DIGITS = 9
"""Decimal places of numbers of which many must be different."""
_NAMES = 5
"""Patterns of names that are tried in the time of following one schema."""
_EXAMPLE_SHARE = 0.1


class Style(Enum):
    """What to generate, where the schema leaves a choice."""

    SIMPLE = "simple"
    """As little as the schema allows."""
    MIXED = "mixed"
    """Something different each time."""
    RICH = "rich"
    """Every optional property, several different items, and text in several scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A value inside a generated one."""

    path: tuple[str | int, ...]
    nodes: Nodes
    """The schemas that it was made for, without alternatives."""
    original: Nodes = ()
    """The same, with alternatives."""
    is_required: bool
    """True if the value cannot be left out."""


@dataclass(slots=True)
class InstanceGenerator:
    """Generates one value."""

    alternatives: Alternatives
    source: Random
    style: Style
    any_format: bool = False
    """True to write any text for a format that is not known, since a model decides whether it is valid."""
    positions: list[Position] = field(default_factory=list)
    """Every value inside the generated one, the whole last."""
    _path: list[str | int] = field(default_factory=list)
    _parts: int = 0
    _characters: int = 0
    _differs: bool = False
    """True while an item is generated again that was equal to another one."""
    _turn: int = 0
    """How many such items have been numbers: each gets the next one of its range."""
    _open: Counter[int] = field(default_factory=Counter, repr=False)
    """How many values that are being generated have each schema."""
    _last_work: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._last_work = self.alternatives.work + _MAX_WORK

    def value(self, nodes: Iterable[Node], *, is_required: bool = True) -> JSON:
        """A value that matches all schemas. Raises Unsatisfiable."""
        nodes, failure = tuple(nodes), Unsatisfiable()
        for attempt in range(_ATTEMPTS):
            mark = len(self.positions)
            try:
                self._count()
                conjunction = self.alternatives.conjunction(nodes, self._chooser(attempt))
                with self._inside_of(conjunction):
                    value = self._value(conjunction)
            except TooLarge as error:
                raise TooLarge(str(failure) or str(error)) from error
            except Unsatisfiable as error:
                failure = error if str(error) else failure
                del self.positions[mark:]
                continue
            if all(self.alternatives.reader.accepts(node, value) for node in nodes):
                self.positions.append(
                    Position(path=tuple(self._path), nodes=conjunction, original=nodes, is_required=is_required)
                )
                return value
            del self.positions[mark:]
        raise failure if str(failure) or not self._path else Unsatisfiable(f"no value was found{self._place}")

    @property
    def _is_roomy(self) -> bool:
        return len(self._path) < _ROOMY_DEPTH and self._parts <= _ROOMY_PARTS

    @property
    def _is_simple(self) -> bool:
        return self.style is Style.SIMPLE or not self._is_roomy

    @property
    def _is_simplest(self) -> bool:
        """True if a choice may not make the value larger. A deep value may have any of its alternatives."""
        return self.style is Style.SIMPLE or self._parts > _ROOMY_PARTS

    def _count(self) -> None:
        self._parts += 1
        self.alternatives.work += 1
        is_large = self._parts > _MAX_PARTS or len(self._path) > _MAX_DEPTH or self._characters > _MAX_CHARACTERS
        if is_large or self.alternatives.work > self._last_work:
            what = "value would be too large" if is_large else "schema would take too long to follow"
            raise TooLarge(f"the {what}{self._place}")

    def _spend(self, work: int) -> None:
        """Count work for a string. Raises TooLarge."""
        self.alternatives.work += work
        if self.alternatives.work > self._last_work:
            raise TooLarge(f"the pattern{self._place} takes too long to match; add `examples`")

    @property
    def _place(self) -> str:
        """Where the generator is in the value, for a message; empty for the value itself."""
        return f" at `{truncated(format_path(self._path))}`" if self._path else ""

    def _require_at_most(self, limit: int, keyword: str, found: int) -> None:
        """Raise Unsatisfiable if a value would be larger than what is generated."""
        if found > limit:
            raise Unsatisfiable(f"expected a {keyword} of at most {limit}, found {found:.6g}{self._place}")

    def _chooser(self, attempt: int) -> Choose:
        """How to choose an alternative: the simplest one first, if the value is to be simple."""
        is_first = attempt == 0

        def choose(choices: list[Node]) -> Node:
            possible = [choice for choice in choices if choice.schema is not False]
            if not possible:
                raise Unsatisfiable
            if self._is_simplest and is_first:
                return min(possible, key=lambda node: (self.alternatives.height(node), _is_null(node)))
            if self._is_simple and is_first:
                lowest = min(map(self.alternatives.height, possible))
                possible = [node for node in possible if self.alternatives.height(node) <= lowest + _MORE_LEVELS]
            if self.style is Style.RICH and is_first:
                possible = [node for node in possible if not _is_null(node)] or possible
            return self.source.choice(possible)

        return choose

    @contextmanager
    def _inside(self, part: str | int) -> Iterator[None]:
        self._path.append(part)
        try:
            yield
        finally:
            self._path.pop()

    @contextmanager
    def _inside_of(self, nodes: Nodes) -> Iterator[None]:
        schemas = [id(node.schema) for node in nodes]
        self._open.update(schemas)
        try:
            yield
        finally:
            self._open.subtract(schemas)

    def _is_rich(self, nodes: Nodes) -> bool:
        """True if a value gets all that its schemas describe: it does not contain itself too often."""
        return self.style is Style.RICH and all(self._open[id(node.schema)] <= _MAX_REPEATS for node in nodes)

    def _value(self, nodes: Nodes) -> JSON:
        """A value for schemas without alternatives, not checked yet."""
        given = choices(nodes)
        if given is not None:
            few = given
            if len(given) > _MAX_CHOICES:  # checking one takes as long as the list is
                few = (given[:1] if self._is_simple else []) + self.source.sample(given, _MAX_CHOICES)
            accepted = (choice for choice in few if self._is_accepted(choice, nodes))
            return self._one_of(list(accepted if few is given else islice(accepted, 1)))
        examples = [example for example in _examples(nodes) if self._is_accepted(example, nodes)]
        if examples and (_is_hard(nodes) or (self.style is Style.MIXED and self.source.random() < _EXAMPLE_SHARE)):
            return self.source.choice(examples)
        makers: dict[str, Callable[[Nodes], JSON]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
            "boolean": lambda _: self.style is Style.RICH or (self.style is Style.MIXED and self.source.random() < 0.5),
            "null": lambda _: None,
        }
        return makers[self._type(nodes)](nodes)

    def _one_of(self, choices: list[JSON]) -> JSON:
        if not choices:
            raise Unsatisfiable
        return choices[0] if self._is_simplest and not self._differs else self.source.choice(choices)

    def _is_accepted(self, value: JSON, nodes: Nodes) -> bool:
        return all(self.alternatives.reader.accepts(node, value) for node in nodes)

    def _type(self, nodes: Nodes) -> str:
        """The type of the value: one that all schemas allow. Without `type`, mostly the one that the other keywords are about."""
        allowed = list(allowed_types(nodes))
        if not allowed:
            raise Unsatisfiable
        if not any(node.get("type") for node in nodes):
            implied = [
                kind for kind, keywords in _KEYWORDS.items() if any(keywords & node.schema.keys() for node in nodes)
            ]
            if implied and (self._is_simple or self.source.random() < 0.8):
                return implied[0] if self._is_simple else self.source.choice(implied)
            allowed = [
                kind for kind in ("string", "integer", "boolean", "array", "object") if kind in allowed
            ] or allowed
        if self._differs and "string" in allowed:
            return "string"
        if self.style is not Style.MIXED or not self._is_roomy:
            allowed = [kind for kind in allowed if kind != "null"] or allowed
            return allowed[0] if self.style is Style.RICH else min(allowed, key=TYPES.index)
        return self.source.choice(allowed)

    # ------------------------------------------------------------------ objects

    def _object(self, nodes: Nodes) -> JSON:
        nodes, names = self._with_dependencies(nodes, self._first_names(nodes))
        low, high = most(nodes, "minProperties"), least(nodes, "maxProperties")
        self._require_at_most(_MAX_PARTS, "minProperties", low)
        required = set(required_names(nodes)) | {name for chosen in names for name in dependent_names(nodes, chosen)}
        optional = [name for name in names if name not in required]
        while high is not None and len(names) > high and optional:
            names.remove(optional.pop())
        members: dict[str, JSON] = {}
        for name in names:
            self._add_member(members, nodes, name, is_required=name in required)
        self._add_more_members(members, nodes, low, high)
        return members

    def _first_names(self, nodes: Nodes) -> list[str]:
        """The required properties and some of the optional ones."""
        required = set(required_names(nodes))
        name_schemas = [node for node in self._name_schemas(nodes) if node.schema is not True]
        names = []
        for name in unique([*declared_names(nodes), *required_names(nodes)]):
            if self.style is Style.RICH:
                is_chosen = name in required or self._is_rich(nodes)
            else:
                is_chosen = name in required or (not self._is_simple and self.source.random() < 0.7)
            if is_chosen and (name in required or self._is_accepted(name, tuple(name_schemas))):
                names.append(name)
        return names

    def _with_dependencies(self, nodes: Nodes, names: list[str]) -> tuple[Nodes, list[str]]:
        """The schemas and properties, with those that other properties require."""
        reader, done = self.alternatives.reader, set[str]()
        while True:
            new = [name for name in names if name not in done]
            if not new:
                return nodes, names
            done.update(new)
            schemas = [schema for name in new for schema in dependent_schemas(reader, nodes, name)]
            if schemas:
                added = self.alternatives.conjunction(schemas, self._chooser(0))
                nodes = (*nodes, *added)
            more = [other for name in new for other in dependent_names(nodes, name)]
            names = unique([*names, *more, *required_names(nodes)])

    def _add_member(self, members: dict[str, JSON], nodes: Nodes, name: str, *, is_required: bool) -> None:
        """Add a property; an optional one only if it has a value."""
        self.alternatives.work += sum(len(node.get("patternProperties", ())) for node in nodes) // _NAMES
        schemas = member_schemas(self.alternatives.reader, nodes, name)
        mark = len(self.positions)
        try:
            with self._inside(name):
                members[name] = self.value(schemas, is_required=is_required)
        except Unsatisfiable as error:
            del self.positions[mark:]
            if is_required or isinstance(error, TooLarge):
                raise

    def _add_more_members(self, members: dict[str, JSON], nodes: Nodes, low: int, high: int | None) -> None:
        """Add properties that the schema does not name: as many as it requires, and some more if it describes them."""
        is_described = any(
            isinstance(node.get("additionalProperties"), dict) or node.get("patternProperties") for node in nodes
        )
        size = max(low, len(members))
        if is_described and self.style is Style.RICH:
            size = max(size, 2) if self._is_rich(nodes) else size
        elif is_described and not self._is_simple:
            size += self.source.randint(0, _MORE)
        size = size if high is None else min(size, high)
        for attempt in range(_MORE_ATTEMPTS * size):
            if len(members) >= size:
                return
            self._count()
            name = self._new_name(nodes, attempt)
            if name not in members:
                self._add_member(members, nodes, name, is_required=False)
        if len(members) < low:
            raise Unsatisfiable(f"expected {low} members, found names for {len(members)}{self._place}")

    def _name_schemas(self, nodes: Nodes) -> Iterator[Node]:
        """The schemas that property names have to match."""
        reader = self.alternatives.reader
        return (reader.child(node, node.get("propertyNames", True)) for node in nodes if node.draft >= 6)

    def _new_name(self, nodes: Nodes, attempt: int) -> str:
        """A property name that may be allowed."""
        schemas = [node for node in self._name_schemas(nodes) if node.schema is not True]
        patterns = name_patterns(nodes)
        if schemas and (attempt % 2 == 0 or not patterns):
            generator = InstanceGenerator(self.alternatives, self.source, self.style, self.any_format)
            root = self.alternatives.reader.root
            return str(generator.value([*schemas, Node({"type": "string"}, root.resolver, root.draft)]))
        if patterns and attempt % 4 < 3:
            name = matching_string(self.source.choice(patterns), 0, None, self.source, self._spend)
            if name is not None:
                return name
        length = self.source.randint(1, 8)
        return "".join(self.source.choices(LETTERS[:26], k=length))

    # ------------------------------------------------------------------ arrays

    def _array(self, nodes: Nodes) -> JSON:
        items = Items(reader=self.alternatives.reader, nodes=nodes)
        size, low = self._size(items), items.low
        result: list[JSON] = []
        seen: set[bytes] = set()
        failures = 0
        while len(result) < size:
            self._count()
            mark = len(self.positions)
            try:
                with self._inside(len(result)):
                    item = self.value(self._item_schemas(items, len(result), size), is_required=len(result) < low)
            except Unsatisfiable as error:
                if len(result) < low or isinstance(error, TooLarge):
                    raise
                break
            encoded = encode_json(item)
            is_needed = items.are_unique and len(result) < low
            attempts = _UNIQUE_ATTEMPTS + (_MORE_ATTEMPTS * len(result) if is_needed else 0)
            if encoded in seen and (items.are_unique or self.style is Style.RICH) and failures < attempts:
                failures += 1
                self._differs = items.are_unique
                del self.positions[mark:]
                continue
            self._differs = False
            if encoded in seen and items.are_unique:
                del self.positions[mark:]
                break
            seen.add(encoded)
            result.append(item)
        if len(result) < low:
            raise Unsatisfiable(f"expected {low} different items, found {len(result)}{self._place}")
        return result

    def _size(self, items: Items) -> int:
        """The number of items."""
        low, high = items.low, items.high
        self._require_at_most(_MAX_PARTS, "minItems or minContains", low)
        if high is not None and low > high:
            raise Unsatisfiable
        if self._is_rich(items.nodes):
            size = max(low, items.prefix_length, 2)
        elif self._is_simple or self.style is Style.RICH:
            size = max(low, 0)
        else:
            size = self.source.randint(max(low, items.prefix_length), max(low, items.prefix_length, low + _MORE))
        return size if high is None else min(size, high)

    def _item_schemas(self, items: Items, index: int, size: int) -> Iterator[Node]:
        """The schemas of an item; the last ones are those that match `contains`."""
        yield from items.schemas(index)
        if index >= size - items.contained:
            yield from items.contains_schemas()
        elif items.limits_contained:
            yield from self.alternatives.negated(items.contains_schemas())

    # ------------------------------------------------------------------ scalars

    def _string(self, nodes: Nodes) -> JSON:
        low, high = most(nodes, "minLength"), least(nodes, "maxLength")
        self._require_at_most(_MAX_LENGTH, "minLength", low)
        if high is not None and low > high:
            raise Unsatisfiable
        self._characters += low
        self.alternatives.work += low // 100
        for node in nodes:
            text = self._text_by_format(node.get("format"))
            if text is not None:
                return text
        patterns = [node.schema["pattern"] for node in nodes if "pattern" in node.schema]
        if patterns:
            text = matching_string(self.source.choice(patterns), low, high, self.source, self._spend)
            if text is None:
                raise Unsatisfiable(
                    f"no string was found for the pattern {truncated(patterns[0])!r}{self._place}; add `examples`"
                )
            return text
        if any(node.get("contentMediaType") == "application/json" for node in nodes) and low <= 2:
            return "{}"
        if self.style is Style.RICH:
            return text_in_several_scripts(low, high, self.source)
        if self._is_simple and not self._differs:
            return "a" * low
        most_characters = low + _MORE_CHARACTERS
        return plain_text(low, most_characters if high is None else min(high, most_characters), self.source)

    def _text_by_format(self, name: Any) -> str | None:
        """A string of a format; None if any string has the format."""
        if name in FORMATS:
            return FORMATS[name](self.source)
        if name is None or name in TEXT_FORMATS or self.any_format:
            return None
        raise Unsatisfiable(f"the format {truncated(str(name))!r} is not known{self._place}; add `examples`")

    def _number(self, nodes: Nodes) -> JSON:
        allowed = interval(nodes, integers=allowed_types(nodes)[0] == "integer")
        is_simple = self.style is Style.SIMPLE
        number = None
        if self._differs:  # random numbers would find the last of a thousand only after thousands of attempts
            self._turn += 1
            number = next_number(allowed, self._turn)
        if number is None and self._differs:
            number = any_number(allowed, self.source, _MANY_DIGITS)
        elif number is None:
            number = simplest_number(allowed) if is_simple else any_number(allowed, self.source)
        if number is None:
            raise Unsatisfiable
        return number


# ------------------------------------------------------------------ keywords

_KEYWORDS = {
    "object": frozenset(
        {
            "properties", "required", "additionalProperties", "minProperties", "maxProperties", "propertyNames",
            "patternProperties", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties",
        }
    ),
    "array": frozenset(
        {
            "items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "additionalItems",
            "unevaluatedItems",
        }
    ),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}  # fmt: skip
"""Keywords that are about one type. A schema without `type` allows others too."""


def _is_null(node: Node) -> bool:
    return bool(node.get("type") == "null")


@lru_cache(maxsize=1024)
def allowed_types(nodes: Nodes) -> tuple[str, ...]:
    """The types that all schemas allow, in the order of the first one."""
    allowed: list[str] = list(TYPES)
    for node in nodes:
        given = node.get("type")
        if not given:
            continue
        types = [given] if isinstance(given, str) else list(given)
        wider = set(types) | ({"integer"} if "number" in types else set())
        narrower = [kind for kind in allowed if kind in wider]
        # In the order in which the user names them.
        allowed = [kind for kind in types if kind in narrower] + [kind for kind in narrower if kind not in types]
    if "number" in allowed and "integer" in allowed and any(node.get("type") for node in nodes):
        allowed.remove("integer")
    return tuple(allowed)


def choices(nodes: Nodes) -> list[JSON] | None:
    """The values of `const` or `enum`; None without them."""
    for node in nodes:
        if "const" in node.schema and node.draft >= 6:
            return [node.schema["const"]]
    return next((node.schema["enum"] for node in nodes if "enum" in node.schema), None)


def _examples(nodes: Nodes) -> Iterator[JSON]:
    """The examples and the defaults."""
    for node in nodes:
        examples = node.get("examples")
        yield from cast(list[JSON], examples if isinstance(examples, list) else [])
        yield from (node.schema[name] for name in ("example", "default") if name in node.schema)


def _is_hard(nodes: Nodes) -> bool:
    """True if examples are more certain than what can be generated."""
    formats = {node.get("format") for node in nodes} - {None} - TEXT_FORMATS
    return any("pattern" in node.schema for node in nodes) or bool(formats - FORMATS.keys())
