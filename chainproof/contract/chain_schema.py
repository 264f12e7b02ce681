"""
The schemas of a chain's input and output, from a JSON Schema file or from the type hints of its `run_remote`.

Type hints are read as the service reads them (basetenlabs/truss, chains/code_gen): one pydantic model of the parameters,
in which a parameter with a default is `T | None` and other keys are ignored, and a root model of the return type. The
user's module is imported, so its dependencies must be installed. An error in it is reported in one line.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import sys
import typing
import warnings
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count, islice
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast

import jsonschema_rs
from pydantic import BaseModel, RootModel, ValidationError, create_model
from pydantic.errors import PydanticUserError

from chainproof.errors import UsageError
from chainproof.json_text import JSON, InvalidJson, TooDeep, parse_json

MAX_ERRORS = 10
"""Errors that are reported for one value."""
MAX_ERROR_LENGTH = 200
"""Characters of each error."""

_MAX_SCANNED = 1000
_EXPECTED_CLASS = "expected FILE.py:Class or package.module:Class"


class SchemaError(UsageError):
    """
    A schema or a class that cannot be used. The message is one line.
    """


class InputError(Exception):
    """
    A value that `run_remote` does not accept.
    """

    def __init__(self, errors: tuple[tuple[tuple[str | int, ...], str], ...]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = errors
        """Path and message of each error, from pydantic."""


class OutputError(Exception):
    """
    The output of `run_remote` does not match its return type.
    """


# ------------------------------------------------------------------ schemas


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """
    A JSON Schema: draft 2020-12, unless its `$schema` names another. Raises SchemaError if it is invalid.
    """

    source: str
    """The file or class that the user named."""
    document: dict[str, JSON]
    _validator: jsonschema_rs.Validator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            jsonschema_rs.validator_for(self.document, offline=True)  # its message quotes the schema
            # Masked, since findings must not contain parts of a body.
            validator = jsonschema_rs.validator_for(
                self.document, mask="the value", validate_formats=True, offline=True
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise SchemaError(f"{self.source} is not a JSON Schema: {_reason(error)}") from None
        object.__setattr__(self, "_validator", validator)

    def accepts(self, value: JSON) -> bool:
        """True if a value is valid, or nested too deeply to validate."""
        return self._accepts(value) or self._accepts(_sanitized(value))

    def errors(self, value: JSON) -> tuple[str, ...]:
        """At most `MAX_ERRORS` lines about an invalid value, which do not quote it; none if it is valid."""
        if self.accepts(value):
            return ()
        try:
            errors = list(islice(self._validator.iter_errors(_sanitized(value)), _MAX_SCANNED))
        except ValueError:
            return ("the value is invalid, but nested too deeply to say where",)
        # Sorted, since the validator visits the members of an object in any order.
        return tuple(sorted({_truncated(_error_line(error)) for error in errors})[:MAX_ERRORS])

    def _accepts(self, value: JSON) -> bool:
        """
        True if the unchanged value is valid, or nested too deeply to validate.
        """
        try:
            return self._validator.is_valid(value)
        except UnicodeEncodeError:  # a lone surrogate, which the validator cannot read
            return False
        except ValueError:  # the validator's limit on depth
            return True


def load_input_schema(text: str) -> Schema:
    """
    The schema of a chain's input, from a JSON Schema file or the parameters of `run_remote`. Raises SchemaError.
    """
    if _names_json_file(text):
        return _schema_from_file(text)
    with _hint_errors(text):
        document = load_entrypoint(text).input_model.model_json_schema()
    return Schema(source=text, document=cast(dict[str, JSON], document))


def load_output_schema(text: str) -> Schema:
    """
    The schema of a chain's output, from a JSON Schema file or the return type of `run_remote`. Raises SchemaError.
    """
    if _names_json_file(text):
        return _schema_from_file(text)
    output_model = load_entrypoint(text).output_model
    if output_model is None:
        raise SchemaError(f"{text}: run_remote returns a stream, and a stream has no JSON Schema")
    with _hint_errors(text):
        document = output_model.model_json_schema(mode="serialization")
    return Schema(source=text, document=cast(dict[str, JSON], document))


def _names_json_file(text: str) -> bool:
    """
    True if the text names a JSON file, False for a class. Raises SchemaError for anything else.
    """
    if ":" not in text and not text.endswith(".json"):
        raise SchemaError(f"expected FILE.json, FILE.py:Class or package.module:Class, found {text!r}")
    return text.endswith(".json")


def format_path(path: tuple[str | int, ...] | list[str | int]) -> str:
    """
    A path in a JSON value, such as `opts.names[0]`; empty for the value itself.
    """
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return parts.removeprefix(".")


def _schema_from_file(text: str) -> Schema:
    """
    The schema in a JSON file. Raises SchemaError.
    """
    try:
        value = parse_json(Path(text).read_bytes())
    except OSError as error:
        raise SchemaError(f"cannot read the schema {text}: {error.strerror}") from None
    if isinstance(value, InvalidJson | TooDeep) or not isinstance(value, dict):
        problem = value.value if isinstance(value, InvalidJson) else "not a JSON object"
        raise SchemaError(f"{text} is not a JSON Schema: expected a JSON object, the file is {problem}")
    return Schema(source=text, document=value)


def _error_line(error: jsonschema_rs.ValidationError) -> str:
    """
    The message of an error, after its path.
    """
    path = format_path(error.instance_path)
    return f"`{path}`: {error.message}" if path else error.message


def _reason(error: Exception) -> str:
    """
    The reason why a schema is invalid, in one line.
    """
    if isinstance(error, jsonschema_rs.ValidationError):
        if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Referencing):
            return f"{_one_line(error.message)}; every $ref must point into the schema itself"
        return _one_line(_error_line(error))
    return _one_line(str(error))


def _sanitized(value: JSON) -> JSON:
    """
    A copy that the validator can read: without lone surrogates and numbers beyond floats, which are valid JSON.
    """
    root = [value]
    # Not recursive, since values may be nested more deeply than calls. Each item is a container and an index or name.
    todo: list[tuple[Any, Any]] = [(root, 0)]
    while todo:
        container, key = todo.pop()
        part = container[key]
        if isinstance(part, list):
            container[key] = copy = list(part)
            todo.extend((copy, index) for index in range(len(copy)))
        elif isinstance(part, dict):
            container[key] = named = {_sanitized_scalar(name): item for name, item in part.items()}
            todo.extend((named, name) for name in named)
        else:
            container[key] = _sanitized_scalar(part)
    return root[0]


def _sanitized_scalar(value: Any) -> Any:
    """
    The same for a string, number, boolean or null.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and math.isinf(value):
        return math.copysign(sys.float_info.max, value)
    return value


