"""Open one connection before the run starts, so that an unusable proxy or certificate is reported at once."""

from __future__ import annotations

import time

from chainproof.clock import Seconds
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError

from .connect import Connector
from .transport_errors import RequestFailed

HANDSHAKE_TIMEOUT: Seconds = 10.0
"""Covers name resolution, connecting, the proxy and the TLS handshake."""


def check_handshake(endpoint: Endpoint) -> None:
    """Raise UsageError if an https target cannot be reached through the proxy and TLS. Sends no request."""
    if endpoint.target.scheme != "https":
        return
    try:
        Connector(endpoint.target, endpoint.route).open(time.monotonic() + HANDSHAKE_TIMEOUT).close()
    except RequestFailed as error:
        certificate = ", and that the system, SSL_CERT_FILE or --ca-file trusts the certificate"
        is_plain = "does not speak TLS" in error.reason
        raise UsageError(
            f"cannot connect to {endpoint.target.origin}: {error.reason}; nothing was sent. Check the "
            f"URL{'' if is_plain else certificate}."
        ) from None
