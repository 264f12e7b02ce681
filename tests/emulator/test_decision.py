from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.answer import Answer
from chainproof.contract.credentials import EMULATOR_KEY, ApiKey
from chainproof.contract.errors import PAIRINGS, ErrorCode, statuses
from chainproof.contract.levels import Contract
from chainproof.contract.violations import violations
from chainproof.emulator.behaviour.latency import constant
from chainproof.emulator.behaviour.rate_limit import RateLimit
from chainproof.emulator.behaviour.request import ReceivedRequest
from chainproof.emulator.decision import Decision, EmulatorConfig, EmulatorState, decide, decide_malformed
from chainproof.emulator.scenario import Scenario, builtin_scenarios

PATH = b"/production/run_remote"
CALM = Scenario(name="calm", service_time=constant(0.5), error_service_time=constant(0.1))
MODEL = EmulatorConfig(scenario=CALM, key=ApiKey(EMULATOR_KEY), request_id_prefix="0" * 21)
FIELDS = {
    b"host": b"127.0.0.1:8000",
    b"authorization": b"Api-Key " + EMULATOR_KEY.encode(),
    b"content-type": b"application/json",
}


def request(
    body: bytes = b'{"a":1}', *, method: bytes = b"POST", target: bytes = PATH, **changed: bytes | None
) -> ReceivedRequest:
    """
    A request that is as it should be but for what is named.
    """
    fields = {**FIELDS, **{name.replace("_", "-").encode(): value for name, value in changed.items()}}
    headers = tuple((name, value) for name, value in fields.items() if value is not None)
    return ReceivedRequest(method=method, target=target, headers=headers, body=body, length=len(body))


def decided(asked: ReceivedRequest, config: EmulatorConfig = MODEL, state: EmulatorState | None = None) -> Decision:
    """
    What a model says to one request.
    """
    decision, _ = decide(asked, config, state or EmulatorState(), 0.0)
    assert isinstance(decision, Decision)
    return decision


def decisions(config: EmulatorConfig, *, gap: float = 1.0):
    """
    What a model says to the same good request, again and again.
    """
    state, now = EmulatorState(), 0.0
    while True:
        decision, state = decide(request(), config, state, now)
        yield decision
        now += gap


def outcome(answer: Answer) -> tuple[int, str | None]:
    """
    Status and error code as a client sees them.
    """
    return answer.status, None if answer.status == 200 else json.loads(answer.body).get("error_code")


# ------------------------------------------------------------------ properties

anything = st.binary(max_size=30)
requests = st.builds(
    ReceivedRequest,
    method=st.sampled_from([b"POST", b"GET", b"HEAD"]),
    target=st.sampled_from([PATH, PATH + b"?a=b", b"http://x" + PATH, PATH + b"/", b"*"]) | anything,
    headers=st.lists(
        st.sampled_from(
            [
                *FIELDS.items(),
                (b"x-emulate", b"timeout"),
                (b"x-emulate", b"ok"),
                (b"x-emulate", b"internal_baseten_error 503"),
                (b"content-type", b"Application/JSON; charset=utf-8"),
                (b"content-encoding", b"gzip"),
                (b"host", b"chain-abc-prod-us.api.baseten.co"),
            ]
        )
        | st.tuples(st.sampled_from([*FIELDS, b"x-emulate", b"content-encoding"]), anything),
        max_size=6,
    ).map(tuple)
    | st.just(tuple(FIELDS.items())),
    body=st.sampled_from([b"{}", b'{"a":[1e400,"\\ud800"]}', b"[]", b"", b"{"]) | anything,
    length=st.sampled_from([0, 10, 10**9]),
)
models = st.builds(
    replace,
    st.just(MODEL),
    seed=st.integers(),
    steering=st.booleans(),
    scenario=st.sampled_from(list(builtin_scenarios().values())),
)


