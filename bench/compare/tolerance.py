"""How much worse is still allowed: ``--fail-on auc:+0.02,kid:+5%,coverage:-5%``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.compare.measures import FIGURES, Figure
from bench.errors import InputError

ALWAYS = "diverged_runs:+0,collapsed_runs:+0"
"""What is compared whatever is asked for, unless it is asked for otherwise: dying trainings are no defense."""

DEFAULT = f"auc:+0.02,kid:+5%,marginal_distance:+5%,{ALWAYS}"
"""What is compared when nothing is asked for: the leak, the quality of images or of tables, and ``ALWAYS``."""

LARGEST = 1e100

_RULE = re.compile(r"(?P<name>[a-z_0-9]+)\s*:\s*(?P<sign>[+-])(?P<size>\d+(\.\d+)?(e[+-]?\d+)?|\.\d+)(?P<percent>%?)")


@dataclass(frozen=True)
class Tolerance:
    """A figure, and by how much it may get worse.

    Attributes:
        figure: what is compared.
        size: the allowed change in the bad direction, at least 0; a share of the base where ``percent``.
        percent: whether ``size`` is a share.
        named: whether it was asked for by its name; else it is one of ``DEFAULT`` or ``ALWAYS``.
    """

    figure: Figure
    size: float
    percent: bool = False
    named: bool = True

    def limit(self, base: float) -> float:
        """The allowed change, in the figure's own unit."""
        return self.size * abs(base) if self.percent else self.size

    def __str__(self) -> str:
        size = f"{self.size * 100:g}%" if self.percent else f"{self.size:g}"
        return f"{self.figure.name}:{'+' if self.figure.sign > 0 else '-'}{size}"


def parse_tolerances(texts: Sequence[str]) -> tuple[Tolerance, ...]:
    """The rules of one or several ``--fail-on`` and those of ``ALWAYS``; without any, those of ``DEFAULT``.

    >>> [str(rule) for rule in parse_tolerances(["auc:+0.02,diverged_runs:+1"])]
    ['auc:+0.02', 'diverged_runs:+1', 'collapsed_runs:+0']

    Raises:
        InputError: all that is wrong, together: an unknown figure, a sign against the figure's direction, a figure
            named twice, or something that is no rule.
    """
    rules: dict[str, Tolerance] = {}
    problems: list[str] = []
    for text in (part.strip() for given in texts for part in given.split(",")):
        found = _rule(text)
        if isinstance(found, str):
            problems.append(found)
        elif found.figure.name in rules:
            problems.append(f"--fail-on: expected each figure once, got {found.figure.name} twice")
        else:
            rules[found.figure.name] = found
    if problems:
        raise InputError(problems)
    for text in (ALWAYS if texts else DEFAULT).split(","):
        own = _rule(text)
        if isinstance(own, Tolerance):
            rules.setdefault(own.figure.name, replace(own, named=False))
    return tuple(rules.values())


def _rule(text: str) -> Tolerance | str:
    """The rule, or what is wrong with it."""
    from bench.registry import did_you_mean

    match = _RULE.fullmatch(text)
    if match is None:
        return f"--fail-on: expected rules such as auc:+0.02, kid:+5% or coverage:-5%, got {text!r}"
    name = match["name"]
    if name not in FIGURES:
        return f"--fail-on: unknown figure {name!r}{did_you_mean(name, FIGURES)}; there are {', '.join(FIGURES)}"
    figure = FIGURES[name]
    if (match["sign"] == "+") != (figure.sign > 0):
        way, sign = ("smaller", "+") if figure.better == "lower" else ("larger", "-")
        return (
            f"--fail-on: {text!r} allows a change for the better: {way} {name} is better, so what may be lost is "
            f"written with {sign}, as {name}:{sign}{match['size']}{match['percent']}"
        )
    size = float(match["size"])
    if not size <= LARGEST:
        return f"--fail-on: expected a tolerance of at most {LARGEST:g}, got {text!r}"
    return Tolerance(figure, size / 100 if match["percent"] else size, bool(match["percent"]))
