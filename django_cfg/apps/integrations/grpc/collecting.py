"""How often Python looks for garbage that refers to itself in a process that holds very many live objects."""

from __future__ import annotations

import gc

__all__ = ["collect_less_often"]

NEW_OBJECTS = 10_000
"""A thousand commands on their way are some thousands of objects: with Python's own 700 they are looked through again
and again, which takes a twentieth of what it costs to push them.
"""


def collect_less_often() -> None:
    """What the project has set counts, where that is less often still, or never."""
    young, *older = gc.get_threshold()
    if 0 < young < NEW_OBJECTS:
        gc.set_threshold(NEW_OBJECTS, *older)
