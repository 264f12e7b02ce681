"""
Whoever names a target gets that one, with its key, after somebody was found to listen there.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from chainproof.command import TARGET_VARIABLE, TargetOptions
from chainproof.contract.credentials import ApiKey, ApiKeyError
from chainproof.contract.route import Address
from chainproof.contract.target import TargetError
from chainproof.endpoint import EMULATED_VARIABLE, open_endpoint
from chainproof.errors import UsageError


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """
    The URL of a socket that listens, in an environment with a key and nothing else of ours.
    """
    for name in (TARGET_VARIABLE, EMULATED_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BASETEN_API_KEY", "abcd1234.abcd1234")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_target_is_what_the_option_names_else_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The option goes first; an emulator around the command is known as such, a target of one's own never taken for it.
    """
    monkeypatch.setenv(TARGET_VARIABLE, "https://nowhere.invalid")
    monkeypatch.setenv(EMULATED_VARIABLE, "1")
    with open_endpoint(TargetOptions(url=url)) as named:
        assert (named.target.origin, named.target.emulated) == (url, False)
    monkeypatch.setenv(TARGET_VARIABLE, url)
    with open_endpoint(TargetOptions()) as told:
        assert (told.target.origin, told.target.emulated) == (url, True)
        assert told.environment == {
            TARGET_VARIABLE: f"{url}/production/run_remote",
            "BASETEN_API_KEY": "abcd1234.abcd1234",
            EMULATED_VARIABLE: "1",
        }


def test_the_key_comes_from_the_variable_that_was_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    And a child finds it there.
    """
    monkeypatch.setenv("OTHER_KEY", "other.key")
    with open_endpoint(TargetOptions(url=url, variable="OTHER_KEY")) as named:
        assert named.key == ApiKey("other.key")
        assert named.environment["OTHER_KEY"] == "other.key"
        assert "other.key" not in repr(named)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nonsense", TargetError),
        ("http://127.0.0.1:1", UsageError),
        ("http://[::1]:1", UsageError),
        ("https://no-such-host.invalid", UsageError),
        (f"https://{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.invalid", UsageError),
    ],
)
def test_a_target_that_cannot_be_reached_is_told_before_anything_is_sent(
    url: str, target: str, told: type[Exception]
) -> None:
    """
    One line says what is wrong: the URL, the name, or that nobody listens.
    """
    with pytest.raises(told), open_endpoint(TargetOptions(url=target)):
        pass


def test_a_missing_key_is_told_before_anything_is_sent(url: str) -> None:
    """
    Not as a 401 of the target.
    """
    with pytest.raises(ApiKeyError, match="NO_SUCH_KEY"), open_endpoint(TargetOptions(url=url, variable="NO_SUCH_KEY")):
        pass


def test_there_is_no_other_way_to_an_emulator_around_the_command(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What the emulator tells of itself nobody else answers for: bytes that go elsewhere need a URL of the user's own.
    """
    monkeypatch.setenv(TARGET_VARIABLE, url)
    monkeypatch.setenv(EMULATED_VARIABLE, "1")
    with (
        pytest.raises(UsageError, match="whose URL are the bytes to carry"),
        open_endpoint(TargetOptions(connect_to=Address("127.0.0.1", 1))),
    ):
        pass


@pytest.mark.parametrize("asked", [TargetOptions(connect_to=Address("127.0.0.1", 1)), TargetOptions(ca_file="ca.pem")])
def test_the_emulator_needs_no_way_of_its_own(asked: TargetOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Options that would be passed over are refused: somebody meant a target, and forgot it.
    """
    monkeypatch.delenv(TARGET_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="expected a target"), open_endpoint(asked):
        pass


def test_an_empty_target_is_no_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A variable that CI left empty must not turn the build green by way of the emulator.
    """
    monkeypatch.setenv(TARGET_VARIABLE, "")
    with pytest.raises(UsageError, match="found an empty text"), open_endpoint(TargetOptions()):
        pass
