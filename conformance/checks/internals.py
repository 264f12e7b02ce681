"""
What an answer must keep to itself.
"""

from __future__ import annotations

from chainproof.contract import clauses

from ..examination import Examination
from . import upholds


@upholds(clauses.NO_SECRET, clauses.NO_INTERNALS)
def errors_keep_secrets_and_internals(examination: Examination) -> None:
    """
    Whatever goes wrong, the answer shows neither the caller's key nor the inside of the chain.
    """
    for body, label in (
        (b"{", "an object cut short"),
        (b"[]", ""),
        (None, ""),
        (b'{"\xff":1}', "an object with a byte that is not UTF-8"),
        (b'{"__class__":{"__init__":null},"x":"\\ud800"}', "an object with a lone surrogate"),
        (b"[" * 3000 + b"]" * 3000, "an array nested 3000 deep"),
    ):
        examination.ask(examination.request(body, label=label))
    examination.ask(examination.request(path="/chainproof-no-such-path", label="POST /chainproof-no-such-path"))
    examination.ask(examination.request(method="PUT", label="PUT with an object"))
