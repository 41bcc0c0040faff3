"""A fork waits until no call is under way: gRPC's own preparation for a fork is skipped while a thread is inside it.

Calls that begin meanwhile wait for the fork. A child whose parent was in a call often hangs at its own first call.
"""

from __future__ import annotations

import logging
import os
import threading

__all__ = ["ForkGate"]

logger = logging.getLogger("django_cfg.grpc.commands")

LONGEST_WAIT_SECONDS = 2.0


class ForkGate:
    """Calls `enter` before they use gRPC and `leave` after, from any thread."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(before=self._close, after_in_parent=self._open, after_in_child=self._reset)

    @property
    def calls(self) -> int:
        """How many are under way now."""
        return self._calls

    def enter(self) -> None:
        with self._lock:
            while self._forking:
                self._changed.wait()
            self._calls += 1

    def leave(self) -> None:
        with self._lock:
            self._calls -= 1
            if self._forking:
                self._changed.notify_all()

    def _close(self) -> None:
        with self._changed:
            self._forking = True
            if not self._changed.wait_for(lambda: not self._calls, LONGEST_WAIT_SECONDS):
                logger.warning("forking while %d gRPC calls are under way: gRPC may hang in the child", self._calls)

    def _open(self) -> None:
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._forking = False
        self._calls = 0
