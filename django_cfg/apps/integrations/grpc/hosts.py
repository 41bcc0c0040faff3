"""Pure: what a host is, as opposed to a URL, or an address with its port."""

from __future__ import annotations

import ipaddress

__all__ = ["is_host"]


def is_host(text: str) -> bool:
    """A name or an IP address alone: without scheme, port, brackets and blanks."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(text) and text.isprintable() and set(text).isdisjoint(" :/[]@?#")
    return True
