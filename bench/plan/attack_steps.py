"""The cells of a plan: an attack on a trial, with the models that it asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from bench import registry
from bench.attacks.base import Attack, ModelRequest, TrialSpec
from bench.candidates import judged_candidates, too_few_judged
from bench.errors import PluginError
from bench.plan.graph import PlannedCell, PlannedData, PlannedTrial, Step
from bench.plan.steps import StepMaker
from bench.plugin import Plugin
from bench.release import GRANTS
from bench.rng import derive_seed
from defenses.base import Defense, stack_refuses, training_size
from targets.base import Target


def trial_spec(make: StepMaker, data: PlannedData, target: Target, stack: tuple[Defense, ...], seed: int) -> TrialSpec:
    """What attacks may know of a trial when they plan."""
    members = data.split.expected_training
    return TrialSpec(
        schema=data.schema,
        members=members,
        sizes=data.split.public_sizes(),
        target=target.spec(),
        defenses=tuple(d.spec() for d in stack),
        seed=seed,
        samples=make.resolved.matrix.samples,
        updates=any(d.releases_updates for d in stack),
        adaptive=frozenset(name for d in stack for name in d.adaptive),
        training_size=size if (size := training_size(stack, members)) != members else None,
    )


def plan_cell(
    make: StepMaker,
    data: PlannedData,
    target: Target,
    stack: tuple[Defense, ...],
    trial: PlannedTrial,
    spec: TrialSpec,
    attack: Attack,
    name: str,
    at_step: int | None = None,
) -> PlannedCell:
    """One attack on one trial, of which it knows ``spec``; where it cannot be, the cell says why.

    Args:
        at_step: training steps at the snapshot that is judged in place of the trial.
    """
    if trial.refused:
        return PlannedCell(trial, attack, name, "", None)
    if (reason := attack.not_applicable(spec, frozenset(target.roles))) is not None:
        return PlannedCell(trial, attack, name, reason, None)
    if (reason := too_few_judged(data.split, attack)) is not None:
        return PlannedCell(trial, attack, name, reason, None)
    requests = _requests(attack, spec)
    if target.brought and any(r.target["name"] == target.name for r in requests):
        # "Trained" once more it would be the very target, and the target is never among its own references.
        reason = f"{attack.name} trains models like the target, and {target.name} was trained elsewhere"
        return PlannedCell(trial, attack, name, reason, None)
    upstream: dict[str, Step] = {"data": data.step}
    grants = GRANTS[attack.access]
    if attack.reads_samples and "samples" in grants:
        upstream["sample"] = trial.steps["sample"]
        if at_step is not None:
            where = f"sample {trial.dataset}/{trial.target}/{trial.defense}/{trial.seed}@{at_step}"
            upstream["sample"] = make.sample(data, trial.steps["train"], target, stack, where, at_step)
    if grants & {"latent", "decision", "white_box", "updates"}:
        upstream["train"] = trial.steps["train"]
    models: list[Step] = []
    for request in requests:
        # Attacks and seeds share their models: one that was planned is not planned again.
        drawn_from = trial.steps["sample"] if "samples" in (request.source, request.against) else None
        key = (data.label, stack if request.defenses is None else (), repr(request), drawn_from and drawn_from.id)
        if key not in make.models:
            make.models[key] = _model(make, data, trial, stack, request, drawn_from)
        planned = make.models[key]
        if isinstance(planned, str):
            return PlannedCell(trial, attack, name, f"{attack.name} trains {request.name}: {planned}", None)
        model, drawn = planned
        models.append(model)
        upstream[f"model/{request.name}"] = model
        if drawn is not None:
            upstream[f"model samples/{request.name}"] = drawn
    config: dict[str, Any] = {
        "attack": attack.spec(),
        "seed": trial.seed,
        "device": make.resolved.matrix.device,
        "profile": attack.name,
    }
    if attack.scores_sets:
        config["sets"] = list(make.resolved.matrix.sets)
    if at_step is not None:
        config["snapshot"] = at_step
    planned_cell = PlannedCell(trial, attack, name, "", None, tuple(models), at_step)
    work = judged_candidates(data.split, attack)
    step = make.add("attack", config, upstream, [("attacks", attack)], f"attack {planned_cell.id}", work)
    return replace(planned_cell, step=step)


def _requests(attack: Attack, spec: TrialSpec) -> tuple[ModelRequest, ...]:
    """The models that an attack asks for.

    Raises:
        PluginError: one would train on the members themselves, whom no attacker has.
    """
    requests = attack.needs(spec)
    for request in requests:
        if "members" in (request.source, request.against) and not attack.control:
            raise PluginError(
                f"{attack.name}: expected models that train on what an attacker may have (reference, candidates, "
                f"samples), but {request.name!r} would train on the members themselves: ask for another source"
            )
    return requests


def _model(
    make: StepMaker,
    data: PlannedData,
    trial: PlannedTrial,
    stack: tuple[Defense, ...],
    request: ModelRequest,
    drawn_from: Step | None,
) -> tuple[Step, Step | None] | str:
    """The training of a requested model, and the step that samples from it; or why it cannot be trained.

    Args:
        drawn_from: the generated records that it trains on, where it asks for some.
    """
    base_dir = make.resolved.base_dir
    target = cast("Target", _class(make, "targets", str(request.target["name"])).from_spec(request.target)).at(base_dir)
    if request.defenses is not None:
        stack = tuple(
            cast("Defense", _class(make, "defenses", str(d["name"])).from_spec(d)).at(base_dir)
            for d in request.defenses
        )
    if (reason := stack_refuses(stack, target, data.schema)) is not None:
        return reason
    records: dict[str, Any] = {
        "source": request.source,
        "size": request.size,
        "seed": derive_seed(request.seed, "model records"),
        "part": request.part,
        "against": request.against,
        "known": [request.known.members, request.known.nonmembers],
    }
    # A seed of the model's own: with the trial's, an attacker's network of the same shape would start from the
    # very weights that the target started from.
    seed = derive_seed(request.seed, "model", request.name)
    extra = {"sample": drawn_from} if drawn_from else {}
    who = f"{trial.dataset}/{trial.target}/{trial.defense}"
    label = f"train {request.name} for {f'{who}/{trial.seed}' if extra else who}"
    step, _ = make.train(data, target, stack, seed, records, extra, 0, label)
    if not request.samples:
        return step, None
    return step, make.sample(data, step, target, stack, f"sample {request.name} for {who}")


def _class(make: StepMaker, kind: registry.Kind, name: str) -> type[Plugin]:
    """The class of a requested model's plugin: the matrix's own, which may be a file's, or a registered one."""
    stacks = make.resolved.defenses if kind == "defenses" else (make.resolved.targets,)
    return next((type(p) for stack in stacks for p in stack if p.name == name), None) or registry.get(kind, name)
