"""Tests of chain schemas from files and from type hints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.chain_schema.class_import import load_class
from chainproof.chain_schema.entrypoint import InputError, OutputError, entrypoint, load_entrypoint
from chainproof.chain_schema.error_text import MAX_LINE_LENGTH, SchemaError, format_path
from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.chain_schema.schema import MAX_ERRORS, Schema
from chainproof.json_text import JSON

from ...processes import run_process

HELLO = f"{Path(__file__).parents[3] / 'docs' / 'chain' / 'hello.py'}:Hello"

PROBED = """
from __future__ import annotations
from typing import Optional
from pydantic import BaseModel

class Opts(BaseModel):
    repeat: int = 1
    tag: Optional[str] = None

class Out(BaseModel):
    greetings: list[str]

class Hello:
    def run_remote(self, names: list[str], mode: str = "", delay: float = 0.0, opts: Opts = Opts()) -> Out:
        ...
"""
"""The chain whose schema was recorded, with type hints as strings."""

WriteModule = Callable[[str], str]


@pytest.fixture
def write_module(tmp_path: Path) -> WriteModule:
    """A function that writes a module with a class Hello and returns its name for the command line."""

    def write(text: str) -> str:
        (tmp_path / "written.py").write_text(text)
        return f"{tmp_path / 'written.py'}:Hello"

    return write


def returning(hint: str) -> str:
    """The text of a module whose run_remote has a return type."""
    return (
        "from collections.abc import AsyncIterator, AsyncGenerator\nimport typing\n"
        f"class Hello:\n    def run_remote(self) -> {hint}: ...\n"
    )


# ------------------------------------------------------------------ type hints


def test_the_input_model_is_that_of_the_service(write_module: WriteModule) -> None:
    """The schema equals the one recorded from the server of a chain with this signature: defaults are null, and null is accepted."""
    recorded = (
        '{"$defs":{"Opts":{"properties":{"repeat":{"default":1,"title":"Repeat","type":"integer"},"tag":{"anyOf":[{"type"'
        ':"string"},{"type":"null"}],"default":null,"title":"Tag"}},"title":"Opts","type":"object"}},"properties":{"names"'
        ':{"items":{"type":"string"},"title":"Names","type":"array"},"mode":{"anyOf":[{"type":"string"},{"type":"null"}],'
        '"default":null,"title":"Mode"},"delay":{"anyOf":[{"type":"number"},{"type":"null"}],"default":null,"title":'
        '"Delay"},"opts":{"anyOf":[{"$ref":"#/$defs/Opts"},{"type":"null"}],"default":null}},"required":["names"],'
        '"title":"HelloInput","type":"object"}'
    )

    assert json.loads(recorded) == load_entrypoint(write_module(PROBED)).input_model.model_json_schema()


OUTPUTS: dict[str, tuple[str, JSON, JSON]] = {
    "a string": ("str", "Hello", 1),
    "nothing": ("None", None, {}),
    "several values": ("tuple[int, str]", [3, "y"], [3]),
    "a list": ("list[float]", [1.5], {}),
    "a dictionary": ("dict[str, int]", {"a": 1}, {"a": "1"}),
    "anything": ("typing.Any", {"a": [None]}, None),
}


@pytest.mark.parametrize(("hint", "valid", "invalid"), OUTPUTS.values(), ids=OUTPUTS)
def test_output_schema_of_a_return_type(hint: str, valid: JSON, invalid: JSON, write_module: WriteModule) -> None:
    """Return types can be objects, scalars, null, and arrays for several values."""
    schema = load_output_schema(write_module(returning(hint)))

    assert schema.accepts(valid)
    assert schema.accepts(invalid) is (hint == "typing.Any")


@pytest.mark.parametrize("hint", ["AsyncIterator[str]", "AsyncIterator[bytes]", "AsyncGenerator[str, None]"])
def test_stream_has_no_output_schema(hint: str, write_module: WriteModule) -> None:
    """A stream has an input schema, but asking for its output schema is an error."""
    name = write_module(returning(hint))

    with pytest.raises(SchemaError, match="run_remote returns a stream"):
        load_output_schema(name)
    assert load_input_schema(name).accepts({})


def test_injected_parameters_are_not_part_of_the_input(write_module: WriteModule) -> None:
    """`self`, the HTTP request and truss's context are left out; a parameter that only has such a name is not."""
    name = write_module(
        "class Request: ...\nclass DeploymentContext: ...\nclass Hello:\n"
        "    def run_remote(self, a: int, r: Request, c: DeploymentContext, request: str, context=None) -> None: ..."
    )

    assert ["a", "request"] == load_input_schema(name).document["required"]
    assert ("r", "c") == load_entrypoint(name).injected


