"""
Which of the three roles a Locust process plays, by the runner that Locust gave it.
"""

from __future__ import annotations

from typing import Any

from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from ..distributed.master import Master
from ..distributed.session import Alone, Writing, open_session
from ..distributed.worker import Worker
from .users import spare_entrances
from .web_ui import Pages

ROLES = {LocalRunner: Alone, MasterRunner: Master, WorkerRunner: Worker}


def take_role(environment: Environment, **_: Any) -> None:
    """
    Open the session of Locust's environment.
    """
    spare_entrances(environment)
    session = open_session(environment, ROLES[type(environment.runner)])
    if isinstance(session, Writing) and environment.web_ui is not None:
        Pages(session, environment.web_ui).attach()
