"""Additional header fields from `--header`: any but those that carry credentials or frame the message."""

from __future__ import annotations

import re

from chainproof.errors import UsageError

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")

CREDENTIAL_FIELDS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})
"""Fields that carry credentials. They are rejected, since options appear in the process list and the run folder."""

RESERVED_FIELDS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"}
)
"""Fields that frame or route the message. The checks set them."""

HeaderField = tuple[str, str]


class HeaderError(UsageError):
    """A header field that cannot be added. The message does not show its value."""


def parse_header(text: str) -> HeaderField:
    """
    The name and value of `Name: value`. Raises HeaderError.

    >>> parse_header("X-Tenant: blue")
    ('X-Tenant', 'blue')
    """
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise HeaderError("expected --header 'Name: value', with the name of a header field before the colon")
    if name.lower() in CREDENTIAL_FIELDS:
        raise HeaderError(f"--header cannot set {name}: credentials must come from the environment")
    if name.lower() in RESERVED_FIELDS:
        raise HeaderError(f"--header cannot set {name}: chainproof sets the fields that frame or route the request")
    if not _VALUE.fullmatch(value):
        raise HeaderError(f"expected printable ASCII as the value of {name}")
    return name, value.strip()
