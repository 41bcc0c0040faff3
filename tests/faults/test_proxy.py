"""The proxy does to a link what it says, and nothing else."""

from __future__ import annotations

import gc
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

from tests.faults.proxy import Proxy, proxied

BOUND_SECONDS = 10.0


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo_port: int) -> Iterator[Proxy]:
    with proxied(echo_port) as proxy:
        yield proxy


def _serve(listening: socket.socket) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while chunk := connection.recv(65536):
                connection.sendall(chunk)
        except OSError:
            return


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=BOUND_SECONDS)


def receive(link: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        chunk = link.recv(count - len(got))
        assert chunk, "the link has ended"
        got += chunk
    return got


def test_everything_arrives_in_order_through_a_link_that_slices_and_jitters(proxy: Proxy) -> None:
    proxy.up.slice_bytes = 7
    proxy.down.jitter_seconds = 0.005
    sent = bytes(range(256)) * 40
    with closing(connect(proxy)) as link:
        link.sendall(sent)

        assert receive(link, len(sent)) == sent


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_held_direction_delivers_when_it_is_released(proxy: Proxy, way: str) -> None:
    with closing(connect(proxy)) as link:
        link.sendall(b"first")
        assert receive(link, 5) == b"first"
        getattr(proxy, way).hold()
        link.sendall(b"second")
        link.settimeout(0.2)
        with pytest.raises(TimeoutError):
            link.recv(1)
        link.settimeout(BOUND_SECONDS)
        getattr(proxy, way).release()

        assert receive(link, 6) == b"second"


def test_a_reset_breaks_the_link_and_loses_what_was_held(proxy: Proxy) -> None:
    with closing(connect(proxy)) as link:
        link.sendall(b"through")
        receive(link, 7)
        proxy.down.hold()
        link.sendall(b"lost")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            link.recv(1)
    proxy.release()
    with closing(connect(proxy)) as link:
        link.sendall(b"anew")

        assert receive(link, 4) == b"anew"


def test_latency_and_bandwidth_take_their_time(proxy: Proxy) -> None:
    proxy.up.latency_seconds = 0.1
    proxy.down.bytes_per_second, proxy.down.slice_bytes = 10_000, 500
    with closing(connect(proxy)) as link:
        started = time.monotonic()
        link.sendall(b"x" * 2000)
        receive(link, 2000)

        assert time.monotonic() - started >= 0.25


def test_another_target_takes_the_connections_made_afterwards(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        proxy.target_port = other.getsockname()[1]
        with closing(connect(proxy)) as link:
            link.sendall(b"hello")
            accepted, _ = other.accept()
            with accepted:
                assert receive(accepted, 5) == b"hello"


def test_a_target_that_is_away_ends_the_link(echo_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    with proxied(free) as proxy, pytest.raises(ConnectionResetError), closing(connect(proxy)) as link:
        link.recv(1)


def test_a_connection_that_comes_while_it_closes_is_closed(recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always", ResourceWarning)
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        for _ in range(20):
            proxy = Proxy(nobody.getsockname()[1])
            with ThreadPoolExecutor(1) as knocking:
                ended = knocking.submit(_knock_until_refused, proxy)
                _knock(proxy)
                proxy.close()
                ended.result(BOUND_SECONDS)
    gc.collect()

    assert [str(warning.message) for warning in recwarn] == []


def _knock_until_refused(proxy: Proxy) -> None:
    with suppress(ConnectionRefusedError):
        while True:
            _knock(proxy)


def _knock(proxy: Proxy) -> None:
    with suppress(ConnectionResetError), connect(proxy):
        pass
