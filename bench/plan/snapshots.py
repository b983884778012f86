"""Attacks on the snapshots of an undefended training, so that a defense is read beside a model of equal quality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.attacks.base import Attack, TrialSpec
from bench.plan.attack_steps import plan_cell
from bench.plan.graph import PlannedCell, PlannedData, PlannedTrial
from bench.plan.steps import StepMaker
from bench.records import Schema
from defenses.base import Defense
from targets.base import Target, snapshot_steps

ACCESS = frozenset({"samples", "white_box"})


def has_snapshots(target: Target, schema: Schema) -> bool:
    """Whether a training of this target leaves snapshots whose quality is measured, and which attacks can judge.

    Only images have a KID. A training of fewer than two snapshots has none before its end, and what was trained
    elsewhere, or is a control of the instrument, was not trained here.
    """
    trained = not (target.brought or target.control)
    return trained and schema.kind == "image" and len(snapshot_steps(target.options.steps)) > 1


def judges_snapshots(attack: Attack, spec: TrialSpec) -> bool:
    """Whether an attack judges the snapshots too: one that is cheap, since there are many of them.

    Left out are attacks that train models, that judge only some candidates because each of them is expensive, and
    controls. A decision's threshold belongs to the finished model, and clients' updates to the whole training.
    """
    return attack.access in ACCESS and attack.cap is None and not attack.control and not attack.needs(spec)


def plan_snapshots(
    make: StepMaker,
    data: PlannedData,
    target: Target,
    stack: tuple[Defense, ...],
    trial: PlannedTrial,
    spec: TrialSpec,
    attacks: Mapping[str, Attack],
) -> Iterable[PlannedCell]:
    """Every such attack on every snapshot but the last, which is the trial itself.

    Args:
        attacks: name in tables -> attack.
    """
    for name, attack in attacks.items():
        if attack.not_applicable(spec, frozenset(target.roles)) is not None or not judges_snapshots(attack, spec):
            continue
        for step in snapshot_steps(target.options.steps)[:-1]:
            yield plan_cell(make, data, target, stack, trial, spec, attack, name, at_step=step)
