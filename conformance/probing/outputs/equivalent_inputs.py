"""
Compares the outputs for inputs that mean the same: with and without a default, and with members that the chain ignores.

A gateway or a chain that reads arguments from the body itself may have another default than the schema, and one that merges
the body into its output lets callers write any part of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from chainproof.contract import clauses
from chainproof.json_text import JSON

from ...inputs.bound_values import without_optional_members
from ...inputs.input_variations import encoded, unique_text
from ...inputs.member_names import may_vary
from ...judging.output_comparison import ANY_ITEM, Leaves, Path, differing_paths, format_output_path, without
from ..input_source import InputSource
from ..requester import Requester
from .difference_confirmation import send_alone

_ROUNDS = 4
"""How often a difference must show, each time with other unique values, before it is no chance."""
_TEXT_LENGTH = 16


def judge_equivalent_inputs(requester: Requester, source: InputSource) -> None:
    """Record defaults that are not those of the schema, and output values that a caller can write."""
    _judge_defaults(requester, source)
    _judge_unnamed_members(requester, source)


# ------------------------------------------------------------------ defaults


def _judge_defaults(requester: Requester, source: InputSource) -> None:
    """Record whether the output differs if the defaults of absent arguments are written out."""
    schema = requester.terms.input_schema
    bare = without_optional_members(source.value, source.accepts, nested=False)
    if schema is None or not isinstance(bare, dict):
        return
    bare_source = source.with_value(bare)
    defaults = dict(_defaults(schema.document, bare_source))
    if not defaults or not source.accepts({**bare, **defaults}) or not _paths(requester, bare_source, defaults):
        return
    for name, default in defaults.items():
        paths = _paths(requester, bare_source, {name: default})
        for _ in range(_ROUNDS - 1):
            paths = paths and paths & _paths(requester, bare_source, {name: default})
        requester.record_clause(
            clauses.ANSWER_REPEATABLE,
            requester.build_request(encoded(bare), label=f"`{name}` absent"),
            expected=f"the same answer as with the default of `{name}` written out",
            actual=f"another value of `{format_output_path(min(paths))}`" if paths else None,
        )
        if paths:
            return


def _defaults(document: JSON, source: InputSource) -> Iterator[tuple[str, JSON]]:
    """The optional arguments that an input lacks, with the defaults that the schema names."""
    properties = document.get("properties") if isinstance(document, dict) else None
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        assert isinstance(source.value, dict)
        if name in source.value or not isinstance(schema, dict) or "default" not in schema:
            continue
        if source.accepts({**source.value, name: schema["default"]}):
            yield name, schema["default"]


def _paths(requester: Requester, source: InputSource, defaults: Mapping[str, JSON]) -> frozenset[Path]:
    """
    Where the output depends on whether defaults are written out, for an input that was not sent before. Each is sent twice, in an
    order that workers which take turns do not look like. The arguments themselves, if the output has them, do not count.
    """
    value = source.unique()
    assert isinstance(value, dict)
    outputs: list[Leaves] = []
    for written in (False, True, True, False):
        body = encoded({**value, **defaults} if written else value)
        output = send_alone(requester, body, f"an input {'with' if written else 'without'} defaults")
        if output is None:
            return frozenset()
        outputs.append(output)
    first, second, third, fourth = outputs
    varying = differing_paths(first, fourth) | differing_paths(second, third)
    found = {path for path in differing_paths(first, second) - varying if not may_vary(path)}
    returned = {path for path in found if not defaults.keys().isdisjoint(path)}
    containers = {path[:length] for path in returned | varying for length in range(len(path))}
    return without(found - containers, returned | varying)


# ------------------------------------------------------------------ members that the chain ignores


def _judge_unnamed_members(requester: Requester, source: InputSource) -> None:
    """Record output values that are those of members which the input has beside the chain's arguments."""
    value = source.unique()
    if not requester.inputs.ignores_unnamed or not isinstance(value, dict):
        return
    output = send_alone(requester, encoded(value), "an input without further members")
    names = _free_names(output or {}, requester, value)
    written = _written(requester, source, value, names) if names else frozenset()
    is_written = written and written & _written(requester, source, value, names)
    body = encoded({**value, **dict.fromkeys(written or names, "text")})
    requester.record_clause(
        clauses.ANSWER_REPEATABLE,
        requester.build_request(body, label="further members"),
        expected="the same answer as without members that the chain does not name",
        actual=f"the text of the input's member `{min(written)}` as the output's `{min(written)}`"
        if is_written
        else None,
    )


def _free_names(output: Leaves, requester: Requester, value: Collection[str]) -> list[str]:
    """The names of the output's members that are no arguments."""
    schema = requester.terms.input_schema
    document = schema.document if schema is not None else {}
    properties = document.get("properties") if isinstance(document, dict) else None
    named = {*value, *(properties if isinstance(properties, dict) else ()), ANY_ITEM}
    return sorted({path[0] for path in output if path} - named)


def _written(
    requester: Requester, source: InputSource, value: Mapping[str, JSON], names: Collection[str]
) -> frozenset[str]:
    """Those names whose members have the same text in the output as in the input."""
    texts: dict[str, JSON] = {name: unique_text(source.rng, _TEXT_LENGTH) for name in names}
    changed: JSON = {**value, **texts}
    if not source.accepts(changed):
        return frozenset()
    output = send_alone(requester, encoded(changed), "an input with members named like the output's") or {}
    return frozenset(name for name, text in texts.items() if output.get((name,)) == (text,))
