"""Queries in `grpc_handlers` and at the import of its module, before anything is served."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

from django.db import connections

__all__ = ["orm_in_event_loop"]

_ALLOWED = "DJANGO_ALLOW_ASYNC_UNSAFE"


@contextmanager
def orm_in_event_loop() -> Generator[None]:
    """Django refuses queries in an event loop, since they block it; this one has nobody waiting yet.

    Servicers are made there too and may need the loop, so the functions cannot run elsewhere. Connections that they
    open are closed, as nobody would use them again in this thread.
    """
    before, theirs = os.environ.get(_ALLOWED), _opened()
    os.environ[_ALLOWED] = "true"
    try:
        yield
    finally:
        for alias in _opened() - theirs:
            connections[alias].close()
        if before is None:
            del os.environ[_ALLOWED]
        else:
            os.environ[_ALLOWED] = before


def _opened() -> set[str]:
    """By this thread."""
    return {found.alias for found in connections.all(initialized_only=True) if found.connection is not None}