WRONG_HINTS = {
    "no hint": ("def run_remote(self, a) -> None: ...", "expected a type hint for the parameter 'a'"),
    "no return type": ("def run_remote(self, a: int): ...", "expected a return type hint on run_remote"),
    "stars": ("def run_remote(self, *a: int) -> None: ...", "expected named parameters of run_remote, found '*a: int'"),
    "an unknown name": ("def run_remote(self, a: 'Nowhere') -> None: ...", "name 'Nowhere' is not defined"),
    "a type without schema": ("def run_remote(self, a: type(iter([]))) -> None: ...", "cannot read the type hints"),
    "an underscore": ("def run_remote(self, _a: int) -> None: ...", "expected a parameter without leading underscore"),
    "no run_remote": ("def run(self) -> None: ...", "expected a method run_remote, found none"),
    "no method": ("run_remote = 3", "expected a method run_remote, found something else"),
}


@pytest.mark.parametrize(("line", "message"), WRONG_HINTS.values(), ids=WRONG_HINTS)
def test_invalid_signature_is_rejected(line: str, message: str, write_module: WriteModule) -> None:
    """The message is one line that says what was expected."""
    with pytest.raises(SchemaError) as error:
        load_input_schema(write_module(f"class Hello:\n    {line}\n"))

    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pydantic_model_is_a_schema(write_module: WriteModule) -> None:
    """The body of a FastAPI route: the model decides, its validators included."""
    name = write_module(
        "from pydantic import BaseModel, field_validator\nclass Hello(BaseModel):\n    name: str\n    count: int = 1\n"
        "    @field_validator('count')\n    @classmethod\n    def even(cls, value):\n"
        "        assert value != 7\n        return value\n"
    )

    for schema in (load_input_schema(name), load_output_schema(name)):
        assert schema.accepts({"name": "Ada", "count": 2})
        assert not schema.accepts({"count": 2})
        assert not schema.accepts({"name": "Ada", "count": 7})


# ------------------------------------------------------------------ valid and invalid values

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["names", "greeting", "x"]), inner),
    max_leaves=8,
)
near = st.fixed_dictionaries(
    {}, optional={"names": st.lists(st.text(), max_size=3) | values, "greeting": st.text() | values, "x": values}
)


@given(near | values)
def test_input_schema_accepts_what_the_sample_chain_accepts(value: JSON) -> None:
    """
    The sample's types are not coerced, so its schema and its model accept the same inputs. Only null for an argument with a
    default, which the service takes against the type hint, is not in the schema.
    """
    schema, chain = load_input_schema(HELLO), load_entrypoint(HELLO)
    try:
        chain.arguments(value)
        accepted = isinstance(value, dict) and value.get("greeting", "") is not None
    except InputError:
        accepted = False

    assert schema.accepts(value) is accepted
    assert bool(schema.errors(value)) is not accepted


@given(st.lists(st.text(), max_size=3), st.text(min_size=1))
def test_output_schema_accepts_what_the_sample_chain_returns(names: list[str], greeting: str) -> None:
    """Every output of run_remote matches the schema of its return type."""
    cls = load_class(HELLO)
    encoded = load_entrypoint(HELLO).encode_output(cls().run_remote(names=names, greeting=greeting))

    assert () == load_output_schema(HELLO).errors(json.loads(encoded))


def test_arguments_are_the_members_of_the_input() -> None:
    """Defaults are left to run_remote, null is passed on, other keys are ignored."""
    chain = load_entrypoint(HELLO)

    assert {"names": ["a"]} == chain.arguments({"names": ["a"], "other": 1})
    assert {"names": [], "greeting": None} == chain.arguments({"names": [], "greeting": None})


def test_output_of_another_type_is_an_error() -> None:
    """A value that does not match the return type raises OutputError; NaN and infinity become null."""

    class Sums:
        def run_remote(self) -> list[float]: ...

    chain = entrypoint(Sums, "here")

    assert b"[null,null,-0.0]" == chain.encode_output([float("nan"), float("inf"), -0.0])
    with pytest.raises(OutputError):
        chain.encode_output("text")


# ------------------------------------------------------------------ error messages


