"""Where a late reply is looked for, and for how long."""

from __future__ import annotations

from django_cfg.modules.django_rpc.abandoned import LOOK_SECONDS, MOST_LISTS, AbandonedLists


def test_a_list_is_looked_at_once_a_second_until_its_reply_has_come() -> None:
    lists = AbandonedLists(reply_ttl=60)
    assert not lists
    lists.add("a", 10.0)
    lists.add("b", 10.0)

    assert lists.due(10.0) == ["a", "b"]
    assert lists.due(10.0 + LOOK_SECONDS / 2) == []
    lists.came("a", 1)
    assert lists.due(10.0 + LOOK_SECONDS) == ["b"]
    assert lists


def test_a_list_of_several_calls_is_looked_at_until_all_their_replies_have_come() -> None:
    lists = AbandonedLists(reply_ttl=60)
    lists.add("a", 10.0, missing=3)

    lists.came("a", 2)
    assert lists
    lists.came("a", 1)
    assert not lists


def test_a_list_is_forgotten_when_a_reply_would_have_expired() -> None:
    lists = AbandonedLists(reply_ttl=60)
    lists.add("a", 10.0)

    assert lists.due(70.0) == []
    assert not lists


def test_only_the_newest_lists_are_remembered() -> None:
    lists = AbandonedLists(reply_ttl=60)
    for n in range(MOST_LISTS + 1):
        lists.add(str(n), 0.0)

    assert lists.due(1.0) == [str(n) for n in range(1, MOST_LISTS + 1)]
