"""
Who keeps the contract is accused of nothing.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from chainproof.conformance.checks import CHECKS
from chainproof.contract.clauses import CLAUSES
from chainproof.contract.levels import Contract

from .conftest import BY_HAND, Examine
from .endpoints import (
    KEY,
    Asked,
    Said,
    Server,
    error,
    flaky,
    honest,
    on_every_answer,
    on_status,
    rendered,
    serving,
    signed,
    when,
)


def in_chunks(said: Said) -> Said:
    """
    The same answer, its body in chunks and the connection closed behind it.
    """
    plain = rendered(said).partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, said.body[at : at + 1]) for at in range(min(20, len(said.body))))
    rest = said.body[20:]
    chunks += b"%x\r\n%b\r\n" % (len(rest), rest) if rest else b""
    return replace(
        said, raw=plain + b"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks + b"0\r\n\r\n"
    )


def in_http_1_0(said: Said) -> Said:
    """
    The same answer as an old server gives it: ended by the end of the connection.
    """
    return replace(said, raw=rendered(said).replace(b"HTTP/1.1", b"HTTP/1.0", 1))


def behind_an_interim_answer(said: Said) -> Said:
    """
    The same answer behind a 103.
    """
    return replace(said, raw=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + rendered(said))


HONEST: dict[str, Server] = {
    "plainly": honest,
    "with a charset": on_every_answer(lambda said: replace(said, media_type="Application/JSON; charset=utf-8")),
    "with empty errors": on_status(400, lambda said: replace(said, body=b"{}")),
    "with more members": on_status(400, lambda said: replace(said, body=b'{"x":[1],"error":"","detail":"d"}')),
    "in HTTP/1.0": when(lambda asked: asked.method == "POST", lambda asked, said: in_http_1_0(said)),
    "in chunks": when(lambda asked: asked.method == "POST", lambda asked, said: in_chunks(said)),
    "behind interim answers": when(
        lambda asked: asked.method == "POST", lambda asked, said: behind_an_interim_answer(said)
    ),
    "to a lower-case scheme": when(
        lambda asked: asked.values("authorization") == [f"api-key {KEY}"],
        lambda asked, said: Said(status=200, body=b"{}"),
    ),
    "to a byte order mark": when(
        lambda asked: asked.authorized and asked.body == b"\xef\xbb\xbf{}",
        lambda asked, said: Said(status=200, body=b"{}"),
    ),
    "with redirects elsewhere": when(
        lambda asked: asked.path.endswith("remote/"),
        lambda asked, said: Said(status=307, more=(("Location", "/production/run_remote"),)),
    ),
}


@pytest.mark.parametrize("server", HONEST.values(), ids=HONEST)
def test_an_honest_endpoint_is_accused_of_nothing(server: Server, examine: Examine) -> None:
    """
    However it spells its headers, frames its bodies or words its errors.
    """
    examined = examine(server, checks=CHECKS if server is honest else BY_HAND)

    assert examined.lines == []
    assert examined.skipped == {}


def test_every_clause_is_put_to_the_test(examine: Examine) -> None:
    """
    Where the target echoes and steers, no clause is left out.
    """
    ledger = examine(honest).ledger

    assert [] == [clause.id for clause in CLAUSES if not ledger.exercised(clause)]


def test_a_busy_endpoint_is_accused_of_nothing(examine: Examine) -> None:
    """
    A 429, 502 or 503 now and then says nothing about the request that it hits.
    """
    assert examine(flaky()).lines == []


def test_a_chain_with_a_signature_is_accused_of_nothing(examine: Examine) -> None:
    """
    Which objects a chain takes is its own affair, and a 400 to the others is right.
    """
    examined = examine(signed, echo=False, steerable=False)

    assert examined.lines == []
    assert set(examined.skipped) == {
        "every_documented_error_is_given_on_demand",
        "an_answer_belongs_to_its_request",
        "regional_hosts_do_not_have_the_path",
    }


@pytest.mark.parametrize(
    ("status", "instead"),
    [(401, error(403, "unauthorized")), (400, error(422, "client_error"))],
    ids=["a key refused with 403", "a body refused with 422"],
)
def test_a_wider_contract_allows_what_it_documents(status: int, instead: Said, examine: Examine) -> None:
    """
    What Baseten documents beyond the published document is a departure from the strict contract alone.
    """
    server = on_status(status, lambda said: replace(instead, request_id=said.request_id))

    assert examine(server, contract=Contract.DOCUMENTED, checks=BY_HAND).lines == []
    assert "status" in examine(server, contract=Contract.STRICT, checks=BY_HAND).clauses


def test_a_redirect_is_not_followed(examine: Examine) -> None:
    """
    Whoever a redirect leads to hears nothing of us, least of all the key.
    """
    heard: list[Asked] = []

    def elsewhere(asked: Asked) -> Said:
        heard.append(asked)
        return Said(status=200, body=b"{}")

    with serving(elsewhere) as url:
        redirect = Said(status=302, more=(("Location", f"{url}/production/run_remote"),))
        examined = examine(lambda asked: replace(redirect, request_id=Said(status=302).request_id))

    assert heard == []
    assert "status" in examined.clauses


def test_the_same_seed_asks_the_same(examine: Examine) -> None:
    """
    Two runs with one seed send the same requests, though not in the same order where they are sent at the same time.
    """

    def heard(seed: int) -> list[str]:
        requests: list[str] = []

        def noting(asked: Asked) -> Said:
            fields = [field for field in asked.fields if field[0] != "Host"]
            requests.append(repr((asked.method, asked.path, fields, asked.body)))
            return honest(asked)

        examine(noting, seed=seed, examples=10)
        return sorted(requests)

    first = heard(1)

    assert len(first) > 200
    assert first == heard(1)
    assert first != heard(2)
