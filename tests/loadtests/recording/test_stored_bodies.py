"""Bodies are stored only with --keep-bodies, and never with the key."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.results.folder import FINDINGS, find_runs

Launch = Callable[..., Any]
RunServer = Callable[..., Any]
ALL_CASES = os.environ.get("CHAINPROOF_SAMPLE") == "all"
SHORT_RUN = ("--rate", "30", "--duration", "500ms", "--arrivals", "constant")
PLACE = "a-place-that-only-bodies-name"


async def echo_key(request: Any) -> None:
    """Answer with the key of the request."""
    key = request.request.partition(b"Api-Key ")[2].partition(b"\r\n")[0].decode()
    await request.answer(200, json.dumps({"echo": PLACE, "key": key}).encode())


async def fail_with_bytes(request: Any) -> None:
    """Answer 500 with a body that is not text."""
    await request.answer(500, b"\xff\xfe" + b"x" * 70_000, "Content-Type: application/octet-stream")


async def hang_up(request: Any) -> None:
    """Reset the connection."""
    request.reset()


@pytest.fixture
def payloads(tmp_path: Path) -> Path:
    """A file with one payload."""
    path = tmp_path / "inputs.jsonl"
    path.write_text(json.dumps({"where": PLACE}) + "\n")
    return path


@pytest.mark.parametrize("distribution", [("--processes", "2"), *([()] if ALL_CASES else [])])
def test_keep_bodies_stores_bodies_of_exemplars(
    run_server: RunServer, launch: Launch, payloads: Path, key: str, distribution: tuple[str, ...]
) -> None:
    """Exemplars have both bodies as text or base64, cut at 64 KiB and without the key; the manifest has the setting."""
    with run_server(echo_key, fail_with_bytes, hang_up) as server:
        done = launch(server, *SHORT_RUN, "--payloads", str(payloads), "--keep-bodies", *distribution).end()
    run = done.run
    by_status = {exemplar.status: exemplar for exemplar in run.exemplars}
    ok, failed, lost = by_status[200], by_status[500], by_status[None]

    assert run.manifest.settings["keep_bodies"] is True
    assert {json.dumps({"where": PLACE})} == {exemplar.request_body.text for exemplar in run.exemplars}, done.errors
    assert {"echo": PLACE, "key": "[API key]"} == json.loads(ok.answer_body.text)
    assert (None, 70_002, 65_536, True) == (
        failed.answer_body.text,
        failed.answer_body.size,
        len(failed.answer_body.octets),
        failed.answer_body.truncated,
    )
    assert lost.answer_body is None
    assert [] == [path.name for path in done.folder.iterdir() if key.encode() in path.read_bytes()]


def test_no_body_is_stored_without_keep_bodies(run_server: RunServer, launch: Launch, payloads: Path) -> None:
    """No file of the run folder contains a body, except in the command of a finding; the manifest has the setting."""
    with run_server(echo_key) as server:
        done = launch(server, *SHORT_RUN, "--payloads", str(payloads)).end()

    assert done.run.manifest.settings["keep_bodies"] is False
    assert done.run.exemplars
    assert {FINDINGS} >= {path.name for path in done.folder.iterdir() if PLACE in path.read_text()}
    assert [done.folder] == find_runs(done.folder)
