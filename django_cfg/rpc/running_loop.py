"""Whether an event loop runs in this thread, asked without an exception where none does."""

from __future__ import annotations

import asyncio

__all__ = ["running_loop"]

running_loop = asyncio._get_running_loop  # pyright: ignore[reportPrivateUsage] - its public twin raises where none runs
"""None where none runs in this thread; costs a call next to nothing."""