@given(requests, models, st.integers(0, 10**6))
def test_nothing_said_of_the_operation_departs_from_the_document(asked, config, number):
    """
    In the strict contract every answer to the operation keeps every clause, whatever was sent.
    """
    answer = decided(asked, config, EmulatorState(number=number)).answer

    if answer.status in (404, 405):
        assert asked.method != b"POST" or asked.path != PATH or asked.host.startswith(b"chain-")
    else:
        assert () == violations(answer)


@given(requests, models)
def test_every_refusal_is_an_error_response(asked, config):
    """
    Whatever is not a 200, on this path or another, is JSON in the form of `ErrorResponse`, with a request id.
    """
    answer = decided(asked, config).answer

    if answer.status != 200:
        assert ["detail", "error"] == sorted(set(json.loads(answer.body)) - {"error_code"})
        assert ("application/json", 37) == (answer.media_type, len(answer.request_id or ""))


@given(requests, models, st.integers(0, 10**6), st.floats(0, 1e6))
def test_a_decision_depends_on_nothing_else(asked, config, number, now):
    """
    The same request, model, state and time give the same answer and the same state.
    """
    state = EmulatorState(number=number)

    assert decide(asked, config, state, now) == decide(asked, config, state, now)


@given(requests, models)
def test_the_key_never_comes_back(asked, config):
    """
    No answer repeats the key, wherever it stood: an error quotes nothing of the request.
    """
    key = EMULATOR_KEY.encode()
    asked = replace(asked, target=asked.target + b"?key=" + key, headers=(*asked.headers, (b"x-emulate", key)))
    answer = decided(asked, config).answer

    assert key not in answer.body
    assert EMULATOR_KEY not in repr(answer.headers)


@given(
    st.dictionaries(st.text(), st.integers() | st.floats() | st.text()).map(
        lambda value: json.dumps(value).replace("NaN", "1e999").replace("Infinity", "0")
    )
)
def test_the_echo_is_the_very_bytes(text):
    """
    A success returns the bytes that were sent, so that every spelling survives.
    """
    assert (200, text.encode()) == ((answer := decided(request(text.encode())).answer).status, answer.body)


@pytest.mark.parametrize("contract", Contract)
@pytest.mark.parametrize(
    "body", [b' \r\n\t{"a" : 1.0e5}\n', b'{"\\ud800":"\\ud800"}', b'{"a":' * 5000 + b"1" + b"}" * 5000]
)
def test_every_contract_echoes_every_spelling(contract, body):
    """
    Blanks around an object, half a surrogate pair, great depth: an echo is the very bytes under every contract.
    """
    assert (200, body) == (
        (answer := decided(request(body), replace(MODEL, contract=contract)).answer).status,
        answer.body,
    )


ECHO_ERRORS = {
    b"": "`__root__`: Expecting value: line 1 column 1 (char 0).",
    b"{": "`__root__`: Expecting property name enclosed in double quotes: line 1 column 2 (char 1).",
    b"NaN": "``: Input should be a valid dictionary or instance of EchoInput.",
    b"[1]": "``: Input should be a valid dictionary or instance of EchoInput.",
    b"[" * 5000 + b"]" * 5000: "``: Input should be a valid dictionary or instance of EchoInput.",
}


@pytest.mark.parametrize(("body", "words"), ECHO_ERRORS.items(), ids=[body[:9] for body in ECHO_ERRORS])
def test_a_wider_contracts_echo_words_its_errors_as_a_chain_does(body, words):
    """
    400, in the words of the server of a chain.
    """
    answer = decided(request(body), replace(MODEL, contract=Contract.DOCUMENTED)).answer

    assert (400, {"error": f"Input Parsing Error:\n  {words}"}) == (answer.status, json.loads(answer.body))


