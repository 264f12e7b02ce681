"""
Remembers the output for each input, and finds where a later output for an equal input differs.

This works for any chain. Values that differ between equal requests, such as times and ids, are found by asking again
(`probing.outputs.difference_confirmation`), and are ignored from then on.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock

from chainproof.contract.answer import Answer
from chainproof.contract.violations import Violation
from chainproof.json_text import InvalidJson, TooComplex, parse_json

from ..transport.request import CheckRequest
from .expectation import STEERING_HEADER, canonical_json
from .json_equality import is_implementation_defined
from .output_comparison import (
    Leaves,
    Path,
    agree_at,
    differing_paths,
    is_comparable_size,
    is_distinctive,
    leaves,
    without,
)
from .request_texts import json_texts

_MAX_KNOWN = 2_000
"""Inputs whose outputs are remembered."""
_MAX_BYTES = 32 * 2**20
"""Bytes of all these outputs."""
_MAX_OUTPUT = 2**20
"""Bytes of an output above which it is not remembered."""
_MAX_EXCEPTIONS = 2
"""First answers that may have another value at a path than all later ones before that path is ignored."""
_MIN_OUTPUTS = 10
"""Outputs from which it is known how many different values there are."""
_MIN_TEXT = 3
"""Characters of a text of the input that is looked for in a value."""
_MAX_CHOICES = 6
"""Different values of all outputs up to which one of them may be chosen by chance."""
_MAX_DIFFERENCES = 8
"""Differences that wait for confirmation. One defect shows many times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnswer:
    """The first output for an input."""

    request: CheckRequest
    output: Leaves
    size: int
    """Bytes of the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDifference:
    """An output that differs from the first one for an equal input."""

    known: KnownAnswer
    request: CheckRequest
    answer: Answer
    output: Leaves
    check: str
    """The check that sent the request."""


class KnownAnswers:
    """The outputs of one run. Any thread may use it."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, KnownAnswer] = OrderedDict()
        self._bytes = 0
        self._varying: frozenset[Path] = frozenset()
        self._exceptions: Counter[Path] = Counter()
        self._differences: list[OutputDifference] = []
        self._mixed_up: Violation | None = None
        self._lock = Lock()

    def observe(self, request: CheckRequest, answer: Answer, check: str) -> bool:
        """
        Compare an answer with the first one for an equal input, or remember it as the first. Returns whether it was
        compared.
        """
        key = input_key(request) if is_comparable(request, answer) else None
        value = parse_json(answer.body) if key is not None else None
        if key is None or not isinstance(value, dict | list | str) or not is_comparable_size(value):
            return False
        output = leaves(value)
        with self._lock:
            known = self._known.get(key)
            if known is None:
                self._remember(key, KnownAnswer(request=request, output=output, size=len(answer.body)))
                return False
            self._known.move_to_end(key)
            if len(self._differences) < _MAX_DIFFERENCES and self._changed(known.output, output):
                self._differences.append(
                    OutputDifference(known=known, request=request, answer=answer, output=output, check=check)
                )
            return bool(without(output.keys(), self._varying))

    def output_for(self, request: CheckRequest) -> Leaves | None:
        """The first output for an input; None if it is not remembered."""
        with self._lock:
            known = self._known.get(input_key(request) or "")
        return None if known is None else known.output

    def take_differences(self) -> list[OutputDifference]:
        """The differences that were found since the last call."""
        with self._lock:
            found, self._differences = self._differences, []
        return found

    def ignore(self, paths: Collection[Path]) -> None:
        """Do not compare the values at some paths any more: they differ between equal requests."""
        with self._lock:
            self._varying |= frozenset(paths)

    def forget(self, known: KnownAnswer, paths: Collection[Path]) -> bool:
        """
        Forget an answer that was an exception, so that later ones are compared with a usual one. False if that was done a
        few times because of the same path: then it is no exception.
        """
        with self._lock:
            if any(self._exceptions[path] >= _MAX_EXCEPTIONS for path in paths):
                return False
            self._exceptions.update(paths)
            if self._known.pop(input_key(known.request) or "", None) is not None:
                self._bytes -= known.size
            return True

    def changed_paths(self, first: Leaves, second: Leaves) -> frozenset[Path]:
        """The paths at which two outputs for equal inputs differ, without those that always may."""
        with self._lock:
            return self._changed(first, second)

    def owner(self, difference: OutputDifference, output: Leaves, paths: Collection[Path]) -> KnownAnswer | None:
        """The answer to another input that has the values of *output* at some paths; None if that may be chance."""
        if not is_distinctive(paths, output):
            return None
        with self._lock:
            others = list(reversed(self._known.values()))
        own = input_key(difference.request)
        return next(
            (each for each in others if agree_at(paths, each.output, output) and input_key(each.request) != own), None
        )

    def share_of_choice(self, difference: OutputDifference, paths: Collection[Path]) -> float:
        """
        The smallest share of outputs that have a value of the different one at one of the paths, of those paths where outputs
        have few different values that are no text of the input. 0 if there is no such path: then they are no choice of the chain.
        """
        output, value = difference.output, parse_json(difference.request.body or b"")
        assert not isinstance(value, InvalidJson | TooComplex)  # as it was compared
        sent = [text for text in json_texts(value) if len(text) >= _MIN_TEXT]
        with self._lock:
            outputs = [each.output for each in self._known.values()]
        shares = []
        for path in paths:
            values = [repr(each[path]) for each in outputs if path in each]
            found = repr(output.get(path))
            if len(values) < _MIN_OUTPUTS or len(set(values)) > _MAX_CHOICES or any(text in found for text in sent):
                continue
            shares.append(max(values.count(found), 1) / len(values))
        return min(shares, default=0.0)

    def first_mixed_up(self, violation: Violation) -> Violation:
        """The violation of mixed-up answers that was found first, so that one defect is one finding."""
        with self._lock:
            self._mixed_up = self._mixed_up or violation
            return self._mixed_up

    def _changed(self, first: Leaves, second: Leaves) -> frozenset[Path]:
        return without(differing_paths(first, second), self._varying)

    def _remember(self, key: str, answer: KnownAnswer) -> None:
        """Remember an answer, and forget the oldest ones."""
        self._known[key] = answer
        self._bytes += answer.size
        while len(self._known) > _MAX_KNOWN or self._bytes > _MAX_BYTES:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= oldest.size


def is_comparable(request: CheckRequest, answer: Answer) -> bool:
    """True if an answer is an output of the chain for the body of the request."""
    types = request.values("content-type")
    return (
        answer.status == 200
        and request.is_compared
        and request.is_for_operation
        and len(answer.body) <= _MAX_OUTPUT
        and len(types) == 1
        and types[0].partition(";")[0].strip().lower() == "application/json"
        and not request.values("content-encoding")
        and not request.values(STEERING_HEADER)
    )


def input_key(request: CheckRequest) -> str | None:
    """A text that all equal inputs have; None if receivers may read the body differently."""
    body = request.body or b""
    if is_implementation_defined(body):
        return None
    value = parse_json(body)
    if isinstance(value, InvalidJson | TooComplex):
        return None
    return canonical_json(value) or None
