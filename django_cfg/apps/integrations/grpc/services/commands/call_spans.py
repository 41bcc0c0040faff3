"""The span of one RPC to the server, which the server's own span becomes a child of."""

from __future__ import annotations

from types import TracebackType

from django_cfg.errors import RPCError, RPCErrorCode
from django_cfg.rpc.tracing import end_span, start_client_span, traceparent_of

__all__ = ["CallSpan"]

SYSTEM = "grpc"


class CallSpan:
    """Ended by its block; `metadata` goes with the RPC, empty where nobody records spans."""

    __slots__ = ("_span", "metadata")

    def __init__(self, method: str, command_id: str) -> None:
        self._span = start_client_span(method, SYSTEM, command_id)
        self.metadata = () if self._span is None else (("traceparent", traceparent_of(self._span)),)

    def __enter__(self) -> CallSpan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, RPCError):
            end_span(self._span, error.code)
        else:
            end_span(self._span, "" if kind is None else RPCErrorCode.CANCELLED)
