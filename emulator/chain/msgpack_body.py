"""
Bodies in msgpack, as the chain's server reads and writes them under `Content-Type: application/octet-stream`.

Dates, decimals and UUIDs are maps with a marker, as in basetenlabs/truss. Its numpy arrays are not supported.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast

import msgpack

from chainproof.json_text import JSON


class MsgpackError(ValueError):
    """A body that is not msgpack, with the message of the library."""


def unpack_body(body: bytes) -> JSON:
    """The value of a body. Raises MsgpackError."""
    try:
        return cast(JSON, msgpack.unpackb(body, object_hook=_decode_map))
    except ValueError as error:  # every error of the library is one
        raise MsgpackError(str(error)) from None


def pack_output(value: object) -> bytes:
    """The output as msgpack; bytes are returned unchanged. Raises TypeError and ValueError for other types."""
    return value if isinstance(value, bytes) else cast(bytes, msgpack.packb(value, default=_encode_object))


_DATA = b"data"


def _iso_without_zone(value: time) -> str:
    """A time of day in ISO 8601. Raises ValueError if it has a time zone."""
    if value.utcoffset() is not None:
        raise ValueError("Cannot represent timezone-aware times.")
    return value.isoformat()


def _iso_with_z(value: datetime) -> str:
    """A point in time in ISO 8601, with Z for UTC."""
    text = value.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


_TYPES: tuple[tuple[type, bytes, Callable[[Any], object], Callable[[Any], object]], ...] = (
    (datetime, b"__dt_datetime_iso__", _iso_with_z, datetime.fromisoformat),  # before date, which is its base class
    (date, b"__dt_date_iso__", date.isoformat, date.fromisoformat),
    (time, b"__dt_time_iso__", _iso_without_zone, time.fromisoformat),
    (
        timedelta,
        b"__dt_timedelta__",
        lambda value: (value.days, value.seconds, value.microseconds),
        lambda data: timedelta(*data),
    ),
    (Decimal, b"__decimal__", str, Decimal),
    (uuid.UUID, b"__uuid__", str, uuid.UUID),
)
"""Types that msgpack lacks: the marker in the map, and the functions to and from its data."""


def _encode_object(value: object) -> object:
    """The map for a value of a type that msgpack lacks; other values are returned, which the library rejects."""
    for kind, marker, encode, _ in _TYPES:
        if isinstance(value, kind):
            return {marker: True, _DATA: encode(value)}
    return value


def _decode_map(value: dict[Any, Any]) -> object:
    """The value that a map with a marker stands for; other maps are returned."""
    for _, marker, _, decode in _TYPES:
        if marker in value and _DATA in value:
            return decode(value[_DATA])
    return value
