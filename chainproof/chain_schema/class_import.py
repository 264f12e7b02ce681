"""
Import the class or function that an option names, from a file or a module of the user.

The user's dependencies must be installed. An error in the module is reported in one line.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import cast

from .error_text import SchemaError, one_line

_EXPECTED_CLASS = "expected FILE.py:Class or package.module:Class"


def load_class(text: str) -> type:
    """The class that `FILE.py:Class` or `package.module:Class` names. Raises SchemaError."""
    location, colon, name = text.rpartition(":")
    if not colon or not location or not name.isidentifier():
        raise SchemaError(f"{_EXPECTED_CLASS}, found {text!r}")
    module = _module_from_file(location) if location.endswith(".py") else _module_by_name(location)
    cls = getattr(module, name, None)
    if not isinstance(cls, type):
        classes = [n for n, v in vars(module).items() if isinstance(v, type)]
        chains = sorted(n for n in classes if hasattr(getattr(module, n), "run_remote"))
        nearest = [each for each in get_close_matches(name, classes, n=1) if each not in chains]
        available = [f"it has {', '.join(chains)}"] if chains else []
        hints = [f"did you mean {each}?" for each in nearest] or ["it has no class with run_remote"] * (not chains)
        raise SchemaError("; ".join((f"{location} has no class {name!r}", *available, *hints)))
    return cls


def load_function(text: str) -> Callable[..., object]:
    """The function that `FILE.py:function` or `package.module:function` names. Raises SchemaError."""
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
    """The module in a file. It is imported again only after the file has changed."""
    try:
        path = Path(location).resolve(strict=True)
        return _import_file(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise SchemaError(f"cannot read {location}: {error.strerror}") from None


def _module_by_name(location: str) -> ModuleType:
    """The module with a name, searched from the working folder first."""
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", location):
        raise SchemaError(f"{_EXPECTED_CLASS}, found {location!r} before the colon")
    with _user_import(location, Path.cwd()):
        return importlib.import_module(location)


@cache
def _import_file(path: Path, modified_ns: int) -> ModuleType:
    """The module in a file, cached by the time of its last change."""
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
    """The file's name, with a number if another module has that name."""
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
        reason = one_line(str(error))
        raise SchemaError(
            f"cannot import {location}: {type(error).__name__}{f': {reason}' if reason else ''}"
        ) from None
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        sys.dont_write_bytecode = write_no_bytecode
