from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from django_cfg.apps.centrifugo.delivery import BrowserDelivery, use_browsers
from django_cfg.errors import PublishError
from django_cfg.rpc.delivery import installed_delivery
from django_cfg.rpc.publisher import Publisher, installed_publisher

pytestmark = pytest.mark.asyncio


class Browsers(Publisher):
    """Connections by channel; what was published, and by which thread."""

    def __init__(self, **connections: int) -> None:
        super().__init__()
        self.connections = {name.replace("_", "#"): count for name, count in connections.items()}
        self.delivered: list[tuple[str, bytes, threading.Thread]] = []

    async def deliver(self, channel: str, data: bytes) -> None:
        self.delivered.append((channel, data, threading.current_thread()))

    async def presence(self, channel: str) -> int:
        assert threading.current_thread() is threading.main_thread()
        return self.connections.get(channel, 0)

    async def channels(self, pattern: str) -> Sequence[str]:
        assert pattern == "user#*"
        return [name for name in self.connections if name.startswith("user#")]


async def test_it_works_on_the_publishers_loop_wherever_it_is_asked() -> None:
    browsers = Browsers(user_1=2, user_2=1, lobby=3)
    delivery = BrowserDelivery(browsers)

    async def ask() -> list[int]:
        return [
            await delivery.to_user("1", "e", {"n": 1}),
            await delivery.to_room("lobby", "e", None),
            await delivery.to_all("e", {}),
        ]

    assert await asyncio.to_thread(lambda: asyncio.run(ask())) == await ask() == [2, 3, 3]
    assert {thread for *_, thread in browsers.delivered} == {threading.main_thread()}
    assert browsers.delivered[0][:2] == ("user#1", b'{"event":"e","data":{"n":1}}')


async def test_where_nobody_is_nothing_is_published() -> None:
    browsers = Browsers()

    assert await BrowserDelivery(browsers).to_user("1", "e", {}) == 0
    assert browsers.delivered == []


async def test_what_could_reach_others_is_refused() -> None:
    delivery = BrowserDelivery(Browsers(user_1=1))

    with pytest.raises(ValueError, match="cannot be a user id"):
        await delivery.to_user("1,2", "e", {})
    with pytest.raises(ValueError, match="belong to users"):
        await delivery.to_room("user#1", "e", {})


async def test_both_ports_are_installed_together() -> None:
    browsers = Browsers()
    with use_browsers(browsers) as delivery:
        assert installed_publisher() is browsers
        assert installed_delivery() is delivery
    assert installed_publisher() is None
    assert installed_delivery() is None


class Failing(Browsers):
    """Refuses some channels."""

    def __init__(self, *refused: str, **connections: int) -> None:
        super().__init__(**connections)
        self.refused = refused

    async def deliver(self, channel: str, data: bytes) -> None:
        if channel in self.refused:
            raise PublishError(f"{channel} was refused")
        await super().deliver(channel, data)


async def test_one_channel_that_fails_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    browsers = Failing("user#1", user_1=1, user_2=2, user_3=3)

    assert await BrowserDelivery(browsers).to_all("e", {}) == 5
    assert "1 of 3 publications failed: user#1 was refused" in caplog.text


async def test_where_every_channel_fails_the_caller_is_told() -> None:
    with pytest.raises(PublishError, match="was refused"):
        await BrowserDelivery(Failing("user#1", "user#2", user_1=1, user_2=2)).to_all("e", {})
