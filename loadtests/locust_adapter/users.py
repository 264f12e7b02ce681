"""
The Locust users: one dispatcher for the open model, any number of users for the closed model.

A locustfile may import both, or subclasses of both: the users of the other model are ignored. A subclass chooses the
payloads with `payload()`, or calls `self.client.run_remote(payload)` in its own tasks. In both cases each request is
planned, measured, judged and recorded.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from chainproof.contract.answer import Answer
from chainproof.errors import YOUR_CODE, UsageError, UserCodeError, error_text, place_in
from chainproof.workload.payloads import Payload, encode_body
from chainproof.workload.workload import WorkloadModel

from ..client.request import PayloadLike
from ..distributed.session import session_of
from ..engine.load_run import LoadRun
from ..recording.in_flight_request import InFlightRequest

Task = Callable[..., Any]


def default_task(own: Task) -> Task:
    """Mark the task that our own users run."""
    own.default_task = True  # type: ignore[attr-defined]  # read when a subclass adds its own tasks
    return own


class ChainClient:
    """The client for tasks of subclasses, as `self.client`."""

    def __init__(self, user: ChainUser) -> None:
        self._user = user
        self._started = False

    def run_remote(self, payload: PayloadLike) -> Answer | None:
        """
        Send a request and wait for the answer. Returns None if there was no answer.

        In the open model this is the planned request that the task was started for, so a task calls it once.
        """
        run = self._user.load_run
        if run is None:
            raise StopUser
        if not self._started and self._user.model is WorkloadModel.CLOSED:
            self._started = True
            run.await_turn()
        request = run.run_remote(payload)
        if request is None:
            raise StopUser
        return request.answer


class ChainUser(User):
    """The common base of the users of both models."""

    abstract = True
    model: ClassVar[WorkloadModel]
    custom_tasks: ClassVar[Sequence[Task]] = ()
    """The tasks that subclasses define."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        default_tasks = [each for each in cls.tasks if getattr(each, "default_task", False)]
        new = [cast(Task, each) for each in cls.tasks if each not in default_tasks and each not in cls.custom_tasks]
        cls.custom_tasks = [*cls.custom_tasks, *new]
        closed = getattr(cls, "model", None) is WorkloadModel.CLOSED
        cls.tasks = list(cls.custom_tasks) if closed and cls.custom_tasks else default_tasks

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client = ChainClient(self)

    @property
    def load_run(self) -> LoadRun | None:
        """The run whose requests this process sends."""
        return session_of(self.environment).load_run

    def payload(self) -> PayloadLike | None:
        """The payload of the next request. Override it; by default the workload's payloads are sent."""
        return None

    @classmethod
    def has_payloads(cls) -> bool:
        """Whether a subclass overrides `payload`."""
        return cls.payload is not ChainUser.payload

    @classmethod
    def payload_sources(cls) -> list[str]:
        """The methods of a subclass that choose payloads, for the manifest."""
        tasks = [f"{cls.__name__}.{each.__name__}" for each in dict.fromkeys(cls.custom_tasks)]
        return tasks or ([f"{cls.__name__}.payload"] if cls.has_payloads() else [])

    def payloads(self) -> Iterator[PayloadLike] | None:
        """The payloads of the requests in order; None for those of the workload."""
        return self._own_payloads() if self.has_payloads() else None

    def _own_payloads(self) -> Iterator[PayloadLike]:
        while True:
            payload = self.payload()
            if payload is None:
                raise TypeError(f"expected {type(self).__name__}.payload() to return a JSON object, found None")
            yield payload if isinstance(payload, Payload) else self._encoded(payload)

    def _encoded(self, body: Mapping[str, Any]) -> Payload:
        """The payload with a body that `payload` returned. Raises UserCodeError if JSON cannot hold it."""
        try:
            return Payload(name="", body=dict(body), text=encode_body(body))
        except UsageError as error:
            method = type(self).payload
            place = f"{inspect.getsourcefile(method)}, line {method.__code__.co_firstlineno}"
            raise UserCodeError(f"{YOUR_CODE}{method.__qualname__}: {error} ({place})") from None


class OpenUser(ChainUser):
    """
    The dispatcher of the open model: one greenlet that follows the plan. `--users` has no effect.

    Tasks of a subclass are started by the plan, each in its own greenlet, and call the chain once.
    """

    model: ClassVar[WorkloadModel] = WorkloadModel.OPEN
    fixed_count = 1

    @default_task
    @task
    def run_open_loop(self) -> None:
        """Start every planned request at its time."""
        run = self.load_run
        if run is not None:
            run.run_open_loop(self.payloads(), self._task_chooser(run.demand.seed) if self.custom_tasks else None)
        raise StopUser

    def _task_chooser(self, seed: int) -> Callable[[InFlightRequest], None]:
        """A function that runs a task, drawn from the seed, for each request."""
        tasks = tasks_with_tags(self.custom_tasks, self.environment)
        if not tasks:
            raise RuntimeError(f"expected a task of {type(self).__name__} with one of --tags, found none")
        if self.environment.parsed_options.equal_weights:
            tasks = list(dict.fromkeys(tasks))
        source = random.Random(f"tasks {seed}")

        def run_task(request: InFlightRequest) -> None:
            chosen = source.choice(tasks)
            try:
                chosen(self)
            except Exception as error:
                place = place_in(inspect.getsourcefile(type(self)), error)
                if not place:
                    raise
                raise UserCodeError(error_text(chosen.__name__, error, place)) from error
            if request.start is None:
                raise RuntimeError(f"expected {chosen.__name__} to call self.client.run_remote, but it did not")

        return run_task


class ClosedUser(ChainUser):
    """
    A user of the closed model: sends a request, waits for the answer, pauses, and repeats.

    If a subclass has tasks, they run in place of that, one after another, with Locust's `wait_time` between them.
    """

    model: ClassVar[WorkloadModel] = WorkloadModel.CLOSED

    @default_task
    @task
    def run_closed_loop(self) -> None:
        """Send requests until the run ends."""
        run = self.load_run
        if run is not None:
            run.run_closed_loop(self.payloads())
        raise StopUser

    def wait_time(self) -> float:
        """The pause after a task: `--think-time`, unless a subclass overrides it."""
        return self.load_run.pause() if self.load_run is not None else 0.0


def tasks_with_tags(tasks: Sequence[Task], environment: Environment) -> list[Task]:
    """The tasks that Locust's `--tags` and `--exclude-tags` select."""
    options = environment.parsed_options
    wanted, unwanted = set(options.tags or ()), set(options.exclude_tags or ())  # type: ignore[union-attr]  # never None here
    tags: dict[Task, set[str]] = {each: getattr(each, "locust_tag_set", set()) for each in tasks}
    return [each for each in tasks if (not wanted or tags[each] & wanted) and not tags[each] & unwanted]


def keep_default_tasks(environment: Environment) -> None:
    """Give our own tasks the tags of `--tags`. Locust would otherwise remove them, since they have none."""
    for own in (OpenUser.run_open_loop, ClosedUser.run_closed_loop):
        own.locust_tag_set = set(environment.parsed_options.tags or ())  # type: ignore[union-attr, attr-defined]  # Locust's attribute
