"""
What the doctor looks at on the way to a target.

It sends at most three `HEAD /` without the key on one connection, and one POST to run_remote with the key if it is asked to.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from chainproof.clock import Seconds, format_duration
from chainproof.contract.credentials import ApiKeyError, AuthScheme, load_key
from chainproof.contract.header_fields import HeaderField
from chainproof.contract.route import Address, Route
from chainproof.contract.target import Target, is_loopback
from chainproof.workload.payloads import DEFAULT_PAYLOADS

from .connection import ConnectionFailed, DoctorConnection, Head, reason_of
from .diagnosis import Diagnosis, State, missing, not_checked, ok, risk

HEAD_REQUESTS = 3
"""How many requests without the key are sent at most."""
SLOW_LOOKUP: Seconds = 1.0
SLOW_ANSWER: Seconds = 0.5
"""An answer without work of a chain should take about one round trip."""
CLOCK_TOLERANCE: Seconds = 2.0
"""A Date field has whole seconds, and a server may keep it for one."""
MIN_CERTIFICATE_DAYS = 14
_PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "http_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSettings:
    """How the request to run_remote is sent."""

    key_variable: str
    scheme: AuthScheme
    fields: tuple[HeaderField, ...] = ()


def check_target(
    target: Target, route: Route, environment: Mapping[str, str], request: RequestSettings | None
) -> Iterator[Diagnosis]:
    """All diagnoses of the way to a target; *request* says how to send one request to run_remote, None to send none."""
    hop = route.first_hop(target)
    yield proxy(target, route, environment)
    lookup = dns(hop)
    yield lookup
    if lookup.state is State.MISSING:
        return
    try:
        connection = DoctorConnection(target, route)
    except ConnectionFailed as error:
        yield missing("connection", f"{hop}: {error}", _connection_remedy(route))
        return
    try:
        yield ok("connection", f"{hop} in {format_duration(connection.connect_time)}")
        yield from _answers(connection, target, route)
    finally:
        connection.close()
    if request is not None:
        yield run_remote(target, route, environment, request)


def proxy(target: Target, route: Route, environment: Mapping[str, str]) -> Diagnosis:
    """Which proxy is used, and the variables that say so. A password in them is not shown."""
    found = [name for name in _PROXY_VARIABLES if environment.get(name)]
    names = f" ({', '.join(found)} set)" if found else ""
    if route.proxy is None:
        why = ", which is on this machine" if found and is_loopback(target.host) else ""
        return ok("proxy", f"none is used for {target.host}{why}{names}")
    return risk(
        "proxy",
        f"{route.proxy.address} is used{names}",
        f"figures include the proxy; add {target.host} to no_proxy if this machine can connect directly",
    )


def dns(hop: Address) -> Diagnosis:
    """Whether the host that is connected to has an address."""
    start = time.monotonic()
    try:
        found = socket.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = reason_of(error) if isinstance(error, OSError) else "the name is too long"
        return missing(
            "dns", f"{hop.host} has no address: {why}", "check the URL, and the name server in /etc/resolv.conf"
        )
    took = time.monotonic() - start
    count = len({each[4][0] for each in found})
    text = f"{hop.host} has {count} address{'' if count == 1 else 'es'}, found in {format_duration(took)}"
    if took > SLOW_LOOKUP:
        return risk("dns", text, "use a faster name server: new connections wait for it")
    return ok("dns", text)


def tls_context(route: Route) -> ssl.SSLContext:
    """A context that verifies as conformance does."""
    context = ssl.create_default_context(cafile=route.ca_file)
    if route.ca_file is not None:
        context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _connection_remedy(route: Route) -> str:
    if route.proxy is not None:
        return "check the address and the password of the proxy, and that it allows CONNECT to the target"
    return "check host and port, that the server runs, and that no firewall is in between"


def _answers(connection: DoctorConnection, target: Target, route: Route) -> Iterator[Diagnosis]:
    """TLS, protocol, response time and clock."""
    if target.scheme == "https":
        try:
            took = connection.start_tls(tls_context(route))
        except ConnectionFailed as error:
            remedy = "check the host name, install the certificate authority, or name its file with --ca-file or SSL_CERT_FILE"
            yield missing("tls", str(error), remedy)
            return
        yield certificate(connection, took)
    heads: list[Head] = []
    try:
        while len(heads) < HEAD_REQUESTS and (not heads or heads[-1].keeps_connection):
            heads.append(connection.request("HEAD", "/"))
    except ConnectionFailed as error:
        if not heads:
            yield missing("protocol", f"HEAD / failed: {error}", "check that the URL names an HTTP/1.1 server")
            return
    yield protocol(heads)
    yield response_time(heads)
    yield clock(heads[-1])


def certificate(connection: DoctorConnection, took: Seconds, now: Seconds | None = None) -> Diagnosis:
    """The certificate of the target, which was verified, and its expiry."""
    assert connection.tls is not None
    expiry = ssl.cert_time_to_seconds(str((connection.tls.getpeercert() or {})["notAfter"]))
    days = int((expiry - (time.time() if now is None else now)) // 86_400)
    text = (
        f"{connection.tls.version()} in {format_duration(took)}; the certificate is trusted and expires in {days} days"
    )
    if days < MIN_CERTIFICATE_DAYS:
        return risk("tls", text, "renew the certificate: after that no request is sent")
    return ok("tls", text)


def protocol(heads: list[Head]) -> Diagnosis:
    """The HTTP version, and whether connections are kept."""
    last = heads[-1]
    text = f"HTTP/{last.version}, {len(heads)} HEAD / without the key answered {last.status}"
    if not last.keeps_connection:
        return risk(
            "protocol",
            f"{text}, and the connection is closed after an answer",
            "keep connections open on the server: otherwise response times include connecting, and ports run out",
        )
    return ok("protocol", f"{text} on one connection")


def response_time(heads: list[Head]) -> Diagnosis:
    """How long an answer takes that needs no work of a chain."""
    fastest = min(head.time for head in heads)
    text = f"{format_duration(fastest)}, the fastest of {len(heads)}"
    if fastest > SLOW_ANSWER:
        return risk("response time", text, "test from a machine nearer to the target: every figure includes this time")
    return ok("response time", text)


def clock(head: Head) -> Diagnosis:
    """The clock of this machine compared with the Date field of an answer."""
    try:
        theirs = parsedate_to_datetime(head.fields.get("Date", "")).timestamp() + 0.5  # the middle of its second
    except (ValueError, OverflowError):
        return not_checked("clock", "the target sent no valid Date field")
    ahead = head.received_at - head.time / 2 - theirs
    if abs(ahead) > CLOCK_TOLERANCE:
        direction = "ahead of" if ahead > 0 else "behind"
        return risk(
            "clock",
            f"{format_duration(abs(ahead))} {direction} the target",
            "set the clock (timedatectl set-ntp true): otherwise times do not match the target's logs, and certificates seem invalid",
        )
    return ok("clock", f"within {CLOCK_TOLERANCE:g} s of the target")


def run_remote(target: Target, route: Route, environment: Mapping[str, str], request: RequestSettings) -> Diagnosis:
    """The answer to one request with the key."""
    name = "run_remote"
    try:
        key = load_key(environment, request.key_variable)
    except ApiKeyError:
        return not_checked(name, "no request was sent without a key")
    try:
        connection = DoctorConnection(target, route)
        try:
            if target.scheme == "https":
                connection.start_tls(tls_context(route))
            authorization = f"{request.scheme.prefix} {key.reveal()}"
            fields = (("Authorization", authorization), ("Content-Type", "application/json"), *request.fields)
            head = connection.request("POST", target.path, *fields, body=DEFAULT_PAYLOADS[0].encoded())
        finally:
            connection.close()
    except ConnectionFailed as error:
        return missing(name, f"no answer: {error}", "send one request with chainproof call, which shows it completely")
    return answered(name, head)


def answered(name: str, head: Head) -> Diagnosis:
    """What a status says about key and URL."""
    text = f"one request was answered {head.status} in {format_duration(head.time)}"
    if head.status in (401, 403):
        return missing(name, f"{text}: the key is rejected", "check the variable of the key, and --auth-scheme")
    if head.status == 404:
        return missing(name, f"{text}: there is no chain at this URL", "check the URL, --chain-id and --environment")
    is_foreign = not head.is_json and not head.has_request_id and head.status not in (429, 502, 503, 504)
    if head.status in (405, 501) or (is_foreign and head.status >= 400):
        return missing(name, f"{text}: this does not look like a chain", "check the URL, --chain-id and --environment")
    if head.status == 429 or head.status >= 500:
        return risk(name, text, "see the answer with chainproof call; the chain may still be starting")
    if 300 <= head.status < 400:
        return risk(
            name, f"{text}: a redirect, which is not followed", "check the URL: it has to be that of the chain itself"
        )
    if not head.is_json:
        return risk(
            name,
            f"{text}, but not in JSON{'' if head.has_request_id else ' and without a request id'}: this may be another "
            "server than the chain",
            "check the URL, and see the answer with chainproof call",
        )
    if head.status >= 400:
        return ok(name, f"{text}: the key is accepted, this input is not")
    return ok(name, f"{text}: the key is accepted")
