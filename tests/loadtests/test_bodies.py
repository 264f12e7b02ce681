"""
Bodies are the caller's business: none is stored unless somebody asks, and then never with the key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainproof.results.folder import find_runs

Launch = Callable[..., Any]
RunServer = Callable[..., Any]
FEW = ("--rate", "30", "--duration", "500ms", "--arrivals", "constant")
PLACE = "a-place-that-only-bodies-name"


async def tell(told: Any) -> None:
    """What was sent, and the caller's key."""
    key = told.request.partition(b"Api-Key ")[2].partition(b"\r\n")[0].decode()
    await told.answer(200, json.dumps({"said": PLACE, "key": key}).encode())


async def octets(told: Any) -> None:
    """A failure that is no text."""
    await told.answer(500, b"\xff\xfe" + b"x" * 70_000, "Content-Type: application/octet-stream")


async def hang_up(told: Any) -> None:
    """Nothing."""
    told.reset()


@pytest.fixture
def payloads(tmp_path: Path) -> Path:
    """A file with one payload."""
    path = tmp_path / "inputs.jsonl"
    path.write_text(json.dumps({"where": PLACE}) + "\n")
    return path


@pytest.mark.parametrize("distribution", [(), ("--processes", "2")], ids=["alone", "two processes"])
def test_exemplars_keep_bodies_when_asked(
    run_server: RunServer, launch: Launch, payloads: Path, key: str, distribution: tuple[str, ...]
) -> None:
    """
    What was sent and what came back, as text or base64, cut at 64 KiB; the key in neither; and the manifest says so.
    """
    with run_server(tell, octets, hang_up) as server:
        done = launch(server, *FEW, "--payloads", str(payloads), "--keep-bodies", *distribution).end()
    run = done.run
    of = {found.status: found for found in run.exemplars}
    ok, failed, lost = of[200], of[500], of[None]

    assert run.manifest.settings["keep_bodies"] is True
    assert {json.dumps({"where": PLACE}, separators=(",", ":"))} == {
        found.request_body.text for found in run.exemplars
    }, done.errors
    assert {"said": PLACE, "key": "[API key]"} == json.loads(ok.answer_body.text)
    assert (None, 70_002, 65_536, True) == (
        failed.answer_body.text,
        failed.answer_body.size,
        len(failed.answer_body.octets),
        failed.answer_body.cut,
    )
    assert lost.answer_body is None
    assert [] == [path.name for path in done.folder.iterdir() if key.encode() in path.read_bytes()]


def test_without_the_option_no_body_is_stored(run_server: RunServer, launch: Launch, payloads: Path) -> None:
    """
    Neither what was sent nor what came back is in any file of the folder, and the manifest says so.
    """
    with run_server(tell) as server:
        done = launch(server, *FEW, "--payloads", str(payloads)).end()

    assert done.run.manifest.settings["keep_bodies"] is False
    assert done.run.exemplars
    assert [] == [path.name for path in done.folder.iterdir() if PLACE in path.read_text()]
    assert [done.folder] == find_runs(done.folder)
