"""
A fault or a variant bends the endpoint that it is asked for, in one place, and leaves the honest one as it is.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path

import pytest

from chainproof.contract.answer import Answer
from chainproof.contract.credentials import EMULATOR_KEY, ApiKey
from chainproof.emulator.command import main
from chainproof.emulator.decision import EmulatorConfig
from chainproof.emulator.faults import FAULTS
from chainproof.emulator.faults.faulty_server import FaultyProtocol, FaultyServer
from chainproof.emulator.faults.hooks import FaultHook
from chainproof.emulator.faults.variants import VARIANTS
from chainproof.emulator.scenario import find_scenario
from chainproof.emulator.server import _server_state
from chainproof.emulator.transport.access_log import AccessLog
from chainproof.emulator.transport.protocol import HttpProtocol
from chainproof.emulator.transport.server_state import ServerState
from chainproof.endpoint import Endpoint, start_emulator

from .conftest import read_answers

HEAD = (
    b"POST /production/run_remote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Authorization: Api-Key " + EMULATOR_KEY.encode() + b"\r\n"
)


def asked(endpoint: Endpoint, data: bytes) -> list[Answer]:
    """
    The answer to bytes on a connection of their own.
    """
    with socket.create_connection((endpoint.target.host, endpoint.target.port), timeout=5) as connection:
        connection.sendall(data)
        return read_answers(connection, ("POST",))


def posted(body: bytes) -> bytes:
    """
    A request with the right key.
    """
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("option", "body", "status", "answered"),
    [
        (("--fault", "accepts-trailing-commas"), b'{"a":1,}', 200, b'{"a":1}'),
        (("--fault", "rounds-integers"), b'{"a":9007199254740993}', 200, b'{"a": 9007199254740992}'),
        (("--fault", "rejects-exponents"), b'{"a":1e5}', 400, None),
        (("--fault", "malformed-is-500"), b"{", 500, None),
        (("--variant", "chunked"), b'{"a":1}', 200, b'{"a":1}'),
        (("--variant", "close-delimited"), b'{"a":1}', 200, b'{"a":1}'),
        (("--variant", "early-hints"), b'{"a":1}', 200, b'{"a":1}'),
    ],
)
def test_what_is_asked_for_is_what_is_bent(
    option: tuple[str, ...], body: bytes, status: int, answered: bytes | None
) -> None:
    """
    The option's name alone decides what is different.
    """
    with start_emulator(options=option) as endpoint:
        answer = asked(endpoint, posted(body))[-1]

    assert status == answer.status
    assert answered is None or answered == answer.body


def test_the_truth_is_told_of_bent_answers(tmp_path: Path) -> None:
    """
    What an endpoint says with a fault is what its truth says it said.
    """
    truth = tmp_path / "truth.jsonl"
    with start_emulator(options=("--fault", "array-is-422", "--access-log", str(truth))) as endpoint:
        answers = [asked(endpoint, posted(body))[-1] for body in (b"{}", b"[]", b"{")]

    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    assert [(answer.status, answer.request_id) for answer in answers] == [
        (line["status"], line["request_id"]) for line in lines
    ]
    assert [200, 422, 400] == [line["status"] for line in lines]


@pytest.mark.parametrize("hook", [None, FaultHook()])
def test_the_honest_endpoint_knows_nothing_of_bends(hook: FaultHook | None) -> None:
    """
    Without a fault or variant, no code of theirs is in the way of a request.
    """
    config = EmulatorConfig(scenario=find_scenario("warm"), key=ApiKey(EMULATOR_KEY), request_id_prefix="0" * 21)
    loop = asyncio.new_event_loop()
    site, create_protocol = _server_state(loop, config, AccessLog(None), None, hook)
    site.close()
    loop.close()

    assert (ServerState if hook is None else FaultyServer) is type(site)
    assert callable(create_protocol)
    assert issubclass(FaultyProtocol, HttpProtocol)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--fault", "accepts-nam"), "did you mean accepts-nan?"),
        (("--variant", "gzpi"), "did you mean gzip?"),
        (("--fault", "accepts-nan", "--variant", "gzip"), "found both"),
        (("--fault", "accepts-nan", "--chain", "docs/chain/hello.py:Hello"), "found both"),
    ],
)
def test_a_mistake_is_one_line(options: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Whoever asks for what there is not is told what there is.
    """
    code = main(options)

    said = capsys.readouterr().err
    assert 2 == code
    assert told in said
    assert 1 == len(said.splitlines())


def test_the_lists_name_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Each fault is listed with its clauses, and each variant with what allows it.
    """
    main(("--list-faults",))
    faults = capsys.readouterr().out.splitlines()[1:]
    main(("--list-variants",))
    variants = capsys.readouterr().out.splitlines()[1:]

    assert list(FAULTS) == [line.split()[0] for line in faults]
    assert all(
        fault.violates.id in line and fault.description in line
        for fault, line in zip(FAULTS.values(), faults, strict=True)
    )
    assert list(VARIANTS) == [line.split()[0] for line in variants]
    assert all(each.allowed_by in line for each, line in zip(VARIANTS.values(), variants, strict=True))


def test_the_page_names_what_there_is() -> None:
    """
    Every fault and variant that docs/emulator.md names can be asked for.
    """
    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    section = page.partition("## Faults: broken in one way")[2].partition("## The truth")[0]
    named = {
        *re.findall(r"\(`([a-z0-9]+-[a-z0-9-]+)`\)", section),
        *re.findall(r"--(?:fault|variant) ([a-z0-9-]+) --", section),
    }

    assert named
    assert set() == named - set(FAULTS) - set(VARIANTS)
