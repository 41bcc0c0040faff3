"""Who has the port that is wanted."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from django_cfg.errors import ConfigurationError
from django_cfg.rpc.listening import bind

HOLDING = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
by_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells who listens")


@by_proc
def test_a_port_of_this_process_is_said_to_be_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} is in use by this command itself. Choose another"):
            bind("127.0.0.1", port)


@by_proc
def test_the_process_that_has_the_port_is_named() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        port = int(holder.stdout.readline())
        said = re.escape(f"(process {holder.pid}). Stop that, or choose another port, for example 127.0.0.1:")
        with pytest.raises(ConfigurationError, match=said):
            bind("127.0.0.1", port)
        holder.communicate(b"\n")
