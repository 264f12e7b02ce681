"""Files of the user that would take much memory are rejected in one line, before they are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chainproof.errors import UsageError
from chainproof.text_files import MAX_FILE_BYTES, load_toml, read_file

PARTS = 50_000
DEEP_KEYS = {
    "a dotted key": "a" + ".a" * PARTS + " = 1",
    "a dotted key with blanks and quotes": '"a"' + " . 'a'" * PARTS + " = 1",
    "a table": f"[{'a.' * PARTS}a]",
    "a key in an inline table": f"x = {{a{'.a' * PARTS} = 1}}",
}


@pytest.mark.parametrize("name", DEEP_KEYS)
def test_a_key_with_many_parts_is_rejected(name: str, tmp_path: Path) -> None:
    """The parser would take ten gigabytes for 100 kilobytes of text."""
    path = tmp_path / "w.toml"
    path.write_text(f"rate = 1\n{DEEP_KEYS[name]}\n", encoding="utf-8")

    with pytest.raises(UsageError, match="keys of at most 100 parts in line 2 of"):
        load_toml(path, "the workload")


def test_texts_with_many_dots_are_no_keys(tmp_path: Path) -> None:
    """Sentences, numbers and ellipses may have as many dots as they like."""
    path = tmp_path / "w.toml"
    path.write_text(f'a.b.c = "{"A sentence. And so on... " * 200}"\nd = [{"1.5, " * 200}]\n', encoding="utf-8")

    assert {"a", "d"} == load_toml(path, "the workload").keys()


def test_a_file_of_many_gigabytes_is_rejected(tmp_path: Path) -> None:
    """Without reading it; a sparse file takes no space on the disk."""
    path = tmp_path / "payloads.jsonl"
    path.touch()
    os.truncate(path, MAX_FILE_BYTES + 1)

    with pytest.raises(UsageError, match="expected at most 1024 MiB in"):
        read_file(path, "the payloads")
