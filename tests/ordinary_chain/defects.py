"""The defects of the ordinary chain and of nginx in front of it, and the clauses that name them correctly."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One defect, and the clauses of which a run has to report at least one."""

    clauses: tuple[str, ...]
    is_warning: bool = False
    """Whether the clauses are recommendations, so that the run passes with a warning."""
    server: str = ""
    """nginx directives in the server block; `{root}` is a folder that nginx may write to."""
    location: str = ""
    """nginx directives in the location of the operation."""
    http: str = ""
    """nginx directives outside the server block."""

    @property
    def in_gateway(self) -> bool:
        """Whether the defect is one of nginx; else of the app."""
        return bool(self.server or self.location or self.http)


_CACHE = "proxy_cache_path {root}/cache keys_zone=all:1m;"
_CACHED = "proxy_cache all; proxy_cache_methods POST; proxy_cache_valid 200 10m; client_body_buffer_size 8m;"

DEFECTS: dict[str, Defect] = {
    # The app
    "answers-422": Defect(clauses=("status", "non-object-rejected", "invalid-json-rejected", "body-required")),
    "validates-first": Defect(clauses=("authentication-first",), is_warning=True),
    "accepts-nan": Defect(clauses=("invalid-json-rejected",)),
    "accepts-arrays": Defect(clauses=("non-object-rejected",)),
    "reads-latin-1": Defect(clauses=("object-accepted", "answer-matches-request", "invalid-json-rejected")),
    "rejects-integers-for-floats": Defect(clauses=("object-accepted",)),
    "counts-bytes": Defect(clauses=("object-accepted",)),
    "answers-mixed-up": Defect(clauses=("answer-matches-request",)),
    "options-stick": Defect(clauses=("answer-matches-request", "request-isolation")),
    "cached-by-texts": Defect(clauses=("answer-matches-request",)),
    "crashes-on-many-texts": Defect(clauses=("status", "object-accepted", "no-internals")),
    "score-is-sometimes-text": Defect(clauses=("output-schema",)),
    "failure-as-200": Defect(clauses=("output-schema",)),
    "key-prefix-compared": Defect(clauses=("key-verified",)),
    "key-contained": Defect(clauses=("key-verified", "key-prefix")),
    "key-in-query": Defect(clauses=("key-location",)),
    "key-without-case": Defect(clauses=("key-verified",)),
    "request-id-constant": Defect(clauses=("request-id-unique",)),
    "request-id-twice": Defect(clauses=("request-id-present",)),
    # The gateway
    "body-limit-100k": Defect(server="client_max_body_size 100k;", clauses=("object-accepted", "status")),
    "small-headers": Defect(
        server="client_header_buffer_size 512; large_client_header_buffers 2 1k;",
        clauses=("status", "request-framing", "object-accepted", "http-recommendations", "error-media-type"),
    ),
    "html-errors": Defect(
        server='error_page 400 401 @html; location @html {{ internal; default_type text/html; return 400 "<p>Oops</p>"; }}',
        location="proxy_intercept_errors on;",
        clauses=("error-media-type", "error-json"),
    ),
    "no-request-id": Defect(location="proxy_hide_header X-Baseten-Request-Id;", clauses=("request-id-present",)),
    "key-reflected": Defect(location="add_header X-Debug $http_authorization always;", clauses=("no-credential-leak",)),
    "cached-by-path": Defect(
        http=_CACHE, location=_CACHED + "proxy_cache_key $request_uri;", clauses=("answer-matches-request",)
    ),
    "cached-without-key": Defect(
        http=_CACHE,
        location=_CACHED + "proxy_cache_key $request_body;",
        clauses=("authentication-required", "key-verified"),
    ),
    "key-added-for-other-notations": Defect(
        server="location ~ ^/+production/+run_remote/?$ {{ rewrite ^ /production/run_remote break; "
        '{upstream} proxy_set_header Authorization "Api-Key {key}"; }}',
        location="",
        clauses=("authentication-required", "other-paths-rejected", "key-verified"),
    ),
    "wrong-content-encoding": Defect(
        location="add_header Content-Encoding gzip always;", clauses=("content-coding", "response-framing")
    ),
    "one-request-at-a-time": Defect(
        http="limit_conn_zone $server_port zone=one:1m;",
        location="limit_conn one 1;",
        clauses=("error-media-type", "error-json", "object-accepted", "overload"),
    ),
    "plain-text-answers": Defect(
        location="proxy_hide_header Content-Type; add_header Content-Type text/plain always;",
        clauses=("output-media-type", "error-media-type"),
    ),
    "rejects-fast-callers-with-500": Defect(
        http="limit_req_zone $server_port zone=slow:1m rate=5r/s;",
        location="limit_req zone=slow burst=2 nodelay; limit_req_status 500;",
        clauses=("status",),
    ),
}
"""Each defect by its name; those of the app are in `app.py` under the same name."""
