"""Tests of the table of addresses."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.addresses import (
    ADDRESSES,
    PRODUCTION,
    REGIONAL,
    RESOURCE_ID,
    OperationAddress,
    ServerKind,
    address_of,
    service_host,
)
from chainproof.contract.openapi import OPERATION, PATH, lookup
from chainproof.contract.target import TargetError, parse_target

EXAMPLES = {
    "runRemoteProduction": ("/production/run_remote", ""),
    "runRemoteDevelopment": ("/development/run_remote", ""),
    "runRemote": ("/environments/staging/run_remote", "staging"),
    "runRemoteDeployment": ("/deployment/abcd1234/run_remote", "abcd1234"),
    "runRemoteRegional": ("/run_remote", ""),
}
"""A path of some addresses, and the name or id in it."""


def test_first_address_is_that_of_the_document() -> None:
    """The path and the operationId of the first row are in the published document, which has no other operation."""
    assert (PATH, lookup(f"{OPERATION}/operationId")) == (PRODUCTION.path(), PRODUCTION.operation_id)
    assert [PATH] == list(lookup("#/paths"))  # type: ignore[arg-type]  # an object of paths


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address.operation_id)
def test_each_path_belongs_to_one_address(address: OperationAddress) -> None:
    """A path is built from the template and recognized again, and by no other address."""
    name = address.identifier.unknown if address.identifier else ""
    path = address.path(name)

    assert [address] == [each for each in ADDRESSES if each.identified_in(path) is not None]
    assert name == address.identified_in(path)


@pytest.mark.parametrize("operation_id", EXAMPLES)
def test_paths_are_those_of_the_service(operation_id: str) -> None:
    """Each example is the path of its address, with the name or id in it."""
    path, name = EXAMPLES[operation_id]
    address = address_of(path)

    assert address is not None
    assert (operation_id, name, path) == (address.operation_id, address.identified_in(path), address.path(name))


@given(st.sampled_from(ADDRESSES), st.text())
def test_only_whole_paths_with_one_segment_belong_to_an_address(address: OperationAddress, text: str) -> None:
    """A name that is not one plain segment of a path, and text around a path, belong to no address."""
    if address.identifier and not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        assert address_of(address.path(text)) is None
    if text:
        assert address_of(address.path("x") + text) is None


@pytest.mark.parametrize(
    "identifier",
    [RESOURCE_ID, *(address.identifier for address in ADDRESSES if address.identifier)],
    ids=lambda row: row.placeholder,
)
def test_unknown_identifiers_are_valid(identifier) -> None:
    """Requests with an unknown identifier are rejected because it is unknown, not because it is malformed."""
    assert identifier.accepts(identifier.unknown)


@pytest.mark.parametrize("server", ServerKind)
@pytest.mark.parametrize("notation", [str, str.upper, "{}.".format])
def test_hosts_of_the_service_are_taken_apart(server: ServerKind, notation) -> None:
    """A host has the parts that it was built from, in any letter case and with a trailing dot."""
    environment = "prod-us-2" if server.regional else ""
    host = service_host(notation(server.url("abc123", environment).removeprefix("https://")))

    assert host is not None
    assert (server, "abc123", environment) == (host.server, host.identifier, host.environment)


@pytest.mark.parametrize(
    "host", ["localhost", "chain-abc.localhost", "api.baseten.co", "chain-abc.api.baseten.co.evil.example"]
)
def test_other_hosts_are_not_of_the_service(host: str) -> None:
    """Only the document's four forms are hosts of the service."""
    assert service_host(host) is None


def test_regional_hosts_have_the_bare_path() -> None:
    """An origin gets the path that its host serves, and a path that its host does not serve is a usage error."""
    standard, regional = "https://chain-abc.api.baseten.co", "https://chain-abc-prod-us.api.baseten.co"

    assert (PATH, REGIONAL.path()) == (parse_target(standard).path, parse_target(regional).path)
    for wrong in (standard + REGIONAL.path(), regional + PATH):
        with pytest.raises(TargetError, match="on the host"):
            parse_target(wrong)
