"""The pydantic model of a class decides what is valid, not the JSON Schema derived from it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from pydantic import BaseModel, field_validator

from chainproof.chain_schema.entrypoint import load_entrypoint
from chainproof.chain_schema.error_text import SchemaError
from chainproof.chain_schema.inputs import InputGenerator
from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.chain_schema.model_check import ModelCheck
from chainproof.chain_schema.schema import Schema
from chainproof.json_text import JSON, parse_json

CHAIN = """
import datetime as dt, decimal, enum, ipaddress, uuid
from typing import Annotated, Any, Literal
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyAddress, NaiveDatetime, PlainSerializer, UUID4, computed_field
from pydantic import field_serializer, field_validator

def even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value

class Level(enum.IntEnum):
    LOW, HIGH = 1, 2

class Opts(BaseModel):
    repeat: int = 1

class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")
    side: float
    @computed_field
    @property
    def area(self) -> float: return self.side ** 2

class Stamp(BaseModel):
    when: dt.datetime
    @field_serializer("when")
    def write(self, value): return value.timestamp()

class Hello:
    def run_remote(self, PARAMETERS) -> OUTPUT: ...
"""


def chain(folder: Path, parameters: str = "", output: str = "None") -> str:
    """The name of a class with a signature."""
    path = folder / "written.py"
    path.write_text(CHAIN.replace("PARAMETERS", parameters).replace("OUTPUT", output))
    return f"{path}:Hello"


HINTS = ["UUID4", "uuid.UUID", "IPvAnyAddress", "ipaddress.IPv6Network", "decimal.Decimal", "dt.datetime", "dt.time", "dt.timedelta",
         "bytes", "Annotated[int, AfterValidator(even)]", "set[int]", "tuple[int, str]", "NaiveDatetime", "dict[int, str]",
         "dict[decimal.Decimal, int]", "dict[bool, int]", "dict[Annotated[int, Field(ge=1900, lt=2100)], str]", "dict[Level, int]",
         "Annotated[decimal.Decimal, Field(ge=0, max_digits=5, decimal_places=2)]", "Any"]  # fmt: skip


@pytest.mark.parametrize("hint", HINTS)
def test_generated_inputs_are_accepted_by_the_class(hint: str, tmp_path: Path) -> None:
    """Every generated input passes the service's own model, though the type hint is narrower than its JSON Schema."""
    name = chain(tmp_path, f"a: {hint}, b: list[{hint}] = []")
    schema, model = load_input_schema(name), load_entrypoint(name)
    generator = InputGenerator(schema)
    found = [generator.simplest(), generator.rich(), *(generator.draw(Random(seed)) for seed in range(20))]

    assert sum(each is not None for each in found) >= 15
    for each in found:
        assert each is None or model.arguments(each.value)


@pytest.mark.parametrize(
    "hint", ["int", "Annotated[int, Field(ge=5)]", "float", "bool", "Level", "dt.date", "Literal['de', 1]"]
)
def test_the_rich_input_has_keys_of_every_type(hint: str, tmp_path: Path) -> None:
    """JSON has texts for names. A generator that knows only those would find no rich input, and other arguments would be left out."""
    schema = load_input_schema(chain(tmp_path, f"a: dict[{hint}, int] = {{}}, b: str = ''"))

    assert {"a", "b"} == InputGenerator(schema).rich().value.keys()
    assert InputGenerator(schema).rich().value["a"]


def test_keys_that_no_text_is_read_as_leave_the_rest_of_an_input(tmp_path: Path) -> None:
    """Pydantic does not read the name "1" as the number 1 of a Literal."""
    schema = load_input_schema(chain(tmp_path, "a: dict[Literal[1, 2], int], b: str = ''"))

    assert {"a", "b"} == InputGenerator(schema).rich().value.keys()


def test_what_only_the_model_rejects_is_not_valid(tmp_path: Path) -> None:
    """An odd number matches the schema `integer`, but not the validator; the error does not quote the value."""
    schema = load_input_schema(chain(tmp_path, "a: Annotated[int, AfterValidator(even)]"))

    assert schema.accepts({"a": 4})
    assert ("`a`: a validator of the class rejects the value",) == schema.errors({"a": 12345})


