"""One connection of a thread: which answers it is woken for, and how long it waits."""

from __future__ import annotations

import errno
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import exceptions as redis_errors

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.modules.django_rpc.connecting import blocking_connections
from django_cfg.modules.django_rpc.link import Link

PONG, NIL = b"+PONG\r\n", b"*-1\r\n"
SECONDS = 1.0
"""The longest that these links wait for one answer."""


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread is woken by whatever comes")


@pytest.fixture
def link(config: WebSocketRPCConfig, redis: Any) -> Iterator[Link]:
    link = Link(blocking_connections(config), time.monotonic() + 60, SECONDS)
    yield link
    link.close()


class Limited:
    """A socket of a system that lacks one option."""

    def __init__(self, whole: socket.socket) -> None:
        self._whole = whole

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if option == socket.SO_RCVLOWAT:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")
        self._whole.setsockopt(level, option, value)


def counted(link: Link) -> list[bytes]:
    """What it will receive, read by read."""
    received: list[bytes] = []
    plain: Any = link._receive

    def receive(*args: Any) -> bytes:
        received.append(plain(*args))
        return received[-1]

    link._receive = receive  # type: ignore[method-assign]
    return received


@on_linux
def test_a_thread_is_not_woken_by_a_short_answer(link: Link) -> None:
    """It waits when the first answer comes, after 0.3 s."""
    received = counted(link)
    link.send(("BLPOP", "list:response:empty", "0.3"), ("BLPOP", "list:response:empty", "0.1"))
    link.doze(len(NIL) + 1, SECONDS)

    assert [link.read(), link.read()] == [None, None]
    assert received == [NIL + NIL]


def test_it_is_woken_by_one_of_that_length(link: Link) -> None:
    received = counted(link)
    link.send(("PING",), ("BLPOP", "list:response:empty", "0.6"))
    link.doze(len(PONG), 60)

    assert link.read() == b"PONG"
    assert link.read() is None
    assert received == [PONG, NIL]


def test_a_kernel_without_that_wakes_it_by_whatever_comes(link: Link) -> None:
    received = counted(link)
    patience: Any = link._patience
    patience._socket = Limited(patience._socket)
    link.send(("PING",), ("BLPOP", "list:response:empty", "0.6"))
    link.doze(len(PONG) + 1, SECONDS)

    assert link.read() == b"PONG"
    assert link.read() is None
    assert received == [PONG, NIL]


@pytest.mark.parametrize("seconds", [0.01, 0.3], ids=["before the second answer", "after it"])
def test_after_that_time_what_has_come_is_read(link: Link, seconds: float) -> None:
    link.send(("PING",), ("BLPOP", "list:response:empty", "0.1"))
    link.doze(100, seconds)

    assert link.read() == b"PONG"
    assert link.read() is None


def test_silence_is_noticed_as_soon_as_without(link: Link) -> None:
    link.send(("BLPOP", "list:response:empty", "30"))
    began = time.monotonic()
    link.doze(100, SECONDS * 0.9)
    with pytest.raises(TimeoutError, match="did not answer in time"):
        link.read()

    assert SECONDS <= time.monotonic() - began < SECONDS * 1.8


def test_the_next_command_has_all_of_the_time(link: Link) -> None:
    link.send(("PING",))
    link.doze(100, SECONDS)
    assert link.read() == b"PONG"

    assert link.run("BLPOP", "list:response:empty", "0.3") is None


def test_a_link_that_is_cut_is_noticed_at_once(link: Link, redis: Any) -> None:
    own_id = link.run("CLIENT", "ID")
    link.send(("BLPOP", "list:response:empty", "30"))
    with ThreadPoolExecutor(1) as pool:
        dozing = pool.submit(link.doze, 100, 60)
        redis.client_kill_filter(_id=own_id)
        with pytest.raises((redis_errors.ConnectionError, ConnectionError)):
            dozing.result(SECONDS / 2)
