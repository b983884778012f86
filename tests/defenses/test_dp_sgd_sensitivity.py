"""What one record can change: at most the clip norm, and nothing else's gradient."""

from __future__ import annotations

import pytest
import torch
from dp_cases import AutoEncoder, Private, rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from defenses.base import Defense
from defenses.weight_norm import WeightNorm
from targets.base import Batch, Draw, Losses, Networks, Phase
from targets.dcgan import DCGAN


@pytest.mark.parametrize("before", [(), (WeightNorm(),)], ids=str)
def test_generated_rows_gradients_do_not_depend_on_how_many_records_were_drawn(before: tuple[Defense, ...]) -> None:
    private = Private(tiny(), before, scale=3.0)
    few, many = private.samples(rows(20))[20:], private.samples(rows(40))[40:]
    none = private.samples(rows(0))
    assert few.shape == many.shape == none.shape == (8, few.shape[1])
    scale = float(few.abs().max())
    torch.testing.assert_close(few, many, rtol=1e-5, atol=1e-6 * scale)
    torch.testing.assert_close(few, none, rtol=1e-5, atol=1e-6 * scale)


class TwoMeans(DCGAN):
    """The published mistake: each half divided by its own number of rows."""

    name = "two_means"

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        losses = super().losses(phase, networks, batch, draw)
        assert losses.private is not None
        assert losses.public is not None
        total = len(losses.private) + len(losses.public)
        return Losses(losses.private * total / len(losses.private), losses.public * total / len(losses.public))


def test_two_means_would_make_them_depend_on_it() -> None:
    private = Private(TwoMeans(batch_size=8, width=4, latent=5), scale=3.0)
    few, many = private.samples(rows(20))[20:], private.samples(rows(40))[40:]
    assert float(many.norm() / few.norm()) == pytest.approx(48 / 28, rel=1e-3)


@given(
    seed=st.integers(0, 50),
    n=st.integers(0, 12),
    place=st.floats(0, 1),
    clip=st.sampled_from([0.01, 0.5, 20.0]),
    scale=st.sampled_from([0.3, 1.0, 8.0]),
    auto_encoder=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_one_record_moves_the_sum_by_at_most_the_clip_norm(
    seed: int, n: int, place: float, clip: float, scale: float, auto_encoder: bool
) -> None:
    target = AutoEncoder(batch_size=8) if auto_encoder else tiny()
    private = Private(target, clip=clip, scale=scale, seed=seed)
    with_all = rows(n + 1, seed)
    k = min(n, int(place * (n + 1)))
    without = torch.cat([with_all[:k], with_all[k + 1 :]])
    moved = private.summed(with_all) - private.summed(without)
    rounding = 1e-5 * clip * (n + 9)
    assert float(moved.norm()) <= clip + rounding
    # And it is exactly that record's own clipped gradient.
    own = private.literal(with_all)[k]
    expected = own * min(1.0, clip / float(own.norm()))
    assert float((moved - expected).norm()) <= rounding


def test_a_record_as_large_as_can_be_stays_within_the_clip_norm() -> None:
    private = Private(tiny(), clip=0.3, scale=30.0)
    x = torch.cat([rows(4), 1e6 * rows(1, seed=9)])
    assert float((private.summed(x) - private.summed(x[:4])).norm()) <= 0.3 * (1 + 1e-4)


def test_a_private_row_reads_no_other_record() -> None:
    private = Private(tiny())
    x = rows(6).requires_grad_()
    losses = private.losses(x)
    assert losses.private is not None
    assert losses.public is not None
    for i, loss in enumerate(losses.private):
        (gradient,) = torch.autograd.grad(loss, x, retain_graph=True)
        assert set(gradient.abs().amax(dim=(1, 2, 3)).nonzero().flatten().tolist()) == {i}
    (public,) = torch.autograd.grad(losses.public.sum(), x)
    assert float(public.abs().max()) == 0
