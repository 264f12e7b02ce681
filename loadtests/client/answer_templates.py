"""
Recognise an answer that repeats an earlier one, byte by byte, except for the value of the request id.

Most answers of a load test do. Such an answer is neither parsed nor judged again: its status, its other header fields and
its body are those of the earlier answer. Whatever is concluded from an answer may therefore be stored with its template,
unless it depends on the value of the request id.
"""

from __future__ import annotations

import re

from chainproof.contract.answer import REQUEST_ID_HEADER, Answer, build_answer
from chainproof.stored_text import MAX_ID_LENGTH

MAX_TEMPLATES = 64
MAX_TEMPLATE_BYTES = 1 << 14
"""Longer answers are always parsed, since their templates would take much memory."""
PAUSE = 32 * MAX_TEMPLATES
"""How many answers are not stored after hardly any template was used: every answer of this target differs."""

_ID_FIELD = re.compile(rb"\r\n%s:[ \t]*" % REQUEST_ID_HEADER.encode(), re.IGNORECASE)
_ID_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
"""A request id of other bytes might change how an answer is parsed."""


class AnswerTemplate:
    """An answer that may be repeated with other request ids."""

    __slots__ = ("_answer", "_id_position", "body_length", "conclusion", "has_id")

    def __init__(self, answer: Answer, id_position: int | None) -> None:
        """*id_position* is the index of the request id among the header fields; None if there is no request id."""
        self._answer = answer
        self._id_position = id_position
        self.has_id = id_position is not None
        self.body_length = len(answer.body)
        self.conclusion: object = None
        """What the user of the client concluded from the answer; None until it is set."""

    def answer(self, request_id: bytes) -> Answer:
        """The answer with this request id."""
        position, stored = self._id_position, self._answer
        if position is None:
            return stored
        fields = stored.headers
        field = (fields[position][0], request_id.decode("ascii"))
        return build_answer(stored.status, (*fields[:position], field, *fields[position + 1 :]), stored.body)


class AnswerTemplates:
    """The templates of the answers of one target. Their number is bounded."""

    def __init__(self) -> None:
        self._templates: dict[bytes, AnswerTemplate] = {}
        self._marker = b""
        """The bytes before the request id, as in the answer that was stored last."""
        self._uses = 0
        self._pause = 0

    def find(self, data: bytes) -> tuple[AnswerTemplate, bytes] | None:
        """The template of an answer, and its request id; None if the answer repeats none that is stored."""
        templates = self._templates
        if not templates or len(data) > MAX_TEMPLATE_BYTES:
            return None
        key, request_id = self._split(data)
        template = templates.get(key)
        if template is None or template.has_id is not bool(request_id) or not _is_plain(request_id):
            return None
        self._uses += 1
        return template, request_id

    def add(self, data: bytes, answer: Answer) -> AnswerTemplate | None:
        """Store an answer that was parsed from exactly these bytes. Returns its template, if it gets one."""
        if self._pause:
            self._pause -= 1
            return None
        # The status differs if interim answers come first.
        if len(data) > MAX_TEMPLATE_BYTES or data[9:12] != b"%d" % answer.status:
            return None
        positions = [index for index, (name, _) in enumerate(answer.headers) if name.upper() == REQUEST_ID_HEADER]
        if positions and (field := _ID_FIELD.search(data)) is not None:
            self._marker = field[0]
        key, request_id = self._split(data)
        if [request_id] * bool(request_id) != [answer.headers[index][1].encode("latin-1") for index in positions]:
            return None  # no id where it was expected, an empty one, or several
        if not _is_plain(request_id):
            return None
        if len(self._templates) >= MAX_TEMPLATES:
            self._pause = PAUSE if self._uses < MAX_TEMPLATES else 0
            self._uses = 0
            self._templates.clear()
        template = self._templates[key] = AnswerTemplate(answer, positions[0] if positions else None)
        return template

    def _split(self, data: bytes) -> tuple[bytes, bytes]:
        """
        The bytes of an answer without its request id, and the id; empty if there is none.

        The id follows the first marker, so that two answers with the same other bytes have it at the same position.
        """
        marker = self._marker
        position = data.find(marker) if marker else -1
        if position < 0:
            return data, b""
        start = position + len(marker)
        end = data.find(b"\r", start)
        return data[:start] + data[end:], data[start:end]


def _is_plain(request_id: bytes) -> bool:
    """Whether an id has ordinary characters and is stored whole."""
    return len(request_id) <= MAX_ID_LENGTH and not request_id.translate(None, _ID_BYTES)
