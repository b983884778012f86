"""Mixup: rows against a loop over pairs, the shares' distribution, who is mixed with whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from dp_cases import context, request, rows, tiny
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import stats

from bench.attacks.mixed_pairs import MixedPairs
from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, tiny_step
from bench.errors import IncompatibleError
from bench.records import Schema
from bench.rng import generator
from defenses.augmentation import Augmentation
from defenses.base import Defense, Step, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.mixup import Mixup
from targets.base import Batch
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.ddpm import DDPM
from targets.memorizer import Memorizer
from targets.training import train
from targets.tvae import TVAE
from targets.vae import VAE
from targets.wgan_gp import WGANGP

NUMBERS = Schema("table", (4,))


def at(defense: Mixup, seed: int = 0) -> Step:
    """A step with this defense's state of a training's start."""
    target = tiny()
    about = context(target, seed=seed)
    return replace(tiny_step(target), context=about, state=defense.start({}, about))


def unit_rows(n: int) -> torch.Tensor:
    """One-hot rows, whose mixtures show their shares: ``(n, 1, n, 1)``."""
    return torch.eye(n).reshape(n, 1, n, 1)


def shares(defense: Mixup, n: int, seed: int = 0) -> NDArray[np.float64]:
    """``(n, n)``: the share of each record in each row."""
    batch = Batch(unit_rows(n), None, n, Schema("image", (1, n, 1)))
    return defense.transform_batch(batch, at(defense, seed)).x.reshape(n, n).double().numpy()


def test_every_row_is_its_record_and_one_other_and_the_record_dominates() -> None:
    found = shares(Mixup(), 40)
    assert ((found > 0).sum(axis=1) == 2).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    own = found.diagonal()
    assert own.min() >= 0.5
    others = found - np.diag(own)
    assert ((others > 0).sum(axis=0) == 1).all()  # each is a partner once


def test_rows_equal_a_loop_over_pairs() -> None:
    """With shares and partners drawn by hand from a generator of the same name."""
    defense, n = Mixup(alpha=0.4), 7
    batch = Batch(rows(n), torch.arange(n), 8, Schema("image", (1, 10, 12)))
    found = defense.transform_batch(batch, at(defense, seed=3))
    rng = generator(3, "mixup", repr(defense))
    circle = rng.permutation(n).tolist()
    drawn = rng.beta(0.4, 0.4, n).tolist()
    for row in range(n):
        partner = circle[circle.index(row) - 1]
        share = max(drawn[row], 1 - drawn[row])
        expected = share * batch.x[row].double() + (1 - share) * batch.x[partner].double()
        torch.testing.assert_close(found.x[row].double(), expected, rtol=0, atol=1e-6)
    assert found.labels is batch.labels  # the dominating record's
    assert found.size == 8
    assert found.x.dtype == torch.float32
    assert float(found.x.abs().max()) <= 1


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_follow_the_folded_beta_distribution(alpha: float) -> None:
    own = shares(Mixup(alpha=alpha), 1500).diagonal()

    def folded(x: NDArray[np.float64]) -> NDArray[np.float64]:
        beta = stats.beta(alpha, alpha)
        return np.asarray(beta.cdf(x) - beta.cdf(1 - x))  # P(max(l, 1 - l) <= x) for x in [.5, 1]

    assert stats.kstest(own, folded).pvalue > 1e-3


def test_partners_are_anybody_else() -> None:
    """Over many batches each other record is a partner about as often as any."""
    n, batches = 6, 1500
    defense = Mixup()
    step = at(defense)
    batch = Batch(unit_rows(n), None, n, Schema("image", (1, n, 1)))
    counts = np.zeros((n, n))
    for _ in range(batches):
        found = defense.transform_batch(batch, step).x.reshape(n, n).numpy()
        counts += (found > 0) & ~np.eye(n, dtype=bool)
    assert counts.diagonal().sum() == 0
    expected = batches / (n - 1)
    off = counts[~np.eye(n, dtype=bool)]
    assert np.abs(off - expected).max() < 5 * expected**0.5


def test_draws_follow_seed_and_options_and_go_on() -> None:
    first = shares(Mixup(), 12)
    assert np.array_equal(first, shares(Mixup(), 12))
    assert not np.array_equal(first, shares(Mixup(), 12, seed=1))
    assert not np.array_equal(first, shares(Mixup(alpha=2.0), 12))
    defense = Mixup()
    step, batch = at(defense), Batch(rows(5), None, 5, Schema("image", (1, 10, 12)))
    assert not torch.equal(defense.transform_batch(batch, step).x, defense.transform_batch(batch, step).x)


def test_numbers_of_a_table_are_mixed() -> None:
    defense = Mixup()
    x = torch.arange(12.0).reshape(3, 4)
    found = defense.transform_batch(Batch(x, None, 3, NUMBERS), at(defense)).x
    ratio = found - x  # (1 - l)(b - a), where b - a is a multiple of 4 in every column
    torch.testing.assert_close(ratio, ratio[:, :1].expand(-1, 4))
    assert float(ratio.abs().min()) > 0


def test_a_single_row_is_refused() -> None:
    defense = Mixup()
    batch = Batch(rows(1), None, 8, Schema("image", (1, 10, 12)))
    with pytest.raises(IncompatibleError, match="mixup mixes pairs: expected batches of at least 2 records, got 1"):
        defense.transform_batch(batch, at(defense))


def test_the_adaptive_attack_mixes_as_the_defense_does() -> None:
    """The candidate's shares lie where those of a dominating record do."""
    (name,) = Mixup.adaptive
    attack = MixedPairs()
    assert attack.name == name
    assert all(0.5 <= weight <= 1 for weight in attack.options.weights)


@pytest.mark.parametrize("per_record", [DPSGD(noise_multiplier=1.0), ClipOnly()], ids=repr)
def test_no_gradient_belongs_to_one_record(per_record: Defense) -> None:
    assert stack_refuses((Mixup(), per_record), tiny(), GREY) == (
        f"{per_record.name} clips each record's gradient, but under mixup every row of a batch is a mixture of two "
        "records"
    )


@pytest.mark.parametrize(
    ("target", "schema", "reason"),
    [
        (CTGAN(), MIXED, "mixup would make rows that are partly in one category and partly in another"),
        (Memorizer(), GREY, "mixup mixes what a target is trained on, and memorizer has no update that reads records"),
    ],
)
def test_refusals(target: Any, schema: Schema, reason: str) -> None:
    assert stack_refuses((Mixup(),), target, schema) == reason


@pytest.mark.parametrize(
    ("alpha", "message"),
    [(0.0, "greater than 0"), (-1.0, "greater than 0"), (float("inf"), "finite number")],
)
def test_options_out_of_range_are_refused(alpha: float, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mixup(alpha=alpha)


@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (DCGAN(width=4, latent=4), GREY),
        (DCGAN(width=4, latent=4, conditional=True), GREY),
        (WGANGP(width=4, latent=4), GREY),
        (DCGANVAE(width=4, latent=4, feature_level=1), GREY),
        (VAE(width=4, latent=4), GREY),
        (DDPM(width=8, sampling_steps=3), GREY),
        (TVAE(width=8, latent=4), Schema("table", (4,), 3)),
    ],
    ids=str,
)
def test_contract(target: Any, schema: Schema) -> None:
    report = check_defense(Mixup(), target=target, schema=schema)
    assert not any(report.values())


def test_in_a_stack_with_augmentation() -> None:
    assert train(request(tiny(steps=2), Mixup(), Augmentation())).status == "completed"
