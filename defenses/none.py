"""No defense: the baseline."""

from __future__ import annotations

from defenses.base import Defense


class NoDefense(Defense):
    """No defense; the baseline that every other row is read against."""

    name = "none"
    family = "none"
