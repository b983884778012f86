"""Defenses that act on how the discriminator is trained: which targets train one."""

from __future__ import annotations

from defenses.base import Defense
from targets.base import Phase, Target


def trains_discriminator(phase: Phase) -> bool:
    """Whether this is the update of the discriminator."""
    return "discriminator" in phase.roles


def refuses_undiscriminating(defense: Defense, target: Target) -> str | None:
    """Why a defense of the discriminator has nothing to act on, or None: the target trains one."""
    if not any(trains_discriminator(phase) for phase in target.phases()):
        return f"{defense.name} changes the training of a discriminator, and {target.name} trains none"
    return None
