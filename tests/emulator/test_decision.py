from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.errors import PAIRINGS, ErrorCode, statuses
from chainproof.contract.levels import Contract
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.contract.violations import violations
from chainproof.emulator.behaviour.latency import constant
from chainproof.emulator.behaviour.rate_limit import RateLimit
from chainproof.emulator.behaviour.request import ReceivedRequest
from chainproof.emulator.decision import Decision, EmulatorConfig, EmulatorState, decide, decide_malformed
from chainproof.emulator.scenario import Scenario, builtin_scenarios

PATH = b"/production/run_remote"
SCENARIO = Scenario(name="constant", service_time=constant(0.5), error_service_time=constant(0.1))
CONFIG = EmulatorConfig(scenario=SCENARIO, key=ApiKey(EMULATOR_KEY), request_id_prefix="0" * 21)
FIELDS = {
    b"host": b"127.0.0.1:8000",
    b"authorization": b"Api-Key " + EMULATOR_KEY.encode(),
    b"content-type": b"application/json",
}


def request(
    body: bytes = b'{"a":1}', *, method: bytes = b"POST", target: bytes = PATH, **overrides: bytes | None
) -> ReceivedRequest:
    """A valid request with some fields replaced, or left out with None."""
    fields = {**FIELDS, **{name.replace("_", "-").encode(): value for name, value in overrides.items()}}
    headers = tuple((name, value) for name, value in fields.items() if value is not None)
    return ReceivedRequest(method=method, target=target, headers=headers, body=body, length=len(body))


def decision_on(
    incoming: ReceivedRequest, config: EmulatorConfig = CONFIG, state: EmulatorState | None = None
) -> Decision:
    """The decision on one request."""
    decision, _ = decide(incoming, config, state or EmulatorState(), 0.0)
    assert isinstance(decision, Decision)
    return decision


def decisions(config: EmulatorConfig, *, gap: float = 1.0):
    """The decisions on the same valid request, repeated without end."""
    state, now = EmulatorState(), 0.0
    while True:
        decision, state = decide(request(), config, state, now)
        yield decision
        now += gap


def outcome(answer: Answer) -> tuple[int, str | None]:
    """Status and error code as the client sees them."""
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
configs = st.builds(
    replace,
    st.just(CONFIG),
    seed=st.integers(),
    steering=st.booleans(),
    scenario=st.sampled_from(list(builtin_scenarios().values())),
)


@given(requests, configs, st.integers(0, 10**6))
def test_answers_satisfy_the_strict_contract(incoming, config, number):
    """Every answer of the operation satisfies every clause of the strict contract."""
    answer = decision_on(incoming, config, EmulatorState(number=number)).answer

    if answer.status in (404, 405):
        assert incoming.method != b"POST" or incoming.path != PATH or incoming.host.startswith(b"chain-")
    else:
        assert () == violations(answer)


@given(requests, configs)
def test_every_error_is_an_error_response(incoming, config):
    """Every answer except a 200 is a JSON `ErrorResponse` with a request id."""
    answer = decision_on(incoming, config).answer

    if answer.status != 200:
        assert ["detail", "error"] == sorted(set(json.loads(answer.body)) - {"error_code"})
        assert ("application/json", 37) == (answer.media_type, len(answer.request_id or ""))


@given(requests, configs, st.integers(0, 10**6), st.floats(0, 1e6))
def test_decision_is_deterministic(incoming, config, number, now):
    """The same request, configuration, state and time give the same answer and the same next state."""
    state = EmulatorState(number=number)

    assert decide(incoming, config, state, now) == decide(incoming, config, state, now)


@given(requests, configs)
def test_answers_never_contain_the_key(incoming, config):
    """No answer contains the key, wherever it was in the request."""
    key = EMULATOR_KEY.encode()
    incoming = replace(
        incoming, target=incoming.target + b"?key=" + key, headers=(*incoming.headers, (b"x-emulate", key))
    )
    answer = decision_on(incoming, config).answer

    assert key not in answer.body
    assert EMULATOR_KEY not in repr(answer.headers)


