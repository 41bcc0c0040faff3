"""A process that has sent commands forks, and its children send theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.grpc.fleet import Fleet
from tests.grpc.project import ROOT

CHILDREN = 20
PARENT = """
import asyncio, multiprocessing, os, signal, sys, threading
import django
django.setup()
from django_cfg.apps.integrations.grpc.services.commands.examples import fleet_pb2 as pb2
from django_cfg.apps.integrations.grpc.services.commands.examples.base_client import FleetCommandClient

client = FleetCommandClient("nobody")

def answered():
    return client.send_command_sync(pb2.Command()) is False and not asyncio.run(client.send_command(pb2.Command()))

def child(number=0):
    signal.alarm(20)
    os._exit(0 if answered() and answered() else 1)

def fork():
    found = os.fork()
    if found == 0:
        child()
    return os.waitstatus_to_exitcode(os.waitpid(found, 0)[1])

def start():
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    return process.exitcode

def keep_calling():
    while True:
        client.send_command_sync(pb2.Command())

async def keep_awaiting():
    while True:
        await client.send_command(pb2.Command())
        called.set()

called = threading.Event()
assert answered()
way, kind, busy = {"os": fork, "multiprocessing": start}[sys.argv[1]], sys.argv[2], int(sys.argv[3])
work = keep_calling if kind == "threads" else lambda: asyncio.run(keep_awaiting())
for _ in range(busy):
    threading.Thread(target=work, daemon=True).start()
if kind == "loops":
    called.wait(20)
codes = []
for _ in range(int(sys.argv[4])):
    codes.append(way())
    assert answered(), "the parent's own channel"
print(codes, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("way", "kind", "busy"),
    [("os", "threads", 0), ("multiprocessing", "threads", 0), ("os", "threads", 3), ("os", "loops", 3)],
)
def test_every_child_sends(tmp_path: Path, way: str, kind: str, busy: int) -> None:
    """Also while threads and event loops of the parent are in the middle of calls; SIGALRM ends a child that hangs."""
    fleet = Fleet(tmp_path)
    with fleet.serving():
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PARENT, way, kind, str(busy), str(CHILDREN)],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "site_settings",
                "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stdout == f"{[0] * CHILDREN}\n", done.stdout + done.stderr
