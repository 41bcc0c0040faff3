"""Pure: whether Redis may throw requests and replies away when its memory is full."""

from __future__ import annotations

import re

__all__ = ["KEEPS", "eviction_warning", "read_policy"]

KEEPS = "noeviction"
_POLICY = re.compile(rb"^maxmemory_policy:([a-z-]+)", re.MULTILINE)


def read_policy(info: object) -> str:
    """From INFO, which hosted Redis answers where it forbids CONFIG; empty when it is not said there."""
    found = _POLICY.search(info) if isinstance(info, bytes) else None
    return found[1].decode() if found else ""


def eviction_warning(policy: str) -> str:
    """Empty when there is nothing to warn of, or nothing is known."""
    if policy in ("", KEEPS):
        return ""
    return (
        f"Redis deletes keys when its memory is full (maxmemory-policy {policy}): "
        f"requests and replies may be lost; set {KEEPS}"
    )
