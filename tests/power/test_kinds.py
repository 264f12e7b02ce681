"""Each check finds several forms of the kind of fault that it is for, without help from other checks."""

from __future__ import annotations

import os

import pytest

from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.options import Depth
from chainproof.emulator.faults import FAULTS

from .serving import QUICK_WAITS, attempts, run_checks, running_emulator
from .test_checks import FAULT_FOR_CHECK

FORMS: dict[str, tuple[str, ...]] = {
    "every_kind_of_answer_is_valid": (
        *("date-iso", "date-with-offset", "date-in-another-language", "date-with-wrong-weekday", "date-one-digit-day"),
        *("etag-unquoted", "cache-control-semicolons", "cache-control-max-age-words", "last-modified-unix"),
        *("expires-in-seconds", "age-fraction", "vary-semicolons", "server-timing-equals", "link-without-brackets"),
        *("transport-security-without-max-age", "challenge-without-scheme", "allow-semicolons", "origin-allowed-twice"),
        *("language-with-underscore", "location-with-space", "content-type-with-comma"),
        *("cookie-with-space", "expires-zero"),
    ),
    "many_header_fields_are_accepted": ("rejects-many-fields", "ignores-fields-after-64", "joins-equal-fields"),
    "expect_100_continue_is_honoured": ("continue-never-sent", "continue-delayed"),
    "late_answers_do_not_reach_the_next_request": (
        *("late-answer-on-connection", "late-answer-before-next", "late-answer-to-next-request"),
        *("late-answer-to-another-connection", "late-answer-after-slow-input"),
    ),
    "overload_gets_documented_answers": ("fails-under-slow-inputs",),
    "nothing_is_read_after_invalid_framing": ("open-after-invalid-length", "open-after-invalid-chunk"),
    "http_1_0_connections_with_keep_alive_stay_usable": (
        *("keep-alive-without-length", "keep-alive-then-silent", "keep-alive-then-closed", "keep-alive-with-chunks"),
    ),
    "bad_requests_do_not_use_up_the_target": ("leaks-on-abort", "leaks-on-400", "leaks-on-401", "leaks-on-502"),
    "requests_after_a_pause_are_answered": (
        *("fails-after-pause", "fails-on-idle-connection", "silent-on-idle-connection"),
    ),
    "no_answer_contains_data_of_another_request": (
        *("error-quotes-previous-body", "query-of-previous-request", "output-has-field-of-previous-request"),
        *("short-body-filled-from-memory", "aborted-body-kept"),
    ),
    "sessions_do_not_replace_the_key": (
        *("cookie-replaces-key", "cookie-replaces-wrong-key", "token-replaces-key", "session-chosen-by-caller"),
    ),
    "objects_with_any_kind_of_value_are_accepted": ("masks-card-numbers", "substitutes-variables", "members-coerced"),
    "valid_json_objects_are_accepted": (
        *("counted-names-to-array", "rejects-full-buffers", "output-streamed-on-flag"),
    ),
    "other_headers_and_queries_are_ignored": ("output-latin-1-if-accepted",),
    "other_headers_do_not_bypass_authentication": ("auth-skipped-for-named-fields",),
    "request_bodies_do_not_bypass_authentication": ("auth-skipped-for-large",),
    "cached_answers_are_not_served_to_unauthenticated_callers": (
        *("cache-ignores-authorization", "rejection-cached-without-key", "cache-before-auth"),
    ),
    "cached_answers_depend_on_the_header_fields": (
        *("cache-ignores-content-type", "rejected-media-type-cached", "cache-ignores-method"),
        "cache-ignores-accept-encoding",
    ),
    "body_limits_hold_in_every_framing": (
        *("rejects-large-chunked", "cuts-large-chunked", "fails-on-large-chunked"),
        *("rejects-large-gzip", "fails-on-large-gzip"),
    ),
    "oversized_bodies_get_a_documented_answer_in_every_framing": (
        *("oversized-chunked-is-500", "closes-on-oversized-chunked"),
    ),
    "unknown_methods_are_rejected": ("unknown-method-500", "unknown-method-502"),
    "every_form_of_the_own_host_name_is_recognised": (
        *("host-case-sensitive", "host-in-capitals-unknown", "host-with-dot-unknown"),
    ),
}
"""Faults of one kind, by the check that must find them."""

CHECKS = {check.name: check for check in ALL_CHECKS}


def sampled_forms() -> list[tuple[str, str]]:
    """Every second form of a kind and the first one that test_checks.py does not have; or all of them."""
    if os.environ.get("CHAINPROOF_SAMPLE") == "all":
        return [(check, name) for check, names in FORMS.items() for name in names]
    others = {check: [name for name in names if name != FAULT_FOR_CHECK[check]] for check, names in FORMS.items()}
    return [(check, name) for check, names in others.items() for name in names[::2]]


@pytest.mark.parametrize(("check", "fault"), [pytest.param(check, name, id=name) for check, name in sampled_forms()])
def test_a_form_of_the_kind_is_found_by_its_own_check(check: str, fault: str) -> None:
    """At depth quick, the check reports the clause that the fault violates, and nothing unexpected."""
    known = FAULTS[fault]
    found = set()
    for _ in attempts(known):
        with running_emulator(known.hook) as url:
            findings = run_checks(
                url,
                [CHECKS[check]],
                depth=Depth.QUICK,
                deadline=5.0,
                needs_options=known.needs_options,
                waits=QUICK_WAITS,
            )
        found = {each.clause for each in findings}
        if known.violates.id in found:
            break

    assert known.violates.id in found
    assert found <= {clause.id for clause in (known.violates, *known.also_violates)}
