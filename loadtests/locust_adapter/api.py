"""
What a locustfile imports: the users. Importing this module also adds the options and the session to Locust.

Locust has no other hook: it finds options and listeners by importing the locustfile.
"""

from __future__ import annotations

import os
from typing import Any

from locust import events
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from chainproof.linux import end_with_parent

from ..distributed.master import Master
from ..distributed.session import add_listener, open_session
from ..distributed.transport import use_encrypted_sockets
from ..distributed.worker import Worker
from ..distributed.writer_session import LocalSession, WriterSession
from ..locust_arguments import add_locust_options
from .users import ClosedUser, OpenUser, keep_default_tasks
from .web_ui import WebUI

__all__ = ["ClosedUser", "OpenUser"]

_SESSION_TYPES = {LocalRunner: LocalSession, MasterRunner: Master, WorkerRunner: Worker}


def _start_session(environment: Environment, **_: Any) -> None:
    """Open the session that fits the runner of Locust's environment, and add to its web UI."""
    keep_default_tasks(environment)
    session = open_session(environment, _SESSION_TYPES[type(environment.runner)])
    if isinstance(session, WriterSession) and environment.web_ui is not None:
        WebUI(session, environment.web_ui).attach()


use_encrypted_sockets()
os.register_at_fork(after_in_child=end_with_parent)
add_listener(events.init_command_line_parser, add_locust_options)
add_listener(events.init, _start_session)
