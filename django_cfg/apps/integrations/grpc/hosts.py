"""Pure: what a host is, as opposed to a URL, or an address with its port."""

from __future__ import annotations

import ipaddress

__all__ = ["is_address", "is_host", "is_loopback"]


def is_host(text: str) -> bool:
    """A name or an IP address alone: without scheme, port, brackets and blanks."""
    return is_address(text) or (bool(text) and text.isprintable() and set(text).isdisjoint(" :/[]@?#"))


def is_address(text: str) -> bool:
    """An IP address, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    return ipaddress.ip_address(host).is_loopback if is_address(host) else host == "localhost"
