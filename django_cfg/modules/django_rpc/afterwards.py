"""What a caller who has given up still does: it asks why no reply came, and withdraws what no server has begun."""

from __future__ import annotations

import time
from typing import Any

from django_cfg.errors import RPCTimeoutError
from django_cfg.modules.django_rpc import scripts
from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import FAILURES, is_refusal
from django_cfg.modules.django_rpc.explain import MOST_COUNTED, read_facts, timeout_error
from django_cfg.modules.django_rpc.link import Lines
from django_cfg.modules.django_rpc.outgoing import Outgoing
from django_cfg.modules.django_rpc.protocol import Keys, entry_of

__all__ = ["Afterwards"]

ASK_SECONDS = 0.5
"""What this may cost when Redis is silent: all callers who give up at that time together, not each of them."""

SILENT_SECONDS = 2.0
"""How long a Redis that did not answer is not asked again."""


class Afterwards:
    """Of one process; one connection for all threads."""

    def __init__(self, config: WebSocketRPCConfig, keys: Keys) -> None:
        self._keys = keys
        self._lines = Lines(config, 1, ASK_SECONDS)
        self._silent_until = 0.0

    def explain(self, outgoing: Outgoing, entry_id: str | None) -> RPCTimeoutError:
        """Why its deadline passed; what no server has begun is withdrawn."""
        try:
            answer = self._run(
                "EVAL", scripts.EXPLAIN, 3, self._keys.stream, self._keys.servers,
                self._keys.call(outgoing.correlation_id), self._keys.group, entry_id or "0-1", MOST_COUNTED,
            )  # fmt: skip
            error = timeout_error(outgoing, read_facts(answer))
        except FAILURES:
            return timeout_error(outgoing, None)
        self.withdraw(outgoing, entry_id)
        return error

    def withdraw(self, outgoing: Outgoing, entry_id: str | None) -> None:
        """A server that has not read it will not. Keyed requests stay: others may wait for the same call.

        An `entry_id` that was never read stands in the call's record, if Redis has the request.
        """
        if outgoing.key:
            return
        try:
            entry_id = entry_id or entry_of(self._run("GET", self._keys.call(outgoing.correlation_id)))
            if entry_id is not None:
                self._run("XDEL", self._keys.stream, entry_id)
        except FAILURES:
            return  # the server drops it at its deadline

    def close(self) -> None:
        self._lines.close()

    def _run(self, *command: str | bytes | int) -> Any:
        with self._lines.taken() as line:
            if time.monotonic() < self._silent_until:
                raise TimeoutError("Redis has just been silent")
            try:
                return line.run(*command)
            except FAILURES as error:
                if not is_refusal(error):
                    self._silent_until = time.monotonic() + SILENT_SECONDS
                raise
