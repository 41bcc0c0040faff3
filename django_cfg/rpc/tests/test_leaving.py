"""CONTROL-C in a process that has much to end."""

from __future__ import annotations

import signal
import subprocess
import sys

ENDING = """
import signal, time
from django_cfg.rpc import leaving

leaving.SAME_SECONDS = 0.2
leaving.interrupt_once()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    signal.raise_signal(signal.SIGINT)
    print("it goes on ending", flush=True)
    time.sleep(0.3)
    signal.raise_signal(signal.SIGINT)
    print("it was not ended", flush=True)
"""


def test_the_second_signal_of_one_control_c_does_not_interrupt_what_ends() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=30)

    assert ended.stdout == "it goes on ending\n"
    assert "a second CONTROL-C" in ended.stderr
    assert ended.returncode == 128 + signal.SIGINT
