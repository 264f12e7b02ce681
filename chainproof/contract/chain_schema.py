"""
A chain's own input and output: a JSON Schema from a file, or from the type hints of its `run_remote`.

The hints are read as the service reads them (basetenlabs/truss, chains/code_gen): one pydantic model of the parameters,
those with a default as `T | None`, other keys ignored; the return type as a root model. The user's module is imported as
it is: whatever it needs must be installed, and whatever its import raises is a mistake of one line.
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
"""Mistakes that are told of one value."""
MAX_ERROR_LENGTH = 200
"""Characters of each."""

_LOOKED_AT = 1000
_CLASS = "expected FILE.py:Class or package.module:Class"


class SchemaError(UsageError):
    """
    A schema or a class that cannot be used; the message is one line.
    """


class InputError(Exception):
    """
    A value that `run_remote` does not take.
    """

    def __init__(self, errors: tuple[tuple[tuple[str | int, ...], str], ...]) -> None:
        super().__init__(f"{len(errors)} mistakes")
        self.errors = errors
        """Place and words of each, as pydantic has them."""


class OutputError(Exception):
    """
    What `run_remote` returned is not what its return type says.
    """


# ------------------------------------------------------------------ schemas


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """
    A JSON Schema: of draft 2020-12, unless its `$schema` names another. Raises SchemaError when it is none.
    """

    source: str
    """Where it came from, as the user named it."""
    document: dict[str, JSON]
    _validator: jsonschema_rs.Validator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            jsonschema_rs.validator_for(self.document, offline=True)  # tells what is wrong with the schema in its words
            # Masked: what a body holds must not stand in a finding.
            validator = jsonschema_rs.validator_for(
                self.document, mask="the value", validate_formats=True, offline=True
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as wrong:
            raise SchemaError(f"{self.source} is not a JSON Schema: {_why(wrong)}") from None
        object.__setattr__(self, "_validator", validator)

    def accepts(self, value: JSON) -> bool:
        """Whether a value is as the schema says, or nested too deeply to tell."""
        return self._accepts(value) or self._accepts(_followable(value))

    def errors(self, value: JSON) -> tuple[str, ...]:
        """What is wrong with a value, at most `MAX_ERRORS` lines without anything of the value; none: nothing is."""
        if self.accepts(value):
            return ()
        try:
            errors = list(islice(self._validator.iter_errors(_followable(value)), _LOOKED_AT))
        except ValueError:
            return ("the value is nested too deeply to say where it is wrong",)
        # Sorted: the validator visits an object's members in no order that it promises.
        return tuple(sorted({_shortened(_placed(error)) for error in errors})[:MAX_ERRORS])

    def _accepts(self, value: JSON) -> bool:
        """
        The same for a value as it is.
        """
        try:
            return self._validator.is_valid(value)
        except UnicodeEncodeError:  # half of a surrogate pair, which the validator cannot read
            return False
        except ValueError:  # the validator's own limit, which is no mistake of the value's
            return True


def load_input_schema(text: str) -> Schema:
    """
    The schema of a chain's input, from a JSON Schema file or the parameters of `run_remote`. Raises SchemaError.
    """
    if _is_file(text):
        return _from_file(text)
    with _blaming(text):
        document = load_entrypoint(text).input_model.model_json_schema()
    return Schema(source=text, document=cast(dict[str, JSON], document))


def load_output_schema(text: str) -> Schema:
    """
    The schema of a chain's output, from a JSON Schema file or the return type of `run_remote`. Raises SchemaError.
    """
    if _is_file(text):
        return _from_file(text)
    output_model = load_entrypoint(text).output_model
    if output_model is None:
        raise SchemaError(f"{text}: run_remote returns a stream, and there is no JSON Schema of a stream")
    with _blaming(text):
        document = output_model.model_json_schema(mode="serialization")
    return Schema(source=text, document=cast(dict[str, JSON], document))


def _is_file(text: str) -> bool:
    """
    Whether a JSON file is named, and not a class. Raises SchemaError where neither is.
    """
    if ":" not in text and not text.endswith(".json"):
        raise SchemaError(f"expected FILE.json, FILE.py:Class or package.module:Class, found {text!r}")
    return text.endswith(".json")


def format_path(place: tuple[str | int, ...] | list[str | int]) -> str:
    """
    A place in a JSON value: `opts.names[0]`; empty for the value itself.
    """
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return parts.removeprefix(".")


def _from_file(text: str) -> Schema:
    """
    A schema in a JSON file.
    """
    try:
        value = parse_json(Path(text).read_bytes())
    except OSError as wrong:
        raise SchemaError(f"cannot read the schema {text}: {wrong.strerror}") from None
    if isinstance(value, InvalidJson | TooDeep) or not isinstance(value, dict):
        found = "is not a JSON object" if not isinstance(value, InvalidJson) else f"is {value.value}"
        raise SchemaError(f"{text} is not a JSON Schema: expected a JSON object, the file {found}")
    return Schema(source=text, document=value)


def _placed(error: jsonschema_rs.ValidationError) -> str:
    """
    What is wrong, and where unless it is the whole.
    """
    place = format_path(error.instance_path)
    return f"`{place}`: {error.message}" if place else error.message


def _why(wrong: Exception) -> str:
    """
    The reason in one line; for a reference that leads elsewhere, what to do.
    """
    if isinstance(wrong, jsonschema_rs.ValidationError):
        if isinstance(wrong.kind, jsonschema_rs.ValidationErrorKind.Referencing):
            return f"{_one_line(wrong.message)}; every $ref must lead to a place in the schema itself"
        return _one_line(_placed(wrong))
    return _one_line(str(wrong))


def _followable(value: JSON) -> JSON:
    """
    A value as the validator can read it: no half of a surrogate pair, no number beyond floats. Both are JSON.
    """
    whole = [value]
    # A list and an index, or an object and a name: nesting costs an item of a list, not a call.
    todo: list[tuple[Any, Any]] = [(whole, 0)]
    while todo:
        holder, place = todo.pop()
        part = holder[place]
        if isinstance(part, list):
            holder[place] = copy = list(part)
            todo.extend((copy, index) for index in range(len(copy)))
        elif isinstance(part, dict):
            holder[place] = named = {_scalar(name): item for name, item in part.items()}
            todo.extend((named, name) for name in named)
        else:
            holder[place] = _scalar(part)
    return whole[0]


def _scalar(value: Any) -> Any:
    """
    The same for a value that holds no others.
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
    `run_remote` of a chain's class, as its type hints have it.
    """

    cls: type
    input_model: type[BaseModel]
    """One field for each parameter; explicit null is taken for whatever has a default."""
    output_model: type[RootModel[Any]] | None
    """Of the return type; None when it is a stream."""
    injected: tuple[str, ...]
    """Parameters without default that the service fills in itself."""
    is_async: bool
    """Whether it is a coroutine function."""

    def arguments(self, value: JSON) -> dict[str, Any]:
        """The arguments that an input stands for, those alone that it names. Raises InputError."""
        try:
            model = self.input_model.model_validate(value)
        except ValidationError as wrong:
            found = wrong.errors(include_url=False, include_input=False)
            raise InputError(tuple((error["loc"], error["msg"]) for error in found)) from None
        return {name: getattr(model, name) for name in sorted(model.model_fields_set)}

    def encode_output(self, result: object) -> bytes:
        """
        What is returned, as JSON: floats that JSON has no number for as null. Raises OutputError when it is not of the
        return type, and whatever pydantic raises when it cannot be written.
        """
        assert self.output_model is not None
        try:
            model = self.output_model(result)
        except ValidationError as wrong:
            raise OutputError(str(wrong)) from None
        return model.model_dump_json().encode()


def load_entrypoint(text: str) -> Entrypoint:
    """
    The entrypoint of a class, loaded from `FILE.py:Class` or `package.module:Class`. Raises SchemaError.
    """
    return entrypoint(load_class(text), text)


def entrypoint(cls: type, source: str) -> Entrypoint:
    """
    `run_remote` of a class. Raises SchemaError, naming the *source*.
    """
    function = inspect.getattr_static(cls, "run_remote", None)
    if not isinstance(function, FunctionType):
        raise SchemaError(
            f"{source}: expected a method run_remote, found {'none' if function is None else 'another thing'}"
        )
    with _blaming(source):
        hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    injected = [parameter for parameter in parameters if _filled_in(parameter, hints)]
    input_model = [parameter for parameter in parameters if parameter not in injected]
    _check(input_model, hints, source)
    with _blaming(source):
        return Entrypoint(
            cls=cls,
            input_model=_input_model(f"{cls.__name__}Input", input_model, hints),
            output_model=_output_model(f"{cls.__name__}Output", hints["return"]),
            injected=tuple(parameter.name for parameter in injected if parameter.default is parameter.empty),
            is_async=inspect.iscoroutinefunction(function),
        )


_FILLED_IN = ("DeploymentContext", "Request")
"""Types of parameters that the service fills in: truss's context and the HTTP request."""
_UNHINTED = ("context", "request")

