from __future__ import annotations

from django_cfg.modules.django_rpc.recent import Recent


def test_the_newest_are_remembered_and_older_ones_forgotten() -> None:
    recent = Recent(10)
    for number in range(100):
        recent.add(str(number), float(number))

    assert [recent.get(str(number)) for number in range(90, 100)] == list(range(90, 100))
    assert sum(recent.get(str(number)) is not None for number in range(100)) <= 20
    assert recent.get("0") is None


def test_the_moment_added_last_counts() -> None:
    recent = Recent(2)
    recent.add("a", 1.0)
    recent.add("b", 2.0)
    recent.add("a", 3.0)

    assert recent.get("a") == 3.0
