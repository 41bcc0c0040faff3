"""The port through which events reach browsers by user and room, and tell how many they have reached."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

from django_cfg.errors import PublishError
from django_cfg.rpc.logs import about
from django_cfg.rpc.provided import Provided

__all__ = ["Delivery", "deliver_all", "installed_delivery", "use_delivery"]

logger = logging.getLogger("django_cfg.rpc")

AT_ONCE = 100


class Delivery(Protocol):
    """From any event loop. Each returns how many connections the event was handed to.

    They raise PublishError, and ValueError for a user or a room that there cannot be.
    """

    async def to_user(self, user_id: str, event: str, data: Any) -> int: ...

    async def to_room(self, room: str, event: str, data: Any) -> int: ...

    async def to_all(self, event: str, data: Any) -> int: ...


async def deliver_all(deliveries: Iterable[Coroutine[Any, Any, int]]) -> int:
    """How many connections they have reached together, some at a time; raises PublishError where none has succeeded.

    One that fails alone is in the log: whoever repeated all of them would reach the others twice.
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def one(delivery: Coroutine[Any, Any, int]) -> int | PublishError:
        async with places:
            try:
                return await delivery
            except PublishError as error:
                return error

    outcomes = await asyncio.gather(*map(one, deliveries))
    failures = [outcome for outcome in outcomes if isinstance(outcome, PublishError)]
    if failures and len(failures) == len(outcomes):
        raise failures[0]
    if failures:
        logger.warning("%d of %d publications failed: %s", len(failures), len(outcomes), failures[0], extra=about())
    return sum(outcome for outcome in outcomes if not isinstance(outcome, PublishError))


_provided = Provided[Delivery]()
use_delivery = _provided.use
installed_delivery = _provided.installed
