"""Files of the user that would take much memory are rejected in one line, before they are read."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chainproof import text_files
from chainproof.errors import UsageError
from chainproof.text_files import MAX_FILE_BYTES, load_toml, read_file

from ..processes import run_process

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


def test_a_pipe_without_a_process_at_its_other_end_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening it would wait for ever, for reading and for writing."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(text_files, "PIPE_PATIENCE", 0.0)

    with pytest.raises(UsageError, match="expected a process that writes to the pipe"):
        read_file(path, "the payload file")
    with pytest.raises(UsageError, match="expected a process that reads the pipe"):
        text_files.open_pipe_for_writing(path)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """Also if the process opens it later, and writes more than a pipe holds."""
    path, content = tmp_path / "pipe", b"{}\n" * 100_000
    os.mkfifo(path)

    with ThreadPoolExecutor() as pool:
        found = pool.submit(read_file, path, "the payload file")
        path.write_bytes(content)

        assert content == found.result()


def test_a_path_that_may_not_be_looked_at_is_not_taken_for_nothing(tmp_path: Path) -> None:
    """A folder that this user may list and not search hides what is in it: that is no reason to leave it out."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("nowhere")

    assert text_files.is_there(folder / "link")
    assert not text_files.is_there(folder / "other")
    assert not text_files.is_there(folder / "link" / "below")
    folder.chmod(0o444)
    if os.geteuid() == 0:
        code = f"import pathlib, chainproof.text_files as t; t.is_there(pathlib.Path({str(folder / 'link')!r}))"
        unprivileged = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
        ended = run_process([*unprivileged, sys.executable, "-P", "-c", code])
        assert "PermissionError" in ended.stderr
    else:
        with pytest.raises(PermissionError):
            text_files.is_there(folder / "link")
    folder.chmod(0o755)