def test_what_json_has_no_number_for_is_echoed_as_null():
    """
    As the server of a chain writes it; a text that only looks like it stays.
    """
    asked = request(b'{"a": [NaN, -Infinity, "NaN", 1e999], "b": 10000000000000000000000}')
    answer = decided(asked, replace(MODEL, contract=Contract.DOCUMENTED)).answer

    assert b'{"a":[null,null,"NaN",null],"b":10000000000000000000000}' == answer.body


def test_request_ids_are_unlike_within_a_run_and_between_runs():
    """
    37 lower-case hexadecimal digits, never the same twice, even from two servers with the same seed.
    """
    runs = [replace(MODEL, request_id_prefix=request_id_prefix * 21) for request_id_prefix in "ab"]
    ids = [decision.answer.request_id for config in runs for decision in islice(decisions(config), 500)]

    assert 1000 == len(set(ids))
    assert all(len(i) == 37 and set(i) <= set("0123456789abcdef") for i in ids)


# ------------------------------------------------------------------ who is let in, and what is taken

KEY = EMULATOR_KEY.encode()
UNAUTHORIZED = {
    "missing": None,
    "empty": b"",
    "prefix alone": b"Api-Key",
    "prefix and blank": b"Api-Key ",
    "bare key": KEY,
    "wrong key": b"Api-Key wrong",
    "key cut short": b"Api-Key " + KEY[:-1],
    "key with more": b"Api-Key " + KEY + b"x",
    "key in capitals": b"Api-Key " + KEY.upper(),
    "two blanks": b"Api-Key  " + KEY,
    "basic": b"Basic " + KEY,
    "not ASCII": b"Api-Key \xff",
    "twice in one": b"Api-Key " + KEY + b", Api-Key " + KEY,
}


@pytest.mark.parametrize("value", UNAUTHORIZED.values(), ids=UNAUTHORIZED)
@pytest.mark.parametrize("contract", Contract)
def test_whoever_has_not_the_key_is_refused(value, contract):
    """
    Strict: 401 to all of them, with its code. Documented and observed: 401 without the header, 403 with a wrong one.
    """
    strict = contract is Contract.STRICT
    decision = decided(request(authorization=value), replace(MODEL, contract=contract))

    assert (401 if strict or value is None else 403) == decision.answer.status
    assert ("unauthorized" if strict else None) == decision.error_code


@pytest.mark.parametrize(("contract", "expected"), [("strict", 401), ("documented", 200), ("observed", 200)])
def test_bearer_is_documented_beside_the_strict_contract(contract, expected):
    """
    The key as a bearer token counts from the documented contract on.
    """
    assert (
        expected
        == decided(request(authorization=b"Bearer " + KEY), replace(MODEL, contract=Contract(contract))).answer.status
    )


def test_two_authorization_headers_are_refused():
    """
    Which of the two would count is nobody's to guess.
    """
    twice = request()
    twice = replace(twice, headers=(*twice.headers, (b"authorization", FIELDS[b"authorization"])))

    assert (401, "unauthorized") == outcome(decided(twice).answer)


