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
from chainproof.workload.workload import WorkloadModel

from ..client.request import PayloadLike
from ..distributed.session import session_of
from ..engine.load_run import LoadRun
from ..recording.in_flight_request import InFlightRequest

Task = Callable[..., Any]


def default_task(own: Task) -> Task:
    """
    Mark a task as the one through which our own users send.
    """
    own.default_task = True  # type: ignore[attr-defined]  # read where subclasses add tasks of their own
    return own


class ChainClient:
    """
    What a user's own tasks call.
    """

    def __init__(self, user: ChainUser) -> None:
        self._user = user

    def run_remote(self, payload: PayloadLike) -> Answer | None:
        """
        Call the chain and await what becomes of it: the answer, or None where none came.

        In the open model it is the request that the plan has started this task for; one to a task.
        """
        run = self._user.load_run
        if run is None:
            raise StopUser
        request = run.run_remote(payload)
        if request is None:
            raise StopUser
        return request.answer


class ChainUser(User):
    """
    What the users of both models have in common.
    """

    abstract = True
    model: ClassVar[WorkloadModel]
    custom_tasks: ClassVar[Sequence[Task]] = ()
    """The tasks of a subclass."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        entrances = [each for each in cls.tasks if getattr(each, "default_task", False)]
        new = [cast(Task, each) for each in cls.tasks if each not in entrances and each not in cls.custom_tasks]
        cls.custom_tasks = [*cls.custom_tasks, *new]
        closed = getattr(cls, "model", None) is WorkloadModel.CLOSED
        cls.tasks = list(cls.custom_tasks) if closed and cls.custom_tasks else entrances

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client = ChainClient(self)

    @property
    def load_run(self) -> LoadRun | None:
        """The run under way in this process."""
        return session_of(self.environment).load_run

    def payload(self) -> PayloadLike | None:
        """What the next request carries; None for what the workload says. To be overridden."""
        return None

    @classmethod
    def has_payloads(cls) -> bool:
        """Whether a subclass says what is sent."""
        return cls.payload is not ChainUser.payload

    @classmethod
    def payload_sources(cls) -> list[str]:
        """What of a subclass says what is sent, for the record."""
        tasks = [f"{cls.__name__}.{each.__name__}" for each in dict.fromkeys(cls.custom_tasks)]
        return tasks or ([f"{cls.__name__}.payload"] if cls.has_payloads() else [])

    def payloads(self) -> Iterator[PayloadLike] | None:
        """What the requests carry, one after another; None for what the workload says."""
        return self._own_payloads() if self.has_payloads() else None

    def _own_payloads(self) -> Iterator[PayloadLike]:
        while True:
            said = self.payload()
            if said is None:
                raise TypeError(f"expected {type(self).__name__}.payload() to return a JSON object, found None")
            yield said


class OpenUser(ChainUser):
    """
    The dispatcher of the open model: one greenlet that walks the plan, whatever --users says.

    Tasks of a subclass are started by the plan, each in a greenlet of its own, and call the chain once.
    """

    model: ClassVar[WorkloadModel] = WorkloadModel.OPEN
    fixed_count = 1

    @default_task
    @task
    def run_open_loop(self) -> None:
        """Start every planned request at its time."""
        run = self.load_run
        if run is not None:
            run.run_open_loop(self.payloads(), self._turns(run.demand.seed) if self.custom_tasks else None)
        raise StopUser

    def _turns(self, seed: int) -> Callable[[InFlightRequest], None]:
        """
        Each request by one of the tasks, drawn from the seed.
        """
        tasks = tasks_with_tags(self.custom_tasks, self.environment)
        if not tasks:
            raise RuntimeError(f"expected a task of {type(self).__name__} with one of --tags, found none")
        drawn = random.Random(f"tasks {seed}")

        def take(request: InFlightRequest) -> None:
            chosen = drawn.choice(tasks)
            chosen(self)
            if request.start is None:
                raise RuntimeError(f"expected {chosen.__name__} to call self.client.run_remote, and it did not")

        return take


class ClosedUser(ChainUser):
    """
    A caller of the closed model: sends, awaits, thinks.

    Tasks of a subclass take the place of that, one after another, with Locust's `wait_time` between them.
    """

    model: ClassVar[WorkloadModel] = WorkloadModel.CLOSED

    @default_task
    @task
    def run_closed_loop(self) -> None:
        """Call again and again until the run is over."""
        run = self.load_run
        if run is not None:
            run.run_closed_loop(self.payloads())
        raise StopUser

    def wait_time(self) -> float:
        """The pause after a task: --think-time, unless a subclass says otherwise."""
        return self.load_run.demand.workload.think_time if self.load_run is not None else 0.0


def tasks_with_tags(tasks: Sequence[Task], environment: Environment) -> list[Task]:
    """
    The tasks that Locust's --tags and --exclude-tags leave.
    """
    options = environment.parsed_options
    wanted, unwanted = set(options.tags or ()), set(options.exclude_tags or ())  # type: ignore[union-attr]  # there is
    tags: dict[Task, set[str]] = {each: getattr(each, "locust_tag_set", set()) for each in tasks}
    return [each for each in tasks if (not wanted or tags[each] & wanted) and not tags[each] & unwanted]


def keep_default_tasks(environment: Environment) -> None:
    """
    Keep Locust's --tags from setting aside the tasks through which our own users send: those have no tags.
    """
    for own in (OpenUser.run_open_loop, ClosedUser.run_closed_loop):
        own.locust_tag_set = set(environment.parsed_options.tags or ())  # type: ignore[union-attr, attr-defined]  # Locust's own
