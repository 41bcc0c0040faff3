"""An agent as a process: opens a stream at the given address, says so, and reads for ever."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import grpc


def messages() -> Iterator[bytes]:
    yield b"bot-1"
    threading.Event().wait()


def main() -> None:
    with grpc.insecure_channel(sys.argv[1]) as channel:
        call: Any = channel.stream_stream("/test.Echo/Stream")
        for answer in call(messages()):
            print(answer.decode(), flush=True)  # noqa: T201 - its parent waits for it


if __name__ == "__main__":
    main()
