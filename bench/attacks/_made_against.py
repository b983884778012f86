"""Attacks that are made against one kind of defense, and say nothing where there is none."""

from __future__ import annotations

from bench.attacks.base import TrialSpec
from bench.registry import get, names


def made_against(attack: str, trial: TrialSpec) -> bool:
    """Whether a defense of the trial's stack may be one that this attack is made against.

    A registered defense names the attacks that know of it (``adaptive``); one that stands in a file of its own cannot
    be asked here, and counts.
    """
    registered = names("defenses")
    return any(
        str(d["name"]) not in registered or attack in getattr(get("defenses", str(d["name"])), "adaptive", ())
        for d in trial.defenses
    )
