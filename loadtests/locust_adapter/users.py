"""
Locust's users: one dispatcher for the open model, any number of callers for the closed one.

A locustfile may import both, or subclasses of both: a run has one model, and the users of the other are set aside. A
subclass says what is sent by `payload()`, or calls `self.client.run_remote(payload)` in tasks of its own. Either way
each request is planned, measured, judged and recorded like any other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, cast

from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from chainproof.contract.answer import Answer
from chainproof.workload.workload import Model

from ..distributed.session import session_of
from ..engine.load_run import Body, Flight, LoadRun

Task = Callable[..., Any]


def entrance(own: Task) -> Task:
    """
    Mark a task as the one through which our own users send.
    """
    own.entrance = True  # type: ignore[attr-defined]  # read where subclasses add tasks of their own
    return own


class RunRemote:
    """
    What a user's own tasks call.
    """

    def __init__(self, user: OwnUser) -> None:
        self._user = user

    def run_remote(self, payload: Body) -> Answer | None:
        """
        Call the chain and await what becomes of it: the answer, or None where none came.

        In the open model it is the request that the plan has started this task for; one to a task.
        """
        run = self._user.load
        if run is None:
            raise StopUser
        run.await_zero()
        flight = run.turn() or run.own_turn()
        if flight is None:
            raise StopUser
        run.fly(flight, run.prepared(payload))
        return flight.answer


class OwnUser(User):
    """
    What the users of both models have in common.
    """

    abstract = True
    model: ClassVar[Model]
    own_tasks: ClassVar[Sequence[Task]] = ()
    """The tasks of a subclass."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        entrances = [each for each in cls.tasks if getattr(each, "entrance", False)]
        new = [cast(Task, each) for each in cls.tasks if each not in entrances and each not in cls.own_tasks]
        cls.own_tasks = [*cls.own_tasks, *new]
        closed = getattr(cls, "model", None) is Model.CLOSED
        cls.tasks = list(cls.own_tasks) if closed and cls.own_tasks else entrances

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client = RunRemote(self)

    @property
    def load(self) -> LoadRun | None:
        """The run under way in this process."""
        return session_of(self.environment).load

    def payload(self) -> Body | None:
        """What the next request carries; None for what the workload says. To be overridden."""
        return None

    @classmethod
    def has_payloads(cls) -> bool:
        """Whether a subclass says what is sent."""
        return cls.payload is not OwnUser.payload

    @classmethod
    def own_sources(cls) -> list[str]:
        """What of a subclass says what is sent, for the record."""
        tasks = [f"{cls.__name__}.{each.__name__}" for each in dict.fromkeys(cls.own_tasks)]
        return tasks or ([f"{cls.__name__}.payload"] if cls.has_payloads() else [])

    def payloads(self) -> Iterator[Body] | None:
        """What the requests carry, one after another; None for what the workload says."""
        return self._own_payloads() if self.has_payloads() else None

    def _own_payloads(self) -> Iterator[Body]:
        while True:
            said = self.payload()
            if said is None:
                raise TypeError(f"expected {type(self).__name__}.payload() to return a JSON object, found None")
            yield said


class OpenUser(OwnUser):
    """
    The dispatcher of the open model: one greenlet that walks the plan, whatever --users says.

    Tasks of a subclass are started by the plan, each in a greenlet of its own, and call the chain once.
    """

    model: ClassVar[Model] = Model.OPEN
    fixed_count = 1

    @entrance
    @task
    def walk(self) -> None:
        """Start every planned request at its time."""
        run = self.load
        if run is not None:
            run.walk_plan(self.payloads(), self._turns(run.demand.seed) if self.own_tasks else None)
        raise StopUser

    def _turns(self, seed: int) -> Callable[[Flight], None]:
        """
        Each request by one of the tasks, drawn from the seed.
        """
        tasks = tagged(self.own_tasks, self.environment)
        if not tasks:
            raise RuntimeError(f"expected a task of {type(self).__name__} with one of --tags, found none")
        drawn = random.Random(f"tasks {seed}")

        def take(flight: Flight) -> None:
            chosen = drawn.choice(tasks)
            chosen(self)
            if flight.start is None:
                raise RuntimeError(f"expected {chosen.__name__} to call self.client.run_remote, and it did not")

        return take


class ClosedUser(OwnUser):
    """
    A caller of the closed model: sends, awaits, thinks.

    Tasks of a subclass take the place of that, one after another, with Locust's `wait_time` between them.
    """

    model: ClassVar[Model] = Model.CLOSED

    @entrance
    @task
    def converse(self) -> None:
        """Call again and again until the run is over."""
        run = self.load
        if run is not None:
            run.converse(self.payloads())
        raise StopUser

    def wait_time(self) -> float:
        """The pause after a task: --think-time, unless a subclass says otherwise."""
        return self.load.demand.workload.think_time if self.load is not None else 0.0


def tagged(tasks: Sequence[Task], environment: Environment) -> list[Task]:
    """
    The tasks that Locust's --tags and --exclude-tags leave.
    """
    options = environment.parsed_options
    wanted, unwanted = set(options.tags or ()), set(options.exclude_tags or ())  # type: ignore[union-attr]  # there is
    tags: dict[Task, set[str]] = {each: getattr(each, "locust_tag_set", set()) for each in tasks}
    return [each for each in tasks if (not wanted or tags[each] & wanted) and not tags[each] & unwanted]


def spare_entrances(environment: Environment) -> None:
    """
    Keep Locust's --tags from setting aside the tasks through which our own users send: those have no tags.
    """
    for own in (OpenUser.walk, ClosedUser.converse):
        own.locust_tag_set = set(environment.parsed_options.tags or ())  # type: ignore[union-attr, attr-defined]  # Locust's own
