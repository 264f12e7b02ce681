"""Every check finds a fault of the emulator on its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainproof.chain_schema.loading import load_input_schema, load_output_schema
from chainproof.conformance.checks.catalogue import ALL_CHECKS
from chainproof.conformance.inputs.chain_schema import ChainSchema
from chainproof.conformance.inputs.generated_inputs import simplest_input
from chainproof.conformance.options import Depth
from chainproof.emulator.chain.chain import load_chain
from chainproof.emulator.faults import FAULTS

from .serving import attempts, run_checks, running_emulator

FAULT_FOR_CHECK: dict[str, str] = {
    "valid_json_objects_are_accepted": "coerces-digits",
    "objects_with_any_kind_of_value_are_accepted": "rounds-integers",
    "objects_with_a_single_member_are_not_unwrapped": "names-lower-cased",
    "objects_with_names_of_javascript_prototypes_are_accepted": "rejects-proto",
    "every_unicode_code_point_is_accepted": "normalizes-nfc",
    "generated_objects_are_accepted": "rounds-fractions",
    "chunked_bodies_are_accepted": "rejects-chunked",
    "implementation_defined_json_gets_a_documented_answer": "error-member-twice",
    "requests_without_a_body_are_rejected": "accepts-missing-body",
    "json_values_other_than_objects_are_rejected": "accepts-arrays",
    "almost_valid_json_is_rejected": "accepts-nan",
    "almost_valid_json_is_rejected_at_every_position": "accepts-trailing-commas",
    "generated_invalid_json_is_rejected": "accepts-truncated-objects",
    "connections_stay_open_unless_close_is_announced": "closes-unannounced",
    "late_answers_do_not_reach_the_next_request": "late-answer-on-connection",
    "nothing_is_read_after_invalid_framing": "open-after-invalid-length",
    "an_expected_body_is_never_read_as_a_request": "expected-body-is-next-request",
    "bad_requests_do_not_use_up_the_target": "leaks-on-abort",
    "requests_after_a_pause_are_answered": "fails-after-pause",
    "http_1_0_connections_with_keep_alive_stay_usable": "keep-alive-without-length",
    "connections_are_closed_on_request": "close-announced-not-done",
    "connection_close_is_honoured": "close-always-announced",
    "one_connection_serves_many_requests": "cached-by-length",
    "requests_without_credentials_are_rejected": "no-key-needed",
    "wrong_keys_are_rejected": "any-key",
    "keys_are_checked_before_bodies": "validates-before-authenticating",
    "almost_correct_keys_are_rejected": "key-with-suffix",
    "two_wrong_keys_are_rejected": "any-authorization",
    "keys_with_control_characters_are_rejected": "nul-ends-key",
    "keys_without_the_right_scheme_are_rejected": "key-without-scheme",
    "keys_outside_the_authorization_header_are_rejected": "key-in-cookie",
    "keys_in_the_body_or_the_url_are_rejected": "key-in-body",
    "a_key_in_a_trailer_is_rejected": "trailers-merged",
    "ambiguous_credentials_get_a_documented_answer": "auth-crashes-on-odd-keys",
    "every_documented_error_is_returned_on_demand": "status-503-for-timeout",
    "errors_on_demand_affect_only_one_request": "one-code-for-all",
    "every_answer_is_exactly_one_http_message": "length-in-characters",
    "content_encoding_matches_the_body": "gzip-unrequested",
    "every_valid_request_framing_is_accepted": "reads-first-segment-only",
    "every_form_of_request_is_accepted": "absolute-form-not-found",
    "expect_100_continue_is_honoured": "rejects-expect",
    "every_kind_of_answer_is_valid": "challenge-without-scheme",
    "many_header_fields_are_accepted": "ignores-fields-after-64",
    "pipelined_requests_are_answered_in_order": "rejects-pipelining",
    "other_headers_do_not_bypass_authentication": "trusts-forwarded-for",
    "query_parameters_do_not_bypass_authentication": "auth-skipped-for-debug",
    "request_bodies_do_not_bypass_authentication": "auth-skipped-for-chunked",
    "methods_and_paths_do_not_bypass_authentication": "auth-skipped-for-double-slash",
    "host_headers_do_not_bypass_authentication": "auth-skipped-for-localhost",
    "requests_with_an_old_http_version_are_authenticated": "no-key-needed",
    "unusual_framings_do_not_bypass_authentication": "auth-skipped-for-long-fields",
    "authentication_does_not_carry_over_to_other_requests": "auth-once-per-connection",
    "every_one_of_many_requests_is_authenticated": "wrong-key-accepted-now-and-then",
    "wrong_keys_in_a_row_are_rejected": "auth-fails-open",
    "concurrent_requests_are_authenticated_separately": "auth-skipped-when-concurrent",
    "schemathesis_requests_get_documented_answers": "accepts-null",
    "every_answer_has_its_own_request_id": "id-constant",
    "request_ids_sent_by_the_client_are_not_reused": "id-per-connection",
    "concurrent_requests_get_unique_request_ids": "id-is-body-hash",
    "concurrent_requests_get_their_own_answers": "cached-by-path",
    "errors_do_not_expose_keys_or_internals": "stack-trace-in-400",
    "malformed_headers_do_not_cause_stack_traces": "stack-trace-of-auth",
    "answers_do_not_repeat_the_api_key": "trace-echoes-key",
    "large_objects_are_accepted": "empty-strings-to-null",
    "body_limits_hold_in_every_framing": "rejects-large-chunked",
    "oversized_bodies_get_a_documented_answer_in_every_framing": "oversized-chunked-is-500",
    "oversized_objects_get_a_documented_answer": "closes-on-large-body",
    "other_methods_are_rejected": "get-executes",
    "unknown_methods_are_rejected": "unknown-method-500",
    "every_form_of_the_own_host_name_is_recognised": "host-case-sensitive",
    "method_overrides_are_ignored": "any-method-executes",
    "head_options_and_trace_do_not_run_the_chain": "no-allow",
    "other_paths_are_rejected": "path-case-insensitive",
    "regional_hosts_reject_environment_paths": "regional-host-served",
    "unknown_environments_and_deployments_are_rejected": "any-environment",
    "invalid_http_messages_are_rejected": "last-length-wins",
    "only_a_line_end_begins_another_header_field": "bare-cr-ends-field",
    "bodies_cannot_smuggle_requests": "length-overrides-chunked",
    "data_after_a_body_does_not_inherit_its_credentials": "key-of-previous-request",
    "truncated_requests_are_rejected": "accepts-truncated-body",
    "content_type_case_and_parameters_are_ignored": "rejects-media-type-parameters",
    "other_media_types_are_rejected": "any-media-type",
    "ambiguous_media_types_get_a_documented_answer": "wrong-media-type-is-415",
    "other_headers_and_queries_are_ignored": "query-not-found",
    "repeated_requests_are_answered_consistently": "id-16-bit",
    "overload_gets_documented_answers": "fails-when-busy",
    "no_answer_contains_data_of_another_request": "short-body-filled-from-memory",
    "sessions_do_not_replace_the_key": "cookie-replaces-key",
    "cached_answers_are_not_served_to_unauthenticated_callers": "cache-ignores-authorization",
    "cached_answers_depend_on_the_header_fields": "cache-ignores-content-type",
    "similar_requests_get_their_own_answers": "cached-by-member-names",
    "slow_and_fast_requests_get_their_own_answers": "swapped-when-concurrent",
    "no_data_leaks_from_one_request_into_later_ones": "members-leak",
    "bad_requests_do_not_affect_later_ones": "poisoned-endpoint",
    "extended_generation_finds_no_violations": "rounds-fractions",
    "values_at_their_bounds_are_accepted": "rejects-exponents",
    "combinations_of_values_are_accepted": "rejects-null-beside-true",
    "large_inputs_get_complete_answers": "large-output-truncated",
    "equal_inputs_get_equal_answers": "cached-by-first-bytes",
    "concurrent_inputs_get_their_own_answers": "swapped-when-concurrent",
    "answers_depend_on_the_whole_input": "cached-by-first-member",
    "arguments_of_one_request_do_not_affect_the_next": "members-leak",
}
"""A fault that each check must find. A new check needs an entry here, and a new fault if none fits."""


TYPED_MODULES = ("consistency", "typed_inputs")
"""Modules whose checks need a chain that does not return its input."""

ORDERS = f"{Path(__file__).parents[1] / 'typed_chain' / 'orders.py'}:Orders"


def orders_schema() -> ChainSchema:
    """What is known about the typed chain."""
    input_schema = load_input_schema(ORDERS)
    return ChainSchema(
        input_schema=input_schema,
        output_schema=load_output_schema(ORDERS),
        minimal_input=simplest_input(input_schema),
    )


def test_every_check_has_a_fault() -> None:
    """The table has an entry for every check, and no others."""
    assert {check.name for check in ALL_CHECKS} == set(FAULT_FOR_CHECK)


@pytest.mark.parametrize("check", ALL_CHECKS, ids=[check.name for check in ALL_CHECKS])
def test_a_check_finds_its_fault_on_its_own(check) -> None:
    """Without other checks, it reports a clause that the fault violates."""
    fault = FAULTS[FAULT_FOR_CHECK[check.name]]
    violated = {each.id for each in (fault.violates, *fault.also_violates)}
    is_typed = check.module in TYPED_MODULES
    chain, schema = (load_chain(ORDERS), orders_schema()) if is_typed else (None, None)
    found = set()
    for _ in attempts(fault):
        with running_emulator(fault.hook, chain) as url:
            findings = run_checks(
                url, [check], wanted=fault.violates.id, overload=True, duration=2.0, chain_schema=schema
            )
        found |= {each.clause for each in findings if each.check == check.name}
        if found & violated:
            break

    assert found & violated


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("other_media_types_are_rejected", "accepts-forms"),
        ("json_values_other_than_objects_are_rejected", "accepts-arrays"),
        ("json_values_other_than_objects_are_rejected", "accepts-double-encoded-objects"),
    ],
)
def test_a_check_finds_what_only_an_accepted_input_in_another_form_shows(name: str, fault: str) -> None:
    """A chain with required arguments rejects everything else, whatever the fault lets through."""
    [check] = [check for check in ALL_CHECKS if check.name == name]
    wanted = FAULTS[fault].violates.id
    with running_emulator(FAULTS[fault].hook, load_chain(ORDERS)) as url:
        findings = run_checks(url, [check], wanted=wanted, overload=True, duration=2.0, chain_schema=orders_schema())

    assert wanted in {each.clause for each in findings}


def test_a_blank_body_is_sent_at_every_depth() -> None:
    """It is the simplest body that is not JSON."""
    fault = FAULTS["accepts-blank-body"]
    [check] = [check for check in ALL_CHECKS if check.name == "almost_valid_json_is_rejected"]
    with running_emulator(fault.hook) as url:
        findings = run_checks(url, [check], wanted=fault.violates.id, depth=Depth.QUICK)

    assert [fault.violates.id] == [each.clause for each in findings]
