"""
A chain's own schemas, from files and from type hints.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.chain_schema import (
    MAX_ERROR_LENGTH,
    MAX_ERRORS,
    InputError,
    OutputError,
    Schema,
    SchemaError,
    entrypoint,
    format_path,
    load_class,
    load_entrypoint,
    load_input_schema,
    load_output_schema,
)
from chainproof.json_text import JSON

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
"""The chain whose published schema was recorded, with hints as strings."""

Written = Callable[[str], str]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """
    A module with a class Hello, as the command line names it.
    """

    def write(text: str) -> str:
        (tmp_path / "written.py").write_text(text)
        return f"{tmp_path / 'written.py'}:Hello"

    return write


def returning(hint: str) -> str:
    """
    A module whose run_remote returns what a hint says.
    """
    return (
        "from collections.abc import AsyncIterator, AsyncGenerator\nimport typing\n"
        f"class Hello:\n    def run_remote(self) -> {hint}: ...\n"
    )


# ------------------------------------------------------------------ what the hints say


def test_the_input_schema_is_the_one_that_the_service_publishes(written: Written) -> None:
    """
    Recorded from the server of a chain with this signature: defaults become null, and null is taken.
    """
    recorded = (
        '{"$defs":{"Opts":{"properties":{"repeat":{"default":1,"title":"Repeat","type":"integer"},"tag":{"anyOf":[{"type"'
        ':"string"},{"type":"null"}],"default":null,"title":"Tag"}},"title":"Opts","type":"object"}},"properties":{"names"'
        ':{"items":{"type":"string"},"title":"Names","type":"array"},"mode":{"anyOf":[{"type":"string"},{"type":"null"}],'
        '"default":null,"title":"Mode"},"delay":{"anyOf":[{"type":"number"},{"type":"null"}],"default":null,"title":'
        '"Delay"},"opts":{"anyOf":[{"$ref":"#/$defs/Opts"},{"type":"null"}],"default":null}},"required":["names"],'
        '"title":"HelloInput","type":"object"}'
    )

    assert json.loads(recorded) == load_input_schema(written(PROBED)).document


OUTPUTS: dict[str, tuple[str, JSON, JSON]] = {
    "a string": ("str", "Hello", 1),
    "nothing": ("None", None, {}),
    "several values": ("tuple[int, str]", [3, "y"], [3]),
    "a list": ("list[float]", [1.5], {}),
    "a dictionary": ("dict[str, int]", {"a": 1}, {"a": "1"}),
    "anything": ("typing.Any", {"a": [None]}, None),
}


@pytest.mark.parametrize(("hint", "right", "wrong"), OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_is_what_the_return_type_says(hint: str, right: JSON, wrong: JSON, written: Written) -> None:
    """
    Objects, scalars, null, and arrays for several values.
    """
    schema = load_output_schema(written(returning(hint)))

    assert schema.accepts(right)
    assert schema.accepts(wrong) is (hint == "typing.Any")


@pytest.mark.parametrize("hint", ["AsyncIterator[str]", "AsyncIterator[bytes]", "AsyncGenerator[str, None]"])
def test_a_stream_has_no_schema(hint: str, written: Written) -> None:
    """
    What is streamed is no JSON, and the mistake says so.
    """
    name = written(returning(hint))

    with pytest.raises(SchemaError, match="run_remote returns a stream"):
        load_output_schema(name)
    assert load_input_schema(name).accepts({})


def test_what_the_service_fills_in_is_no_input(written: Written) -> None:
    """
    `self`, the HTTP request and truss's context are left out; a parameter that only has the name of one is not.
    """
    name = written(
        "class Request: ...\nclass DeploymentContext: ...\nclass Hello:\n"
        "    def run_remote(self, a: int, r: Request, c: DeploymentContext, request: str, context=None) -> None: ..."
    )

    assert ["a", "request"] == load_input_schema(name).document["required"]
    assert ("r", "c") == load_entrypoint(name).injected


WRONG_HINTS = {
    "no hint": ("def run_remote(self, a) -> None: ...", "expected a type hint for the parameter 'a'"),
    "no return type": ("def run_remote(self, a: int): ...", "expected a type hint for what run_remote returns"),
    "stars": ("def run_remote(self, *a: int) -> None: ...", "expected named parameters of run_remote, found '*a: int'"),
    "an unknown name": ("def run_remote(self, a: 'Nowhere') -> None: ...", "name 'Nowhere' is not defined"),
    "a type without schema": ("def run_remote(self, a: type(iter([]))) -> None: ...", "cannot read the type hints"),
    "an underscore": ("def run_remote(self, _a: int) -> None: ...", "expected a parameter without leading underscore"),
    "no run_remote": ("def run(self) -> None: ...", "expected a method run_remote, found none"),
    "no method": ("run_remote = 3", "expected a method run_remote, found another thing"),
}


@pytest.mark.parametrize(("line", "words"), WRONG_HINTS.values(), ids=WRONG_HINTS)
def test_hints_that_the_service_would_not_deploy_are_a_mistake(line: str, words: str, written: Written) -> None:
    """
    One line that says what was expected.
    """
    with pytest.raises(SchemaError) as mistake:
        load_input_schema(written(f"class Hello:\n    {line}\n"))

    assert words in str(mistake.value)
    assert "\n" not in str(mistake.value)


# ------------------------------------------------------------------ what a schema accepts

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["names", "greeting", "x"]), inner),
    max_leaves=8,
)
near = st.fixed_dictionaries(
    {}, optional={"names": st.lists(st.text(), max_size=3) | values, "greeting": st.text() | values, "x": values}
)


@given(near | values)
def test_the_schema_accepts_what_the_sample_chain_takes(value: JSON) -> None:
    """
    The sample's types are not coerced: whatever its schema accepts it takes, and nothing else.
    """
    schema, chain = load_input_schema(HELLO), load_entrypoint(HELLO)
    try:
        chain.arguments(value)
        taken = True
    except InputError:
        taken = False

    assert schema.accepts(value) is taken
    assert bool(schema.errors(value)) is not taken


@given(st.lists(st.text(), max_size=3), st.text(min_size=1))
def test_the_output_schema_accepts_what_the_sample_chain_returns(names: list[str], greeting: str) -> None:
    """
    Whatever run_remote returns is written as its return type says.
    """
    cls = load_class(HELLO)
    written = load_entrypoint(HELLO).encode_output(cls().run_remote(names=names, greeting=greeting))

    assert () == load_output_schema(HELLO).errors(json.loads(written))


def test_arguments_are_those_that_an_input_names() -> None:
    """
    A default is left to run_remote, null is passed on, other keys are passed over.
    """
    chain = load_entrypoint(HELLO)

    assert {"names": ["a"]} == chain.arguments({"names": ["a"], "other": 1})
    assert {"names": [], "greeting": None} == chain.arguments({"names": [], "greeting": None})


def test_an_output_of_another_type_is_told() -> None:
    """
    What the return type does not say is a OutputError; what JSON has no number for is null.
    """

    class Sums:
        def run_remote(self) -> list[float]: ...

    chain = entrypoint(Sums, "here")

    assert b"[null,null,-0.0]" == chain.encode_output([float("nan"), float("inf"), -0.0])
    with pytest.raises(OutputError):
        chain.encode_output("text")


# ------------------------------------------------------------------ what is told of a value


@given(values)
def test_mistakes_are_bounded_sorted_and_without_the_value(value: JSON) -> None:
    """
    At most ten lines of at most 200 characters, always the same ones, and an accepted value has none.
    """
    schema = Schema(source="here", document={"type": "array", "items": {"type": "boolean"}})
    told = schema.errors(value)

    assert (told == ()) is schema.accepts(value)
    assert list(told) == sorted(told) == list(schema.errors(value))
    assert len(told) <= MAX_ERRORS
    assert all(len(line) <= MAX_ERROR_LENGTH for line in told)


def test_a_mistake_names_the_place_and_not_the_value() -> None:
    """
    Bodies are not stored unless asked for: a finding repeats nothing of one.
    """
    told = load_input_schema(HELLO).errors({"names": ["a", 12345], "greeting": ["secret"]})

    assert '`names[1]`: the value is not of type "string"' in told
    assert "secret" not in repr(told)
    assert "12345" not in repr(told)


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
def test_what_is_json_is_never_refused_for_being_odd(document: dict[str, JSON], value: JSON) -> None:
    """
    Our own limits do not become the chain's finding.
    """
    assert () == Schema(source="here", document=document).errors(value)


def test_depth_is_no_mistake_of_ours() -> None:
    """
    A value nested far deeper than calls may be is judged like any other.
    """
    deep: JSON = "\ud800"
    for _ in range(20_000):
        deep = [deep]

    assert Schema(source="here", document={"type": "array"}).accepts(deep)
    assert Schema(source="here", document={"items": {"$ref": "#"}}).accepts(deep)
    told = Schema(source="here", document={"type": "object"}).errors(deep)
    assert ("the value is nested too deeply to say where it is wrong",) == told


def test_formats_count() -> None:
    """
    A chain refuses what is no UUID; so does its schema.
    """
    assert not Schema(source="here", document={"format": "uuid"}).accepts("1234")


def test_places_are_dotted() -> None:
    """
    Members with dots, items in brackets, nothing for the whole.
    """
    assert ["opts.names[0]", "[1].a", ""] == [format_path(place) for place in (("opts", "names", 0), (1, "a"), ())]


# ------------------------------------------------------------------ mistakes

BAD_FILES = {
    "no JSON": ("{", "expected a JSON object, the file is not JSON"),
    "no object": ("[]", "expected a JSON object, the file is not a JSON object"),
    "nothing": ("", "the file is empty"),
    "an unknown type": ('{"type": "objekt"}', '`type`: "objekt"'),
    "an array of items": ('{"items": [{}]}', "`items`"),
    "a bad pattern": ('{"pattern": "("}', "`pattern`"),
    "a remote schema": (
        '{"properties": {"a": {"$ref": "http://127.0.0.1:9/a"}}}',
        "must lead to a place in the schema",
    ),
    "another file": ('{"$ref": "other.json"}', "every $ref must lead to a place in the schema itself"),
    "a place that is not there": ('{"$ref": "#/$defs/a"}', "Pointer '/$defs/a' does not exist"),
    "an unknown draft": ('{"$schema": "http://127.0.0.1:9/draft"}', "Unknown meta-schema"),
    "half a surrogate pair": ('{"title": "\\ud800"}', "surrogates"),
}


@pytest.mark.parametrize(("text", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_holds_no_schema_is_a_mistake(text: str, words: str, tmp_path: Path) -> None:
    """
    In one line, for input and output alike, and nothing is fetched from anywhere.
    """
    path = tmp_path / "schema.json"
    path.write_text(text)
    for load in (load_input_schema, load_output_schema):
        with pytest.raises(SchemaError) as mistake:
            load(str(path))

        assert str(path) in str(mistake.value)
        assert words in str(mistake.value)
        assert "\n" not in str(mistake.value)


BAD_NAMES = {
    "a word": ("hello", "expected FILE.json, FILE.py:Class or package.module:Class, found 'hello'"),
    "no class": ("hello.py", "expected FILE.json, FILE.py:Class"),
    "no file": ("nowhere.py:Hello", "cannot read nowhere.py: No such file or directory"),
    "no schema": ("nowhere.json", "cannot read the schema nowhere.json: No such file or directory"),
    "a folder": ("/:Hello", "found '/' before the colon"),
    "no module": ("no_such_module:Hello", "cannot import no_such_module: ModuleNotFoundError"),
    "no such class": (HELLO.replace(":Hello", ":Hallo"), "has no class 'Hallo'; it has Hello"),
    "no chain": ("json:JSONDecoder", "expected a method run_remote"),
    "no identifier": ("hello.py:a b", "expected FILE.py:Class or package.module:Class, found 'hello.py:a b'"),
}


@pytest.mark.parametrize(("name", "words"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_name_that_leads_nowhere_is_a_mistake(name: str, words: str) -> None:
    """
    In one line that says what was expected.
    """
    with pytest.raises(SchemaError) as mistake:
        load_input_schema(name)

    assert words in str(mistake.value)
    assert "\n" not in str(mistake.value)


BAD_MODULES = {
    "a missing package": ("import truss_of_nobody", "ModuleNotFoundError: No module named 'truss_of_nobody'"),
    "a syntax error": ("def", "SyntaxError"),
    "an exception": ("raise ValueError('two\\nlines')", "ValueError: two"),
    "an exit": ("raise SystemExit(3)", "SystemExit: 3"),
}


@pytest.mark.parametrize(("text", "words"), BAD_MODULES.values(), ids=BAD_MODULES)
def test_what_an_import_raises_is_the_users(text: str, words: str, written: Written) -> None:
    """
    A mistake that names file and reason; the broken module stays nowhere.
    """
    name, before = written(text), set(sys.modules)
    with pytest.raises(SchemaError) as mistake:
        load_class(name)

    assert f"cannot import {name.removesuffix(':Hello')}: {words}" in str(mistake.value)
    assert before == set(sys.modules)


# ------------------------------------------------------------------ the import itself


def test_an_import_leaves_nothing_behind(tmp_path: Path) -> None:
    """
    Siblings are found, no bytecode is written beside the file, its folder is not left on the path, and what it prints
    goes to stderr.
    """
    (tmp_path / "sibling_of_hello.py").write_text("class Base:\n    def run_remote(self, a: int) -> int: ...")
    (tmp_path / "hello.py").write_text("from sibling_of_hello import Base\nprint('loud')\nclass Hello(Base): ...")
    before = sorted(tmp_path.iterdir())
    script = (
        "import sys; from chainproof.contract.chain_schema import load_input_schema as load\n"
        "path = list(sys.path); load(sys.argv[1]); load(sys.argv[1])\n"
        "print(path == sys.path, sys.dont_write_bytecode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, f"{tmp_path / 'hello.py'}:Hello"],
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ("True False\n", "loud\n") == (done.stdout, done.stderr)
    assert before == sorted(tmp_path.iterdir())


def test_a_module_is_found_by_name_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `package.module:Class`, as Python itself would find it.
    """
    (tmp_path / "package_of_mine").mkdir()
    (tmp_path / "package_of_mine" / "chain.py").write_text(returning("int"))
    monkeypatch.chdir(tmp_path)

    assert load_output_schema("package_of_mine.chain:Hello").accepts(3)


def test_a_file_may_be_named_like_any_module(tmp_path: Path) -> None:
    """
    A chain in `json.py` takes nothing away from the standard library, and two files of one name are two modules.
    """
    for folder, hint in (("a", "int"), ("b", "str")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "json.py").write_text(returning(hint))
    schemas = [load_output_schema(f"{tmp_path / folder / 'json.py'}:Hello") for folder in "ab"]

    assert [(True, False), (False, True)] == [(s.accepts(1), s.accepts("x")) for s in schemas]
    assert sys.modules["json"] is json


def test_a_changed_file_is_read_again(written: Written) -> None:
    """
    An edit counts; an unchanged file is imported once.
    """
    name = written(returning("int"))
    first, again = load_class(name), load_class(name)
    os.utime(name.removesuffix(":Hello"), (1, 1))

    assert first is again
    assert first is not load_class(name)
