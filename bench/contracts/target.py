"""The contract of targets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.contracts.rules import Report, Rule, check, declaration, expect, instance
from bench.contracts.tiny import (
    CLASSES,
    GREY,
    MIXED,
    RECORDS,
    differing,
    disturb,
    run,
    shortened,
    tiny_records,
    tiny_request,
)
from bench.errors import IncompatibleError
from bench.records import Schema, to_float
from targets.base import Draw, Target, from_tensors, to_tensors

if TYPE_CHECKING:
    import torch

    from targets.base import Batch, Losses, Networks, Phase

SCHEMAS = (GREY, Schema("image", (3, 10, 14), CLASSES), Schema("table", (7,), CLASSES), MIXED)
STEPS = 3


@dataclass(frozen=True)
class _Subject:
    target: Target
    tried: tuple[Schema, ...] = SCHEMAS

    @property
    def schemas(self) -> tuple[Schema, ...]:
        """The shapes of records that it does not refuse."""
        return tuple(schema for schema in self.tried if self.target.refuses(schema) is None)

    @property
    def learns_at_once(self) -> bool:
        """Whether it takes all that it learns in ``fit``, before the first step."""
        return type(self.target).fit is not Target.fit and not self.target.phases()


def declares(subject: _Subject) -> None:
    target = subject.target
    expect(isinstance(target, Target), f"expected a subclass of Target, got {type(target).__name__}")
    declaration(target)
    expect(target.data and target.data <= {"image", "table"}, f"expected `data` of image, table, got {target.data}")
    expect(len(set(target.roles)) == len(target.roles), f"expected distinct `roles`, got {target.roles}")
    if not target.brought:  # of what was trained elsewhere there may be samples alone
        expect(target.roles, "expected at least one network in `roles`")
        expect(target.private_roles, "expected at least one role that reads real records in `private_roles`")
    strangers = sorted(set(target.private_roles) - set(target.roles))
    expect(not strangers, f"expected `private_roles` among `roles`, got {strangers}")


def phases_fit_the_roles(subject: _Subject) -> None:
    """A phase is private if and only if it updates a private role: what DP-SGD must protect rests on it.

    Nothing is updated in steps where nothing is trained (``brought``), or everything is learnt at once (``fit``).
    """
    target, phases = subject.target, subject.target.phases()
    names = [phase.name for phase in phases]
    expect(len(set(names)) == len(names), f"expected phases with names of their own, got {names}")
    if target.brought:
        expect(not phases, f"expected no phases of what was trained elsewhere, got {names}")
    elif not subject.learns_at_once:
        expect(phases, "expected at least one phase, or all to be learnt at once in `fit`")
    for phase in phases:
        strangers = sorted(set(phase.roles) - set(target.roles))
        expect(phase.roles and not strangers, f"phase {phase.name!r} expected roles of the target, got {phase.roles}")
        touches = sorted(set(phase.roles) & set(target.private_roles))
        expect(
            phase.private == bool(touches),
            f"phase {phase.name!r} says private={phase.private}, but it updates the private roles {touches}",
        )


def refuses_with_a_reason(subject: _Subject) -> None:
    target = subject.target
    for schema in SCHEMAS:
        reason = target.refuses(schema)
        expect(reason is None or (isinstance(reason, str) and reason), f"expected None or a reason, got {reason!r}")
        expect(schema.kind in target.data or reason, f"expected a reason to refuse {schema}")
    expect(subject.schemas, f"expected to model at least one of {', '.join(map(str, subject.tried))}, refuses all")


def builds_from_its_generator(subject: _Subject) -> None:
    """Every parameter comes from the given generator, none from torch's global one."""
    for schema in subject.schemas:
        first, second = _built(subject.target, schema, 1), _built(subject.target, schema, 2)
        expect(set(first) == set(subject.target.roles), f"expected the roles {subject.target.roles}, got {set(first)}")
        for role, networks in first.items():
            expect(isinstance(networks, tuple) and networks, f"expected a tuple of networks as {role!r}")
        expect(
            not (names := differing(first, second)),
            f"{schema}: expected the same weights from the same generator, but {names[:3]} follow the global one",
        )
        other = _built(subject.target, schema, 1, seed=1)
        if subject.target.brought:
            expect(
                not differing(first, other), f"{schema}: expected the weights that were brought from every generator"
            )
        else:
            expect(differing(first, other), f"{schema}: expected other weights from another generator, got the same")


