"""What a verification found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """Everything that is wrong, everything that a reader must know besides, and how much was checked.

    Attributes:
        problems: one line each: what was expected, what is there, and where.
        notes: what was not covered, or may explain a difference.
        checked: what -> how many.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    def problem(self, *lines: str) -> None:
        """Something is wrong."""
        self.problems += lines

    def note(self, line: str) -> None:
        """Something that is not wrong, once."""
        if line not in self.notes:
            self.notes.append(line)

    @property
    def counted(self) -> str:
        """What was checked, for people."""
        return ", ".join(f"{count:,} {what}" for what, count in self.checked.items())
