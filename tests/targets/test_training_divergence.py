"""Divergence: found at its step, cut there, and under a privacy claim told from noisy values alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from training_cases import AfterStep, Watched, run, same, watched, weights

from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from targets.base import Batch, Losses, Networks, Phase, snapshot_steps


def bomb(at: int, added: float, phase_name: str = "discriminator", half: str = "private", steps: int = 60) -> Watched:
    """A DCGAN with ``added`` on one half's losses at step ``at``."""
    count = 0

    def watch(phase: Phase, networks: Networks, batch: Batch, losses: Losses) -> Losses | None:
        nonlocal count
        if phase.name != phase_name:
            return None
        count += 1
        if count != at:
            return None
        parts = {"private": losses.private, "public": losses.public}
        part = parts[half]
        assert part is not None
        parts[half] = part * added if math.isnan(added) else part + added  # NaN reaches the gradient, a sum does not
        return Losses(**parts)

    return watched(watch, steps=steps)


@pytest.mark.parametrize("at", [1, 7, 25, 26, 60])
@pytest.mark.parametrize("added", [math.nan, math.inf, 2e4, -2e4])
def test_divergence_is_reported_at_its_step_and_the_history_ends_there(at: int, added: float) -> None:
    result = run(bomb(at, added), snapshot_records=2)
    assert (result.status, result.steps_done) == ("diverged", at)
    assert {len(values) for values in result.history.values()} == {at}
    last = result.history["loss/discriminator"]
    assert not abs(last[-1]) <= 1e4
    assert np.isfinite(last[:-1]).all()
    assert result.snapshot_steps == tuple(step for step in snapshot_steps(60) if step < at)
    assert len(result.snapshots) == len(result.snapshot_steps)


@pytest.mark.parametrize(("added", "status"), [(9_990.0, "completed"), (10_001.0, "diverged"), (-10_003.0, "diverged")])
def test_the_targets_limit_decides(added: float, status: str) -> None:
    result = run(bomb(3, added, half="public", phase_name="generator"))
    assert (result.status, result.steps_done) == (status, 60 if status == "completed" else 3)


def spoil(choose: Callable[[Networks], torch.Tensor], value: float) -> tuple[Watched, AfterStep]:
    """Training of 30 steps whose weights are spoilt by the very last update, after all losses were finite."""
    held: list[Networks] = []
    done = 0

    def after(phase: Phase) -> None:
        nonlocal done
        done += phase.name == "generator"
        if phase.name == "generator" and done == 30:
            with torch.no_grad():
                choose(held[0]).fill_(value)

    return watched(lambda p, networks, b, losses: held.__setitem__(slice(None), [networks]), steps=30), AfterStep(after)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "choose",
    [
        lambda networks: next(networks["discriminator"][0].parameters()),
        lambda networks: next(networks["generator"][0].parameters()),
        lambda networks: next(b for b in networks["generator"][0].buffers() if b.is_floating_point()),
    ],
    ids=["discriminator weight", "generator weight", "generator's running mean"],
)
def test_a_last_update_that_spoils_the_weights_is_found(
    choose: Callable[[Networks], torch.Tensor], value: float
) -> None:
    result = run(*spoil(choose, value))
    assert (result.status, result.steps_done) == ("diverged", 30)
    assert all(np.isfinite(values).all() for values in result.history.values())
    assert run(*spoil(choose, 0.5)).status == "completed"


def test_stopping_does_not_read_the_private_loss_where_a_claim_is_made() -> None:
    """A constant on the private losses has no gradient: everything that noise covers stays the same."""
    assert run(bomb(3, 2e4)).status == "diverged"
    for defense in (DPSGD(noise_multiplier=1.0), ClipOnly()):
        result, plain = run(bomb(3, 2e4), defense), run(bomb(3, 0.0), defense)
        assert (result.status, result.steps_done) == ("completed", 60)
        assert result.history["loss/discriminator"][2] > 1e4 > plain.history["loss/discriminator"][2]
        assert same(weights(result.networks), weights(plain.networks))


@pytest.mark.parametrize("half", ["private", "public"])
def test_a_gradient_that_overflows_under_dp_sgd_counts_as_nothing(half: str) -> None:
    """A clip multiplies, and 0 * NaN is NaN: unbounded, one record would show in the weights of everybody."""
    result = run(bomb(7, math.nan, half=half), DPSGD(noise_multiplier=1.0))
    assert (result.status, result.steps_done) == ("completed", 60)
    assert all(bool(torch.isfinite(w).all()) for w in weights(result.networks).values())


def test_divergence_under_dp_sgd_is_still_found_and_every_planned_step_stays_claimed() -> None:
    result = run(bomb(7, math.nan, "generator", "public"), DPSGD(noise_multiplier=1.0))
    assert (result.status, result.steps_done) == ("diverged", 7)
    assert result.claim is not None
    # Losses are looked at every 25 steps, so 25 noisy updates were made; what they led to decided when to stop.
    assert result.claim.steps == 60
    assert result.claim.epsilon is not None