BAD = (400, "client_error")
HELD_AGAINST = {
    "a good request": ({}, (200, None)),
    "media type in capitals": ({"content_type": b"APPLICATION/JSON"}, (200, None)),
    "media type with parameters": ({"content_type": b"application/json ; charset=utf-8"}, (200, None)),
    "no media type": ({"content_type": None}, BAD),
    "another media type": ({"content_type": b"text/plain"}, BAD),
    "a longer media type": ({"content_type": b"application/json+x"}, BAD),
    "an empty media type": ({"content_type": b""}, BAD),
    "identity": ({"content_encoding": b"identity"}, (200, None)),
    "gzip": ({"content_encoding": b"gzip"}, BAD),
    "a query": ({"target": PATH + b"?a=b"}, (200, None)),
    "a whole URL": ({"target": b"http://127.0.0.1" + PATH}, (200, None)),
    "a slash behind": ({"target": PATH + b"/"}, (404, None)),
    "a fragment": ({"target": PATH + b"#a"}, (404, None)),
    "an escape": ({"target": b"/production/run%5Fremote"}, (404, None)),
    "another case": ({"target": PATH.upper()}, (404, None)),
    "doubled slashes": ({"target": b"/" + PATH}, (404, None)),
    "the root": ({"target": b"/"}, (404, None)),
    "a whole URL without path": ({"target": b"http://127.0.0.1"}, (404, None)),
    "an asterisk": ({"target": b"*"}, (404, None)),
    "the chain's host": ({"host": b"chain-abc123.api.baseten.co"}, (200, None)),
    "the model's host": ({"host": b"model-abc123.api.baseten.co:443"}, (200, None)),
    "any other host": ({"host": b"example.com"}, (200, None)),
    "an IPv6 host": ({"host": b"[::1]:8000"}, (200, None)),
    "a regional host": ({"host": b"chain-abc123-prod-us.api.baseten.co"}, (404, None)),
    "a regional host in capitals": ({"host": b"CHAIN-ABC123-EU.API.BASETEN.CO:443"}, (404, None)),
    "a regional model": ({"host": b"model-abc123-eu.api.baseten.co."}, (404, None)),
    "a regional whole URL": ({"target": b"http://chain-a-eu.api.baseten.co" + PATH}, (404, None)),
    "GET": ({"method": b"GET"}, (405, None)),
    "OPTIONS": ({"method": b"OPTIONS"}, (405, None)),
    "GET elsewhere": ({"method": b"GET", "target": b"/"}, (404, None)),
    "elsewhere without key": ({"target": b"/", "authorization": None}, (404, None)),
    "GET without key": ({"method": b"GET", "authorization": None}, (405, None)),
    "no key, no media type": ({"authorization": None, "content_type": None}, (401, "unauthorized")),
    "no key, no object": ({"authorization": None, "body": b"[]"}, (401, "unauthorized")),
    "no object, steered": ({"body": b"[]", "x_emulate": b"timeout"}, BAD),
}


@pytest.mark.parametrize(("changed", "expected"), HELD_AGAINST.values(), ids=HELD_AGAINST)
def test_each_gate_refuses_in_its_turn(changed, expected):
    """
    Path and host, method, key, media type, body, steering: the first that has something to say says it.
    """
    assert expected == outcome(decided(request(**changed)).answer)


@pytest.mark.parametrize("target", [b"/", b"/production/predict"])
def test_a_405_lists_what_the_path_answers(target):
    """
    Allow says POST, and stands in no other answer.
    """
    assert ("POST",) == decided(request(method=b"PUT")).answer.fields("allow")
    assert () == decided(request(method=b"PUT", target=target)).answer.fields("allow")


@pytest.mark.parametrize(("contract", "expected"), [("strict", 400), ("documented", 413)])
@pytest.mark.parametrize(("length", "large"), [(1000, False), (1001, True)])
def test_a_body_may_be_as_large_as_the_limit(contract, expected, length, large):
    """
    The limit itself is taken; a byte more is `payload_too_large`.
    """
    config = replace(MODEL, contract=Contract(contract), scenario=replace(CALM, max_body_bytes=1000))
    answer = decided(replace(request(), length=length), config).answer

    code = "payload_too_large" if expected == 400 else None
    assert ((expected, code) if large else (200, None)) == outcome(answer)


def test_whatever_is_no_request_is_a_client_error():
    """
    Malformed HTTP is answered in the form of every other mistake, and counted like one.
    """
    decision, state = decide_malformed("Expected HTTP.", MODEL, EmulatorState(number=6))

    assert (BAD, (), 7) == (outcome(decision.answer), violations(decision.answer), state.number)


# ------------------------------------------------------------------ steering and rates

ROWS = [
    (row.code.value, status, contract)
    for contract in Contract
    for row in PAIRINGS
    for status in sorted(statuses(row.code, contract))
]