@given(values)
def test_errors_are_bounded_and_sorted(value: JSON) -> None:
    """There are at most ten lines of at most 200 characters, always the same, and none for a valid value."""
    schema = Schema(source="here", document={"type": "array", "items": {"type": "boolean"}})
    errors = schema.errors(value)

    assert (errors == ()) is schema.accepts(value)
    assert list(errors) == sorted(errors) == list(schema.errors(value))
    assert len(errors) <= MAX_ERRORS
    assert all(len(line) <= MAX_LINE_LENGTH for line in errors)


def test_error_names_the_path_and_not_the_value() -> None:
    """Findings must not contain parts of a body."""
    errors = load_input_schema(HELLO).errors({"names": ["a", 12345], "greeting": ["secret"]})

    assert '`names[1]`: the value is not of type "string"' in errors
    assert "secret" not in repr(errors)
    assert "12345" not in repr(errors)


ACCEPTED: dict[str, tuple[dict[str, JSON], JSON]] = {
    "half a surrogate pair": ({"type": "string", "maxLength": 1}, "\ud800"),
    "a number beyond floats": ({"type": "number"}, float("inf")),
    "an integer beyond floats": ({"type": "integer"}, float("-inf")),
    "a name with half a pair": ({"additionalProperties": {"type": "null"}}, {"\udfff": None}),
    "a schema that leads to itself": ({"$ref": "#"}, {}),
    "an older draft": ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}]}, [None]),
    "a format": ({"format": "uuid"}, "12345678-1234-5678-1234-567812345678"),
}


@pytest.mark.parametrize(("document", "value"), ACCEPTED.values(), ids=ACCEPTED)
def test_unusual_valid_json_is_accepted(document: dict[str, JSON], value: JSON) -> None:
    """Limits of the validator do not become findings."""
    assert () == Schema(source="here", document=document).errors(value)


def test_deeply_nested_value_is_validated() -> None:
    """A value nested more deeply than calls can be is validated like any other."""
    deep: JSON = "\ud800"
    for _ in range(20_000):
        deep = [deep]

    assert Schema(source="here", document={"type": "array"}).accepts(deep)
    assert Schema(source="here", document={"items": {"$ref": "#"}}).accepts(deep)
    errors = Schema(source="here", document={"type": "object"}).errors(deep)
    assert ("the value is invalid, but nested too deeply to say where",) == errors


def test_formats_are_validated() -> None:
    """A value that is not a UUID does not match the format "uuid"."""
    assert not Schema(source="here", document={"format": "uuid"}).accepts("1234")


def test_paths_have_dots_and_brackets() -> None:
    """Members follow a dot, indices are in brackets, and the root is empty."""
    assert ["opts.names[0]", "[1].a", ""] == [format_path(place) for place in (("opts", "names", 0), (1, "a"), ())]


# ------------------------------------------------------------------ usage errors

