"""--fault and --variant change one behaviour of the emulator, and nothing else."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path

import pytest

from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.redaction import EMULATOR_KEY
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

from ..waiting import PATIENCE
from .conftest import read_answers

HELLO = f"{Path(__file__).parents[2] / 'docs' / 'chain' / 'hello.py'}:Hello"
"""The sample chain."""

HEAD = (
    b"POST /production/run_remote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Authorization: Api-Key " + EMULATOR_KEY.encode() + b"\r\n"
)


def answers_to(endpoint: Endpoint, *requests: bytes) -> list[Answer]:
    """The answers to requests sent on their own connection."""
    with socket.create_connection((endpoint.target.host, endpoint.target.port), timeout=PATIENCE) as connection:
        connection.sendall(b"".join(requests))
        return read_answers(connection, ("POST",) * len(requests))


def post(body: bytes) -> bytes:
    """A request with the right key."""
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("options", "body", "status", "expected_body"),
    [
        (("--fault", "accepts-trailing-commas"), b'{"a":1,}', 200, b'{"a":1}'),
        (("--fault", "rounds-integers"), b'{"a":9007199254740993}', 200, b'{"a": 9007199254740992}'),
        (("--fault", "rejects-exponents"), b'{"a":1e5}', 400, None),
        (("--fault", "accepts-python-literals"), b"{'a': b'bytes'}", 400, None),
        (("--fault", "malformed-is-500"), b"{", 500, None),
        (("--variant", "chunked"), b'{"a":1}', 200, b'{"a":1}'),
        (("--variant", "close-delimited"), b'{"a":1}', 200, b'{"a":1}'),
        (("--variant", "early-hints"), b'{"a":1}', 200, b'{"a":1}'),
    ],
)
def test_option_selects_fault_or_variant(
    options: tuple[str, ...], body: bytes, status: int, expected_body: bytes | None
) -> None:
    """The fault or variant named on the command line is active."""
    with start_emulator(options=options) as endpoint:
        answer = answers_to(endpoint, post(body))[-1]

    assert status == answer.status
    assert expected_body is None or expected_body == answer.body


@pytest.mark.parametrize(
    ("fault", "inputs", "expected_outputs"),
    [
        ("stale-on-connection", (["Ada"], ["Bo", "Cy"]), ["Hello, Ada", "Hello, Ada"]),
        ("output-empty", (["Ada"],), [None]),
    ],
)
def test_fault_applies_to_the_answers_of_a_users_chain(
    fault: str, inputs: tuple[list[str], ...], expected_outputs: list[str | None]
) -> None:
    """With --chain, the hook changes what the chain returns."""
    with start_emulator(options=("--fault", fault, "--chain", HELLO)) as endpoint:
        answers = answers_to(endpoint, *(post(json.dumps({"names": names}).encode()) for names in inputs))

    found = [json.loads(answer.body).get("greetings", [None])[0] for answer in answers]
    assert expected_outputs == found


def test_access_log_records_faulty_answers(tmp_path: Path) -> None:
    """The access log contains the answers as the faulty server sent them."""
    log = tmp_path / "access.jsonl"
    with start_emulator(options=("--fault", "array-is-422", "--access-log", str(log))) as endpoint:
        answers = [answers_to(endpoint, post(body))[-1] for body in (b"{}", b"[]", b"{")]

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(answer.status, answer.request_id) for answer in answers] == [
        (line["status"], line["request_id"]) for line in lines
    ]
    assert [200, 422, 400] == [line["status"] for line in lines]


@pytest.mark.parametrize("hook", [None, FaultHook()])
def test_correct_server_has_no_fault_code(hook: FaultHook | None) -> None:
    """Without a fault or variant, the server consists of the plain classes."""
    config = EmulatorConfig(scenario=find_scenario("warm"), key=ApiKey(EMULATOR_KEY), request_id_prefix="0" * 21)
    loop = asyncio.new_event_loop()
    state, create_protocol = _server_state(loop, config, AccessLog(None), None, hook)
    state.close()
    loop.close()

    assert (ServerState if hook is None else FaultyServer) is type(state)
    assert callable(create_protocol)
    assert issubclass(FaultyProtocol, HttpProtocol)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--fault", "accepts-nam"), "did you mean accepts-nan?"),
        (("--variant", "gzpi"), "did you mean gzip?"),
        (("--fault", "accepts-nan", "--variant", "gzip"), "found both"),
    ],
)
def test_usage_error_is_one_line(options: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown or conflicting name exits with 2 and one line that says what was expected."""
    code = main(options)

    errors = capsys.readouterr().err
    assert 2 == code
    assert expected in errors
    assert 1 == len(errors.splitlines())


def test_lists_have_every_fault_and_variant(capsys: pytest.CaptureFixture[str]) -> None:
    """Each fault is listed with its clauses, each variant with what allows it."""
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


def test_page_names_existing_faults() -> None:
    """Every fault and variant named in docs/emulator.md exists."""
    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    names = {
        *re.findall(r"\(`([a-z0-9]+-[a-z0-9-]+)`\)", page),
        *re.findall(r"--(?:fault|variant) ([a-z0-9-]+) --", page),
    }

    assert names
    assert set() == names - set(FAULTS) - set(VARIANTS)
