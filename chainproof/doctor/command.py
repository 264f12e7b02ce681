"""`chainproof doctor [URL]`: what is missing or risky on this machine for a target, with a remedy for each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from chainproof.command import build_parser, command
from chainproof.contract.redaction import MIN_LENGTH, redactor
from chainproof.contract.target import TargetError
from chainproof.endpoint import find_target
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.options import TARGET_OPTIONS, TARGET_VARIABLE, Option
from chainproof.target_options import TargetOptions, parse_target_options

from .diagnosis import Diagnosis, State, missing, not_checked
from .machine import machine
from .target import RequestSettings, check_target

_DEFAULT = f"${TARGET_VARIABLE}; without one, only this machine is checked"

OPTIONS: tuple[Option, ...] = (
    Option(
        name="url",
        metavar="URL",
        help="URL of the target, as with --target",
        default_text=_DEFAULT,
    ),
    *(replace(option, default_text=_DEFAULT) if option.name == "--target" else option for option in TARGET_OPTIONS),
    Option(
        name="--request",
        parse=None,
        help="also send one request to run_remote with the key; it may start a replica, which costs time and money",
    ),
    Option(name="--json", parse=None, help="print JSON in place of lines"),
)

EPILOG = "Without --request at most three requests are sent: HEAD / on one connection, without the key."

_EXIT_CODES = """\
exit codes:
  0    nothing is missing (risks do not count), or help was shown
  1    something is missing
  2    usage error
  70   error in chainproof; it says nothing about the target
  130  interrupted
"""


@command("doctor")
def main(arguments: Sequence[str]) -> int:
    """Print one line for each thing; 1 if something is missing."""
    parser = build_parser(
        "doctor",
        "Check this machine, and the way to a target.",
        EPILOG,
        options=OPTIONS,
        exit_codes=_EXIT_CODES,
    )
    given = vars(parser.parse_args(arguments))
    url = given.pop("url")
    if url is not None and given["target"] is not None:
        raise UsageError("expected the target once, found URL and --target; leave one out")
    requested = parse_target_options({**given, "target": given["target"] if url is None else url})
    diagnoses = []
    for diagnosis in _diagnoses(requested, os.environ, is_request=given["request"]):
        diagnoses.append(diagnosis)
        if not given["json"]:
            print(_redacted(line(diagnosis), requested, os.environ), flush=True)
    if given["json"]:
        print(_redacted(as_json(diagnoses), requested, os.environ))
    else:
        counts = {state: sum(each.state is state for each in diagnoses) for state in State}
        print(", ".join(f"{count} {state.value}" for state, count in counts.items() if count))
    return ExitCode.FAIL if any(each.state is State.MISSING for each in diagnoses) else ExitCode.PASS


def line(diagnosis: Diagnosis) -> str:
    """A diagnosis as one line."""
    remedy = f". {diagnosis.remedy[:1].upper()}{diagnosis.remedy[1:]}." if diagnosis.remedy else ""
    return f"{diagnosis.state.value:<11}  {diagnosis.name:<17}  {diagnosis.found}{remedy}"


def as_json(diagnoses: Sequence[Diagnosis]) -> str:
    """The diagnoses as JSON."""
    return json.dumps({"format": 1, "checks": [each.to_json() for each in diagnoses]}, indent=2, ensure_ascii=False)


def _diagnoses(requested: TargetOptions, environment: Mapping[str, str], *, is_request: bool) -> Iterator[Diagnosis]:
    """All diagnoses, those of this machine first."""
    yield from machine(requested.key_variable, environment)
    url = requested.url or environment.get(TARGET_VARIABLE)
    if not url:
        yield not_checked("target", "none was given", f"name one: chainproof doctor URL, or set {TARGET_VARIABLE}")
        return
    try:
        target, route = find_target(url, requested, environment)
    except TargetError as error:
        yield missing("target", str(error), "correct the URL or the variable")
        return
    settings = RequestSettings(
        key_variable=requested.key_variable, scheme=requested.auth_scheme, fields=requested.headers
    )
    yield from check_target(target, route, environment, settings if is_request else None)


def _redacted(text: str, requested: TargetOptions, environment: Mapping[str, str]) -> str:
    """A text without the key, which a certificate or a message of the system could repeat."""
    key = environment.get(requested.key_variable, "").strip()
    return redactor((key,)).redact(text) if len(key) >= MIN_LENGTH else text
