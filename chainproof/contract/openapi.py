"""
The published OpenAPI document, addressed by JSON pointer.

`openapi.yaml` is the document as published, unchanged. Every other statement about the contract names its own source.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import cast

OPERATION = "#/paths/~1production~1run_remote/post"
PATH = "/production/run_remote"
METHOD = "POST"

Node = dict[str, object] | list[object] | str | int | float | bool | None
"""A node of the document."""


@cache
def document_text() -> str:
    """The text of the document as published."""
    return files("chainproof.contract").joinpath("openapi.yaml").read_text(encoding="utf-8")


@cache
def document() -> dict[str, object]:
    """The parsed document. It is shared by all callers, so copy it before changing it."""
    import yaml  # noqa: PLC0415  # pytest imports this module in every run, and only the reader of the document needs it

    return cast(dict[str, object], yaml.safe_load(document_text()))


def lookup(pointer: str) -> Node:
    """
    The node at a JSON pointer (RFC 6901, as a URI fragment `#/…`). References (`$ref`) are resolved.

    Raises KeyError with the pointer and the missing token.
    """
    node: object = document()
    for token in pointer.removeprefix("#").split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        node = _dereferenced(node)
        try:
            node = node[int(key)] if isinstance(node, list) else cast(dict[str, object], node)[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise KeyError(f"{pointer}: nothing at {key!r}") from None
    return cast(Node, _dereferenced(node))


def _dereferenced(node: object) -> object:
    """The node, or the node that its `$ref` points to."""
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        return lookup(node["$ref"])
    return node


def documented_statuses() -> tuple[int, ...]:
    """The statuses that the operation lists, in the document's order."""
    return tuple(int(status) for status in cast(dict[str, object], lookup(f"{OPERATION}/responses")))


def server_templates() -> tuple[str, ...]:
    """The URL templates of the document's four servers."""
    return tuple(
        cast(str, cast(dict[str, object], server)["url"]) for server in cast(list[object], lookup("#/servers"))
    )