# ------------------------------------------------------------------ run_remote


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint:
    """
    The `run_remote` of a chain's class, described by its type hints.
    """

    cls: type
    input_model: type[BaseModel]
    """One field for each parameter; a parameter with a default accepts null."""
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
        assert self.output_model is not None
        try:
            model = self.output_model(result)
        except ValidationError as error:
            raise OutputError(str(error)) from None
        return model.model_dump_json().encode()


def load_entrypoint(text: str) -> Entrypoint:
    """
    The entrypoint of a class, loaded from `FILE.py:Class` or `package.module:Class`. Raises SchemaError.
    """
    return entrypoint(load_class(text), text)


def entrypoint(cls: type, source: str) -> Entrypoint:
    """
    The entrypoint of a class. Raises SchemaError with *source* in its message.
    """
    function = inspect.getattr_static(cls, "run_remote", None)
    if not isinstance(function, FunctionType):
        raise SchemaError(
            f"{source}: expected a method run_remote, found {'none' if function is None else 'something else'}"
        )
    with _hint_errors(source):
        hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    injected = [parameter for parameter in parameters if _is_injected(parameter, hints)]
    inputs = [parameter for parameter in parameters if parameter not in injected]
    _check_parameters(inputs, hints, source)
    with _hint_errors(source):
        return Entrypoint(
            cls=cls,
            input_model=_input_model(f"{cls.__name__}Input", inputs, hints),
            output_model=_output_model(f"{cls.__name__}Output", hints["return"]),
            injected=tuple(parameter.name for parameter in injected if parameter.default is parameter.empty),
            is_async=inspect.iscoroutinefunction(function),
        )


_INJECTED_TYPES = ("DeploymentContext", "Request")
"""Types of parameters that the service provides: truss's context and the HTTP request."""
_INJECTED_NAMES = ("context", "request")

_STREAMS = (AsyncIterator, AsyncGenerator, AsyncIterable)


def _is_injected(parameter: inspect.Parameter, hints: dict[str, Any]) -> bool:
    """
    True if the service provides the parameter, so that it is not part of the input.
    """
    if parameter.name in hints:
        return getattr(hints[parameter.name], "__name__", "") in _INJECTED_TYPES
    return parameter.name in _INJECTED_NAMES


def _check_parameters(parameters: list[inspect.Parameter], hints: dict[str, Any], source: str) -> None:
    """
    Raise SchemaError for parameters that the service does not deploy.
    """
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
    """
    A model with one field for each parameter; a field with a default is optional.
    """
    fields: dict[str, Any] = {
        parameter.name: (hints[parameter.name], ...)
        if parameter.default is parameter.empty
        else (hints[parameter.name] | None, None)
        for parameter in parameters
    }
    return cast(type[BaseModel], create_model(name, **fields))


