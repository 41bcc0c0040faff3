"""The port through which the client's calls travel: over Redis, or in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.outgoing import Outgoing
from django_cfg.modules.django_rpc.slots import Outcome
from django_cfg.rpc.call import Reply

__all__ = ["Transport", "open_transport"]


class Transport(Protocol):
    """Every failure is an RPCError; `many` gives it in the place of the reply."""

    def call(self, outgoing: Outgoing) -> Reply: ...

    def many(self, outgoings: Sequence[Outgoing]) -> list[Outcome]: ...

    async def amany(self, outgoings: Sequence[Outgoing]) -> list[Outcome]: ...

    def send(self, outgoing: Outgoing) -> str: ...

    def publish(self, channel: str, message: bytes) -> int: ...

    def close(self) -> None: ...


def open_transport(config: WebSocketRPCConfig) -> Transport:
    """What `redis_url` asks for; raises RPCConfigurationError where redis-py is needed and missing."""
    if config.in_memory:
        from django_cfg.modules.django_rpc.memory import MemoryTransport

        return MemoryTransport(config)
    from django_cfg.modules.django_rpc.redis_transport import RedisTransport

    return RedisTransport(config)
