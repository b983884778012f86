"""The contract of defenses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contracts.rules import Report, Rule, check, declaration, expect, instance
from bench.contracts.tiny import GREY, differing, run, shortened, tiny_records, tiny_request
from bench.errors import PluginError, StoreError
from bench.records import Schema
from defenses.base import Defense, checked_filter, stack_refuses
from targets.base import Target, from_tensors, to_tensors

if TYPE_CHECKING:
    from targets.training import TrainingRequest, TrainingResult

FAMILIES = ("none", "regulariser", "privacy", "architecture", "release")
STEPS = 3


class AnotherDefense(Defense):
    """A second defense of a stack, which does nothing."""

    name = "another_defense"


class AnotherPerRecord(Defense):
    """A second defense of a stack that needs per-record gradients."""

    name = "another_per_record"
    per_record = True


@dataclass(frozen=True)
class _Subject:
    defense: Defense
    target: Target
    schema: Schema
    steps: int

    @property
    def refused(self) -> str | None:
        return stack_refuses([self.defense], self.target, self.schema)

    def request(self, defenses: Sequence[Defense]) -> TrainingRequest:
        return tiny_request(shortened(self.target, self.steps), defenses, self.schema)

    @cached_property
    def trained(self) -> TrainingResult:
        return run(self.request([self.defense]), 1)


def declares(subject: _Subject) -> None:
    defense = subject.defense
    expect(isinstance(defense, Defense), f"expected a subclass of Defense, got {type(defense).__name__}")
    declaration(defense)
    expect(defense.family in FAMILIES, f"expected `family` to be one of {FAMILIES}, got {defense.family!r}")
    expect(
        isinstance(defense.adaptive, tuple) and all(isinstance(name, str) for name in defense.adaptive),
        f"expected `adaptive` to be a tuple of names of attacks, got {defense.adaptive!r}",
    )


def refuses_with_a_reason(subject: _Subject) -> None:
    reason = subject.defense.refuses(subject.target, subject.schema, ())
    expect(reason is None or (isinstance(reason, str) and reason), f"expected None or a reason, got {reason!r}")


def stacks_in_order(subject: _Subject) -> str | None:
    """What needs per-record gradients closes a stack, and a wrong order is refused with the right one."""
    if (reason := subject.refused) is not None:
        return reason
    defense, target, schema = subject.defense, subject.target, subject.schema
    first, last = AnotherDefense(), AnotherPerRecord()
    if defense.per_record:
        _expect_order([defense, first], [first, defense], target, schema)
    elif defense.replaces_procedure:
        _expect_order([first, defense], [defense, first], target, schema)
        refused = stack_refuses([defense, last], target, schema)
        expect(refused, "expected clipping per record to be refused where the procedure is replaced")
    else:
        _expect_order([last, defense], [defense, last], target, schema)
    expect(stack_refuses([defense, defense], target, schema), "expected the same defense twice to be refused")
    return None


def _expect_order(wrong: Sequence[Defense], right: Sequence[Defense], target: Target, schema: Schema) -> None:
    order = "[" + ", ".join(d.name for d in right) + "]"
    reason = stack_refuses(wrong, target, schema)
    possible = stack_refuses(right, target, schema) is None  # else the pair has a reason of its own
    expect(
        reason and (order in reason or not possible),
        f"expected {[d.name for d in wrong]} to be refused with the right order {order}, got {reason!r}; "
        "does refuses() call super().refuses()?",
    )
    expect(
        possible or not any(isinstance(d, AnotherDefense) for d in right),
        f"expected {order} to do, since another_defense changes nothing, got: {stack_refuses(right, target, schema)}",
    )


def keeps_the_roles(subject: _Subject) -> str | None:
    """The networks keep their roles and can be built again to load the trained weights."""
    from targets.training import build_networks, context_of, generate, set_mode

    if (reason := subject.refused) is not None:
        return reason
    request = subject.request([subject.defense])
    plain = build_networks(request.target, (), context_of(request))
    for networks in (build_networks(request.target, request.defenses, context_of(request)), subject.trained.networks):
        expect(set(networks) >= set(plain), f"expected the roles {sorted(plain)}, got {sorted(networks)}")
        for role in plain:
            expect(isinstance(networks[role], tuple) and networks[role], f"expected a tuple of networks as {role!r}")
    rebuilt = build_networks(request.target, request.defenses, context_of(request))
    try:
        from_tensors(rebuilt, to_tensors(subject.trained.networks))
    except StoreError as error:
        expect(False, f"expected to load trained weights into rebuilt networks, but {error}")
    set_mode(rebuilt, train=False)
    made = [
        generate(request.target, networks, subject.schema, 5, 0, request.device)
        for networks in (subject.trained.networks, rebuilt)
    ]
    expect(made[0].shape == (5, *subject.schema.shape), f"expected generated records, got shape {made[0].shape}")
    expect(made[0].tobytes() == made[1].tobytes(), "expected the rebuilt release to generate the same records")
    return None


def same_seed_same_weights(subject: _Subject) -> str | None:
    if (reason := subject.refused) is not None:
        return reason
    first, second = subject.trained, run(subject.request([subject.defense]), 2)
    names = differing(first.networks, second.networks)
    expect(
        not names,
        f"expected two runs of one seed to agree bit for bit, but {names[:3]} differ: draw from `draw` or bench.rng",
    )
    return None


def changes_something(subject: _Subject) -> str | None:
    """The weights, the networks or the released records differ from those of the undefended run."""
    if (reason := subject.refused) is not None:
        return reason
    same, rejects = not differing(subject.trained.networks, run(subject.request(())).networks), _rejects(subject)
    if subject.defense.family == "none":
        expect(same, "expected the baseline to change nothing")
        return None
    expect(
        not same or rejects,
        f"expected the defense to change weights or released records, but after {subject.steps} steps there is no "
        "difference to the undefended run: it is inert",
    )
    return None


def _rejects(subject: _Subject) -> bool:
    """Whether the filter holds back some of the members' copies or of fresh records."""
    members, validation = tiny_records(subject.schema), tiny_records(subject.schema, seed=1)
    samples: np.ndarray[Any, Any] = np.concatenate([members.x, tiny_records(subject.schema, seed=2).x])
    try:
        mask = checked_filter(subject.defense, samples, members, validation)
    except PluginError as error:
        raise AssertionError(str(error)) from error
    if mask is None:
        return False
    return not bool(mask.all())


RULES: tuple[Rule[_Subject], ...] = (
    declares,
    refuses_with_a_reason,
    stacks_in_order,
    keeps_the_roles,
    same_seed_same_weights,
    changes_something,
)


def check_defense(
    defense: Defense | type[Defense],
    *,
    target: Target | None = None,
    schema: Schema = GREY,
    steps: int = STEPS,
    leave_out: Collection[str] = (),
) -> Report:
    """Check a defense: declared fully, keeps networks and stack order, repeats itself exactly, is not inert.

    Args:
        defense: the defense, or its class where every option has a default.
        target: what it is tried on; a small DCGAN if not given.
        schema: the records that the target is trained on.
        steps: training steps; more for a defense that acts late.
        leave_out: names of rules not to check.

    Raises:
        AssertionError: names every rule that it breaks.
    """
    found = instance(defense)
    return check(RULES, _Subject(found, target or _small_dcgan(), schema, steps), repr(found), leave_out)


def _small_dcgan() -> Target:
    from targets.dcgan import DCGAN

    return DCGAN(width=4, latent=4)
