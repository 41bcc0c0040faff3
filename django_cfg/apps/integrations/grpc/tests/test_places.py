from __future__ import annotations

from django_cfg.apps.integrations.grpc.places import Places


def test_an_agent_may_replace_its_own_stream_once_at_a_time() -> None:
    places = Places(2)
    assert places.take("a")
    assert places.take(None)
    assert not places.take(None)
    assert not places.take("b")

    assert places.take("a")
    assert not places.take("a"), "it has two already"
    places.give_back("a")
    assert places.take("a")
    places.give_back("a")
    places.give_back("a")
    assert places.take("b")
    assert not places.take("a"), "it has none to replace"
