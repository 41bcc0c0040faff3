"""Channels, history and presence on a clock of our own."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from django_cfg.apps.centrifugo.embedded.codes import UNRECOVERABLE_POSITION
from django_cfg.apps.centrifugo.embedded.history import Stream, Version
from django_cfg.apps.centrifugo.embedded.hub import NOWHERE, Hub, Retention
from django_cfg.apps.centrifugo.embedded.protocol import Publication, StreamPosition

KEPT = Retention(3, 60, 600)
NOT_KEPT = Retention(0, 0, 600)
DATA = Raw(b"{}")


def new_hub() -> Hub:
    numbers = count(1)
    return Hub(lambda: f"epoch-{next(numbers)}")


class Listener:
    """A subscriber that keeps what it gets."""

    wants_membership = False

    def __init__(self, taken: list[bytes]) -> None:
        self._taken = taken

    def publish(self, message: bytes, position: StreamPosition) -> None:
        self._taken.append(message)

    def notify(self, message: bytes) -> None:
        raise NotImplementedError


def offsets(hub: Hub, now: float, limit: int = -1) -> list[int]:
    return [p.offset for p in hub.history("c", now, 600, limit=limit)[0]]


def test_history_keeps_the_newest_and_counts_on() -> None:
    hub = new_hub()
    positions = [hub.publish("c", DATA, KEPT, 0) for _ in range(5)]
    assert positions[-1] == StreamPosition(5, "epoch-1")
    assert offsets(hub, 1) == [3, 4, 5]


def test_publications_expire_and_the_position_stays() -> None:
    hub = new_hub()
    hub.publish("c", DATA, KEPT, 0)
    assert offsets(hub, 59.9) == [1]
    assert offsets(hub, 60) == []
    assert hub.publish("c", DATA, KEPT, 61) == StreamPosition(2, "epoch-1")


def test_an_unused_position_is_forgotten() -> None:
    hub = new_hub()
    hub.publish("c", DATA, KEPT, 0)
    assert hub.publish("c", DATA, KEPT, 599) == StreamPosition(2, "epoch-1")
    assert hub.publish("c", DATA, KEPT, 1199) == StreamPosition(1, "epoch-2")


def test_a_publication_without_history_stands_nowhere() -> None:
    assert new_hub().publish("c", DATA, NOT_KEPT, 0) == NOWHERE


def test_a_repeated_idempotency_key_publishes_once_for_five_minutes_and_one_channel() -> None:
    hub = new_hub()
    first = hub.publish("c", DATA, KEPT, 0, idempotency_key="k")
    assert hub.publish("c", DATA, KEPT, 1, idempotency_key="k") == first
    assert hub.publish("d", DATA, KEPT, 1, idempotency_key="k").epoch == "epoch-2"
    hub.expire(299)
    assert offsets(hub, 299) == []
    assert hub.publish("c", DATA, KEPT, 299, idempotency_key="k") == first
    hub.expire(300)
    assert hub.publish("c", DATA, KEPT, 300, idempotency_key="k").offset == 2


def test_a_version_that_is_not_newer_is_not_published() -> None:
    hub = new_hub()
    versions = [(2, ""), (2, ""), (1, ""), (0, ""), (2, ""), (3, "x"), (1, "y"), (1, "y"), (1, ""), (2, "y")]
    tops = [hub.publish("c", DATA, KEPT, 0, version=Version(*version)).offset for version in versions]
    assert tops == [1, 1, 1, 2, 2, 3, 4, 4, 4, 5]
    assert offsets(hub, 0) == [3, 4, 5]


def test_without_history_versions_are_not_compared() -> None:
    hub = new_hub()
    taken: list[bytes] = []
    hub.subscribe("c", "1", Listener(taken))
    for _ in range(2):
        hub.publish("c", DATA, NOT_KEPT, 0, version=Version(1))
    assert len(taken) == 2


def test_an_outdated_version_does_not_use_up_its_idempotency_key() -> None:
    hub = new_hub()
    hub.publish("c", DATA, KEPT, 0, version=Version(5))
    assert hub.publish("c", DATA, KEPT, 0, version=Version(5), idempotency_key="k").offset == 1
    assert hub.publish("c", DATA, KEPT, 0, version=Version(6), idempotency_key="k").offset == 2


def test_another_epoch_cannot_be_recovered() -> None:
    hub = new_hub()
    hub.publish("c", DATA, KEPT, 0)
    assert hub.history("c", 0, 600, since=StreamPosition(0, "other"))[2] == UNRECOVERABLE_POSITION


def test_nothing_is_kept_for_channels_that_are_over() -> None:
    hub = new_hub()
    for n in range(1000):
        hub.publish(f"c{n}", DATA, Retention(5, 10, 20), 0, idempotency_key=str(n))
        hub.publish(f"d{n}", DATA, NOT_KEPT, 0)
    hub.expire(10)
    assert hub.sizes() == {"channels": 0, "streams": 1000, "publications": 0, "idempotency_keys": 1000}
    hub.expire(20)
    assert hub.sizes()["streams"] == 0
    hub.expire(300)
    assert hub.sizes() == {"channels": 0, "streams": 0, "publications": 0, "idempotency_keys": 0}


def test_line_breaks_in_data_do_not_reach_the_wire() -> None:
    hub = new_hub()
    hub.publish("c", Raw(b'{\n "a": "x\\ny"\r\n}'), KEPT, 0)
    (publication,), _, _ = hub.history("c", 0, 600, limit=1)
    assert bytes(publication.data) == b'{"a":"x\\ny"}'


@given(
    published=st.integers(0, 12),
    size=st.integers(1, 8),
    since=st.none() | st.integers(0, 14),
    limit=st.integers(-1, 6),
    reverse=st.booleans(),
)
def test_reading_a_stream_is_slicing_a_list(
    published: int, size: int, since: int | None, limit: int, reverse: bool
) -> None:
    stream = Stream("e")
    for offset in range(1, published + 1):
        stream.add(Publication(DATA, offset=offset), size)
    kept = list(range(max(1, published - size + 1), published + 1))
    if reverse:
        wanted = kept[::-1] if since is None else [o for o in kept[::-1] if o < since]
        if since is not None and since - 1 not in kept:
            wanted = []  # the place asked from has to be there
    else:
        wanted = [o for o in kept if since is None or o > since]
    got = stream.read(None if since is None else StreamPosition(since), limit, reverse)
    assert [p.offset for p in got] == (wanted if limit < 0 else wanted[:limit])


@pytest.mark.parametrize("reverse", [False, True])
def test_a_cleared_stream_is_empty_and_keeps_its_top(reverse: bool) -> None:
    stream = Stream("e")
    stream.add(Publication(DATA, offset=1), 5)
    stream.clear()
    assert stream.read(None, -1, reverse) == []
    assert stream.position == StreamPosition(1, "e")
