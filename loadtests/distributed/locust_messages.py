"""
The messages that a Locust worker sends, and the types of what is in them.

Locust's master reads them without looking: a missing key would end the greenlet that listens to all workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypedDict

from chainproof.typed_json import has_type


class Ignored(StrEnum):
    """Why something that arrived at the master's port was ignored."""

    CONNECTION = "connections_without_token"
    MALFORMED = "malformed_messages"
    FOREIGN = "messages_of_other_workers"
    """From a process that has the token and takes no part in the run."""
    DUPLICATE = "duplicate_reports"


class EntryData(TypedDict):
    """Locust's statistics of one name."""

    name: str
    method: str
    last_request_timestamp: float | None
    start_time: float
    num_requests: int
    num_none_requests: int
    num_failures: int
    total_response_time: float
    max_response_time: float
    min_response_time: float | None
    total_content_length: int
    response_times: dict[int, int] | dict[float, int]
    num_reqs_per_sec: dict[int, int]
    num_fail_per_sec: dict[int, int]


class ErrorData(TypedDict):
    """Locust's count of one kind of failure."""

    name: str
    method: str
    error: str
    occurrences: int
    first_seen: float | None
    last_seen: float | None


class UsersData(TypedDict):
    """How many users a worker runs."""

    user_classes_count: dict[str, int]
    user_count: int


class StatsData(UsersData):
    """The statistics of a worker since its last message."""

    stats: list[EntryData]
    stats_total: EntryData
    errors: dict[str, ErrorData]


class HeartbeatData(TypedDict):
    """The state of a worker."""

    state: str
    current_cpu_usage: float
    current_memory_usage: float


class LogsData(TypedDict):
    """The log of a worker."""

    worker_id: str
    logs: list[str]


class ExceptionData(TypedDict):
    """An exception in a user."""

    msg: str
    traceback: str


_TYPES: Mapping[str, Any] = {
    "client_ready": str,
    "heartbeat": HeartbeatData,
    "stats": StatsData,
    "spawning_complete": UsersData,
    "logs": LogsData,
    "exception": ExceptionData,
}


KINDS = frozenset({*_TYPES, "client_stopped", "quit", "spawning"})
"""The kinds of messages that Locust's workers send."""


def is_valid(kind: object, content: object) -> bool:
    """
    Whether the master can read a message of a worker.

    The content of other kinds is left to their listeners. A request for the locustfile is not answered: our workers have
    their own.
    """
    return isinstance(kind, str) and kind != "locustfile" and has_type(content, _TYPES.get(kind, object))
