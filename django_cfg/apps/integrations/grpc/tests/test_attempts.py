from __future__ import annotations

import pytest

from django_cfg.apps.integrations.grpc.attempts import FailedAttempts, address_of


def test_the_last_allowed_failure_blocks_until_the_first_is_old() -> None:
    failed = FailedAttempts(most=3, window_seconds=10)
    for now in (100.0, 104.0, 105.0):
        assert failed.retry_after("a", now) == 0
        failed.add("a", now)

    assert failed.retry_after("a", 105.0) == 5.0
    assert failed.retry_after("b", 105.0) == 0
    assert failed.retry_after("a", 110.0) == 0
    failed.add("a", 110.0)
    assert failed.retry_after("a", 110.0) == 4.0  # 104, 105 and 110 are in the window


def test_failures_far_apart_block_nobody() -> None:
    failed = FailedAttempts(most=3, window_seconds=10)
    for now in range(0, 100, 5):
        failed.add("a", now)
        assert failed.retry_after("a", now + 5) == 0


def test_the_table_is_bounded_and_forgets_who_failed_longest_ago() -> None:
    failed = FailedAttempts(most=1, window_seconds=1000, most_addresses=3)
    for now, address in enumerate(["a", "b", "a", "c", "d"]):
        failed.add(address, now)

    assert len(failed) == 3
    assert [bool(failed.retry_after(address, 5)) for address in "abcd"] == [True, False, True, True]


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.1:5000", "10.0.0.1"),
        ("ipv6:[2001:db8::1]:5000", "2001:db8::/64"),
        ("ipv6:%5B2001:db8::2%5D:5000", "2001:db8::/64"),
        ("ipv6:[fe80::1%25eth0]:5000", "fe80::/64"),
        ("ipv6:[::ffff:10.0.0.1]:5000", "10.0.0.1"),
        ("unix:/run/fleet.sock", "unix"),
        ("ipv4:nonsense:1", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_address_is_the_peers_without_its_port(peer: str, address: str) -> None:
    assert address_of(peer) == address
