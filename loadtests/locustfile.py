"""
What `locust -f` loads: the users, our options, and the session that turns Locust's events into a run folder.

The imports are absolute because Locust loads this file by its path, outside of any package.
"""

from __future__ import annotations

from locust import events

from chainproof.loadtests.options import add_locust_options
from chainproof.loadtests.session import listen, open_session
from chainproof.loadtests.users import ClosedUser, OpenUser

__all__ = ["ClosedUser", "OpenUser"]

listen(events.init_command_line_parser, add_locust_options)
listen(events.init, open_session)
