"""
What came back, as on the wire, before anyone judged it.
"""

from __future__ import annotations

from dataclasses import dataclass

REQUEST_ID_HEADER = "X-BASETEN-REQUEST-ID"
ATTEMPTS_HEADER = "X-BASETEN-MODEL-PREDICTION-ATTEMPTS"
_REQUEST_ID = REQUEST_ID_HEADER.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    Status, header fields and body of one HTTP answer, undecoded.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names and values in wire order and wire case, decoded as latin-1, repeated fields repeated."""
    body: bytes = b""

    def fields(self, name: str) -> tuple[str, ...]:
        """Every value of a header field, in wire order; names compare without case (RFC 9110 §5.1)."""
        wanted = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == wanted)

    def field(self, name: str) -> str | None:
        """The first value of a header field, or None when the field is absent."""
        wanted = name.lower()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value
        return None

    @property
    def request_id(self) -> str | None:
        """The first `X-BASETEN-REQUEST-ID`, surrounding blanks removed; None when absent."""
        for key, value in self.headers:
            if len(key) == len(_REQUEST_ID) and key.lower() == _REQUEST_ID:  # asked of every answer: length first
                return value.strip()
        return None

    @property
    def attempts(self) -> str | None:
        """How often the gateway tried, as the answer says it; None when it does not."""
        value = self.field(ATTEMPTS_HEADER)
        return None if value is None else value.strip()

    @property
    def media_type(self) -> str | None:
        """The media type without parameters, in lower case; None when no Content-Type was sent."""
        value = self.field("content-type")
        return None if value is None else value.partition(";")[0].strip().lower()


_new = object.__new__
# What a frozen class's slots can be written by; its own way takes twice as long.
_set_status, _set_headers, _set_body = (vars(Answer)[name].__set__ for name in ("status", "headers", "body"))


def build_answer(status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> Answer:
    """
    An answer, made in half of the time: under load one is made for every request.
    """
    answer = _new(Answer)
    _set_status(answer, status)
    _set_headers(answer, headers)
    _set_body(answer, body)
    return answer