@pytest.mark.parametrize(("code", "status", "contract"), ROWS)
def test_each_code_comes_on_demand_with_each_status_of_its_row(code, status, contract):
    """
    `X-Emulate: code status` gives that pair, in the time of failures, and keeps the contract.
    """
    config = replace(MODEL, contract=contract)
    decision = decided(request(x_emulate=f"{code} {status}".encode()), config)

    assert (status, code, 0.1) == (*outcome(decision.answer), decision.service_time)
    assert () == violations(decision.answer, contract)


@pytest.mark.parametrize("row", PAIRINGS, ids=lambda row: row.code)
def test_a_code_alone_comes_with_its_first_status(row):
    """
    `X-Emulate: code` gives the strict contract's first status.
    """
    assert (row.strict[0], row.code) == outcome(decided(request(x_emulate=row.code.encode())).answer)


@pytest.mark.parametrize(
    "value", [b"", b"gremlins", b"timeout 502", b"timeout 504 1", b"504", b"TIMEOUT", b"ok 200", b"\xff"]
)
def test_an_unknown_wish_is_told_what_was_expected(value):
    """
    A wish that cannot be granted is the caller's mistake, not silently ignored.
    """
    answer = decided(request(x_emulate=value)).answer

    assert BAD == outcome(answer)
    assert "Expected" in json.loads(answer.body)["detail"]


def test_without_steering_a_wish_is_not_heard():
    """
    `--no-steering` makes X-Emulate a header like any other.
    """
    assert 200 == decided(request(x_emulate=b"timeout"), replace(MODEL, steering=False)).answer.status


def test_a_wish_for_ok_stands_above_rates_and_limit():
    """
    `X-Emulate: ok` is answered 200 by a chain that fails everything else.
    """
    failing = replace(CALM, errors=((ErrorCode.TIMEOUT, 1.0),), rate_limit=RateLimit(rate=1e-9, burst=1.0))
    config = replace(MODEL, scenario=failing)
    said = [outcome(decision.answer) for decision in islice(decisions(config), 3)]

    assert [(504, "timeout"), (429, "rate_limited"), (429, "rate_limited")] == said
    assert 200 == decided(request(x_emulate=b"ok"), config).answer.status


def test_each_code_comes_as_often_as_its_rate_says():
    """
    All ten codes at 5 % each leave half of the requests to succeed; none is off by more than five standard deviations.
    """
    count, rate = 20_000, 0.05
    config = replace(MODEL, scenario=replace(CALM, errors=tuple((code, rate) for code in ErrorCode)), seed=7)
    seen = Counter(decision.error_code for decision in islice(decisions(config), count))

    assert {None, *ErrorCode} == set(seen)
    assert all(abs(seen[code] - rate * count) < 5 * (count * rate * (1 - rate)) ** 0.5 for code in ErrorCode)


def test_the_same_seed_gives_the_same_answers():
    """
    Outcomes, bodies and times depend on the seed alone: not on when requests come, nor on the run.
    """

    def said(seed: int, request_id_prefix: str, gap: float) -> list[object]:
        config = replace(
            MODEL, scenario=builtin_scenarios()["flaky"], seed=seed, request_id_prefix=request_id_prefix * 21
        )
        return [
            (d.answer.status, d.error_code, d.answer.body, d.service_time)
            for d in islice(decisions(config, gap=gap), 500)
        ]

    assert said(1, "a", 1.0) == said(1, "b", 0.01)
    assert said(1, "a", 1.0) != said(2, "a", 1.0)


def test_what_is_refused_at_the_gate_takes_no_time():
    """
    Only requests that reach the chain take a service time; those over the rate limit are refused at once.
    """
    config = replace(MODEL, scenario=replace(CALM, rate_limit=RateLimit(rate=1.0, burst=2.0)))
    times = [decision.service_time for decision in islice(decisions(config, gap=0.0), 3)]

    assert [0.5, 0.5, 0.0] == times
    assert 0.0 == decided(request(authorization=None)).service_time
