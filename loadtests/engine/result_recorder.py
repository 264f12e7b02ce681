"""Record the results of requests: classify the outcome, count it, keep exemplars, notify the listener."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import gevent

from chainproof.clock import Seconds
from chainproof.contract import clauses
from chainproof.contract.answer import Answer
from chainproof.contract.content_coding import decode_answer
from chainproof.contract.judged_answer import OF_OUTPUTS, judge_answer
from chainproof.contract.openapi import METHOD
from chainproof.contract.responsibility import responsible_for
from chainproof.contract.violations import Violation, breaks_must_clause, error_code
from chainproof.endpoint import Endpoint
from chainproof.json_text import exact_value
from chainproof.results.exchange import Exchange, NotSent, Outcome, Result, Transport
from chainproof.results.shell_command import request_command, variable_secret
from chainproof.results.stored_body import stored_body
from chainproof.stored_text import MAX_CODE_LENGTH, MAX_FOUND_LENGTH, MAX_ID_LENGTH, stored

from ..client.reply import Reply
from ..client.request import EncodedRequest, header_fields
from ..demand import Demand
from ..recording.assessment import Assessment, has_object_output
from ..recording.exemplars import KeptBodies, no_bodies
from ..recording.in_flight_request import InFlightRequest
from ..recording.recorder import Recorder
from .leak_search import KEY_LEAK, LeakSearch
from .run_state import RunState

AnswerCheck = Callable[[Mapping[str, Any], Answer, tuple[Violation, ...]], tuple[Violation, ...]]
"""(payload, answer, violations) -> the violations, with those that the user's check adds."""

SchemaCheck = Callable[[Answer, tuple[Violation, ...]], tuple[Violation, ...]]
"""(answer, violations) -> the violations, with that of the output schema."""


class ExchangeListener(Protocol):
    """What receives settled requests: each by itself, or many at once."""

    @property
    def wants_each(self) -> bool:
        """Whether to tell about each request, which takes longer."""
        ...

    def tell(self, exchange: Exchange, reply: Reply) -> None:
        """Tell about one request."""
        ...

    def count(self, outcome: Outcome, response_times: Sequence[Seconds], body_bytes: int) -> None:
        """Tell about many requests with the same outcome, whose bodies have so many bytes together."""
        ...


_OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)

_RESULTS = {
    Transport.DEADLINE: Result.TIMED_OUT,
    Transport.CONNECT_TIMED_OUT: Result.TIMED_OUT,
    Transport.DRAIN_ENDED: Result.CENSORED,
}
"""Results of requests without an answer. All other transport errors count as failed."""


