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

assert answered()
way, busy, children = {"os": fork, "multiprocessing": start}[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
for _ in range(busy):
    threading.Thread(target=keep_calling, daemon=True).start()
codes = []
for _ in range(children):
    codes.append(way())
    assert answered(), "the parent's own channel"
print(codes, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(("way", "busy_threads"), [("os", 0), ("multiprocessing", 0), ("os", 3)])
def test_every_child_sends(tmp_path: Path, way: str, busy_threads: int) -> None:
    """Also while other threads of the parent are in the middle of calls; a child that hangs is ended by SIGALRM."""
    fleet = Fleet(tmp_path)
    with fleet.serving():
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PARENT, way, str(busy_threads), str(CHILDREN)],
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