def test_what_only_the_model_reads_is_neither_valid_nor_surely_rejected(tmp_path: Path) -> None:
    """The service reads "5" as a number. A check may not expect 200 for it, nor 400."""
    schema = load_input_schema(chain(tmp_path, "a: int"))

    assert not schema.accepts({"a": "5"})
    assert not schema.surely_rejects({"a": "5"})
    assert schema.surely_rejects({"a": "five"})
    assert schema.accepts({"a": 5, "unnamed": None})


NULLS: dict[str, tuple[str, bool]] = {
    "a model as the default": ("a: Opts = Opts()", False),
    "a number as the default": ("a: int = 3", False),
    "null as the default": ("a: int = None", True),
    "a hint that allows null": ("a: int | None = 3", True),
    "any value": ("a: Any = 3", True),
}


@pytest.mark.parametrize(("parameter", "allowed"), NULLS.values(), ids=NULLS)
def test_null_is_valid_only_where_a_hint_or_a_default_allows_it(parameter: str, allowed: bool, tmp_path: Path) -> None:
    """The service's model takes null for each argument with a default, and the chain crashes on it."""
    name = chain(tmp_path, parameter)
    schema = load_input_schema(name)
    generator = InputGenerator(schema)
    drawn = [each.value.get("a", 1) for seed in range(30) if (each := generator.draw(Random(seed))) is not None]

    assert load_entrypoint(name).arguments({"a": None}) == {"a": None}
    assert allowed is schema.accepts({"a": None})
    assert schema.accepts({})
    assert allowed or None not in drawn


OUTPUTS: dict[str, tuple[str, JSON, JSON]] = {
    "a naive datetime": ("dt.datetime", "2026-01-01T12:00:00", "2026-13-01T12:00:00"),
    "a naive time": ("dt.time", "12:00:00", "25:00:00"),
    "a UUID": ("UUID4", "eb8f624f-b804-4820-8841-811779061596", "eb8f624f-b804-1820-8841-811779061596"),
    "any address": ("IPvAnyAddress", "::1", "::x"),
    "a Decimal": ("decimal.Decimal", "1E+2", "one"),
    "a Decimal as a number": ("decimal.Decimal", 1.5, True),
    "a validated number": ("Annotated[int, AfterValidator(even)]", 4, 5),
    "a number": ("int", 4, "4"),
    "a whole number with a fraction": ("int", 4.0, 4.5),
    "a computed field": ("Shape", {"side": 2.0, "area": 4.0}, {"side": "2", "area": 4.0}),
    "a serializer without a type": ("Stamp", {"when": 1.5}, {}),
    "a field with an alias": ('list[Annotated[Opts, Field(alias="x")]]', [{"repeat": 1}], [{"repeat": "1"}]),
    "bytes": ("bytes", "abc", 1),
    "numbers as keys": ("dict[int, int]", {"1": 2, "-30": 4}, {"one": 2}),
    "numbers within bounds as keys": ("dict[Annotated[int, Field(ge=1, le=900)], int]", {"800": 2}, {"901": 2}),
    "members of an enumeration as keys": ("dict[Level, int]", {"1": 2}, {"3": 2}),
    "numbers of a Literal as keys": ("dict[Literal[1, 2], int]", {"1": 2}, {"1": "2"}),
    "a set": ("set[int]", [1, 2], [1, "2"]),
}


@pytest.mark.parametrize(("hint", "valid", "invalid"), OUTPUTS.values(), ids=OUTPUTS)
def test_outputs_are_held_against_the_return_type(hint: str, valid: JSON, invalid: JSON, tmp_path: Path) -> None:
    """What a type writes is valid, whatever `format` its schema has; what it neither writes nor reads is not."""
    schema = load_output_schema(chain(tmp_path, output=hint))

    assert () == schema.errors(valid)
    assert schema.errors(invalid)


