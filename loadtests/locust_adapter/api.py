"""
What a locustfile needs: the users, our options, and the session that turns Locust's events into a run folder.

Locust knows of options and listeners by what its locustfile imports, so importing this is what attaches them.
"""

from __future__ import annotations

import os

from locust import events

from chainproof.linux import end_with_parent

from ..distributed.session import add_listener
from ..options import add_locust_options
from .roles import start_session
from .users import ClosedUser, OpenUser

__all__ = ["ClosedUser", "OpenUser"]

os.register_at_fork(after_in_child=end_with_parent)
add_listener(events.init_command_line_parser, add_locust_options)
add_listener(events.init, start_session)
