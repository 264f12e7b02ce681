"""
The echo chain behind a gateway that passes on every body: what its server says.
"""

from __future__ import annotations

import json
import math

from chainproof.json_text import JSON, InvalidJson, TooDeep, parse_json

from ..behaviour.body import is_deep_object
from .chain_response import (
    ChainResponse,
    PythonJsonError,
    input_error,
    json_error,
    output,
    parse_python_json,
    server_error,
)

_NO_OBJECT = "Input should be a valid dictionary or instance of EchoInput"


def echo_response(body: bytes) -> ChainResponse:
    """
    An object comes back byte for byte; one with numbers that JSON does not have, with null in their place.
    """
    value = parse_json(body)
    if isinstance(value, dict) or (isinstance(value, TooDeep) and is_deep_object(body)):
        return output(body)
    if not isinstance(value, InvalidJson):
        return input_error((((), _NO_OBJECT),))
    try:
        wider = parse_python_json(body)
        if not isinstance(wider, dict):
            return input_error((((), _NO_OBJECT),))
        return output(json.dumps(_finite(wider), separators=(",", ":")).encode())
    except PythonJsonError as wrong:
        return json_error(wrong)
    except RecursionError as wrong:
        return server_error(wrong)


def _finite(value: JSON) -> JSON:
    """
    A value with null in place of what JSON has no number for.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return value
