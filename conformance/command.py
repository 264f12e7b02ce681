"""
`chainproof conformance`: the same tests as `pytest conformance`, out of reach of whatever lies in the working folder.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from chainproof.command import command, parser
from chainproof.endpoint import endpoint
from chainproof.judgement.verdict import Exit
from chainproof.processes import own_command, run

from . import plugin
from .options import OPTIONS, Settings, settings_from
from .runner.finding_text import finding_text
from .runner.progress import Progress
from .runner.setup import GIVEN, SCENARIO, Given, agreed, asked, prepared

_FOLDER = Path(__file__).parent

_ARGUMENTS = (
    str(_FOLDER),
    "-c",
    os.devnull,
    f"--rootdir={_FOLDER}",
    f"--confcutdir={_FOLDER}",
    "--noconftest",
    "--disable-plugin-autoload",
    "--import-mode=importlib",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:terminal",
)
"""pytest, deaf to the working folder: its ini files, conftests, plugins and caches have no say in what a target is worth."""

_VARIABLES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DEBUG")


@command("conformance")
def main(arguments: Sequence[str]) -> int:
    """
    Check a target against the contract; the exit code says how it stands.
    """
    settings = _settings(arguments)
    known = agreed(settings)
    emulator = ("--contract", settings.contract.value)
    with _terminable(), endpoint(asked(settings), scenario=SCENARIO, options=emulator) as found:
        given = prepared(settings, known, found)
        print(f"checking {found.target.url} against the {settings.contract} contract, seed {given.settings.seed}")
        print("\n".join(given.plan), flush=True)
        code = _checked(given)
    if given.conduct is not None:
        _report(given)
    if code is Exit.INTERRUPTED:
        print("chainproof conformance: interrupted", file=sys.stderr)
    return code


def _settings(arguments: Sequence[str]) -> Settings:
    """
    The options' settings.
    """
    options = parser("conformance", "Check a target against the contract of POST /production/run_remote.")
    for option in OPTIONS:
        options.add_argument(option.name, **option.words())  # type: ignore[arg-type]  # add_argument's own keywords
    return settings_from(vars(options.parse_args(arguments)))


def _checked(given: Given) -> Exit:
    """
    Run the checks; how they came out.
    """
    progress = Progress()
    with _alone():
        status = pytest.main(list(_ARGUMENTS), plugins=[plugin, _Handed(given), progress])
    if given.mistake is not None:
        raise given.mistake
    if status == pytest.ExitCode.INTERRUPTED:
        return Exit.INTERRUPTED
    return Exit.SOFTWARE if given.conduct is None or progress.errors else given.conduct.exit_code()


class _Handed:
    """
    A pytest plugin that hands the session what has been opened for it.
    """

    def __init__(self, given: Given) -> None:
        self._given = given

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register it under the name that the session looks for."""
        config.pluginmanager.register(self._given, GIVEN)


@contextmanager
def _alone() -> Iterator[None]:
    """
    No variable of pytest's, and no `.hypothesis` folder where we happen to be called.
    """
    kept = {name: os.environ.pop(name) for name in _VARIABLES if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="chainproof-") as home:
        set_hypothesis_home_dir(home)
        try:
            yield
        finally:
            os.environ.update(kept)


@contextmanager
def _terminable() -> Iterator[None]:
    """
    SIGTERM ends a run as Ctrl-C does: with its report.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _report(given: Given) -> None:
    """
    The findings and the verdict, by the tool that knows how to show them; our own words where it is not installed.
    """
    conduct = given.conduct
    assert conduct is not None
    sys.stdout.flush()
    shown = run(own_command("reports", str(given.path)))
    if shown.code in (Exit.USAGE, Exit.SOFTWARE):
        for found in conduct.examination.ledger.findings:
            print(f"\n{'accepted: ' * conduct.accepts(found)}{finding_text(found)}")
        if conduct.in_vain:
            print(f"inconclusive: {conduct.in_vain}")
    print(f"run folder: {given.path}")
