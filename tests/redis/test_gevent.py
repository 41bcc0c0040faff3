"""Under gevent, with everything patched: many greenlets share the two connections of their process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from django_cfg.modules.django_rpc.config import WebSocketRPCConfig
from django_cfg.tests.websocket.serving import Handlers, serving

GREENLETS, CALLS = 64, 10

PROGRAM = """
from gevent import monkey
monkey.patch_all()
import json, sys, time
import gevent
from django.conf import settings
settings.configure(SECRET_KEY="s" * 50)
from prometheus_client import REGISTRY
from django_cfg.modules.django_rpc import RPCTimeoutError, WebSocketRPCClient, WebSocketRPCConfig

client = WebSocketRPCClient(WebSocketRPCConfig(enabled=True, redis_url=sys.argv[1], rpc_timeout=20))
greenlets, calls = int(sys.argv[2]), int(sys.argv[3])

def work(n):
    for i in range(calls):
        assert client.call("typed", {"message": f"{n}:{i}"})["message"] == f"{n}:{i}"
    return calls

ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        gevent.sleep(0.01)

ticking = gevent.spawn(tick)
done = [job.get(timeout=60) for job in [gevent.spawn(work, n) for n in range(greenlets)]]
waiting = gevent.spawn(client.call, "held", {"name": "x"}, timeout=0.5)
before = len(ticks)
try:
    waiting.get(timeout=30)
except RPCTimeoutError:
    held = len(ticks) - before
taken = "django_cfg_rpc_client_path_total"
paths = {path: REGISTRY.get_sample_value(taken, {"path": path}) for path in ("fused", "shared")}
client.close()
print(json.dumps({"done": sum(done), "ticks_while_held": held, **paths}))
"""


def test_greenlets_share_one_path_and_block_nobody(config: WebSocketRPCConfig, redis: Any, handlers: Handlers) -> None:
    arguments = [config.redis_url, str(GREENLETS), str(CALLS)]
    with serving(config, handlers):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=100, check=False
        )
    assert run.returncode == 0, run.stderr
    facts = json.loads(run.stdout)

    assert facts["done"] == GREENLETS * CALLS
    assert facts["fused"] == 0
    assert facts["shared"] == GREENLETS * CALLS + 1
    assert facts["ticks_while_held"] > 5  # a blocked hub would not tick at all
