"""Which JSON values a pydantic model accepts. A type hint may be narrower or wider than the JSON Schema derived from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from chainproof.json_text import JSON

from .error_text import format_path

_OWN_VALIDATOR_ERRORS = frozenset({"value_error", "assertion_error"})
"""Types of errors whose message is written by the user's validators, and may quote the value."""

_LIBRARY_MODULES = ("pydantic", "pydantic_core", "builtins", "operator")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCheck:
    """The values that a model accepts, read as the service reads a decoded body: numbers in strings become numbers."""

    model: type[BaseModel]
    by_name: bool = False
    """True to accept a field by its name also where it has an alias, as in outputs."""

    def accepts(self, value: JSON) -> bool:
        """True if the model accepts a value, or it is nested too deeply. Unlike `errors`, it describes no errors, which takes long."""
        try:
            self._validate(value)
        except RecursionError:
            return True
        except Exception:  # noqa: BLE001  # responsible: the model, or a validator of the user's class
            return False
        return True

    def errors(self, value: JSON) -> tuple[str, ...]:
        """One line for each error, which does not quote the value; none if the model accepts it."""
        try:
            return tuple(_line(detail["loc"], detail["type"], detail["msg"]) for detail in self._details(value))
        except RecursionError:
            return ()  # nested too deeply to validate
        except Exception as error:  # noqa: BLE001  # responsible: a validator of the user's class, which rejects the value
            return (f"a validator of the class raised {type(error).__name__}",)

    def rejected_paths(self, value: JSON) -> tuple[tuple[str | int, ...], ...]:
        """Where the errors are; none if that is not known."""
        try:
            return tuple(detail["loc"] for detail in self._details(value))
        except Exception:  # noqa: BLE001  # responsible: as above; `errors` says so
            return ()

    def _validate(self, value: JSON) -> None:
        """Raise an error if the model rejects a value."""
        self.model.model_validate(value, by_alias=self.by_name or None, by_name=self.by_name or None)

    def _details(self, value: JSON) -> list[Any]:
        """The errors as tables: `loc`, `type` and `msg`, as pydantic describes them."""
        try:
            self._validate(value)
        except ValidationError as error:
            return error.errors(include_url=False, include_input=False, include_context=False)
        return []


def _line(location: tuple[str | int, ...], kind: str, message: str) -> str:
    """An error as text, without parts of the value."""
    path = format_path(location)
    if kind in _OWN_VALIDATOR_ERRORS:
        message = "a validator of the class rejects the value"
    # What follows the comma may quote the value: "Input should be a valid UUID, invalid character: found `x` at 1".
    message = message.partition(",")[0] if kind.endswith("_parsing") else message
    return f"`{path}`: {message}" if path else message


def has_own_serializer(model: type[BaseModel]) -> bool:
    """True if the user's code decides how a part of the model is written, so that the model may not read its own output."""
    return any(_is_own_serialization(node) for node in _core_nodes(model.__pydantic_core_schema__))


def _core_nodes(root: object) -> Iterator[dict[str, Any]]:
    """Every table inside a core schema."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, dict):
            yield node
            todo.extend(node.values())
        elif isinstance(node, list | tuple):
            todo.extend(node)


def _is_own_serialization(node: dict[str, Any]) -> bool:
    """True for a serializer function of the user, and for computed fields."""
    serialization = node.get("serialization")
    function = serialization.get("function") if isinstance(serialization, dict) else None
    module = getattr(function, "__module__", None) or "builtins"
    return bool(node.get("computed_fields")) or module.partition(".")[0] not in _LIBRARY_MODULES


class OutputSchemaGenerator(GenerateJsonSchema):
    """Derives the schema of an output. What a serializer without return type writes may have any type."""

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        """The schema of what a serializer writes; None if it writes the value as its type does."""
        is_function = str(schema.get("type", "")).startswith("function-")
        if is_function and schema.get("return_schema") is None and _is_own_serialization({"serialization": schema}):
            return {}
        return super().ser_schema(schema)


def without_formats(node: Any) -> Any:
    """A derived schema without `format` and `pattern`: a naive datetime is valid for its type, but not as a `date-time`."""
    if isinstance(node, list):
        return [without_formats(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _without_formats_in(name, member) for name, member in node.items() if name not in ("format", "pattern")
    }


def _without_formats_in(name: str, member: Any) -> Any:
    """The value of a keyword; `properties` and `$defs` map any name, also `format`, to a schema."""
    if name in ("const", "enum", "default", "examples", "required"):
        return member
    if name in ("properties", "$defs") and isinstance(member, dict):
        return {key: without_formats(schema) for key, schema in member.items()}
    return without_formats(member)
