"""
Header fields that a caller wants sent along: anything but what carries secrets or frames the message.
"""

from __future__ import annotations

import re

from chainproof.errors import UsageError

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")

CREDENTIAL_FIELDS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})
"""Fields that carry credentials: an option stands in the process list and in the run folder, so they are refused."""

RESERVED_FIELDS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"}
)
"""Fields that frame or route the message: what they say is what is being tested."""

HeaderField = tuple[str, str]


class HeaderError(UsageError):
    """
    A header field that is not sent along; the message says why, and never repeats its value.
    """


def parse_header(text: str) -> HeaderField:
    """
    The name and value of `Name: value`. Raises HeaderError.

    >>> parse_field("X-Tenant: blue")
    ('X-Tenant', 'blue')
    """
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise HeaderError("expected --header 'Name: value' with a header field's name before the colon")
    if name.lower() in CREDENTIAL_FIELDS:
        raise HeaderError(f"--header takes no secrets, found {name}: the key comes from the environment")
    if name.lower() in RESERVED_FIELDS:
        raise HeaderError(f"--header cannot set {name}: it frames or routes the request, and is ours to send")
    if not _VALUE.fullmatch(value):
        raise HeaderError(f"expected printable ASCII as the value of {name}")
    return name, value.strip()
