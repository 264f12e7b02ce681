"""
What a locustfile imports: the users. Importing this module also adds the options and the session to Locust.

Locust has no other hook: it finds options and listeners by importing the locustfile.
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
