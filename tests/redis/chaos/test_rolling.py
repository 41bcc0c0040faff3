"""Rolling restarts and the account of every key, in small; `make chaos` does both at full size."""

from __future__ import annotations

from pathlib import Path

from django_cfg.tests.websocket.redis_server import require_redis_server
from tests.redis.chaos.memory import grow
from tests.redis.chaos.rolling import roll


def test_f01_rolling_restarts_fail_no_call(tmp_path: Path) -> None:
    """A server that is told to stop finishes what it has begun and exits with 0; the next one answers the rest."""
    require_redis_server()

    rolled = roll(tmp_path, restarts=5)

    assert rolled.kept, f"\n{rolled}"
    assert rolled.calls > 100


def test_nothing_is_left_in_redis_after_many_calls(tmp_path: Path) -> None:
    """Too few to see memory grow; enough to see that every key is accounted for."""
    require_redis_server()

    grown = grow(tmp_path, calls=1500)

    assert grown.left == []
