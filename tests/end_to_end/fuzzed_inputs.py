"""Random inputs of all tools: valid files and options in which some part was replaced, left out, repeated or damaged."""

# ruff: noqa: SIM905  # words in a line are easier to read than a list
from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chainproof.conformance.options import CALL_OPTIONS
from chainproof.conformance.options import OPTIONS as CONFORMANCE_OPTIONS
from chainproof.demo import OPTIONS as DEMO_OPTIONS
from chainproof.emulator.options import OPTIONS as EMULATOR_OPTIONS
from chainproof.loadtests.options import OPTIONS as LOAD_OPTIONS
from chainproof.options import Option, Surface
from chainproof.reports.command import FORMATS


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzedInput:
    """One command with its files and environment variables."""

    tool: str
    words: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    names: str = ""
    """What a message about the input must name, such as the damaged file; empty if that is not known."""


NUMBERS = (
    "",
    "9" * 5000,
    *"0 -1 1 0.5 1e-12 1e9 1e308 1e400 nan inf -inf 999999999999999999999999 0x10 ٣ 1_000".split(),
)
TEXTS = (
    *("", " ", "\t", "a\nb", "\r\n", "\x1b[31m", "\x7f", "\u202e", "\ud800x", "\U0001f600", "a" * 300, "a" * 70_000),
    *'x = - -- -x @file ../.. / /dev/null /dev/full /dev/zero . %s%n{0} $HOME é 日本 null true [] {} "'.split(),
)
DURATIONS = ("1 s", *"0s 1s -1s 1m30s 1h1 s 1e3s 99999999h 1d 0.0000001s".split())
OBJECTIVES = (
    *"p95|p99.9|p0|p100|p101|p|p-1|p1e400|max|error_rate|throughput|nope|p95 x".split("|"),
    *(
        "p95 response_time < 800ms|error_rate < 1%|throughput > 5|p99.9 schedule_lag <= 1s|p0 response_time < 1s|p101 response_time < 1s"
        "|p response_time < 1|p95 < 1s|error_rate < 1|error_rate < 101%|p95 response_time = 1s|p95 response_time < NaN"
        "|p95 response_time < 1e999s|throughput < -1|max response_time < 1s|p95 service_time >= 0s|not_sent < 1%"
    ).split("|"),
)
ACCEPTS = (
    "request-id-unique: known until 2999-01-01|request-id-unique|nope: why until 2999-01-01|no-secret: x until 2020-01-01"
    "|error-code: until 2999-13-41|: : :|error-code: x until|status-200:x|request-id-unique: a until 2999-01-01 until 2"
).split("|")
HEADERS = (
    *("X: a\r\nY: b", "X-A: \0", "X: " + "a" * 70_000),
    *(
        "X-Trace: 1|X-Trace:|: x|Authorization: x|Content-Length: 1|Host: x|X Y: 1|X-Ä: 1|X: ä|Transfer-Encoding: chunked|Cookie: a=b"
        "|X-Emulate: nope|Accept: */*|Content-Type: x|Connection: close|Expect: 100-continue|X|X: %s|x-trace:1"
    ).split("|"),
)
TARGETS = (
    *("http://127.0.0.1 /", "http://127.0.0.1\n", "http://" + "a" * 300, "http://127.0.0.1:1/" + "b" * 70_000),
    *(
        "http://127.0.0.1:1 http://127.0.0.1 127.0.0.1:80 http:// http://:80 http://[::1]:1 http://[::1 ftp://127.0.0.1"
        " http://127.0.0.1:99999 http://127.0.0.1:x http://a:b@127.0.0.1 http://127.0.0.1/?q=1 http://127.0.0.1/#f http://ä.local"
        " http://127.0.0.1/%zz https://127.0.0.1:1/production/run_remote HTTP://127.0.0.1:1 http://0x7f.1 http://127.1"
        " http://localhost:1/a/../b http://127.0.0.1:1// http://[fe80::1%25lo]:1 http://[::1%25nope]:1 http://127.0.0.1:1/\\ http:/x"
    ).split(),
)
KEYS = ("", " ", "k", "abc.def", "a b", "a\nb", "ä", "\ud800", "k" * 9000, "Api-Key abc", '"abc"')
JSON_TEXTS: tuple[bytes, ...] = (
    *(
        b"",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 5000,
        b'{"a":' * 5000,
        b'{"a":"\xff"}',
    ),
    *(b"{}\x00", b"\x00", b"{}\r", b" \t\n", b"\x1b[31m", b'{"a": 1 }', b"# comment"),
    *rb'{} [] null "x" { {"a":} {"a":1,} {0:1} {"a":NaN} {"a":1e999} {"a":"\ud800"} {}{} {"a":1,"a":2} {"\u0000":"\u0000"}'.split(),
    *rb'{"a":-0,"b":-0.0,"c":1E+2} true {"a":[1,]} {"a":01} {"a":.5} {"a":"\x"}'.split(),
)
SCHEMA_PARTS = (
    {"minimum": 10**400},
    *(
        json.loads(text)
        for text in (
            r"""{} true false null [] 1 "x" {"$ref":"#"} {"$ref":"#/x"} {"$ref":"http://127.0.0.1:1/s"} {"$ref":"file:///etc/passwd"} {"$ref":1}
        {"type":"nope"} {"type":["string","null"]} {"type":[]} {"minimum":2,"maximum":1} {"minLength":-1} {"minLength":1000000000}
        {"pattern":"("} {"pattern":"(a+)+$"} {"pattern":"^x{0,99999}$"} {"pattern":"\\p{L}"} {"enum":[]} {"const":{"a":[1]}}
        {"required":"a"} {"required":["zz"]} {"minItems":10000000,"items":{}} {"uniqueItems":true,"items":{"enum":[1]},"minItems":3}
        {"multipleOf":0} {"multipleOf":1e-300} {"allOf":[]} {"oneOf":[{},{}]} {"not":{}} {"anyOf":[{"$ref":"#"}]} {"format":"date"}
        {"properties":1} {"properties":{"a":1}} {"patternProperties":{"(":{}}} {"$id":"http://["} {"$schema":"nope"} {"items":[1]}
        {"exclusiveMinimum":true} {"minimum":"1"} {"if":{},"then":false} {"dependentRequired":{"a":1}} {"$defs":1} {"maxLength":0}"""
        ).split()
    ),
)

