"""What a run under faults has shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Findings", "Report"]


@dataclass(slots=True)
class Findings:
    """`promises` says what each broken one would mean; `broken` holds the calls; `codes` counts what callers heard."""

    promises: Mapping[str, str]
    broken: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    codes: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        self.broken = {name: [] for name in self.promises}

    @property
    def kept(self) -> bool:
        return not any(self.broken.values())


@dataclass(slots=True)
class Report:
    seed: int
    calls: int
    seconds: float
    findings: Findings
    faults: Counter[str]
    left: list[str] = field(default_factory=list[str])
    unclean_exits: list[str] = field(default_factory=list[str])
    stories: list[str] = field(default_factory=list[str])
    """Of the first calls to which a promise was broken."""

    @property
    def kept(self) -> bool:
        return self.findings.kept and not self.left and not self.unclean_exits

    def __str__(self) -> str:
        rounds_of = f"{self.faults.total()} rounds of faults in {self.seconds:.0f} s"
        lines = [f"seed {self.seed}: {self.calls} calls under {rounds_of}"]
        lines.append("  faults   " + ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items())))
        lines.append("  outcomes " + ", ".join(f"{code} {count}" for code, count in self.findings.codes.most_common()))
        for name, broken in self.findings.broken.items():
            told = f": {self.findings.promises[name]}: {broken[:5]}" if broken else ""
            lines.append(f"  {len(broken):5d} {name}{told}")
        lines += [f"  {line}" for line in self.stories]
        lines += [f"  left over: {line}" for line in self.left[:10]]
        lines += [f"  unclean exit: {line}" for line in self.unclean_exits]
        return "\n".join(lines)
