from __future__ import annotations

from collections import Counter

from django_cfg.apps.integrations.grpc.server_metrics import _more  # pyright: ignore[reportPrivateUsage]


def test_a_counter_grows_by_what_is_new_also_where_another_service_takes_the_name() -> None:
    """A counter that were told of a decrease would refuse it, and end the reports of all."""
    told = Counter[tuple[str, ...]]()
    assert [_more(told, ("fleet", "pings"), count) for count in (3, 5, 5, 2, 4)] == [3, 2, 0, 2, 2]
