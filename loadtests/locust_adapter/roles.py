"""
Choose the session of a Locust process by its runner: local, master or worker.
"""

from __future__ import annotations

from typing import Any

from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from ..distributed.master import Master
from ..distributed.session import LocalSession, WriterSession, open_session
from ..distributed.worker import Worker
from .users import keep_default_tasks
from .web_ui import WebUI

SESSION_TYPES = {LocalRunner: LocalSession, MasterRunner: Master, WorkerRunner: Worker}


def start_session(environment: Environment, **_: Any) -> None:
    """
    Open the session for Locust's environment, and add to its web UI.
    """
    keep_default_tasks(environment)
    session = open_session(environment, SESSION_TYPES[type(environment.runner)])
    if isinstance(session, WriterSession) and environment.web_ui is not None:
        WebUI(session, environment.web_ui).attach()
