"""
Count for how many schemas of the JSON-Schema-Test-Suite valid values are generated.

Usage: python benchmarks/json_schema_suite.py CHECKOUT [--show]

CHECKOUT is a clone of https://github.com/json-schema-org/JSON-Schema-Test-Suite. The first figure is about the schemas with a
test that is an object and that jsonschema-rs accepts, the second about those with any such test. Schemas that refer to other
documents are left out. A generated value that jsonschema-rs rejects is an error.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import jsonschema_rs

from chainproof.chain_schema.alternatives import Alternatives, Unsatisfiable
from chainproof.chain_schema.error_text import SchemaError
from chainproof.chain_schema.inputs import InputGenerator
from chainproof.chain_schema.instances import InstanceGenerator, Style
from chainproof.chain_schema.references import SchemaReader
from chainproof.chain_schema.schema import Schema

ATTEMPTS = 5
DIALECTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


def cases(folder: Path, draft: str) -> Iterator[tuple[str, Any, list[Any]]]:
    """The name, the schema and the valid values of each case of a draft."""
    for path in sorted((folder / "tests" / draft).glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8")):
            schema = case["schema"]
            if isinstance(schema, dict):
                schema = {"$schema": DIALECTS[draft], **schema}
                try:
                    validator = validator_of(schema)
                except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
                    continue  # other documents
                valid = [test["data"] for test in case["tests"] if validator.is_valid(test["data"])]
                yield f"{draft}/{path.stem}: {case['description']}", schema, valid


def validator_of(schema: Any) -> jsonschema_rs.Validator:
    """The validator of a schema."""
    return jsonschema_rs.validator_for(schema, validate_formats=True, offline=True)


def objects(schema: Any) -> list[Any]:
    """Generated objects; none if none is found."""
    try:
        generator = InputGenerator(Schema(source="suite", document=schema))
        found = [generator.simplest(), generator.rich(), generator.draw(Random(1))]
    except SchemaError:
        return []
    return [each.value for each in found if each is not None]


def values(schema: Any) -> list[Any]:
    """Generated values of any type; none if none is found."""
    reader = SchemaReader(schema)
    alternatives = Alternatives(reader)
    found = []
    for seed in range(ATTEMPTS):
        with suppress(Unsatisfiable):
            style = Style.SIMPLE if seed == 0 else Style.MIXED
            found.append(InstanceGenerator(alternatives, Random(seed), style).value([reader.root]))
    return found


def main() -> None:
    """Print the counts by draft."""
    folder, show = Path(sys.argv[1]), "--show" in sys.argv
    total: Counter[str] = Counter()
    for draft in DIALECTS:
        counts: Counter[str] = Counter()
        for name, schema, valid in cases(folder, draft):
            validator, has_object = validator_of(schema), any(isinstance(value, dict) for value in valid)
            found = {"object": objects(schema), "value": values(schema)}
            for kind, is_possible in (("object", has_object), ("value", bool(valid))):
                counts[f"schemas with a valid {kind}"] += is_possible
                counts[f"valid {kind} generated"] += is_possible and bool(found[kind])
                counts[f"invalid {kind}s"] += sum(not validator.is_valid(value) for value in found[kind])
                if show and is_possible and not found[kind]:
                    print(f"no {kind}: {name}\n  {json.dumps(schema)}\n  valid: {json.dumps(valid[:1])}")
        print(f"{draft}: {', '.join(f'{label} {count}' for label, count in counts.items())}")
        total += counts
    print(f"all: {', '.join(f'{label} {count}' for label, count in total.items())}")


if __name__ == "__main__":
    main()