class ResultRecorder:
    """Ends requests in flight: each is counted exactly once."""

    def __init__(
        self,
        state: RunState,
        endpoint: Endpoint,
        *,
        variable: str,
        listener: ExchangeListener | None,
        start_waiting: Callable[[], None],
    ) -> None:
        """*variable* names the environment variable of the key in curl lines. *start_waiting* is called for free slots."""
        self._state = state
        self._recorder = state.recorder
        self._recorder.reproduce = self._curl
        self._redact = self._recorder.redact = endpoint.redact
        self._leak_search = LeakSearch(endpoint.key.reveal())
        self._recorder.leak_in_ids = self._leak_search.leak_in_ids
        self._endpoint = endpoint
        self._variable = variable
        self._listener = listener
        self._start_waiting = start_waiting
        self._schema_check = _load_schema_check(state.demand, state.recorder)
        self._user_check = _load_user_check(state.demand)
        self._output_clauses = (clauses.OUTPUT_SCHEMA,) * (self._schema_check is not None)
        self._output_clauses += (clauses.USER_CHECK,) * (self._user_check is not None)
        self._valid_output = Assessment(_OK, exercised=OF_OUTPUTS + self._output_clauses)
        """The assessment of nearly every answer. One shared object, because the recorder groups by identity."""

    def settle(self, request: InFlightRequest, reply: Reply) -> Seconds:
        """Count the outcome of a request unless it is settled already. Returns when it ended, in seconds of the run."""
        state, recorder = self._state, self._recorder
        end = reply.end - state.start_time
        if request.number not in state.requests or request.start is None:
            return end
        if self._listener is not None and self._listener.wants_each is (recorder.listener is not None):
            recorder.count_buffered()  # these are passed on in bulk; the order is kept
            recorder.listener = None if self._listener.wants_each else self._listener.count
        request.end, request.reply = end, reply
        assessment = self._assess(request, reply)
        request.outcome = assessment.outcome
        del state.requests[request.number]
        if recorder.count_settled(request, assessment, reply.read_at - state.start_time):
            bodies = partial(self._bodies, request) if state.demand.keep_bodies else no_bodies
            recorder.keep_exemplar(self._exchange(request, reply), assessment.reason, bodies)
        if state.waiting:
            self._start_waiting()
        if not state.requests:
            state.check_drained()
        if self._listener is not None and self._listener.wants_each:
            self._listener.tell(self._exchange(request, reply), reply)
        return end

    def give_up(self, request: InFlightRequest, reason: str) -> None:
        """Settle a request as censored, or as not sent if it was not, and kill the greenlet that waits for it."""
        state = self._state
        if request.number not in state.requests:
            return
        if request.start is None:
            del state.requests[request.number]
            self._recorder.count_not_sent(request.intended_start, NotSent.STOPPED)
        else:
            now = time.monotonic()
            self.settle(request, Reply(Transport.DRAIN_ENDED, now, None, reason, now))
        if request.greenlet is not None and request.greenlet is not gevent.getcurrent():
            request.greenlet.kill(block=False)

    def _assess(self, request: InFlightRequest, reply: Reply) -> Assessment:
        """What became of a request. An answer that repeats an earlier one is not judged again, unless it is checked as well."""
        template = reply.template
        if template is None or self._schema_check is not None or self._user_check is not None:
            answer = reply.answer
            if answer is None:
                result = _RESULTS.get(reply.transport, Result.FAILED)
                return Assessment(Outcome(reply.transport, None, None, result), self._redact(reply.reason))
            return self._judge(request, answer)
        assessment = template.conclusion
        if not isinstance(assessment, Assessment):
            assessment = template.conclusion = self._judge(request, template.answer(reply.request_id))
        return assessment

    def _judge(self, request: InFlightRequest, answer: Answer) -> Assessment:
        """What an answer means."""
        answer, exercised, found, is_readable = judge_answer(answer, self._state.demand.contract)
        is_plain = exercised is OF_OUTPUTS
        if self._output_clauses and is_readable and has_object_output(answer, found):
            exercised += self._output_clauses
            found = self._checked(request, answer, found)
        if self._leak_search.finds_in(answer):
            found, exercised, is_plain = (*found, KEY_LEAK), (*exercised, KEY_LEAK.clause), False
        if answer.status == 200 and not found:
            return self._valid_output if is_plain else Assessment(_OK, exercised=exercised)
        result = Result.OK if answer.status == 200 and not breaks_must_clause(found) else Result.FAILED
        found = tuple(replace(each, actual=self._stored(each.actual, MAX_FOUND_LENGTH)) for each in found)
        code = None if answer.status == 200 else error_code(answer)
        code = self._recorder.code_label(code and self._stored(code, MAX_CODE_LENGTH), answer.status)
        reason = f"{found[0].clause.id}: {found[0].actual}" if found else ""
        who = responsible_for(answer) if result is Result.FAILED else None
        return Assessment(Outcome(Transport.ANSWERED, answer.status, code, result, who), reason, found, exercised)

    def _checked(self, request: InFlightRequest, answer: Answer, found: tuple[Violation, ...]) -> tuple[Violation, ...]:
        """The violations of an output, with those of the schema and of the user's check."""
        if self._schema_check is not None:
            found = self._schema_check(answer, found)
        if self._user_check is not None:
            found = self._with_user_check(self._user_check, request, answer, found)
        return found

    def _with_user_check(
        self, check: AnswerCheck, request: InFlightRequest, answer: Answer, found: tuple[Violation, ...]
    ) -> tuple[Violation, ...]:
        """The violations, with those of the user's check. A check that raises an exception ends the run."""
        try:
            payload = exact_value(request.encoded_request.body) if request.encoded_request is not None else {}
            return check(payload, answer, found)
        except Exception:  # noqa: BLE001  # responsible: the user's check
            self._state.abort_on_exception()
            return found

    def _exchange(self, request: InFlightRequest, reply: Reply) -> Exchange:
        """The full record of a settled request. Made on demand, because most requests are only counted."""
        assert request.outcome is not None
        start_time, answer = self._state.start_time, reply.answer
        return Exchange(
            number=request.number,
            intended_start=request.intended_start,
            start=request.start or 0.0,
            slot_wait=request.slot_wait,
            end=request.end,
            outcome=request.outcome,
            request_id=self._stored(reply.request_id.decode("utf-8", "surrogatepass"), MAX_ID_LENGTH) or None,
            attempts=self._stored(answer.attempts or "", MAX_ID_LENGTH) or None if answer is not None else None,
            first_byte=reply.first_byte - start_time if reply.first_byte is not None else None,
            connect_time=reply.connect_time,
            tls_time=reply.tls_time,
        )

    def _stored(self, text: str, max_length: int) -> str:
        return stored(text, max_length, self._redact)

    def _bodies(self, request: InFlightRequest) -> KeptBodies:
        """The bodies of a request and of its answer, as an exemplar stores them."""
        secrets = self._endpoint.secrets
        sent = stored_body(request.encoded_request.body, secrets) if request.encoded_request is not None else None
        answer = request.answer
        if answer is None:
            return sent, None
        return sent, stored_body((decode_answer(answer).answer or answer).body, secrets)

    def _curl(self, request: EncodedRequest | None) -> str:
        """The curl line that reproduces a request."""
        command = request_command(
            method=METHOD,
            url=self._endpoint.target.url,
            headers=header_fields(self._endpoint.key, self._endpoint.fields),
            body=request.body if request is not None else b"",
            secret=variable_secret(self._endpoint.key.reveal(), self._variable),
            variable=self._variable,
            route=self._endpoint.route,
        )
        return self._redact(command)


def _load_schema_check(demand: Demand, recorder: Recorder) -> SchemaCheck | None:
    """The check against the output schema; None without a schema."""
    if demand.output is None:
        return None
    from .schema_check import OutputCheck  # noqa: PLC0415  # heavy: only when a schema is named

    check = OutputCheck(demand.output, demand.output_sample)
    recorder.sample_outputs(lambda: check.outputs_checked)
    return check


def _load_user_check(demand: Demand) -> AnswerCheck | None:
    """The user's check; None without one."""
    if demand.check is None:
        return None
    from .user_check import AnswerUserCheck  # noqa: PLC0415  # heavy: only when a check is named

    return AnswerUserCheck(demand.check)