def test_a_schema_file_allows_times_without_offset_in_outputs_alone(tmp_path: Path) -> None:
    """Schemas that are derived from type hints call them `date-time`, and Python writes them without an offset."""
    path = tmp_path / "schema.json"
    path.write_text('{"properties": {"at": {"type": "string", "format": "date-time"}}}')
    inputs, outputs = load_input_schema(str(path)), load_output_schema(str(path))

    assert outputs.accepts({"at": "2026-01-01T12:00:00"})
    assert outputs.accepts({"at": "2026-01-01T12:00:00.5Z"})
    assert not outputs.accepts({"at": "2026-01-01"})
    assert not outputs.accepts({"at": "yesterday"})
    assert not inputs.accepts({"at": "2026-01-01T12:00:00"})


def test_a_validator_that_nothing_passes_is_named(tmp_path: Path) -> None:
    """The message says which argument has no valid value."""
    text = "a: Annotated[str, AfterValidator(lambda value: 1 / 0)]"

    with pytest.raises(SchemaError, match="a validator of the class raised ZeroDivisionError"):
        InputGenerator(load_input_schema(chain(tmp_path, text))).simplest()


@pytest.mark.parametrize(
    ("document", "dialect"),
    [
        ({"items": [{}]}, "https://json-schema.org/draft/2019-09/schema"),
        ({"minimum": 1, "exclusiveMinimum": True}, "http://json-schema.org/draft-04/schema#"),
        ({"prefixItems": [{}]}, None),
    ],
)
def test_an_older_draft_is_recognised(document: dict[str, JSON], dialect: str | None) -> None:
    """A schema without `$schema` is read by the newest draft by which it is valid."""
    assert dialect == Schema(source="a test", document=document).document.get("$schema")


NEWER = (
    "if then else contains propertyNames prefixItems dependentSchemas dependentRequired unevaluatedItems "
    "unevaluatedProperties $defs minContains maxContains examples"
)


@pytest.mark.parametrize("keyword", NEWER.split())
@pytest.mark.parametrize("document", [{}, {"items": [{}]}, {"exclusiveMinimum": True}])
def test_a_mistake_in_a_newer_keyword_is_no_sign_of_an_older_draft(document: dict[str, JSON], keyword: str) -> None:
    """An older draft would ignore the keyword, and the schema would mean something else."""
    with pytest.raises(SchemaError, match="is not a JSON Schema"):
        Schema(source="a test", document={**document, keyword: "a text"})


@pytest.mark.parametrize("keyword", NEWER.split())
@pytest.mark.parametrize("draft", [4, 6, 7])
def test_a_newer_keyword_in_a_schema_of_an_older_draft_is_ignored_or_right(draft: int, keyword: str) -> None:
    """Whatever its value is, there is an input or an error: generators read such keywords too."""
    for wrong in ("x", 5, [], [5], None, {"a": 5}):
        document = {"properties": {"a": {}}, "required": ["a"], keyword: wrong}
        document["$schema"] = f"http://json-schema.org/draft-0{draft}/schema#"
        with suppress(SchemaError):
            InputGenerator(Schema(source="a test", document=document)).simplest()


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" + "0" * 300])
def test_integers_beyond_64_bits_are_valid_outputs(number: str, tmp_path: Path) -> None:
    """They are integers for pydantic, although they are read as doubles."""
    schema = load_output_schema(chain(tmp_path, output="dict[str, int]"))

    assert () == schema.errors(parse_json(f'{{"seed":{number}}}'.encode()))  # type: ignore[arg-type]  # it is valid JSON
    assert schema.errors({"seed": 1e19 / 3e19})


@pytest.mark.parametrize("value", [{"count": 3}, {"count": "3"}, {"count": "x"}, {}, None, {"count": 4}])
def test_a_model_accepts_what_has_no_errors(value: JSON) -> None:
    """The two ways to ask agree, also if a validator of the user raises another error."""

    class Model(BaseModel):
        count: int

        @field_validator("count")
        @classmethod
        def check(cls, count: int) -> int:
            return {3: 3}[count]

    check = ModelCheck(model=Model)

    assert check.accepts(value) is not bool(check.errors(value))