def _output_model(name: str, hint: Any) -> type[RootModel[Any]] | None:
    """
    The root model of the return type; None for a stream.
    """
    if typing.get_origin(hint) in _STREAMS or hint in _STREAMS:
        return None
    model = RootModel[hint]
    return type(name, (model,), {"__module__": __name__})


@contextmanager
def _hint_errors(source: str) -> Iterator[None]:
    """
    Raise SchemaError for type hints that cannot be resolved or have no schema.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a parameter may have the name of a pydantic method
            yield
    except (PydanticUserError, NameError, TypeError, ValueError, SyntaxError) as error:
        raise SchemaError(f"{source}: cannot read the type hints of run_remote: {_one_line(str(error))}") from None


# ------------------------------------------------------------------ the user's module


def load_class(text: str) -> type:
    """
    The class that `FILE.py:Class` or `package.module:Class` names. Raises SchemaError.
    """
    location, colon, name = text.rpartition(":")
    if not colon or not location or not name.isidentifier():
        raise SchemaError(f"{_EXPECTED_CLASS}, found {text!r}")
    module = _module_from_file(location) if location.endswith(".py") else _module_by_name(location)
    cls = getattr(module, name, None)
    if not isinstance(cls, type):
        own = sorted(n for n, v in vars(module).items() if isinstance(v, type) and hasattr(v, "run_remote"))
        available = f"it has {', '.join(own)}" if own else "it has no class with run_remote"
        raise SchemaError(f"{location} has no class {name!r}; {available}")
    return cls


def load_function(text: str) -> Callable[..., object]:
    """
    The function that `FILE.py:function` or `package.module:function` names. Raises SchemaError.
    """
    location, colon, name = text.rpartition(":")
    if not colon or not location or not name.isidentifier():
        raise SchemaError(f"expected FILE.py:function or package.module:function, found {text!r}")
    module = _module_from_file(location) if location.endswith(".py") else _module_by_name(location)
    function = getattr(module, name, None)
    if not callable(function):
        own = sorted(n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__)
        raise SchemaError(f"{location} has no function {name!r}; it has {', '.join(own) or 'none'}")
    return cast(Callable[..., object], function)


def _module_from_file(location: str) -> ModuleType:
    """
    The module in a file. It is imported again only after the file has changed.
    """
    try:
        path = Path(location).resolve(strict=True)
        return _import_file(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise SchemaError(f"cannot read {location}: {error.strerror}") from None


def _module_by_name(location: str) -> ModuleType:
    """
    The module with a name, searched from the working folder first.
    """
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", location):
        raise SchemaError(f"{_EXPECTED_CLASS}, found {location!r} before the colon")
    with _user_import(location, Path.cwd()):
        return importlib.import_module(location)


@cache
def _import_file(path: Path, modified_ns: int) -> ModuleType:
    """
    The module in a file, cached by the time of its last change.
    """
    del modified_ns
    specification = spec_from_file_location(_module_name(path.stem), path)
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    sys.modules[module.__name__] = module  # type hints are resolved through it
    try:
        with _user_import(str(path), path.parent):
            specification.loader.exec_module(module)
    except SchemaError:
        del sys.modules[module.__name__]
        raise
    return module


def _module_name(stem: str) -> str:
    """
    The file's name, with a number if another module has that name.
    """
    if stem not in sys.modules and stem not in sys.stdlib_module_names:
        return stem
    return next(name for number in count(2) if (name := f"{stem}_{number}") not in sys.modules)


@contextmanager
def _user_import(location: str, folder: Path) -> Iterator[None]:
    """
    Prepare the import of a user's module: modules beside it are found, no bytecode is written, and its output goes to
    stderr. Raises SchemaError for every exception.
    """
    write_no_bytecode = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the user's module may raise anything
        reason = _one_line(str(error))
        raise SchemaError(
            f"cannot import {location}: {type(error).__name__}{f': {reason}' if reason else ''}"
        ) from None
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        sys.dont_write_bytecode = write_no_bytecode


def _one_line(text: str) -> str:
    """
    The first non-empty line of a text, truncated.
    """
    return _truncated(next((line.strip() for line in text.splitlines() if line.strip()), ""))


def _truncated(text: str) -> str:
    """
    A text of at most MAX_ERROR_LENGTH characters.
    """
    return text if len(text) <= MAX_ERROR_LENGTH else text[: MAX_ERROR_LENGTH - 1] + "…"