BAD_FILES = {
    "no JSON": ("{", "expected a JSON object, the file is not JSON"),
    "no object": ("[]", "expected a JSON object, the file is not a JSON object"),
    "nothing": ("", "the file is empty"),
    "an unknown type": ('{"type": "objekt"}', 'object, found "objekt"'),
    "a bad pattern": ('{"pattern": "("}', "`pattern`"),
    "a remote schema": (
        '{"properties": {"a": {"$ref": "http://127.0.0.1:9/a"}}}',
        "must point into the schema",
    ),
    "another file": ('{"$ref": "other.json"}', "every $ref must point into the schema itself"),
    "a place that is not there": ('{"$ref": "#/$defs/a"}', "Pointer '/$defs/a' does not exist"),
    "an unknown draft": ('{"$schema": "http://127.0.0.1:9/draft"}', "Unknown meta-schema"),
    "half a surrogate pair": ('{"title": "\\ud800"}', "surrogates"),
    "too many objects": (
        json.dumps({"properties": {"a": {"enum": [{"b": number} for number in range(22_000)]}}}),
        "at most 22000 objects and arrays, found 22004; the largest is `properties.a.enum`, with 22000 members",
    ),
    "too many values": (
        json.dumps({"properties": {"a": {"enum": list(range(120_000))}}}),
        "at most 120000 values, found 120003; the largest is `properties.a.enum`, with 120000 members",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_invalid_schema_file_is_rejected(text: str, message: str, tmp_path: Path) -> None:
    """The message is one line, for input and output alike, and nothing is downloaded."""
    path = tmp_path / "schema.json"
    path.write_text(text)
    for load in (load_input_schema, load_output_schema):
        with pytest.raises(SchemaError) as error:
            load(str(path))

        assert str(path) in str(error.value)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


BAD_NAMES = {
    "a word": ("hello", "expected FILE.json, FILE.py:Class or package.module:Class, found 'hello'"),
    "no class": ("hello.py", "expected FILE.json, FILE.py:Class"),
    "no file": ("nowhere.py:Hello", "cannot read nowhere.py: No such file or directory"),
    "no schema": ("nowhere.json", "cannot read the schema nowhere.json: No such file or directory"),
    "a folder": ("/:Hello", "found '/' before the colon"),
    "no module": ("no_such_module:Hello", "cannot import no_such_module: ModuleNotFoundError"),
    "no such class": (HELLO.replace(":Hello", ":Hallo"), "has no class 'Hallo'; it has Hello"),
    "no such model": ("json:JSONDecoders", "has no class 'JSONDecoders'; did you mean JSONDecoder?"),
    "no chain": ("json:JSONDecoder", "expected a method run_remote"),
    "no identifier": ("hello.py:a b", "expected FILE.py:Class or package.module:Class, found 'hello.py:a b'"),
}


@pytest.mark.parametrize(("name", "message"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_invalid_class_name_is_rejected(name: str, message: str) -> None:
    """The message is one line that says what was expected."""
    with pytest.raises(SchemaError) as error:
        load_input_schema(name)

    assert message in str(error.value)
    assert "\n" not in str(error.value)


BAD_MODULES = {
    "a missing package": ("import truss_of_nobody", "ModuleNotFoundError: No module named 'truss_of_nobody'"),
    "a syntax error": ("def", "SyntaxError"),
    "an exception": ("raise ValueError('two\\nlines')", "ValueError: two"),
    "an exit": ("raise SystemExit(3)", "SystemExit: 3"),
}


@pytest.mark.parametrize(("text", "message"), BAD_MODULES.values(), ids=BAD_MODULES)
def test_import_error_is_reported(text: str, message: str, write_module: WriteModule) -> None:
    """The message names the file and the reason, and the broken module is removed from sys.modules."""
    name, before = write_module(text), set(sys.modules)
    with pytest.raises(SchemaError) as error:
        load_class(name)

    assert f"cannot import {name.removesuffix(':Hello')}: {message}" in str(error.value)
    assert before == set(sys.modules)


# ------------------------------------------------------------------ importing the class


def test_import_has_no_side_effects(tmp_path: Path) -> None:
    """Modules beside the file are found, no bytecode is written, sys.path is restored, and output goes to stderr."""
    (tmp_path / "sibling_of_hello.py").write_text("class Base:\n    def run_remote(self, a: int) -> int: ...")
    (tmp_path / "hello.py").write_text("from sibling_of_hello import Base\nprint('loud')\nclass Hello(Base): ...")
    before = sorted(tmp_path.iterdir())
    script = (
        "import sys; from chainproof.chain_schema.loading import load_input_schema as load\n"
        "path = list(sys.path); load(sys.argv[1]); load(sys.argv[1])\n"
        "print(path == sys.path, sys.dont_write_bytecode)"
    )
    done = run_process(
        [sys.executable, "-c", script, f"{tmp_path / 'hello.py'}:Hello"],
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        check=True,
    )

    assert ("True False\n", "loud\n") == (done.stdout, done.stderr)
    assert before == sorted(tmp_path.iterdir())


def test_module_is_found_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`package.module:Class` is searched as Python does."""
    (tmp_path / "package_of_mine").mkdir()
    (tmp_path / "package_of_mine" / "chain.py").write_text(returning("int"))
    monkeypatch.chdir(tmp_path)

    assert load_output_schema("package_of_mine.chain:Hello").accepts(3)


def test_file_can_have_the_name_of_a_module(tmp_path: Path) -> None:
    """A chain in `json.py` does not replace the standard library, and two files of the same name are two modules."""
    for folder, hint in (("a", "int"), ("b", "str")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "json.py").write_text(returning(hint))
    schemas = [load_output_schema(f"{tmp_path / folder / 'json.py'}:Hello") for folder in "ab"]

    assert [(True, False), (False, True)] == [(s.accepts(1), s.accepts("x")) for s in schemas]
    assert sys.modules["json"] is json


def test_changed_file_is_imported_again(write_module: WriteModule) -> None:
    """An unchanged file is imported once."""
    name = write_module(returning("int"))
    first, again = load_class(name), load_class(name)
    os.utime(name.removesuffix(":Hello"), (1, 1))

    assert first is again
    assert first is not load_class(name)
