"""
One session's examination: opened, carried through and judged as a whole.
"""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from chainproof.contract.answer import Answer
from chainproof.embedded import Endpoint
from chainproof.jsontext import parse_json
from chainproof.judgement.verdict import Exit
from chainproof.results.finding import Finding
from chainproof.results.folder import DEFAULT_ROOT, RunWriter, check_writable, default_path, now
from chainproof.results.manifest import End, Ending, Kind, Manifest, as_settings, versions

from .checks import Check
from .client import Client
from .examination import Examination
from .ledger import Ledger, binding_levels, level_of
from .settings import Settings
from .wording import finding_text


@dataclass(slots=True, kw_only=True)
class Conduct:
    """
    One session's examination, and how it is going.
    """

    examination: Examination
    folder: RunWriter
    settings: Settings
    began: float = field(default_factory=time.monotonic)
    in_vain: str = ""
    """Why next to nothing can be exercised; empty where it can."""
    broken: str = ""
    """Our own error, if there was one, in one line."""

    @property
    def binding(self) -> tuple[Finding, ...]:
        """The findings that fail the run."""
        levels = binding_levels(self.settings.fail_on)
        return tuple(found for found in self.examination.ledger.findings if level_of(found) in levels)

    def exit_code(self) -> Exit:
        """What the session comes to, interruption aside."""
        if self.broken:
            return Exit.SOFTWARE
        if self.binding:
            return Exit.FAIL
        return Exit.INCONCLUSIVE if self.in_vain else Exit.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """
    What one check has seen.
    """

    check: Check
    findings: tuple[Finding, ...]
    conduct: Conduct

    def stands(self) -> None:
        """
        Fail the test where a binding clause was departed from.
        """
        __tracebackhide__ = True
        levels = binding_levels(self.conduct.settings.fail_on)
        binding = [found for found in self.findings if level_of(found) in levels]
        if binding:
            pytest.fail("\n\n".join(finding_text(found) for found in binding), pytrace=False)


CONDUCT = pytest.StashKey[Conduct]()

GIVEN = "chainproof-given"
"""Under which name `chainproof conformance` registers what it has opened itself."""


@dataclass(slots=True)
class Given:
    """
    What `chainproof conformance` hands to its pytest session, and gets back.
    """

    settings: Settings
    endpoint: Endpoint
    path: Path
    conduct: Conduct | None = None
    mistake: Exception | None = None
    """Why the session could not begin, if it could not."""


def prepared(settings: Settings, found: Endpoint) -> Given:
    """
    Everything settled that can be before the first request: the seed, what an emulator can do, the run folder's place.

    Raises FolderMistake, or Mistake where the target takes no connection.
    """
    seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
    emulated = found.target.emulated
    settled = replace(settings, seed=seed, steerable=settings.steerable or emulated, echo=settings.echo or emulated)
    path = Path(settings.out) if settings.out else default_path(settings.depth, found.target, now(), DEFAULT_ROOT)
    check_writable(path)
    client = Client(found.target, settings.deadline)
    client.check()
    client.close()
    return Given(settings=settled, endpoint=found, path=path)


def opened(given: Given, stack: ExitStack) -> Conduct:
    """
    The run folder and the client.
    """
    settings, target = given.settings, given.endpoint.target
    assert settings.seed is not None
    folder = stack.enter_context(RunWriter(given.path, _manifest(given)))
    client = Client(target, settings.deadline)
    stack.callback(client.close)
    ledger = Ledger(folder, target, settings.seed)
    examination = Examination(client, ledger, key=given.endpoint.key, settings=settings)
    return Conduct(examination=examination, folder=folder, settings=settings)


def _manifest(given: Given) -> Manifest:
    """
    What is known before the first request.
    """
    settings, target = given.settings, given.endpoint.target
    assert settings.seed is not None
    return Manifest(
        kind=Kind.CONFORMANCE,
        name=settings.depth.value,
        started=now(),
        target=target.url,
        emulated=target.emulated,
        contract=settings.contract.value,
        seed=settings.seed,
        settings=as_settings(
            depth=settings.depth.value,
            steerable=settings.steerable,
            echo=settings.echo,
            fail_on=settings.fail_on.value,
            deadline_s=settings.deadline,
        ),
        versions=versions("h11", "hypothesis", "pytest", "schemathesis"),
    )


def in_vain(conduct: Conduct) -> str:
    """
    Why nothing could be learnt from going on: the key is refused, or the target is busy whenever it is asked.
    """
    examination = conduct.examination
    examination.check = "the first request"
    answers = [examination.ask_plainly(body) for body in (b"{}", b'{"names":["Ada"]}')]
    statuses = {answer.status for answer in answers if answer is not None}
    if statuses and statuses <= {401, 403}:
        return (
            f"the key in {conduct.settings.api_key_env} is refused by {examination.target.origin}: it answered "
            f"{_words(answers[-1])} to a request with that key; nothing else can be exercised"
        )
    if statuses and statuses <= {429, 502, 503, 504}:
        return (
            f"{examination.target.origin} was never ready: it answered {_words(answers[-1])} again and again; "
            "nothing else can be exercised"
        )
    return ""


def _words(answer: Answer | None) -> str:
    """
    An answer in a few words: its status, and what it says went wrong.
    """
    assert answer is not None
    value = parse_json(answer.body)
    said = value.get("error") if isinstance(value, dict) else answer.body.decode("utf-8", "replace")
    return f"{answer.status} ({str(said)[:80]!r})"


def finish(conduct: Conduct, ending: Ending) -> None:
    """
    The final counts, and how the run ended.
    """
    conduct.examination.ledger.write_counts(final=True)
    seconds = time.monotonic() - conduct.began
    conduct.folder.finish(End(ending=ending, seconds=seconds, note=conduct.broken or conduct.in_vain))
