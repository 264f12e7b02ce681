"""The user classes of a run: those of its model, and the target that they name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from locust import TaskSet, User

from chainproof.errors import UsageError, UserCodeError, error_text, place_in
from chainproof.options import TARGET_VARIABLE
from chainproof.target_options import TargetOptions
from chainproof.workload.workload import WorkloadModel

_NOT_THE_USERS = ("chainproof.", "locust.")
"""How the modules of classes begin that a locustfile does not define."""


def classes_of_model(classes: list[type[User]], model: WorkloadModel) -> list[type[User]]:
    """
    The user classes of a model, without those that others inherit from.

    Raises UsageError if there is none, more than one for the open model, or one whose requests we would not see.
    """
    others = [kind.__name__ for kind in classes if not hasattr(kind, "model")]
    if others:
        raise UsageError(
            f"expected subclasses of OpenUser or ClosedUser, found {', '.join(others)}, whose requests are not planned, judged "
            "or recorded; send them with self.client.run_remote in a subclass, or name the classes to run after the options"
        )
    candidates = [kind for kind in classes if getattr(kind, "model", None) is model]
    chosen = [
        kind for kind in candidates if not any(other is not kind and issubclass(other, kind) for other in candidates)
    ]
    if not chosen:
        raise UsageError(
            f"expected a user class of the {model} model in the locustfile, found none: import one, or change --model"
        )
    if model is WorkloadModel.OPEN:
        _check_open_users(chosen)
    return chosen


def _check_open_users(chosen: list[type[User]]) -> None:
    """Raise UsageError for several classes, and for what a plan does not have: a wait_time and the order of a task set."""
    if len(chosen) > 1:
        names = ", ".join(kind.__name__ for kind in chosen)
        raise UsageError(
            f"expected one user class of the open model, found {names}: give the name of one on Locust's command line"
        )
    (kind,) = chosen
    task_sets = [each.__name__ for each in getattr(kind, "custom_tasks", ()) if isinstance(each, type)]
    if task_sets:
        raise UsageError(
            f"expected functions as tasks of {kind.__name__}, found the task set {task_sets[0]}: in the open model each planned "
            "request starts a task; use ClosedUser and --model closed"
        )
    if inspect.getattr_static(kind, "wait_time", None) is not inspect.getattr_static(User, "wait_time", None):
        raise UsageError(
            f"expected no wait_time in {kind.__name__}: in the open model the plan sets the pauses, see --rate; leave it out, "
            "or use ClosedUser and --model closed"
        )


def hosts_of(classes: Iterable[type[User]]) -> dict[type[User], str]:
    """The attribute `host` of each class that has one, before Locust sets it."""
    return {kind: kind.host for kind in classes if kind.host}


def with_class_host(
    requested: TargetOptions,
    hosts: Mapping[type[User], str],
    classes: Iterable[type[User]],
    environment: Mapping[str, str] = os.environ,
    *,
    is_child: bool = False,
) -> TargetOptions:
    """
    The target, taken from the attribute `host` of the users if no option or variable names one, as in Locust.

    Raises UsageError if the users name different targets, or any in a child process of a command that chose the target.
    """
    named = sorted({hosts[kind] for kind in classes if kind in hosts})
    if is_child and named and requested.url is None:
        raise UsageError(f"expected --target with a user class that has a host: use --target {named[0]}, or locust -f")
    if requested.url is not None or environment.get(TARGET_VARIABLE):
        return requested
    if len(named) > 1:
        raise UsageError(f"expected one target, found {' and '.join(named)} as host of the user classes; use --target")
    return replace(requested, url=named[0]) if named else requested


def user_error_note(source: User | TaskSet, error: Exception) -> str:
    """What ended a run after an exception in a user or task set, with the line of the locustfile if it comes from there."""
    if isinstance(error, UserCodeError):
        return str(error)
    for kind in (type(source), type(getattr(source, "user", source))):
        place = "" if kind.__module__.startswith(_NOT_THE_USERS) else place_in(inspect.getsourcefile(kind), error)
        if place:
            return error_text(kind.__name__, error, place)
    return f"{type(error).__name__}: {error}"
