"""Pure: failed attempts to authenticate, per peer address, in a sliding window; the table is bounded."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from urllib.parse import unquote

__all__ = ["FailedAttempts", "address_of"]

MOST_FAILURES = 30
WINDOW_SECONDS = 300.0
MOST_ADDRESSES = 10_000
_IPV6_NETWORK_BITS = 64


class FailedAttempts:
    """Times are in seconds of any one clock."""

    def __init__(
        self,
        most: int = MOST_FAILURES,
        window_seconds: float = WINDOW_SECONDS,
        most_addresses: int = MOST_ADDRESSES,
    ) -> None:
        self._most = most
        self._window = window_seconds
        self._most_addresses = most_addresses
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def retry_after(self, address: str, now: float) -> float:
        """Seconds until that address may try again; 0: now."""
        times = self._times.get(address)
        if times is None or len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + self._window - now)

    def add(self, address: str, now: float) -> None:
        """One failure; over the bound the address that failed longest ago is forgotten."""
        self._times.setdefault(address, deque(maxlen=self._most)).append(now)
        self._times.move_to_end(address)
        while len(self._times) > self._most_addresses:
            self._times.popitem(last=False)

    def __len__(self) -> int:
        return len(self._times)


def address_of(peer: str) -> str:
    """`ipv4:10.0.0.1:5000` and the like without the port; of IPv6 the network, since one host has all its addresses."""
    family, _, rest = unquote(peer).partition(":")
    if family not in ("ipv4", "ipv6"):
        return family or "unknown"
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((ip, _IPV6_NETWORK_BITS), strict=False))
    return str(getattr(ip, "ipv4_mapped", None) or ip)