_STREAMS = (AsyncIterator, AsyncGenerator, AsyncIterable)


def _filled_in(parameter: inspect.Parameter, hints: dict[str, Any]) -> bool:
    """
    Whether a parameter is no part of the input.
    """
    if parameter.name in hints:
        return getattr(hints[parameter.name], "__name__", "") in _FILLED_IN
    return parameter.name in _UNHINTED


def _check(parameters: list[inspect.Parameter], hints: dict[str, Any], source: str) -> None:
    """
    Raise SchemaError for what the service would not deploy.
    """
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise SchemaError(f"{source}: expected named parameters of run_remote, found {str(parameter)!r}")
        if parameter.name.startswith("_"):  # pydantic takes it for a private attribute
            raise SchemaError(f"{source}: expected a parameter without leading underscore, found {parameter.name!r}")
        if parameter.name not in hints:
            raise SchemaError(f"{source}: expected a type hint for the parameter {parameter.name!r} of run_remote")
    if "return" not in hints:
        raise SchemaError(f"{source}: expected a type hint for what run_remote returns")


def _input_model(name: str, parameters: list[inspect.Parameter], hints: dict[str, Any]) -> type[BaseModel]:
    """
    One model of all parameters, defaults optional.
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
    A root model of the return type; None for a stream.
    """
    if typing.get_origin(hint) in _STREAMS or hint in _STREAMS:
        return None
    model = RootModel[hint]
    return type(name, (model,), {"__module__": __name__})


