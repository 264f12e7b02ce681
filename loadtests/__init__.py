"""
How does an endpoint behave under load?

A locustfile imports them: `from chainproof.loadtests import ClosedUser, OpenUser`. This imports Locust, which patches the
process for gevent. In a locustfile that has already happened; elsewhere it must be the first import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .locust_adapter.api import ClosedUser, OpenUser

__all__ = ["ClosedUser", "OpenUser"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from .locust_adapter import api  # noqa: PLC0415  # late, because the command alone must not be patched by gevent

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