PLAN = """\
description = "a plan"
model = "open"
arrivals = "poisson"
rate = 5
duration = "2s"
deadline = "1s"
drain = "1s"
max_requests = 20
max_in_flight = 10
objectives = ["p95 response_time < 1s", "error_rate < 1%"]

[[payloads]]
name = "a"
weight = 2
body = {x = 1}

[[payloads]]
text = '{"y": 2}'
"""
PHASES = """\
arrivals = "gamma"
variation = 2.0
seed = 1
[[phases]]
name = "up"
duration = "1s"
rate = [1, 5]
judged = false
[[phases]]
name = "wave"
duration = "2s"
rate = 5
amplitude = 2
period = "1s"
[search]
max_rate = 50
resolution = "5%"
"""
SCENARIO = """\
description = "a scenario"
service_time = {median = "1ms", p99 = "10ms"}
error_service_time = [{median = "1ms", weight = 1}, {median = "5ms", sigma = 1.0, weight = 2}]
errors = {CHAIN_ERROR = 0.1}
rate_limit = {rate = 10, burst = 5}
max_body_bytes = 1000
predict_concurrency = 2
predict_timeout = "10s"
gateway_retries = {factor = 2}
environments = ["staging"]
deployments = ["abcd1234"]
"""
TOML_VALUES = (
    *(
        "9" * 400,
        "[1, 2, 3]",
        "[1e308, 1e308]",
        "[5, -1]",
        '["a", 1]',
        '["x"]',
        '"p95 response_time < 1s"',
        '{file = "\\u0000"}',
        "{x = 1}",
    ),
    *(
        '{file = "/dev/null"}',
        '{file = "nope"}',
        '{median = "1s"}',
        "{rate = 1, burst = 0}",
        "{CHAIN_ERROR = 2}",
        "{CHAIN_ERROR = 1e300}",
    ),
    *'1 -1 0 1.5 1e400 nan inf true "" "x" "\\u0000" "1s" "-1s" [] [1] [[]] {} 1979-05-27 07:32:00 [{}] "../nope.jsonl" "5%" "closed"'.split(),
    *'"constant" "gamma" "exponential" "a\\nb" 1979-05-27T07:32:00Z 9223372036854775808 -0.0 1e-300 """x"""'.split(),
)
CODE = """\
def check(payload, answer):
    return None

def other():
    pass

class Chain:
    async def run_remote(self, names: list[str], greeting: str = "hello") -> dict:
        return {"names": names}
"""


