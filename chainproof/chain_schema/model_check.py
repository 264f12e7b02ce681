"""Which JSON values a pydantic model accepts. A type hint may be narrower or wider than the JSON Schema derived from it."""

from __future__ import annotations

import math
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


def reads_own_output(model: type[BaseModel]) -> bool:
    """
    True if the model surely reads what it writes. If the user's code decides how a part of it is written, it may not. Keys
    that are one of some numbers are written as texts, which are none of them.
    """
    nodes = _core_nodes(model.__pydantic_core_schema__)
    return not any(_is_own_serialization(node) or _has_literal_keys(node) for node in nodes)


def _has_literal_keys(node: dict[str, Any]) -> bool:
    """True for a dict whose keys are one of some values, and not only texts."""
    keys = node.get("keys_schema")
    literals = keys.get("expected") if isinstance(keys, dict) and keys.get("type") == "literal" else None
    return literals is not None and not all(isinstance(each, str) for each in literals)


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


class InputSchemaGenerator(GenerateJsonSchema):
    """Derives the schema of an input, in which keys of a dict are texts, and a datetime without time zone has none."""

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        """The schema of a dict. Pydantic's own leaves out that keys are numbers, or permits no key at all."""
        document, names = super().dict_schema(schema), _names_of(schema.get("keys_schema", {}))
        if names is not None and names.get("enum") == []:
            return {**document, "maxProperties": 0}
        return document if names is None else {**document, "propertyNames": names}

    def datetime_schema(self, schema: Any) -> JsonSchemaValue:
        """The schema of a datetime."""
        is_naive = schema.get("tz_constraint") == "naive"
        return {"type": "string", "format": "date-time-local"} if is_naive else super().datetime_schema(schema)


_MAX_KEYS = 50
"""How many keys within bounds are named."""


def _names_of(keys: dict[str, Any]) -> JsonSchemaValue | None:
    """A schema of names that are read as the keys of a dict, not of all; None if keys are texts, or of another type."""
    match keys.get("type"):
        case "bool":
            return {"enum": ["true", "false"]}
        case "literal":  # a text is none of the numbers
            texts = [each for each in keys["expected"] if isinstance(each, str)]
            return None if len(texts) == len(keys["expected"]) else {"enum": texts}
        case "enum":
            values = [each.value for each in keys["members"]]
            return None if all(isinstance(each, str) for each in values) else {"enum": [str(each) for each in values]}
        case "int" if keys.keys() & {"ge", "gt", "le", "lt"}:
            highest = min(keys.get("le", math.inf), keys.get("lt", math.inf) - 1)
            lowest = max(keys.get("ge", -math.inf), keys.get("gt", -math.inf) + 1)
            first = int(lowest if math.isfinite(lowest) else highest - _MAX_KEYS + 1)
            return {"enum": [str(key) for key in range(first, first + _MAX_KEYS) if key <= highest]}
        case "int":
            return {"pattern": "^-?[1-9][0-9]{0,3}$"}
        case "float" | "decimal":
            return {"pattern": "^-?[1-9][0-9]{0,3}([.][0-9]{1,2})?$"}
    return None


class OutputSchemaGenerator(InputSchemaGenerator):
    """Derives the schema of an output. What a serializer without return type writes may have any type."""

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        """The schema of a dict. How keys are written that are no texts is left to the model."""
        document = GenerateJsonSchema.dict_schema(self, schema)
        if _names_of(schema.get("keys_schema", {})) is not None:
            document.pop("propertyNames", None)
        return document

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
