"""Tests of the endpoint: which target and key a command uses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from unittest.mock import MagicMock

import pytest

from chainproof.contract.credentials import ApiKey, ApiKeyError
from chainproof.contract.route import Address
from chainproof.contract.target import TargetError
from chainproof.doctor.connection import ConnectionFailed, DoctorConnection
from chainproof.endpoint import EMULATED_VARIABLE, find_target, open_endpoint, start_emulator
from chainproof.errors import UsageError
from chainproof.options import TARGET_VARIABLE
from chainproof.target_options import TargetOptions


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a listening socket; the environment contains a key and no other variable of chainproof."""
    for name in (TARGET_VARIABLE, EMULATED_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BASETEN_API_KEY", "abcd1234.abcd1234")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_the_target_is_that_of_the_option_or_else_of_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option wins; only the target of the environment can be an emulator."""
    monkeypatch.setenv(TARGET_VARIABLE, "https://nowhere.invalid")
    monkeypatch.setenv(EMULATED_VARIABLE, "1")
    with open_endpoint(TargetOptions(url=url)) as named:
        assert (named.target.origin, named.target.emulated) == (url, False)
    monkeypatch.setenv(TARGET_VARIABLE, url)
    with open_endpoint(TargetOptions()) as inherited:
        assert (inherited.target.origin, inherited.target.emulated) == (url, True)
        assert inherited.environment == {
            TARGET_VARIABLE: f"{url}/production/run_remote",
            "BASETEN_API_KEY": "abcd1234.abcd1234",
            EMULATED_VARIABLE: "1",
        }


@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::9"])
@pytest.mark.parametrize(
    "requested",
    [
        TargetOptions(url="http://chain.localhost"),
        TargetOptions(url="http://127.0.0.1", connect_to=Address("proxy.test", 80)),
        TargetOptions(url="http://chain.test", connect_to=Address("chain.localhost", 80)),
    ],
)
def test_plain_http_to_another_machine_is_rejected(
    requested: TargetOptions, address: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a name of this machine leads, or another address to connect to: the key is sent to loopback addresses only."""
    connection = MagicMock()
    connection.__enter__.return_value = connection
    connection.getpeername.return_value = (address, 80)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: connection)
    with pytest.raises(UsageError, match=f"which is at {address}: over plain http"), open_endpoint(requested):
        pass
    target, route = find_target(str(requested.url), requested, {})
    with pytest.raises(ConnectionFailed, match=f"which is at {address}: over plain http"):
        DoctorConnection(target, route)


def test_the_key_comes_from_the_named_variable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process finds the key in that variable too."""
    monkeypatch.setenv("OTHER_KEY", "other.key")
    with open_endpoint(TargetOptions(url=url, key_variable="OTHER_KEY")) as named:
        assert named.key == ApiKey("other.key")
        assert named.environment["OTHER_KEY"] == "other.key"
        assert "other.key" not in repr(named)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("nonsense", TargetError),
        ("http://127.0.0.1:1", UsageError),
        ("http://[::1]:1", UsageError),
        ("https://no-such-host.invalid", UsageError),
        (f"https://{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.invalid", UsageError),
    ],
)
def test_an_unreachable_target_is_a_usage_error(url: str, target: str, error: type[Exception]) -> None:
    """An invalid URL, an unknown host name and a refused connection fail before anything is sent."""
    with pytest.raises(error), open_endpoint(TargetOptions(url=target)):
        pass


def test_a_missing_key_is_an_error_before_anything_is_sent(url: str) -> None:
    """It is not reported as a 401 of the target."""
    with (
        pytest.raises(ApiKeyError, match="NO_SUCH_KEY"),
        open_endpoint(TargetOptions(url=url, key_variable="NO_SUCH_KEY")),
    ):
        pass


def test_connect_to_is_rejected_for_the_emulator_of_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """--connect-to needs a target of the user's own."""
    monkeypatch.setenv(TARGET_VARIABLE, url)
    monkeypatch.setenv(EMULATED_VARIABLE, "1")
    with (
        pytest.raises(UsageError, match="does not apply to the emulator"),
        open_endpoint(TargetOptions(connect_to=Address("127.0.0.1", 1))),
    ):
        pass


@pytest.mark.parametrize(
    "requested", [TargetOptions(connect_to=Address("127.0.0.1", 1)), TargetOptions(ca_file="ca.pem")]
)
def test_route_options_without_a_target_are_rejected(requested: TargetOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options that would have no effect are an error: the target is missing."""
    monkeypatch.delenv(TARGET_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="expected a target"), open_endpoint(requested):
        pass


def test_an_empty_target_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable in CI must not select the emulator, which would pass."""
    monkeypatch.setenv(TARGET_VARIABLE, "")
    with pytest.raises(UsageError, match="found an empty text"), open_endpoint(TargetOptions()):
        pass


@pytest.mark.parametrize("encoding", ["utf-16", "cp037"])
def test_the_emulator_starts_whatever_the_encoding_of_the_terminal_is(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line that it prints for this process is UTF-8."""
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    with start_emulator() as endpoint:
        assert endpoint.target.emulated
