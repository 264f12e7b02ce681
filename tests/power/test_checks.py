"""
No check stands idle: for each there is a fault of the emulator that it finds all by itself.
"""

from __future__ import annotations

import pytest

from chainproof.conformance.checks import CHECKS
from chainproof.emulator.faults import FAULTS

from .serving import running_emulator, run_checks

FAULT_FOR_CHECK: dict[str, str] = {
    "an_object_is_accepted_however_it_is_spelled": "coerces-digits",
    "every_sort_of_value_is_accepted": "rounds-integers",
    "no_name_means_anything_by_itself": "names-lower-cased",
    "every_code_point_is_accepted": "normalizes-nfc",
    "any_object_is_accepted": "rounds-fractions",
    "a_chunked_body_is_a_body": "rejects-chunked",
    "what_a_receiver_may_refuse_is_answered_as_documented": "error-member-twice",
    "a_body_is_required": "accepts-missing-body",
    "other_values_are_refused": "accepts-arrays",
    "near_misses_of_json_are_refused": "accepts-nan",
    "near_misses_are_refused_wherever_they_stand": "accepts-trailing-commas",
    "any_near_miss_is_refused": "accepts-comments",
    "a_connection_is_kept": "closes-unannounced",
    "a_connection_is_closed_when_it_is_to_be": "close-announced-not-done",
    "what_says_that_it_closes_does": "close-always-announced",
    "many_requests_go_over_one_connection": "cached-by-length",
    "nobody_gets_in_without_credentials": "no-key-needed",
    "only_the_right_key_opens": "any-key",
    "a_key_is_compared_whole": "key-with-suffix",
    "two_wrong_keys_are_no_right_one": "any-authorization",
    "a_control_character_does_not_end_a_key": "nul-ends-key",
    "the_key_needs_its_prefix": "key-without-scheme",
    "the_key_counts_in_its_header_alone": "key-in-cookie",
    "the_key_does_not_count_in_a_body_or_a_url": "key-in-body",
    "what_no_sentence_decides_is_answered_as_documented": "auth-crashes-on-odd-keys",
    "every_documented_error_is_given_on_demand": "status-503-for-timeout",
    "an_error_on_demand_is_given_once": "one-code-for-all",
    "an_answer_is_one_message_and_nothing_more": "length-in-characters",
    "a_body_is_coded_as_it_says": "gzip-unrequested",
    "a_request_is_itself_however_it_is_framed": "reads-first-segment-only",
    "a_body_that_waits_is_asked_for": "rejects-expect",
    "pipelined_requests_are_answered_in_order": "rejects-pipelining",
    "no_other_header_opens": "trusts-forwarded-for",
    "no_query_opens": "auth-skipped-for-debug",
    "no_body_opens": "auth-skipped-for-chunked",
    "no_method_and_no_path_lead_around_the_gate": "auth-skipped-for-double-slash",
    "no_host_leads_around_the_gate": "auth-skipped-for-localhost",
    "an_old_version_leads_not_around_the_gate": "no-key-needed",
    "the_gate_forgets_who_came_before": "auth-once-per-connection",
    "the_gate_stands_every_time": "wrong-key-accepted-now-and-then",
    "the_gate_stands_in_a_crowd": "auth-skipped-when-concurrent",
    "whatever_schemathesis_generates_is_answered_as_documented": "accepts-null",
    "every_request_has_an_id_of_its_own": "id-constant",
    "an_id_is_not_the_callers": "id-per-connection",
    "ids_are_unique_among_concurrent_requests": "id-is-body-hash",
    "an_answer_belongs_to_its_request": "cached-by-path",
    "errors_keep_secrets_and_internals": "stack-trace-in-400",
    "odd_fields_end_in_no_trace": "stack-trace-of-auth",
    "whoever_asks_does_not_hear_a_key": "trace-echoes-key",
    "an_object_may_be_as_large_as_any_receiver_takes": "empty-strings-to-null",
    "a_larger_object_is_taken_or_refused_as_documented": "closes-on-large-body",
    "other_methods_are_refused": "get-executes",
    "no_method_hides_in_another": "any-method-executes",
    "asking_about_the_path_runs_nothing": "no-allow",
    "other_paths_are_refused": "path-case-insensitive",
    "regional_hosts_do_not_have_the_path": "regional-host-served",
    "an_invalid_message_is_refused": "last-length-wins",
    "no_part_of_a_body_is_a_request": "length-overrides-chunked",
    "what_stands_behind_a_body_is_not_let_in_by_it": "key-of-previous-request",
    "half_a_message_is_no_request": "accepts-truncated-body",
    "letter_case_and_parameters_change_nothing": "rejects-media-type-parameters",
    "other_media_types_are_refused": "any-media-type",
    "media_types_that_servers_differ_about_are_answered_as_documented": "wrong-media-type-is-415",
    "other_fields_and_a_query_change_nothing": "query-not-found",
    "what_holds_once_holds_every_time": "id-16-bit",
    "overload_is_answered": "fails-when-busy",
    "equally_long_bodies_are_told_apart": "cached-by-member-names",
    "slow_and_fast_requests_are_told_apart": "swapped-when-concurrent",
    "nothing_of_a_request_stays_behind": "members-leak",
    "no_request_changes_what_comes_after_it": "poisoned-endpoint",
    "generation_goes_on_for_as_long_as_told": "rounds-fractions",
}
"""By the check's name, a fault that it is to find. A new check wants a row here; where no fault suits, a new fault."""


def test_every_check_has_its_fault() -> None:
    """
    Neither too few nor too many.
    """
    assert {check.name for check in CHECKS} == set(FAULT_FOR_CHECK)


@pytest.mark.parametrize("check", CHECKS, ids=[check.name for check in CHECKS])
def test_a_check_finds_its_fault_alone(check) -> None:
    """
    With nobody else asking, for a clause that the fault is said to break.
    """
    fault = FAULTS[FAULT_FOR_CHECK[check.name]]
    with running_emulator(fault.hook) as url:
        found = run_checks(url, [check], provoke=True, duration=2.0)

    assert {each.clause for each in found if each.check == check.name} & {
        each.id for each in (fault.violates, *fault.also_violates)
    }