def untrained_is_as_built(subject: _Subject) -> None:
    from targets.training import build_networks, context_of

    for schema in subject.schemas:
        request = tiny_request(shortened(subject.target, 0), (), schema)
        result = run(request)
        fresh = build_networks(request.target, (), context_of(request))
        expect(result.status == "completed" and result.steps_done == 0, "expected training of 0 steps to do nothing")
        names = differing(result.networks, fresh)
        expect(not names, f"{schema}: expected 0 steps to leave the networks as built, but {names[:3]} changed")


def trains(subject: _Subject) -> str | None:
    """A few steps move every role that a phase updates, bit for bit the same from the same seed."""
    if subject.target.brought:
        return "it was trained elsewhere"
    phases = subject.target.phases()
    steps = STEPS * max((phase.every for phase in phases), default=1)
    for schema in subject.schemas:
        request = tiny_request(shortened(subject.target, steps), (), schema)
        first, second = run(request, 1), run(request, 2)
        expect(first.status == "completed", f"{schema}: expected {steps} steps to complete, got {first.status}")
        for phase in phases:
            losses = first.history.get(f"loss/{phase.name}", np.zeros(0))
            expect(
                len(losses) == steps // phase.every and bool(np.isfinite(losses).all()),
                f"{schema}: expected {steps // phase.every} finite losses of phase {phase.name!r}, got {losses}",
            )
        names = differing(first.networks, second.networks)
        expect(
            not names,
            f"{schema}: expected two runs of one seed to agree bit for bit, but {names[:3]} differ: draw from `draw`",
        )
        before = run(tiny_request(shortened(subject.target, 0), (), schema)).networks
        changed = set(differing(first.networks, before))
        moved = {role for role, names in _parameters(first.networks).items() if names & changed}
        idle = {role for phase in phases for role in phase.roles} - moved
        expect(not idle, f"{schema}: expected training to change every updated role, but {sorted(idle)} stayed")
        if subject.learns_at_once:
            untouched = set(subject.target.roles) - {name.partition(".")[0] for name in changed}
            expect(not untouched, f"{schema}: expected `fit` or training to change every role, not {sorted(untouched)}")
    return None


def generates(subject: _Subject) -> None:
    """Generated records have the records' shape and range, and depend on the seed alone."""
    import torch

    from targets.training import generate

    for schema in subject.schemas:
        if (stored := subject.target.stored(schema)) is not None:
            expect(len(stored) and stored.schema.same_records(schema), f"{schema}: expected such records, got {stored}")
            continue
        request = tiny_request(shortened(subject.target, 1), (), schema)
        networks, made = run(request).networks, []
        for global_seed in (1, 2):
            disturb(global_seed)
            made.append(generate(request.target, networks, schema, 5, 0, request.device))
        wanted = (5, *schema.shape)
        expect(made[0].shape == wanted, f"{schema}: expected records of shape {wanted}, got {made[0].shape}")
        expect(bool(np.isfinite(to_float(made[0], schema)).all()), f"{schema}: expected finite generated records")
        draw = Draw(request.device, 0, "contract")
        raw = request.target.generate(networks, 5, draw, _labels(subject.target, schema, 5))
        other = request.target.generate(
            networks, 5, Draw(request.device, 1, "contract"), _labels(subject.target, schema, 5)
        )
        expect(
            schema.kind == "table" or float(raw.detach().abs().max()) <= 1 + 1e-6,
            f"{schema}: expected images in [-1, 1], got values up to {float(raw.detach().abs().max()):.3g}",
        )
        expect(made[0].tobytes() == made[1].tobytes(), f"{schema}: expected the same records from the same seed")
        # Unrounded: after a single step all images may round to the same grey.
        expect(not torch.equal(raw, other), f"{schema}: expected other records from another seed")


def judges_where_it_has_a_discriminator(subject: _Subject) -> str | None:
    import torch

    for schema in subject.schemas:
        networks = _built(subject.target, schema, 0)
        if not networks:
            return "it has no networks"
        x, labels = torch.from_numpy(tiny_records(schema).floats()), _labels(subject.target, schema, RECORDS)
        if "discriminator" not in networks:
            try:
                subject.target.logit(next(iter(networks.values()))[0], x, labels)
            except IncompatibleError:
                return "it has no discriminator"
            expect(False, "expected logit() to raise IncompatibleError, since there is no discriminator")
        for network in networks["discriminator"]:
            logits = subject.target.logit(network.eval(), x, labels)
            expect(logits.shape == (RECORDS,), f"{schema}: expected one logit per row, got {tuple(logits.shape)}")
            expect(bool(torch.isfinite(logits).all()), f"{schema}: expected finite logits")
    return None


