"""The echo chain's server, for contracts under which the gateway passes every body to the chain."""

from __future__ import annotations

import json
import math

from chainproof.json_text import JSON, InvalidJson, TooComplex, parse_json

from ..behaviour.body import is_deep_object
from .chain_request import ChainRequest
from .chain_response import (
    ChainResponse,
    PythonJsonError,
    binary_output,
    input_error,
    json_error,
    msgpack_error,
    output,
    parse_python_json,
    server_error,
)
from .msgpack_body import MsgpackError, unpack_body

_NOT_AN_OBJECT = "Input should be a valid dictionary or instance of EchoInput"


def echo_response(request: ChainRequest) -> ChainResponse:
    """The response to a request. An object is returned byte for byte; numbers that JSON lacks become null."""
    return _binary_echo(request.body) if request.binary else _json_echo(request.body)


def _binary_echo(body: bytes) -> ChainResponse:
    """The response to a body in msgpack."""
    try:
        value = unpack_body(body)
    except MsgpackError as error:
        return msgpack_error(error)
    return binary_output(body) if isinstance(value, dict) else input_error((((), _NOT_AN_OBJECT),))


def _json_echo(body: bytes) -> ChainResponse:
    """The response to a body in JSON."""
    value = parse_json(body)
    if isinstance(value, dict) or (isinstance(value, TooComplex) and is_deep_object(body)):
        return output(body)
    if not isinstance(value, InvalidJson):
        return input_error((((), _NOT_AN_OBJECT),))
    try:
        python_value = parse_python_json(body)
        if not isinstance(python_value, dict):
            return input_error((((), _NOT_AN_OBJECT),))
        return output(json.dumps(_non_finite_to_null(python_value), separators=(",", ":")).encode())
    except PythonJsonError as error:
        return json_error(error)
    except RecursionError as error:
        return server_error(error)


def _non_finite_to_null(value: JSON) -> JSON:
    """The value with NaN and infinities replaced by null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_non_finite_to_null(item) for item in value]
    if isinstance(value, dict):
        return {name: _non_finite_to_null(item) for name, item in value.items()}
    return value
