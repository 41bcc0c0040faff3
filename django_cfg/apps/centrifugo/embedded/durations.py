"""Durations as Centrifugo's configuration writes them: "300ms", "5s", "1h30m"."""

from __future__ import annotations

import re

_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_WHOLE = re.compile(rf"-?(?:{_PART.pattern})+")


class Seconds(float):
    """A duration in seconds; 0 or less usually switches off what it measures."""

    @classmethod
    def parse(cls, text: str) -> Seconds:
        """Raises ValueError for anything but a sequence of numbers with units, or 0."""
        if text in ("", "0"):
            return cls(0)
        if not _WHOLE.fullmatch(text):
            raise ValueError(f'{text!r} is no duration such as "300ms", "5s" or "1h30m"')
        total = sum(float(amount) * _UNIT_SECONDS[unit] for amount, unit in _PART.findall(text))
        return cls(-total if text.startswith("-") else total)