@contextmanager
def _blaming(source: str) -> Iterator[None]:
    """
    Type hints that nobody can resolve, or that have no schema, are the user's.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a parameter may be named like a method of pydantic's
            yield
    except (PydanticUserError, NameError, TypeError, ValueError, SyntaxError) as wrong:
        raise SchemaError(f"{source}: cannot read the type hints of run_remote: {_one_line(str(wrong))}") from None


# ------------------------------------------------------------------ the user's module


def load_class(text: str) -> type:
    """
    The class that `FILE.py:Class` or `package.module:Class` names. Raises SchemaError.
    """
    where, colon, name = text.rpartition(":")
    if not colon or not where or not name.isidentifier():
        raise SchemaError(f"{_CLASS}, found {text!r}")
    module = _file_module(where) if where.endswith(".py") else _named_module(where)
    cls = getattr(module, name, None)
    if not isinstance(cls, type):
        own = sorted(n for n, v in vars(module).items() if isinstance(v, type) and hasattr(v, "run_remote"))
        there = f"it has {', '.join(own)}" if own else "it has none with a run_remote"
        raise SchemaError(f"{where} has no class {name!r}; {there}")
    return cls


def load_function(text: str) -> Callable[..., object]:
    """
    The function that `FILE.py:function` or `package.module:function` names. Raises SchemaError.
    """
    where, colon, name = text.rpartition(":")
    if not colon or not where or not name.isidentifier():
        raise SchemaError(f"expected FILE.py:function or package.module:function, found {text!r}")
    module = _file_module(where) if where.endswith(".py") else _named_module(where)
    function = getattr(module, name, None)
    if not callable(function):
        own = sorted(n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__)
        raise SchemaError(f"{where} has no function {name!r}; it has {', '.join(own) or 'none'}")
    return cast(Callable[..., object], function)


def _file_module(where: str) -> ModuleType:
    """
    The module in a file, imported once for as long as the file stays the same.
    """
    try:
        path = Path(where).resolve(strict=True)
        return _imported(path, path.stat().st_mtime_ns)
    except OSError as wrong:
        raise SchemaError(f"cannot read {where}: {wrong.strerror}") from None


def _named_module(where: str) -> ModuleType:
    """
    A module by its name, as Python finds it from the working folder.
    """
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", where):
        raise SchemaError(f"{_CLASS}, found {where!r} before the colon")
    with _importing(where, Path.cwd()):
        return importlib.import_module(where)


@cache
def _imported(path: Path, changed: int) -> ModuleType:
    """
    The module in a file as it was when it last *changed*.
    """
    del changed
    specification = spec_from_file_location(_free_name(path.stem), path)
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    sys.modules[module.__name__] = module  # where classes look for the names in their hints
    try:
        with _importing(str(path), path.parent):
            specification.loader.exec_module(module)
    except SchemaError:
        del sys.modules[module.__name__]
        raise
    return module


def _free_name(stem: str) -> str:
    """
    The file's own name as a module, unless another module has it.
    """
    if stem not in sys.modules and stem not in sys.stdlib_module_names:
        return stem
    return next(name for number in count(2) if (name := f"{stem}_{number}") not in sys.modules)


@contextmanager
def _importing(where: str, folder: Path) -> Iterator[None]:
    """
    The import of a user's module: its siblings are found, no bytecode is left beside it, and what it prints goes to
    stderr. Raises SchemaError in place of whatever it raises.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as wrong:  # noqa: BLE001  # blamed: the user's module, whatever it does
        reason = _one_line(str(wrong))
        raise SchemaError(f"cannot import {where}: {type(wrong).__name__}{f': {reason}' if reason else ''}") from None
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        sys.dont_write_bytecode = before


def _one_line(text: str) -> str:
    """
    The first line of a text that says something, shortened.
    """
    return _shortened(next((line.strip() for line in text.splitlines() if line.strip()), ""))


def _shortened(text: str) -> str:
    """
    As much of a text as a line shows.
    """
    return text if len(text) <= MAX_ERROR_LENGTH else text[: MAX_ERROR_LENGTH - 1] + "…"
