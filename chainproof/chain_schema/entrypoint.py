"""
The `run_remote` of a chain's class, read from its type hints as the service reads them (basetenlabs/truss, chains/code_gen).

The service makes one pydantic model of the parameters, in which a parameter with a default is `T | None` and other keys
are ignored, and a root model of the return type.
"""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any, cast

from pydantic import BaseModel, RootModel, ValidationError, create_model
from pydantic.errors import PydanticUserError

from chainproof.json_text import JSON

from .class_import import load_class
from .error_text import SchemaError, one_line


class InputError(Exception):
    """A value that `run_remote` does not accept."""

    def __init__(self, errors: tuple[tuple[tuple[str | int, ...], str], ...]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = errors
        """Path and message of each error, from pydantic."""


class OutputError(Exception):
    """The output of `run_remote` does not match its return type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint:
    """The `run_remote` of a chain's class, described by its type hints."""

    cls: type
    input_model: type[BaseModel]
    """The service's model: one field for each parameter; a parameter with a default accepts null."""
    hinted_model: type[BaseModel]
    """The same, but null is accepted only where a type hint or a default allows it."""
    output_model: type[RootModel[Any]] | None
    """The model of the return type; None for a stream."""
    injected: tuple[str, ...]
    """Parameters without default that the service provides."""
    is_async: bool
    """True for a coroutine function."""

    def arguments(self, value: JSON) -> dict[str, Any]:
        """The arguments that an input has, without defaults. Raises InputError."""
        try:
            model = self.input_model.model_validate(value)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            raise InputError(tuple((detail["loc"], detail["msg"]) for detail in details)) from None
        return {name: getattr(model, name) for name in sorted(model.model_fields_set)}

    def encode_output(self, result: object) -> bytes:
        """
        The result as JSON, with null for NaN and infinity. Raises OutputError if it does not match the return type, and
        an exception of pydantic if it cannot be serialised.
        """
        return self._output(result).model_dump_json().encode()

    def output_value(self, result: object) -> object:
        """The result as Python values, without the user's models. Raises OutputError as `encode_output` does."""
        return self._output(result).model_dump(mode="python")

    def _output(self, result: object) -> RootModel[Any]:
        """The result as a model. Raises OutputError."""
        assert self.output_model is not None
        try:
            return self.output_model(result)
        except ValidationError as error:
            raise OutputError(str(error)) from None


def load_entrypoint(text: str) -> Entrypoint:
    """The entrypoint of a class, loaded from `FILE.py:Class` or `package.module:Class`. Raises SchemaError."""
    return entrypoint(load_class(text), text)


def entrypoint(cls: type, source: str) -> Entrypoint:
    """The entrypoint of a class. Raises SchemaError with *source* in its message."""
    function = inspect.getattr_static(cls, "run_remote", None)
    if not isinstance(function, FunctionType):
        raise SchemaError(
            f"{source}: expected a method run_remote, found {'none' if function is None else 'something else'}"
        )
    with hint_errors(source):
        hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    injected = [parameter for parameter in parameters if _is_injected(parameter, hints)]
    inputs = [parameter for parameter in parameters if parameter not in injected]
    _check_parameters(inputs, hints, source)
    with hint_errors(source):
        return Entrypoint(
            cls=cls,
            input_model=_input_model(f"{cls.__name__}Input", inputs, hints),
            hinted_model=_hinted_model(f"{cls.__name__}Input", inputs, hints),
            output_model=output_model(f"{cls.__name__}Output", hints["return"]),
            injected=tuple(parameter.name for parameter in injected if parameter.default is parameter.empty),
            is_async=inspect.iscoroutinefunction(function),
        )


_INJECTED_TYPES = ("DeploymentContext", "Request")
"""Types of parameters that the service provides: truss's context and the HTTP request."""
_INJECTED_NAMES = ("context", "request")

_STREAMS = (AsyncIterator, AsyncGenerator, AsyncIterable)


def _is_injected(parameter: inspect.Parameter, hints: dict[str, Any]) -> bool:
    """True if the service provides the parameter, so that it is not part of the input."""
    if parameter.name in hints:
        return getattr(hints[parameter.name], "__name__", "") in _INJECTED_TYPES
    return parameter.name in _INJECTED_NAMES


def _check_parameters(parameters: list[inspect.Parameter], hints: dict[str, Any], source: str) -> None:
    """Raise SchemaError for parameters that the service does not deploy."""
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise SchemaError(f"{source}: expected named parameters of run_remote, found {str(parameter)!r}")
        if parameter.name.startswith("_"):  # a private attribute in pydantic
            raise SchemaError(f"{source}: expected a parameter without leading underscore, found {parameter.name!r}")
        if parameter.name not in hints:
            raise SchemaError(f"{source}: expected a type hint for the parameter {parameter.name!r} of run_remote")
    if "return" not in hints:
        raise SchemaError(f"{source}: expected a return type hint on run_remote")


def _input_model(name: str, parameters: list[inspect.Parameter], hints: dict[str, Any]) -> type[BaseModel]:
    """A model with one field for each parameter; a field with a default is optional."""
    fields: dict[str, Any] = {
        parameter.name: (hints[parameter.name], ...)
        if parameter.default is parameter.empty
        else (hints[parameter.name] | None, None)
        for parameter in parameters
    }
    return cast(type[BaseModel], create_model(name, **fields))


def _hinted_model(name: str, parameters: list[inspect.Parameter], hints: dict[str, Any]) -> type[BaseModel]:
    """A model of the parameters as their type hints say."""
    fields: dict[str, Any] = {}
    for parameter in parameters:
        hint = hints[parameter.name]
        is_required = parameter.default is parameter.empty
        fields[parameter.name] = (
            hint | None if parameter.default is None else hint,
            ... if is_required else parameter.default,
        )
    return cast(type[BaseModel], create_model(name, **fields))


def output_model(name: str, hint: Any) -> type[RootModel[Any]] | None:
    """The root model of the return type; None for a stream."""
    if typing.get_origin(hint) in _STREAMS or hint in _STREAMS:
        return None
    model = RootModel[hint]
    return type(name, (model,), {"__module__": __name__})


@contextmanager
def hint_errors(source: str) -> Iterator[None]:
    """Raise SchemaError for type hints that cannot be resolved or have no schema."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a parameter may have the name of a pydantic method
            yield
    except (PydanticUserError, NameError, TypeError, ValueError, SyntaxError) as error:
        raise SchemaError(f"{source}: cannot read the type hints of run_remote: {one_line(str(error))}") from None
