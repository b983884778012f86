"""The loop: same seed same bytes, fair update counts, phases that touch only their own networks."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits
from training_cases import AfterStep, noise_records, request, run, same, tiny, watched, weights

from bench.devices import Device
from bench.errors import InputError, PluginError
from bench.rng import generator, torch_generator
from defenses.base import Defense
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.none import NoDefense
from defenses.weight_norm import WeightNorm
from targets.base import SNAPSHOTS, Batch, Draw, Losses, Networks, Phase, snapshot_steps
from targets.dcgan import DCGAN
from targets.training import (
    TrainingRequest,
    TrainingResult,
    build_networks,
    context_of,
    generate,
    train,
)

STACKS: list[tuple[Defense, ...]] = [
    (NoDefense(),),
    (WeightNorm(),),
    (Dropout(rate=0.4),),
    (DPSGD(noise_multiplier=1.0),),
    (WeightNorm(), Dropout(), DPSGD(noise_multiplier=1.0)),
]


@pytest.mark.parametrize("stack", STACKS, ids=repr)
def test_same_seed_same_bytes_whatever_else_draws_or_looks(stack: tuple[Defense, ...]) -> None:
    target = tiny(steps=12)
    first = run(target, *stack, snapshot_records=3)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        again = run(target, *stack, snapshot_records=3)
        unseen = run(target, *stack)  # without snapshots
    for other in (again, unseen):
        assert same(weights(first.networks), weights(other.networks))
        assert first.history.keys() == other.history.keys()
        assert all(np.array_equal(first.history[name], other.history[name]) for name in first.history)
    assert np.array_equal(first.snapshots, again.snapshots)
    assert not same(weights(first.networks), weights(run(target, *stack, seed=1).networks))


def test_training_draws_nothing_from_global_generators() -> None:
    def state_after(steps: int) -> tuple[torch.Tensor, object]:
        with torch.random.fork_rng():
            torch.manual_seed(7)
            stack = (WeightNorm(), Dropout(), DPSGD(noise_multiplier=1.0))
            run(tiny(steps=steps), *stack, snapshot_records=3 if steps else 0)
            return torch.get_rng_state(), random.getstate()

    # Layers draw weights when they are made, which the target's own then replace; so only building may draw.
    (built, python), (trained, python_after) = state_after(0), state_after(6)
    assert torch.equal(built, trained)
    assert python == python_after


@pytest.mark.parametrize("stack", [*STACKS, (ClipOnly(),)], ids=repr)
def test_defended_and_undefended_networks_get_as_many_updates(stack: tuple[Defense, ...]) -> None:
    updates: Counter[str] = Counter()
    run(tiny(steps=7), AfterStep(lambda phase: updates.update([phase.name])), *stack)
    assert updates == {"discriminator": 7, "generator": 7}


@pytest.mark.parametrize("stack", STACKS, ids=repr)
def test_a_phase_changes_the_parameters_of_its_own_roles_only(stack: tuple[Defense, ...]) -> None:
    seen: list[tuple[str, dict[str, torch.Tensor], dict[str, bool]]] = []

    def watch(phase: Phase, networks: Networks, batch: Batch, losses: Losses) -> None:
        values = {f"{r}.{n}": p.detach().clone() for r, (m,) in networks.items() for n, p in m.named_parameters()}
        trains = {f"{r}.{n}": p.requires_grad for r, (m,) in networks.items() for n, p in m.named_parameters()}
        seen.append((phase.name, values, trains))

    result = run(watched(watch), *stack)
    assert [name for name, *_ in seen] == ["discriminator", "generator"] * 6
    for (phase, before, trains), (_, after, _) in pairwise(seen):
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        own = {name for name in before if name.startswith(phase)}
        assert changed == own
        assert {name for name, flag in trains.items() if flag} == own
    assert all(p.requires_grad for (module,) in result.networks.values() for p in module.parameters())


def test_the_generators_phase_leaves_the_discriminators_gradients_alone() -> None:
    held: dict[str, list[torch.Tensor | None]] = {}
    compared = 0

    def gradients(networks: Networks) -> list[torch.Tensor | None]:
        return [None if p.grad is None else p.grad.clone() for p in networks["discriminator"][0].parameters()]

    def watch(phase: Phase, networks: Networks, batch: Batch, losses: Losses) -> None:
        held["networks"] = [networks]  # type: ignore[list-item]
        held["before"] = gradients(networks)

    def before(phase: Phase) -> None:  # after the backward pass, before the step
        nonlocal compared
        if phase.name == "generator":
            now = gradients(held["networks"][0])  # type: ignore[arg-type]
            assert all(a is not None and b is not None for a, b in zip(held["before"], now, strict=True))
            assert all(torch.equal(a, b) for a, b in zip(held["before"], now, strict=True))  # type: ignore[arg-type]
            compared += 1

    run(watched(watch), AfterStep(before=before))
    assert compared == 6


@pytest.mark.parametrize("stack", [(NoDefense(),), (DPSGD(noise_multiplier=1.0),)], ids=repr)
def test_a_public_phase_gets_no_real_records_and_the_public_size(stack: tuple[Defense, ...]) -> None:
    seen: list[tuple[str, int, int, bool]] = []
    target = watched(
        lambda phase, networks, batch, losses: seen.append(
            (phase.name, len(batch.x), batch.size, batch.labels is None or len(batch.labels) == len(batch.x))
        )
    )
    train(replace(request(target, *stack), records=noise_records(30, labels=True)))
    assert {(rows, size, fits) for name, rows, size, fits in seen if name == "generator"} == {(0, 8, True)}
    assert {size for name, _, size, fits in seen if name == "discriminator" and fits} == {8}


def test_latents_do_not_depend_on_how_many_records_were_drawn() -> None:
    class Noted(DCGAN):
        name = "noted"
        drawn: ClassVar[list[torch.Tensor]] = []

        def latent(self, n: int, draw: Draw) -> torch.Tensor:
            self.drawn.append(super().latent(n, draw))
            return self.drawn[-1]

    run(tiny(Noted))  # full batches
    run(tiny(Noted), ClipOnly())  # Poisson batches
    run(tiny(Noted), ClipOnly(), n=3, expected_records=300)  # nearly always empty
    assert len(Noted.drawn) == 36
    assert all(torch.equal(a, b) for a, b in zip(Noted.drawn[:12], Noted.drawn[12:24], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(Noted.drawn[:12], Noted.drawn[24:], strict=True))


@pytest.mark.parametrize("norm", ["group", "none", "batch"])
def test_losses_are_binary_cross_entropies_averaged_over_each_half(norm: str) -> None:
    target = tiny(norm=norm)
    asked = request(target)
    networks = build_networks(target, (), context_of(asked))
    x = torch.from_numpy(asked.records.floats()[:8])
    (judge,), (maker,) = networks["discriminator"], networks["generator"]
    private, public = target.phases()
    for phase in (private, public):
        losses = target.losses(phase, networks, Batch(x, None, 8, asked.records.schema), Draw(Device(), 5, "test"))
        fake = maker(Draw(Device(), 5, "test").normal(8, 5))
        real = judge(x)[:, 0]
        made = judge(fake)[:, 0]
        expected = binary_cross_entropy_with_logits(made, torch.ones(8))
        if phase is private:
            expected = binary_cross_entropy_with_logits(real, torch.ones(8)) + binary_cross_entropy_with_logits(
                made, torch.zeros(8)
            )
        assert (losses.private is None) == (phase is public)
        torch.testing.assert_close(losses.total() / 8, expected)


def test_the_history_holds_each_phases_loss_and_gradient_norm() -> None:
    losses: dict[str, list[float]] = {"generator": [], "discriminator": []}
    norms: dict[str, list[float]] = {"generator": [], "discriminator": []}
    networks: list[Networks] = []

    def watch(phase: Phase, nets: Networks, batch: Batch, found: Losses) -> None:
        networks[:] = [nets]
        losses[phase.name].append(float(found.total().detach()) / 8)

    def before(phase: Phase) -> None:
        (module,) = networks[0][phase.name]
        flat = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
        norms[phase.name].append(float(flat.double().norm()))

    result = run(watched(watch), AfterStep(before=before))
    assert sorted(result.history) == [f"{kind}/{p}" for kind in ("grad_norm", "loss") for p in sorted(losses)]
    for phase in losses:
        assert result.history[f"loss/{phase}"] == pytest.approx(losses[phase], rel=1e-6)
        assert result.history[f"grad_norm/{phase}"] == pytest.approx(norms[phase], rel=1e-5)


def test_a_loop_written_out_trains_the_same_weights() -> None:
    """Adam, batches and latents by hand, from the same named generators."""
    target = tiny(steps=4, learning_rate=2e-4, discriminator_learning_rate=1e-3, norm="none")
    asked = request(target, n=8)
    networks = target.build(asked.records.schema, torch_generator(0, "weights", "dcgan"))
    (judge,), (maker,) = networks["discriminator"], networks["generator"]
    d_adam = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.999))
    g_adam = torch.optim.Adam(maker.parameters(), lr=2e-4, betas=(0.5, 0.999))
    order, latents = generator(0, "shuffle"), torch_generator(0, "noise")
    ones, zeros = torch.ones(8), torch.zeros(8)
    for _ in range(4):
        x = torch.from_numpy(asked.records.floats()[order.permutation(8)])
        fake = maker(torch.randn(8, 5, generator=latents)).detach()
        d_adam.zero_grad()
        loss = binary_cross_entropy_with_logits(judge(x)[:, 0], ones)
        (loss + binary_cross_entropy_with_logits(judge(fake)[:, 0], zeros)).backward()  # type: ignore[no-untyped-call]
        d_adam.step()
        g_adam.zero_grad()
        made = judge(maker(torch.randn(8, 5, generator=latents)))[:, 0]
        binary_cross_entropy_with_logits(made, ones).backward()  # type: ignore[no-untyped-call]
        g_adam.step()
    found = weights(train(asked).networks)
    assert found.keys() == weights(networks).keys()
    for name, tensor in weights(networks).items():
        if tensor.dim() >= 2:  # a bias before a norm has no gradient but rounding, which Adam makes a full step of
            torch.testing.assert_close(found[name], tensor, atol=2e-5, rtol=1e-4)


@given(steps=st.integers(0, 5000))
def test_snapshot_steps_are_even_and_end_with_the_last(steps: int) -> None:
    found = snapshot_steps(steps)
    assert list(found) == sorted(set(found))
    assert len(found) == min(steps, SNAPSHOTS) if steps >= SNAPSHOTS else len(found) <= steps
    assert found[-1:] == ((steps,) if steps else ())
    if steps >= SNAPSHOTS:
        assert max(abs(step - steps * (i + 1) / SNAPSHOTS) for i, step in enumerate(found)) <= 0.5


def test_snapshots_show_the_target_as_it_was_at_their_steps() -> None:
    long = run(tiny(steps=2 * SNAPSHOTS), snapshot_records=4)
    assert long.snapshot_steps == tuple(range(2, 2 * SNAPSHOTS + 1, 2))
    assert long.snapshots.shape == (SNAPSHOTS, 4, 1, 10, 12)
    assert long.snapshots.dtype == np.uint8
    for steps in (2, 10, 2 * SNAPSHOTS):
        short = run(tiny(steps=steps))
        made = generate(tiny(), short.networks, noise_records(1).schema, 4, 0, Device())
        assert np.array_equal(long.snapshots[steps // 2 - 1], made)


def test_generating_leaves_modes_and_weights_as_they_were_and_is_chunk_free() -> None:
    result = run(tiny())
    (maker,), (judge,) = result.networks["generator"], result.networks["discriminator"]
    maker.train()
    before = weights(result.networks)
    schema = noise_records(1).schema
    whole = generate(tiny(), result.networks, schema, 10, 0, Device())
    parts = generate(tiny(), result.networks, schema, 10, 0, Device(), chunk=10)
    assert maker.training
    assert not judge.training
    assert same(before, weights(result.networks))
    assert np.array_equal(whole, parts)


def test_no_steps_give_the_untrained_networks_even_without_records() -> None:
    asked = request(tiny(steps=0), n=0, expected_records=30, snapshot_records=3)
    result = train(asked)
    assert (result.status, result.steps_done, result.history, result.snapshot_steps) == ("completed", 0, {}, ())
    assert same(weights(result.networks), weights(build_networks(asked.target, (), context_of(asked))))
    assert not any(module.training for (module,) in result.networks.values())


def test_no_records_are_the_users_error() -> None:
    with pytest.raises(InputError, match="expected at least one record to train dcgan on, got none"):
        run(tiny(), n=0, expected_records=30)


def test_progress_ends_with_all_steps() -> None:
    told: list[tuple[int, int]] = []
    run(tiny(steps=60), progress=lambda done, total: told.append((done, total)))
    assert told == [(25, 60), (50, 60), (60, 60)]


@pytest.mark.parametrize("private", [False, True])
def test_autocast_covers_all_but_the_per_record_phase(private: bool) -> None:
    seen: dict[str, set[torch.dtype]] = {"discriminator": set(), "generator": set()}

    def watch(phase: Phase, networks: Networks, batch: Batch, losses: Losses) -> None:
        assert losses.public is not None
        seen[phase.name].add(losses.public.dtype)
        assert losses.total().dtype == torch.float32

    stack = (DPSGD(noise_multiplier=1.0),) if private else ()
    result = run(watched(watch), *stack, device=Device(precision="bf16"))
    exact = run(watched(watch), *stack)
    assert result.status == "completed"
    low = torch.bfloat16
    assert seen["generator"] == {low, torch.float32}  # bf16 first, float32 in the run without autocast
    assert seen["discriminator"] == ({torch.float32} if private else {low, torch.float32})
    assert all(p.dtype == torch.float32 for (module,) in result.networks.values() for p in module.parameters())
    assert not same(weights(result.networks), weights(exact.networks))
    for name, values in result.history.items():
        if name.startswith("loss/"):
            assert values[:2] == pytest.approx(exact.history[name][:2], rel=0.02)


def test_a_defense_may_replace_the_whole_procedure() -> None:
    class Instead(Defense):
        name = "instead"
        replaces_procedure = True

        def procedure(self, request: TrainingRequest) -> TrainingResult:
            return replace(train(replace(request, defenses=())), steps_done=-1)

    assert run(tiny(), NoDefense(), Instead()).steps_done == -1


@pytest.mark.parametrize(
    ("changed", "declared", "message"),
    [
        ({}, {"partitions": 2}, "expected `parts` of the result where `partitions` is set and nowhere else, got none"),
        ({"parts": np.zeros(3, np.int64)}, {"partitions": 2}, "expected `parts` to be int64"),
        ({"parts": "over"}, {"partitions": 2}, "expected `parts` to be int64"),
        ({"parts": "fine"}, {}, "got some with partitions 0"),
        ({}, {"releases_updates": True}, "expected `updates` of the result where `releases_updates` is set"),
    ],
)
def test_what_a_procedure_leaves_is_what_it_declares(
    changed: dict[str, Any], declared: dict[str, Any], message: str
) -> None:
    class Instead(Defense):
        name = "instead"
        replaces_procedure = True

        def procedure(self, request: TrainingRequest) -> TrainingResult:
            result, left = train(replace(request, defenses=())), dict(changed)
            if isinstance(left.get("parts"), str):
                left["parts"] = np.full(len(request.records), 2 if left["parts"] == "over" else 0, np.int64)
            return replace(result, **left)

    defense = type("Declared", (Instead,), declared)()
    with pytest.raises(PluginError, match=message):
        run(tiny(), defense)


def test_a_procedure_that_is_not_there_says_so() -> None:
    class Without(Defense):
        name = "without"
        replaces_procedure = True

    with pytest.raises(NotImplementedError, match="without sets replaces_procedure, so it must implement procedure"):
        run(tiny(), Without())