@given(
    st.dictionaries(st.text(), st.integers() | st.floats() | st.text()).map(
        lambda value: json.dumps(value).replace("NaN", "1e999").replace("Infinity", "0")
    )
)
def test_echo_is_byte_identical(text):
    """The body of a 200 is the body that was sent."""
    assert (200, text.encode()) == ((answer := decision_on(request(text.encode())).answer).status, answer.body)


@pytest.mark.parametrize("contract", Contract)
@pytest.mark.parametrize(
    "body", [b' \r\n\t{"a" : 1.0e5}\n', b'{"\\ud800":"\\ud800"}', b'{"a":' * 5000 + b"1" + b"}" * 5000]
)
def test_echo_is_byte_identical_under_every_contract(contract, body):
    """White space, lone surrogates and deep nesting are echoed unchanged under every contract."""
    assert (200, body) == (
        (answer := decision_on(request(body), replace(CONFIG, contract=contract)).answer).status,
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
def test_wider_contracts_use_the_input_errors_of_a_chain(body, words):
    """The error is a 400 in the wording of the chain's server."""
    answer = decision_on(request(body), replace(CONFIG, contract=Contract.DOCUMENTED)).answer

    assert (400, {"error": f"Input Parsing Error:\n  {words}"}) == (answer.status, json.loads(answer.body))


def test_non_finite_numbers_are_echoed_as_null():
    """NaN and infinities become null, as the chain's server writes them; strings with these words stay."""
    incoming = request(b'{"a": [NaN, -Infinity, "NaN", 1e999], "b": 10000000000000000000000}')
    answer = decision_on(incoming, replace(CONFIG, contract=Contract.DOCUMENTED)).answer

    assert b'{"a":[null,null,"NaN",null],"b":10000000000000000000000}' == answer.body


def test_request_ids_are_unique_within_and_between_runs():
    """Ids are 37 lower-case hexadecimal digits, and unique even between servers with the same seed."""
    runs = [replace(CONFIG, request_id_prefix=request_id_prefix * 21) for request_id_prefix in "ab"]
    ids = [decision.answer.request_id for config in runs for decision in islice(decisions(config), 500)]

    assert 1000 == len(set(ids))
    assert all(len(i) == 37 and set(i) <= set("0123456789abcdef") for i in ids)


# ------------------------------------------------------------------ authentication and request checks

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
def test_unauthenticated_request_is_rejected(value, contract):
    """Strict: always 401 with its code. Documented and observed: 401 without the header, 403 with a wrong key."""
    strict = contract is Contract.STRICT
    decision = decision_on(request(authorization=value), replace(CONFIG, contract=contract))

    assert (401 if strict or value is None else 403) == decision.answer.status
    assert ("unauthorized" if strict else None) == decision.error_code


@pytest.mark.parametrize(("contract", "expected"), [("strict", 401), ("documented", 200), ("observed", 200)])
def test_bearer_is_accepted_outside_the_strict_contract(contract, expected):
    """The documented and observed contracts accept the key as a bearer token."""
    assert (
        expected
        == decision_on(
            request(authorization=b"Bearer " + KEY), replace(CONFIG, contract=Contract(contract))
        ).answer.status
    )


def test_two_authorization_headers_are_rejected():
    """Two Authorization headers are ambiguous, even if both are right."""
    twice = request()
    twice = replace(twice, headers=(*twice.headers, (b"authorization", FIELDS[b"authorization"])))

    assert (401, "unauthorized") == outcome(decision_on(twice).answer)


BAD = (400, "client_error")
CHECK_ORDER = {
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
    "an absolute URL": ({"target": b"http://127.0.0.1" + PATH}, (200, None)),
    "a trailing slash": ({"target": PATH + b"/"}, (404, None)),
    "a fragment": ({"target": PATH + b"#a"}, (404, None)),
    "an escape": ({"target": b"/production/run%5Fremote"}, (404, None)),
    "upper case": ({"target": PATH.upper()}, (404, None)),
    "doubled slashes": ({"target": b"/" + PATH}, (404, None)),
    "the root": ({"target": b"/"}, (404, None)),
    "an absolute URL without path": ({"target": b"http://127.0.0.1"}, (404, None)),
    "an asterisk": ({"target": b"*"}, (404, None)),
    "the chain's host": ({"host": b"chain-abc123.api.baseten.co"}, (200, None)),
    "the model's host": ({"host": b"model-abc123.api.baseten.co:443"}, (200, None)),
    "any other host": ({"host": b"example.com"}, (200, None)),
    "an IPv6 host": ({"host": b"[::1]:8000"}, (200, None)),
    "a regional host": ({"host": b"chain-abc123-prod-us.api.baseten.co"}, (404, None)),
    "a regional host in capitals": ({"host": b"CHAIN-ABC123-EU.API.BASETEN.CO:443"}, (404, None)),
    "a regional model": ({"host": b"model-abc123-eu.api.baseten.co."}, (404, None)),
    "a regional absolute URL": ({"target": b"http://chain-a-eu.api.baseten.co" + PATH}, (404, None)),
    "the development deployment": ({"target": b"/development/run_remote"}, (200, None)),
    "production by name": ({"target": b"/environments/production/run_remote"}, (200, None)),
    "an environment": ({"target": b"/environments/staging/run_remote?a=b"}, (200, None)),
    "an unknown environment": ({"target": b"/environments/nowhere/run_remote"}, (404, None)),
    "development as an environment": ({"target": b"/environments/development/run_remote"}, (404, None)),
    "a deployment": ({"target": b"/deployment/abcd1234/run_remote"}, (200, None)),
    "an unknown deployment": ({"target": b"/deployment/abcd1235/run_remote"}, (404, None)),
    "the bare path": ({"target": b"/run_remote"}, (404, None)),
    "the bare path on a regional host": (
        {"target": b"/run_remote", "host": b"chain-abc123-prod-us.api.baseten.co"},
        (200, None),
    ),
    "an unknown regional host": (
        {"target": b"/run_remote", "host": b"chain-abc123-nowhere.api.baseten.co"},
        (404, None),
    ),
    "a deployment on a regional host": (
        {"target": b"/deployment/abcd1234/run_remote", "host": b"chain-abc123-prod-us.api.baseten.co"},
        (404, None),
    ),
    "GET an environment": ({"method": b"GET", "target": b"/environments/staging/run_remote"}, (405, None)),
    "GET": ({"method": b"GET"}, (405, None)),
    "OPTIONS": ({"method": b"OPTIONS"}, (405, None)),
    "GET elsewhere": ({"method": b"GET", "target": b"/"}, (404, None)),
    "elsewhere without key": ({"target": b"/", "authorization": None}, (404, None)),
    "GET without key": ({"method": b"GET", "authorization": None}, (405, None)),
    "no key, no media type": ({"authorization": None, "content_type": None}, (401, "unauthorized")),
    "no key, not an object": ({"authorization": None, "body": b"[]"}, (401, "unauthorized")),
    "not an object, steered": ({"body": b"[]", "x_emulate": b"timeout"}, BAD),
}


@pytest.mark.parametrize(("overrides", "expected"), CHECK_ORDER.values(), ids=CHECK_ORDER)
def test_checks_run_in_order(overrides, expected):
    """Path and host, method, key, media type, body, steering: the first failing check determines the error."""
    assert expected == outcome(decision_on(request(**overrides)).answer)


@pytest.mark.parametrize("target", [b"/", b"/production/predict"])
def test_405_has_allow(target):
    """A 405 has `Allow: POST`; other answers have no Allow."""
    assert ("POST",) == decision_on(request(method=b"PUT")).answer.fields("allow")
    assert () == decision_on(request(method=b"PUT", target=target)).answer.fields("allow")


@pytest.mark.parametrize(("contract", "expected"), [("strict", 400), ("documented", 413)])
@pytest.mark.parametrize(("length", "large"), [(1000, False), (1001, True)])
def test_body_size_limit_is_inclusive(contract, expected, length, large):
    """A body of the maximum size is accepted; one more byte is `payload_too_large`."""
    config = replace(CONFIG, contract=Contract(contract), scenario=replace(SCENARIO, max_body_bytes=1000))
    answer = decision_on(replace(request(), length=length), config).answer

    code = "payload_too_large" if expected == 400 else None
    assert ((expected, code) if large else (200, None)) == outcome(answer)


def test_malformed_request_is_a_client_error():
    """Malformed HTTP gets a regular error, and counts as a request."""
    decision, state = decide_malformed("Expected HTTP.", CONFIG, EmulatorState(number=6))

    assert (BAD, (), 7) == (outcome(decision.answer), violations(decision.answer), state.number)


# ------------------------------------------------------------------ steering and rates

ROWS = [
    (row.code.value, status, contract)
    for contract in Contract
    for row in PAIRINGS
    for status in sorted(statuses(row.code, contract))
]


@pytest.mark.parametrize(("code", "status", "contract"), ROWS)
def test_steering_returns_each_code_with_each_status(code, status, contract):
    """`X-Emulate: code status` returns that pair with the service time of errors."""
    config = replace(CONFIG, contract=contract)
    decision = decision_on(request(x_emulate=f"{code} {status}".encode()), config)

    assert (status, code, 0.1) == (*outcome(decision.answer), decision.service_time)
    assert () == violations(decision.answer, contract)


@pytest.mark.parametrize("row", PAIRINGS, ids=lambda row: row.code)
def test_steering_without_status_returns_the_first_one(row):
    """`X-Emulate: code` returns the strict contract's first status."""
    assert (row.strict[0], row.code) == outcome(decision_on(request(x_emulate=row.code.encode())).answer)


@pytest.mark.parametrize(
    "value", [b"", b"gremlins", b"timeout 502", b"timeout 504 1", b"504", b"TIMEOUT", b"ok 200", b"\xff"]
)
def test_invalid_steering_is_rejected(value):
    """An invalid X-Emulate is answered 400 with the accepted values, not ignored."""
    answer = decision_on(request(x_emulate=value)).answer

    assert BAD == outcome(answer)
    assert "Expected" in json.loads(answer.body)["detail"]


def test_no_steering_ignores_x_emulate():
    """With `--no-steering`, X-Emulate has no effect."""
    assert 200 == decision_on(request(x_emulate=b"timeout"), replace(CONFIG, steering=False)).answer.status


def test_x_emulate_ok_overrides_rates_and_limit():
    """`X-Emulate: ok` is answered 200 even if every other request fails."""
    failing = replace(SCENARIO, errors=((ErrorCode.TIMEOUT, 1.0),), rate_limit=RateLimit(rate=1e-9, burst=1.0))
    config = replace(CONFIG, scenario=failing)
    outcomes = [outcome(decision.answer) for decision in islice(decisions(config), 3)]

    assert [(504, "timeout"), (429, "rate_limited"), (429, "rate_limited")] == outcomes
    assert 200 == decision_on(request(x_emulate=b"ok"), config).answer.status


def test_error_frequencies_match_the_rates():
    """Each of the ten codes occurs at its rate of 5 %, within five standard deviations."""
    count, rate = 20_000, 0.05
    config = replace(CONFIG, scenario=replace(SCENARIO, errors=tuple((code, rate) for code in ErrorCode)), seed=7)
    counts = Counter(decision.error_code for decision in islice(decisions(config), count))

    assert {None, *ErrorCode} == set(counts)
    assert all(abs(counts[code] - rate * count) < 5 * (count * rate * (1 - rate)) ** 0.5 for code in ErrorCode)


def test_same_seed_gives_same_answers():
    """Outcomes, bodies and service times depend only on the seed, not on arrival times or the run."""

    def outcomes(seed: int, request_id_prefix: str, gap: float) -> list[object]:
        config = replace(
            CONFIG, scenario=builtin_scenarios()["flaky"], seed=seed, request_id_prefix=request_id_prefix * 21
        )
        return [
            (d.answer.status, d.error_code, d.answer.body, d.service_time)
            for d in islice(decisions(config, gap=gap), 500)
        ]

    assert outcomes(1, "a", 1.0) == outcomes(1, "b", 0.01)
    assert outcomes(1, "a", 1.0) != outcomes(2, "a", 1.0)


def test_rejected_requests_take_no_service_time():
    """Requests that do not reach the chain, including those above the rate limit, are answered at once."""
    config = replace(CONFIG, scenario=replace(SCENARIO, rate_limit=RateLimit(rate=1.0, burst=2.0)))
    times = [decision.service_time for decision in islice(decisions(config, gap=0.0), 3)]

    assert [0.5, 0.5, 0.0] == times
    assert 0.0 == decision_on(request(authorization=None)).service_time
