from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from django_cfg.modules.django_rpc.patience import Patience, patience_of

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture(params=["tcp", "unix"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """The kernel's own timer, and Python's."""
    if request.param == "unix":
        here, there = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            here = socket.create_connection(server.getsockname(), 5)
            there, _ = server.accept()
    with here, there:
        yield here, there


def idle_before_long(patience: Patience, expected: bool) -> bool:
    deadline = time.monotonic() + 10
    while patience.is_idle() != expected and time.monotonic() < deadline:
        time.sleep(0.005)
    return patience.is_idle() == expected


def test_a_read_ends_when_its_time_is_up(ends: Ends) -> None:
    patience = patience_of(ends[0])
    patience.last(0.05)

    with pytest.raises((TimeoutError, BlockingIOError)):
        ends[0].recv(1)


def test_a_write_ends_when_its_time_is_up(ends: Ends) -> None:
    patience = patience_of(ends[0])
    patience.last(0.05)

    with pytest.raises((TimeoutError, BlockingIOError)):
        ends[0].sendall(bytes(100_000_000))


def test_what_comes_in_time_is_read(ends: Ends) -> None:
    patience = patience_of(ends[0])
    patience.last(10)
    ends[1].sendall(b"x")

    assert ends[0].recv(1) == b"x"
    assert patience.is_idle()


def test_few_bytes_are_read_when_the_time_is_up(ends: Ends) -> None:
    patience = patience_of(ends[0])
    patience.last(0.05)
    patience.least(5)
    ends[1].sendall(b"abc")

    assert ends[0].recv(100) == b"abc"


def test_an_end_that_has_gone_is_noticed(ends: Ends) -> None:
    patience = patience_of(ends[0])
    assert patience.is_idle()
    ends[1].close()

    assert idle_before_long(patience, False)
