"""Generate inputs that a chain accepts: the simplest one, a rich one, and different ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any, cast

from chainproof.json_text import JSON, encode_json, parse_json

from .alternatives import Alternatives, TooLarge, Unsatisfiable
from .error_text import SchemaError
from .instances import InstanceGenerator, Position, Style
from .references import Node, SchemaReader
from .schema import Schema

_MAX_REPAIRS = 20
"""How often the parts that the model rejects are generated again."""
_ATTEMPTS = 100
_HOPELESS = 30
"""Attempts without any success after which no more are made."""
_MAX_LOST_WORK = 100_000
"""Schemas that are followed without any success before no more attempts are made."""
_MUCH_WORK = 1_000_000
"""Schemas that are followed for all inputs before a few have to be enough. It takes some seconds."""
_FEW = 5
"""How many inputs are compared to choose the smallest or the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedInput:
    """A valid input, and what is known of its parts."""

    value: dict[str, JSON]
    positions: tuple[Position, ...]

    @property
    def content(self) -> bytes:
        """The input as a request body."""
        return encode_json(self.value)


def no_input(schema: Schema, failure: str) -> SchemaError:
    """The error that no input was found for a schema. *failure* says why, and may be empty."""
    because = f" ({failure})" if failure else ""
    return SchemaError(
        f"found no JSON object that is valid by {schema.source}{because}: add `examples` to the schema, or use --payloads"
    )


@dataclass(slots=True)
class InputGenerator:
    """Generates inputs for a schema."""

    schema: Schema
    failure: str = ""
    """Why the last attempt gave no input; empty if it is not known."""
    _alternatives: Alternatives = field(init=False, repr=False)
    _roots: tuple[Node, Node] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        reader = SchemaReader(self.schema.document)
        self._alternatives = Alternatives(reader)
        self._roots = reader.root, Node({"type": "object"}, reader.root.resolver, reader.root.draft)

    def draw(self, source: Random, style: Style = Style.MIXED) -> GeneratedInput | None:
        """One attempt to generate an input; None if it failed. Equal random numbers give equal inputs."""
        generator = self._generator(source, style)
        try:
            value = generator.value(self._roots)
        except (Unsatisfiable, RecursionError) as error:
            if isinstance(error, TooLarge):
                self._alternatives.work += _MAX_LOST_WORK // 10
            self.failure = str(error) if isinstance(error, Unsatisfiable) else "the value would be too deep"
            return None
        value = self._repaired(value, generator.positions, source, style)
        # The target receives the encoded value, so that one is validated.
        decoded = parse_json(encode_json(value))
        if not isinstance(decoded, dict) or not self.schema.accepts(decoded):
            errors = self.schema.errors(decoded if isinstance(decoded, dict) else value)
            self.failure = errors[0] if errors else ""
            return None
        return GeneratedInput(
            value=cast(dict[str, JSON], value),
            positions=tuple(each for each in generator.positions if _has_path(value, each.path)),
        )

    @property
    def is_exhausted(self) -> bool:
        """True if the inputs so far took so much work that no more should be generated if a few are enough."""
        return self._alternatives.work > _MUCH_WORK

    @property
    def is_hopeless(self) -> bool:
        """True if attempts took so much work that further ones are not worth it, unless one gave an input."""
        return self._alternatives.work > _MAX_LOST_WORK

    def simplest(self) -> GeneratedInput:
        """The smallest input that is found. Raises SchemaError if none is found."""
        simple = self.draw(Random(0), Style.SIMPLE)
        if simple is not None:
            return simple
        return (
            min(islice(self._found(Style.SIMPLE), _FEW), key=lambda found: len(found.content), default=None)
            or self._any()
        )

    def rich(self) -> GeneratedInput:
        """The input with the most parts that is found. Raises SchemaError if none is found."""
        rich = max(islice(self._found(Style.RICH), _FEW), key=lambda found: len(found.positions), default=None)
        return rich or self._any()

    def value_at(self, position: Position, source: Random, style: Style) -> JSON:
        """Another value for a part of an input, of the same alternative. Raises Unsatisfiable."""
        return self._generator(source, style).value(position.nodes)

    def _any(self) -> GeneratedInput:
        """The smallest of a few inputs. Raises SchemaError if there is none."""
        smallest = min(islice(self._found(Style.MIXED), _FEW), key=lambda found: len(found.content), default=None)
        if smallest is None:
            raise no_input(self.schema, self.failure)
        return smallest

    def _found(self, style: Style) -> Iterator[GeneratedInput]:
        """The inputs that are found in a limited number of attempts."""
        is_any_found, start = False, self._alternatives.work
        for seed in range(_ATTEMPTS):
            found = self.draw(Random(seed), style)
            if found is not None:
                is_any_found = True
                yield found
            elif not is_any_found and seed == _HOPELESS:
                return
            if self._alternatives.work - start > (_MUCH_WORK // 2 if is_any_found else _MAX_LOST_WORK):
                return

    def _generator(self, source: Random, style: Style) -> InstanceGenerator:
        return InstanceGenerator(self._alternatives, source, style, any_format=self.schema.model is not None)

    def _repaired(self, value: JSON, positions: list[Position], source: Random, style: Style) -> JSON:
        """The value; the parts that the model rejects are generated again."""
        model = self.schema.model
        for _ in range(_MAX_REPAIRS if model is not None else 0):
            assert model is not None
            rejected = model.rejected_paths(value)
            if not rejected:
                break
            for path in rejected:
                position = _deepest(positions, path)
                if position is None or not position.path:
                    return value
                try:
                    replace_at(value, position.path, self._generator(source, style).value(position.original))
                except (Unsatisfiable, LookupError, TypeError):
                    return value
        return value


def _deepest(positions: list[Position], path: tuple[str | int, ...]) -> Position | None:
    """The deepest part that contains a path. The path of a model may go on with names of alternatives."""
    containing = (position for position in positions if position.path == path[: len(position.path)])
    return max(containing, key=lambda position: len(position.path), default=None)


def _has_path(value: Any, path: tuple[str | int, ...]) -> bool:
    """True if a value has a part at a path; one that was generated again may have other parts."""
    try:
        for step in path:
            value = value[step]
    except (LookupError, TypeError):
        return False
    return True


def replace_at(value: Any, path: tuple[str | int, ...], part: JSON) -> None:
    """Replace a part of a value in place. Raises LookupError or TypeError if the value has no such part."""
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = part
