"""What is wrong with a lake: in words for a person, and as what has to leave for a repair."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

SHOWN = 20
"""Findings of one kind in one table that are put into words; the others are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: `what` names the file, segment or asset; `table` is its place in the lake."""

    kind: str
    table: str
    what: str
    expected: str
    found: str


@dataclass(slots=True)
class Findings:
    """All that is wrong, counted by kind and table, the first `SHOWN` of each in words."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    listed: list[Finding] = field(default_factory=list)

    def add(self, kind: str, table: str, what: object, expected: object, found: object) -> None:
        """Take note of one."""
        self.counts[kind, table] += 1
        if self.counts[kind, table] <= SHOWN:
            self.listed.append(Finding(kind, table, str(what), str(expected), " ".join(str(found).split())[:200]))


@dataclass(slots=True)
class Damage:
    """What cannot stay: files by the name of their table, states files with wrong offsets, segments' rows."""

    files: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    offsets: set[str] = field(default_factory=set)
    segments: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(any(self.files.values()) or self.offsets or self.segments)
