"""One call as its caller's side sees it from the outside: its span, its metrics, its line in the log."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Any

from django_cfg.errors import RPCError, RPCErrorCode
from django_cfg.modules.django_rpc.client_metrics import count_made, outcome_code
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.outgoing import Outgoing
from django_cfg.modules.django_rpc.redact import redacted
from django_cfg.modules.django_rpc.slots import Outcome
from django_cfg.rpc import metrics, tracing
from django_cfg.rpc.call import Reply
from django_cfg.rpc.call_metrics import OK
from django_cfg.rpc.logs import about, printable

__all__ = ["Attempt"]

logger = logging.getLogger("django_cfg.rpc.redis")

SENT = "sent"
NOTHING = Reply()


class Attempt:
    """Ends with the `with` block: as the outcome that was noted, the RPCError that left it, or as cancelled."""

    __slots__ = ("_code", "_config", "_span", "_started", "outcome", "outgoing")

    def __init__(self, config: WebSocketRPCConfig, outgoing: Outgoing, span: Any) -> None:
        self.outgoing = outgoing
        self.outcome: Outcome = NOTHING
        self._config = config
        self._span = span
        self._code = OK if outgoing.timeout_seconds else SENT
        self._started = time.monotonic()

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, RPCError):
            error.called = self.outgoing.method
            self._code = outcome_code(error)
        elif error is not None:
            self._code = RPCErrorCode.CANCELLED
        self.end()

    def note(self, outcome: Outcome) -> Outcome:
        self.outcome, self._code = outcome, outcome_code(outcome)
        return outcome

    def end(self) -> None:
        seconds = time.monotonic() - self._started
        if metrics.ENABLED:
            count_made(self.outgoing.method, self._code, seconds)
        if self._span is not None:
            tracing.end_span(self._span, "" if self._code in (OK, SENT) else self._code)
        if self._config.log_rpc_calls:
            self._log(seconds)

    def _log(self, seconds: float) -> None:
        outgoing = self.outgoing
        level = logging.getLevelNamesMapping()[self._config.log_level]
        extra = about(method=outgoing.method, correlation_id=outgoing.correlation_id, client=self._config.client_name)
        params = redacted(outgoing.params)
        method = printable(outgoing.method)
        logger.log(level, "%s %s: %s in %.1f ms", method, params, self._code, seconds * 1000, extra=extra)
