"""Faults in rounds: begun together, ended together, and then there is a rest."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol, TypeVar

__all__ = ["Fault", "rounds"]

Site = TypeVar("Site")
SiteOfFault = TypeVar("SiteOfFault", contravariant=True)


class Fault(Protocol[SiteOfFault]):
    """A function that is a context manager: the fault begins where it is entered, and all is well again after it."""

    __name__: str

    def __call__(self, site: SiteOfFault, chance: random.Random, /) -> AbstractContextManager[None]: ...


def rounds(
    site: Site, chance: random.Random, choose: Callable[[random.Random], Sequence[Fault[Site]]]
) -> Iterator[Counter[str]]:
    """For ever; yields after each round how often there has been what. The last fault of a choice ends first."""
    seen: Counter[str] = Counter()
    while True:
        faults = choose(chance)
        with ExitStack() as under_way:
            for fault in faults:
                under_way.enter_context(fault(site, chance))
            time.sleep(chance.uniform(0.1, 0.8))
        seen["+".join(sorted(fault.__name__ for fault in faults))] += 1
        yield seen
        time.sleep(chance.uniform(0.3, 1.2))
