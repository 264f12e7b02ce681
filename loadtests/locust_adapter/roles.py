"""
Which of the three roles a Locust process plays, by the runner that Locust gave it.
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
    Open the session of Locust's environment.
    """
    keep_default_tasks(environment)
    session = open_session(environment, SESSION_TYPES[type(environment.runner)])
    if isinstance(session, WriterSession) and environment.web_ui is not None:
        WebUI(session, environment.web_ui).attach()
