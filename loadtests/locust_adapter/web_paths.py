"""
The paths that the web form accepts: files and folders below the folder in which Locust was started.

A browser is further from the machine than a shell. It must not make the process read a device that has no end, wait for a
FIFO, or show lines of a file of other users.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chainproof.errors import UsageError

from ..catalogue import workload_names
from ..options import FORM_OPTIONS

_SYSTEM_FOLDERS = tuple(map(Path, ("/dev", "/proc", "/sys")))
"""Never accepted, also if Locust was started in `/`."""


def check_paths(values: Mapping[str, Any], started_with: Mapping[str, Any], folder: Path) -> None:
    """
    Raise UsageError unless every path among the values of a form is below *folder*, and a regular file or a folder.

    The values that Locust was started with are accepted: they came from the command line.
    """
    for option in FORM_OPTIONS:
        value = values.get(option.dest)
        if option.is_path and value and value != started_with.get(option.dest) and value not in workload_names():
            _check_path(option.name, str(value), folder)


def _check_path(name: str, text: str, folder: Path) -> None:
    """Raise UsageError unless a path is below *folder* once its links are resolved, and a file or a folder if it exists."""
    root = Path(os.path.realpath(folder))
    try:
        path = Path(os.path.realpath(root / text))
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG  # a new run folder, or a file whose absence is reported when it is read
    except (OSError, ValueError) as error:  # ValueError: a null character
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{name}: expected a path below {root}, found {text!r}: {why}") from None
    is_system = any(path.is_relative_to(each) and not root.is_relative_to(each) for each in _SYSTEM_FOLDERS)
    if is_system or not path.is_relative_to(root):
        raise UsageError(
            f"{name}: expected a path below {root}, where Locust was started, found {text!r}; move the file there, or give it "
            "when you start Locust"
        )
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UsageError(f"{name}: expected a regular file or a folder, found a device, FIFO or socket: {text!r}")