class Fuzzer:
    """Draws inputs from a seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def draw(self) -> FuzzedInput:
        """One input."""
        return self.dice.choice(KINDS)(self)

    # ------------------------------------------------------------------ parts

    def damaged(self, content: bytes) -> bytes:
        """A file with a few bytes or lines changed."""
        dice, text = self.dice, bytearray(content)
        for _ in range(dice.choice((1, 1, 2, 5))):
            place = dice.randrange(len(text) + 1)
            match dice.randrange(6):
                case 0:
                    del text[place : place + dice.choice((1, 3, 30))]
                case 1:
                    text[place:place] = dice.choice(JSON_TEXTS)[:100]
                case 2:
                    text[place:place] = bytes([dice.randrange(256)])
                case 3:
                    lines = text.split(b"\n")
                    lines[dice.randrange(len(lines))] = lines[dice.randrange(len(lines))]
                    text = bytearray(b"\n".join(lines))
                case 4:
                    text[place:place] = dice.choice(TEXTS[:30]).encode("utf-8", "surrogatepass")[:100]
                case 5:
                    text = text[:place]
        return bytes(text)

    def toml(self, content: str) -> bytes:
        """A TOML file with a few values replaced, or damaged."""
        if self.dice.random() < 0.2:
            return self.damaged(content.encode())
        lines = content.splitlines()
        for _ in range(self.dice.choice((1, 1, 2, 4))):
            number = self.dice.choice([index for index, line in enumerate(lines) if "=" in line])
            key = (
                lines[number].partition("=")[0]
                if self.dice.random() < 0.9
                else self.dice.choice(("nope ", '"" ', "rate ", "users "))
            )
            lines[number] = f"{key}= {self.dice.choice(TOML_VALUES)}"
        return "\n".join(lines).encode()

    def lines(self, *good: bytes) -> bytes:
        """A file of lines of which some are odd."""
        return b"\n".join(
            self.dice.choice(good if self.dice.random() < 0.7 else JSON_TEXTS) for _ in range(self.dice.randrange(1, 6))
        )

    def schema(self) -> bytes:
        """A JSON Schema with odd parts."""
        if self.dice.random() < 0.15:
            return self.damaged(b'{"type":"object","properties":{"a":{"type":"integer","minimum":1}},"required":["a"]}')
        part = self.dice.choice
        properties = {
            name: part(SCHEMA_PARTS)
            for name in self.dice.sample(("a", "b", "", "日", "$ref"), self.dice.randrange(1, 4))
        }
        schema: dict[str, object] = {"type": "object", "properties": properties, "required": list(properties)}
        if self.dice.random() < 0.3:
            schema |= part([each for each in SCHEMA_PARTS if isinstance(each, dict)])
        if self.dice.random() < 0.2:
            schema["$defs"] = {"x": part(SCHEMA_PARTS)}
        return json.dumps(schema).encode()

    def value(self, option: Option) -> str:
        """A value of an option, often an odd one."""
        dice = self.dice
        good = _GOOD.get(option.name, ())
        if option.choices and dice.random() < 0.6:
            return str(dice.choice([str(each) for each in option.choices]))
        if good and dice.random() < 0.6:
            return dice.choice(good)
        return dice.choice(dice.choice((NUMBERS, TEXTS, DURATIONS)))

    def options(self, table: Sequence[Option], number: int) -> list[str]:
        """Some options with values."""
        words: list[str] = []
        for option in self.dice.sample([each for each in table if Surface.COMMAND in each.valid_in], number):
            if not option.name.startswith("-"):
                words.insert(0, self.value(option))
            elif option.is_switch:
                words.append(option.name)
            else:
                form = self.dice.random()
                words += (
                    [option.name]
                    if form < 0.03
                    else [f"{option.name}={self.value(option)}"]
                    if form < 0.5
                    else [option.name, self.value(option)]
                )
        return words


_GOOD: dict[str, tuple[str, ...]] = {
    "workload": ("steady", "smoke", "bursty", "saturation", "cold-start", "plan.toml", "stead"),
    "--target": TARGETS,
    "--connect-to": ("127.0.0.1:1", "[::1]:1", "127.0.0.1", ":1", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:-1"),
    "--chain-id": ("abc123", "ABC", "a/b", "a.b", "é"),
    "--model-id": ("abc123", "a b"),
    "--environment": ("staging", "prod us", "production", "development"),
    "--deployment": ("abcd1234", "development"),
    "--header": HEADERS,
    "--accept": ACCEPTS,
    "--objective": OBJECTIVES,
    "--api-key-env": ("BASETEN_API_KEY", "NOT_SET", "", "A=B", "é"),
    "--payloads": ("lines.jsonl", "nope.jsonl", "/dev/null"),
    "--payload": ("{}", "payload.json", "{", "[1]"),
    "--raw": ("raw.http", "nope", "/dev/null"),
    "--slow-payload": ("payload.json", "nope.json"),
    "--replay": ("times.txt", "nope.txt", "/dev/null"),
    "--replay-key": ("timestamp", "t"),
    "--input-schema": ("schema.json", "code.py:Chain", "code.py:Nope", "code.py", "nope.py:X"),
    "--output-schema": ("schema.json", "code.py:Chain", "code.py:check"),
    "--check": ("code.py:check", "code.py:other", "code.py:Chain", "code.py", "nope.py:check", "code.py:"),
    "--chain": ("code.py:Chain", "code.py:other", "nope.py:X", "os:nope", "code:Chain"),
    "--scenario": ("flaky", "scenario.toml", "nope"),
    "scenario": ("flaky", "scenario.toml", "nope", "instant"),
    "--fault": ("key-truncated", "key-truncate"),
    "--variant": ("http-1.0", "nope"),
    "--ca-file": ("code.py", "nope.pem", "/dev/null"),
    "-k": ("credentials", "body and not", "nope", "a(b", "None"),
    "--out": ("out", "code.py", "/proc/x", "/dev/null", "a/b/c", "out\n"),
    "--access-log": ("log", "/proc/x", "."),
    "--rate": ("1", "5", "1e5", "100001"),
    "--users": ("1", "5"),
    "--seed": ("0", "7"),
    "--duration": DURATIONS,
    "--deadline": ("300ms", "0s", "-1s"),
    "--host": ("127.0.0.1", "::1", "localhost", "0.0.0.0", "nope"),
    "--port": ("0", "65536", "1"),
    "--label": ("x", "a b"),
}
"""Values for an option that it accepts, or nearly."""

VARIABLES: dict[str, tuple[str, ...]] = {
    "CHAINPROOF_TARGET": TARGETS,
    "BASETEN_API_KEY": KEYS,
    "CHAINPROOF_EMULATED": ("0", "1", "x", ""),
    "http_proxy": (
        "http://127.0.0.1:1",
        "socks5://127.0.0.1:1",
        "://",
        "127.0.0.1",
        "http://u:p@127.0.0.1:1",
        "http://[",
        "x" * 300,
    ),
    "HTTPS_PROXY": ("http://127.0.0.1:99999", "https://127.0.0.1:1", " "),
    "ALL_PROXY": ("socks4://x", "http://127.0.0.1"),
    "no_proxy": ("*", "127.0.0.0/8", "[::1", "10.0.0.0/99", ", ,", "." * 300),
    "CHAINPROOF_PARENT_PID": ("x", "-1", "1"),
    "CHAINPROOF_WORKER_TOKEN": ("", "x", "y" * 40),
    "COLUMNS": ("0", "-1", "x", "3"),
    "NO_COLOR": ("", "1"),
    "TERM": ("dumb", "", "nope"),
    "TZ": ("Mars/Base", "UTC", ":"),
    "LANG": ("C", "xx_YY"),
    "LOCUST_USERS": ("x", "3"),
}
"""Environment variables that a tool reads, with values of all kinds."""


def _loadtests(fuzzer: Fuzzer, *words: str, names: str = "", **files: bytes) -> FuzzedInput:
    """A load test with a target, so that no emulator is needed, and some further options."""
    further = fuzzer.options(LOAD_OPTIONS, fuzzer.dice.choice((0, 0, 0, 1)))
    return FuzzedInput(tool="loadtests", words=(*words, *further), files=files, names="" if further else names)


def _plan(fuzzer: Fuzzer) -> FuzzedInput:
    content = fuzzer.toml(
        fuzzer.dice.choice((PLAN, PHASES + PLAN.partition("max_in_flight = 10")[2], PLAN + "[search]\nmax_rate = 50\n"))
    )
    return _loadtests(fuzzer, "plan.toml", names="plan", **{"plan.toml": content})


def _payloads(fuzzer: Fuzzer) -> FuzzedInput:
    content = fuzzer.lines(b'{"x": 1}', b'{"names": ["a"], "greeting": "b"}', b"")
    tool = fuzzer.dice.choice(("loadtests", "conformance"))
    words = ("--payloads", "lines.jsonl") if tool == "loadtests" else ("--plan", "--payloads", "lines.jsonl")
    return FuzzedInput(tool=tool, words=words, files={"lines.jsonl": content}, names="lines.jsonl")


def _replay(fuzzer: Fuzzer) -> FuzzedInput:
    key = fuzzer.dice.choice(((), (), ("--replay-key", "t")))
    good = (b"1", b"2.5", b"2026-01-01T00:00:00Z", b'{"timestamp": 3}', b'{"t": "2026-01-01 00:00"}', b"1e3")
    odd = (
        b"1e400",
        b"nan",
        b"1700000000000",
        b"-5",
        b"9" * 400,
        b"\xff",
        b'{"timestamp": null}',
        b'{"timestamp": []}',
        b"0001-01-01",
    )
    content = fuzzer.lines(*good, *odd)
    return _loadtests(fuzzer, "--replay", "times.txt", *key, names="times.txt", **{"times.txt": content})


def _schemas(fuzzer: Fuzzer) -> FuzzedInput:
    option = fuzzer.dice.choice(("--input-schema", "--output-schema"))
    words = (option, "schema.json")
    tool = fuzzer.dice.choice(("loadtests", "loadtests", "conformance", "call"))
    words = ("--plan", *words) if tool == "conformance" else words
    return FuzzedInput(tool=tool, words=words, files={"schema.json": fuzzer.schema()}, names="schema.json")


def _code(fuzzer: Fuzzer) -> FuzzedInput:
    content = CODE.encode() if fuzzer.dice.random() < 0.5 else fuzzer.damaged(CODE.encode())
    option = fuzzer.dice.choice(("--check", "--input-schema", "--output-schema"))
    tool = fuzzer.dice.choice(("loadtests", "conformance"))
    words = ("--plan",) if tool == "conformance" else ()
    return FuzzedInput(tool=tool, words=(*words, option, fuzzer.dice.choice(_GOOD[option])), files={"code.py": content})


def _call(fuzzer: Fuzzer) -> FuzzedInput:
    raw = b"POST /production/run_remote HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    files = {"payload.json": fuzzer.dice.choice(JSON_TEXTS), "raw.http": fuzzer.damaged(raw), "code.py": CODE.encode()}
    words = fuzzer.dice.choice(
        (("--payload", "payload.json"), ("--raw", "raw.http"), ("--payload", fuzzer.dice.choice(TEXTS[1:])), ())
    )
    return FuzzedInput(
        tool="call",
        words=("--deadline=300ms", *words, *fuzzer.options(CALL_OPTIONS, fuzzer.dice.choice((0, 1, 2)))),
        files=files,
    )


_FILES = {
    "plan.toml": PLAN.encode(),
    "scenario.toml": SCENARIO.encode(),
    "lines.jsonl": b'{"x": 1}\n',
    "times.txt": b"1\n2\n",
    "schema.json": b'{"type": "object"}',
    "payload.json": b"{}",
    "code.py": CODE.encode(),
}
"""Good files under the names that options may have."""


def _options_of(tool: str, table: Sequence[Option], *words: str) -> Callable[[Fuzzer], FuzzedInput]:
    """A function that draws options of a tool and their combinations."""

    def draw(fuzzer: Fuzzer) -> FuzzedInput:
        given = fuzzer.options(table, fuzzer.dice.choice((1, 1, 1, 2, 2, 3, 5)))
        return FuzzedInput(tool=tool, words=(*words, *given), files=_FILES)

    return draw


def _reports(fuzzer: Fuzzer) -> FuzzedInput:
    places = (*TEXTS, "run", "run", "run", "nope", "code.py", "out.html", "-")
    formats = [
        word
        for name in fuzzer.dice.sample((*FORMATS, "nope"), fuzzer.dice.choice((0, 1, 2)))
        for word in (f"--{name}", fuzzer.dice.choice(places))
    ]
    return FuzzedInput(tool="reports", words=(fuzzer.dice.choice(places), *formats), files={"code.py": b""})


def _scenario(fuzzer: Fuzzer) -> FuzzedInput:
    return FuzzedInput(
        tool="emulator", words=("scenario.toml",), files={"scenario.toml": fuzzer.toml(SCENARIO)}, names="scenario"
    )


def _texts(option: str, texts: Sequence[str]) -> Callable[[Fuzzer], FuzzedInput]:
    """A function that draws values of one option, such as objectives, in a tool that has it."""

    def draw(fuzzer: Fuzzer) -> FuzzedInput:
        text = fuzzer.dice.choice(texts)
        if fuzzer.dice.random() < 0.4:
            text = (
                fuzzer.damaged(text.encode("utf-8", "surrogatepass"))
                .replace(b"\0", b"")
                .decode("utf-8", "surrogateescape")
            )
        tool = {"--objective": "loadtests", "--accept": "conformance"}.get(option) or fuzzer.dice.choice(
            ("loadtests", "conformance", "call")
        )
        return FuzzedInput(tool=tool, words=(*(("--plan",) if tool == "conformance" else ()), option, text))

    return draw


def _variables(fuzzer: Fuzzer) -> FuzzedInput:
    names = fuzzer.dice.sample(list(VARIABLES), fuzzer.dice.choice((1, 1, 2)))
    environment = {name: fuzzer.dice.choice(VARIABLES[name]) for name in names}
    tool, *words = fuzzer.dice.choice(
        (
            ("loadtests",),
            ("conformance", "--plan"),
            ("call",),
            ("emulator",),
            ("loadtests", "--target", "http://127.0.0.1:1"),
        )
    )
    return FuzzedInput(tool=tool, words=tuple(words), environment=environment)


def _commands(fuzzer: Fuzzer) -> FuzzedInput:
    words = fuzzer.dice.choices(
        (*TEXTS, "--help", "-V", "loadtest", "report", "locustfile"), k=fuzzer.dice.choice((0, 1, 2))
    )
    return FuzzedInput(tool="", words=tuple(words))


KINDS: tuple[Callable[[Fuzzer], FuzzedInput], ...] = (
    *(_plan, _plan, _payloads, _replay, _schemas, _schemas, _code, _call, _reports, _scenario, _variables, _commands),
    _options_of("loadtests", LOAD_OPTIONS),
    _options_of("loadtests", LOAD_OPTIONS, "--processes=2"),
    _options_of("conformance", CONFORMANCE_OPTIONS, "--plan"),
    _options_of("emulator", EMULATOR_OPTIONS),
    _options_of("demo", DEMO_OPTIONS),
    _texts("--objective", OBJECTIVES),
    _texts("--accept", ACCEPTS),
    _texts("--header", HEADERS),
    _texts("--target", TARGETS),
)
"""A function for each kind of input."""
