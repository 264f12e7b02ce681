"""
The locustfile for `locust -f`: importing the users also adds the options and the run folder.

The import is absolute because Locust loads this file by its path, outside of any package.
"""

from __future__ import annotations

from chainproof.loadtests import ClosedUser, OpenUser

__all__ = ["ClosedUser", "OpenUser"]
