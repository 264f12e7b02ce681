"""
One connection before the first request, over which nothing is sent: whoever cannot get there should not ask for hours.
"""

from __future__ import annotations

import time

from chainproof.clock import Seconds
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError

from .connect import Connector
from .transport_errors import RequestFailed

HANDSHAKE_TIMEOUT: Seconds = 10.0
"""For the whole of it: name, connection, proxy, handshake."""


def check_handshake(chosen: Endpoint) -> None:
    """
    Raise UsageError where a proxy or TLS stands in the way to a target; that somebody listens is known by now.
    """
    if chosen.target.scheme != "https":
        return
    try:
        Connector(chosen.target, chosen.route).open(time.monotonic() + HANDSHAKE_TIMEOUT).close()
    except RequestFailed as wrong:
        raise UsageError(
            f"cannot connect to {chosen.target.origin}: {wrong.reason}; nothing was sent. Is the URL right, and its "
            "certificate one that the system, SSL_CERT_FILE or --ca-file trusts?"
        ) from None