def keeps_records_apart(subject: _Subject) -> str | None:
    """A private row's loss depends on its own record alone, and an empty batch still gives losses.

    Otherwise the gradient of a row is not that of a record, and clipping it protects nobody.
    """
    import torch

    from targets.base import Batch

    if not subject.target.phases():
        return "no phase of it reads records"
    for schema in subject.schemas:
        networks = _built(subject.target, schema, 0)
        records = tiny_records(schema, 4)
        x, labels = torch.from_numpy(records.floats()), torch.from_numpy(np.asarray(records.labels))
        changed = x.clone()
        changed[0] = torch.from_numpy(tiny_records(schema, 1, seed=2).floats())[0]
        for phase in (phase for phase in subject.target.phases() if phase.private):
            where = f"{schema}, phase {phase.name!r}"
            one = _losses(subject.target, phase, networks, Batch(x, labels, 4, schema))
            other = _losses(subject.target, phase, networks, Batch(changed, labels, 4, schema))
            expect(one.private is not None, f"{where} is private: expected losses per real record, got none")
            if one.private is None or other.private is None:
                continue
            expect(one.private.shape == (4,), f"{where}: expected one private loss per record, got {one.private.shape}")
            expect(
                torch.allclose(one.private[1:], other.private[1:], rtol=1e-4, atol=1e-6),
                f"{where}: expected a record's loss to depend on that record alone, but another record moved it",
            )
            expect(one.private[0] != other.private[0], f"{where}: expected the loss of a record to depend on it")
            if one.public is not None:
                expect(one.public.shape == (4,), f"{where}: expected `size` public losses, got {one.public.shape}")
            empty = _losses(subject.target, phase, networks, Batch(x[:0], labels[:0], 4, schema))
            expect(
                empty.private is not None and empty.private.shape == (0,),
                f"{where}: expected no private losses for the empty batch that Poisson sampling may draw",
            )
    return None


RULES: tuple[Rule[_Subject], ...] = (
    declares,
    phases_fit_the_roles,
    refuses_with_a_reason,
    builds_from_its_generator,
    untrained_is_as_built,
    trains,
    generates,
    judges_where_it_has_a_discriminator,
    keeps_records_apart,
)


def check_target(
    target: Target | type[Target], *, schemas: tuple[Schema, ...] = SCHEMAS, leave_out: Collection[str] = ()
) -> Report:
    """Check a target on 8x8 grey images, 10x14 colour images and tables with and without categories, as it admits them.

    Args:
        target: the target, or its class where every option has a default; small options keep this fast.
        schemas: other records to check it on; what was trained elsewhere fits its own alone.
        leave_out: names of rules not to check.

    Raises:
        AssertionError: names every rule that it breaks.
    """
    found = instance(target)
    return check(RULES, _Subject(found, schemas), repr(found), leave_out)


def _built(target: Target, schema: Schema, global_seed: int, seed: int = 0) -> Networks:
    from bench.rng import torch_generator

    disturb(global_seed)
    return target.build(schema, torch_generator(seed, "weights", target.name))


def _labels(target: Target, schema: Schema, n: int) -> torch.Tensor | None:
    """Labels where the target takes them."""
    from bench.devices import Device

    return Draw(Device(), 0, "contract labels").labels(n, schema) if target.conditional else None


def _parameters(networks: Networks) -> dict[str, set[str]]:
    """Role -> names of its parameters; buffers, such as running statistics, change without any training."""
    return {
        role: {
            f"{role}.{index}.{name}" for index, module in enumerate(modules) for name, _ in module.named_parameters()
        }
        for role, modules in networks.items()
    }


def _losses(target: Target, phase: Phase, networks: Networks, batch: Batch) -> Losses:
    """Losses in training mode from the same networks and the same draws every time."""
    import torch

    from bench.devices import Device

    kept = to_tensors(networks)
    with torch.no_grad():
        found = target.losses(phase, networks, batch, Draw(Device(), 0, "contract"))
    from_tensors(networks, kept)  # running statistics must not carry over to the next call
    return found
