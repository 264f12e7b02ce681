"""The operation as Schemathesis knows it: the OpenAPI document, with the chain's input schema in place of `type: object`."""

from __future__ import annotations

import copy
from importlib.resources import files
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import APIOperation

from chainproof.chain_schema.draft_2020_12 import draft_2020_12_document
from chainproof.chain_schema.schema import Schema
from chainproof.contract.openapi import METHOD, PATH, document

Operation = APIOperation[Any, Any, Any, Any]

_SCHEMA_PATH = ("components", "schemas", "ChainInput")
_POINTER = f"#/{'/'.join(_SCHEMA_PATH)}"


def schemathesis_operation(schema: Schema | None, examples: int = 1) -> Operation:
    """The operation as loaded by Schemathesis, with the chain's input schema if one is known."""
    config = SchemathesisConfig.from_path(str(files("chainproof.conformance").joinpath("schemathesis.toml")))
    config.projects.default.generation.update(max_examples=examples)
    # UTF-8 covers everything but lone surrogates; naming the codec would make Hypothesis test every code point for a second.
    config.projects.default.generation.codec = None
    loaded = schemathesis.openapi.from_dict(_document(schema), config=config)
    return loaded[PATH][METHOD]


def _document(schema: Schema | None) -> dict[str, Any]:
    """The OpenAPI document with its request schema replaced."""
    openapi: dict[str, Any] = copy.deepcopy(document())
    if schema is not None:
        openapi["components"]["schemas"][_SCHEMA_PATH[-1]] = draft_2020_12_document(schema.document, _POINTER)
        content = openapi["components"]["requestBodies"]["RunRemoteInput"]["content"]
        content["application/json"]["schema"] = {"$ref": _POINTER}
    return openapi
