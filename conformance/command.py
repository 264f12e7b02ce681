"""`chainproof conformance`: reads the options, and imports everything else afterwards so that `--help` answers at once."""

from __future__ import annotations

from collections.abc import Sequence

from chainproof.clock import monotonic
from chainproof.command import build_parser, command
from chainproof.machine_faults import require_address_space
from chainproof.signals import signals_deferred

from .options import OPTIONS, Settings, settings_from

_ADDRESS_SPACE = 512 << 20
"""What the libraries take, in bytes, and the stacks of the threads: CPython may crash when there is none left for them."""


_HINTS = {
    f"--{name}": f"use `chainproof reports RUN --{name} FILE` on the run folder"
    for name in ("html", "json", "markdown", "junit", "ctrf", "csv", "openmetrics", "otlp")
} | {"-q": "redirect the output to a file", "--quiet": "redirect the output to a file"}
"""What to use in place of an option of another command."""


@command("conformance")
def main(arguments: Sequence[str]) -> int:
    """Test a target against the contract; the exit code is that of the verdict."""
    began = monotonic()
    settings = _settings(arguments)
    require_address_space(_ADDRESS_SPACE)
    with signals_deferred():
        from .session import run_conformance  # noqa: PLC0415  # heavy: --help and wrong options need none of it
    return run_conformance(settings, began=began)


def _settings(arguments: Sequence[str]) -> Settings:
    """The settings from the command line."""
    parser = build_parser(
        "conformance",
        "Check a target against the contract of POST /production/run_remote.",
        options=OPTIONS,
        hints=_HINTS,
    )
    parser.usage = "chainproof conformance [OPTIONS]"
    return settings_from(vars(parser.parse_args(arguments)))
