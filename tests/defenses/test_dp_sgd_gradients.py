"""Per-record gradients and their clipped sum, against a literal loop over the rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from dp_cases import AutoEncoder, Mode, Private, clipped_sum, rows, tiny
from opacus.grad_sample import GradSampleHooks

from bench.errors import IncompatibleError
from defenses import _grad_sample
from defenses.base import Defense
from defenses.dropout import Dropout
from defenses.weight_norm import WeightNorm
from targets.base import Batch, Draw, Losses, Networks, Phase, Target
from targets.dcgan import DCGAN

CASES: list[tuple[Target, tuple[Defense, ...]]] = [
    (tiny(), ()),
    (tiny(norm="none"), ()),
    (tiny(), (WeightNorm(),)),
    (AutoEncoder(batch_size=8), ()),
    (AutoEncoder(batch_size=8), (WeightNorm(roles=["encoder", "decoder"]),)),
]


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
@pytest.mark.parametrize(("target", "before"), CASES, ids=str)
def test_each_rows_gradient_equals_the_loop(target: Target, before: tuple[Defense, ...], mode: Mode) -> None:
    private = Private(target, before, mode=mode, scale=3.0)
    for n in (1, 6, 13):
        found, expected = private.samples(rows(n)), private.literal(rows(n))
        assert found.shape == expected.shape == (n + (8 if isinstance(target, DCGAN) else 0), found.shape[1])
        assert float(expected.norm(dim=1).min()) > 0
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
@pytest.mark.parametrize("clip", [1e-3, 0.5, 1e3])
@pytest.mark.parametrize(("target", "before"), CASES, ids=str)
def test_the_update_is_the_clipped_sum_over_the_expected_size(
    target: Target, before: tuple[Defense, ...], clip: float, mode: Mode
) -> None:
    private = Private(target, before, clip=clip, mode=mode, scale=3.0)
    for n in (0, 3, 11):
        expected = clipped_sum(private.literal(rows(n)), clip)
        found = private.summed(rows(n))
        torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-5 * max(1e-3, float(expected.norm())))


def test_the_clip_is_joint_over_all_private_networks() -> None:
    private = Private(AutoEncoder(batch_size=8), clip=0.7)
    samples = private.literal(rows(1))
    assert float(samples.norm()) > 10 * private.clip
    summed = private.summed(rows(1))
    assert float(summed.norm()) == pytest.approx(private.clip, rel=1e-4)
    # Clipped one network at a time, the same row would be sqrt(2) times as long.
    first = sum(p.numel() for p in private.networks["encoder"][0].parameters())
    parts = [clipped_sum(part, private.clip) for part in (samples[:, :first], samples[:, first:])]
    assert float(torch.cat(parts).norm()) == pytest.approx(2**0.5 * private.clip, rel=1e-4)


def test_dropout_masks_belong_to_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the masks of one pass replayed, the gradients of the loop are those of the hooks."""
    private, masks = Private(tiny(), (Dropout(rate=0.4),), scale=3.0), []
    draw_uniform = Draw.uniform

    def record(self: Draw, *shape: int) -> torch.Tensor:
        masks.append(draw_uniform(self, *shape))
        return masks[-1]

    monkeypatch.setattr(Draw, "uniform", record)
    found = private.samples(rows(5))
    assert masks
    replayed = iter(list(masks))
    monkeypatch.setattr(Draw, "uniform", lambda self, *shape: next(replayed))
    expected = private.literal(rows(5))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_mean_reduction_in_the_hooks_would_scale_every_gradient_by_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Private(tiny(), clip=1e6)
    hooks = _grad_sample.RecordHooks

    def planted(module: torch.nn.Module, **given: Any) -> _grad_sample.RecordHooks:
        return hooks(module, **{**given, "loss_reduction": "mean"})

    monkeypatch.setattr(_grad_sample, "RecordHooks", planted)
    trapped = Private(tiny(), clip=1e6)
    for n in (4, 12):
        scaled = (n + 8) * ours.samples(rows(n))
        atol = 1e-5 * float(scaled.abs().max())
        torch.testing.assert_close(trapped.samples(rows(n)), scaled, rtol=1e-4, atol=atol)
        assert float(trapped.summed(rows(n)).norm()) == pytest.approx((n + 8) * float(ours.summed(rows(n)).norm()))
        torch.testing.assert_close(ours.samples(rows(n)), ours.literal(rows(n)), rtol=1e-4, atol=atol)


class TwoPasses(DCGAN):
    """Shows the discriminator real and generated rows one after the other."""

    name = "two_passes"

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        if phase.name == "generator":
            return super().losses(phase, networks, batch, draw)
        (judge,) = networks["discriminator"]
        made = self.generate(networks, batch.size, draw).detach()
        return Losses(-self.logit(judge, batch.x), self.logit(judge, made))


def test_two_passes_through_a_private_network_are_refused() -> None:
    private = Private(TwoPasses(batch_size=8, width=4, latent=5))
    with pytest.raises(IncompatibleError, match=r"one pass through .* expected 13 gradient samples .* got \{8\}"):
        private.summed(rows(5))


def test_no_per_record_gradient_outlives_its_step() -> None:
    private = Private(tiny())
    private.summed(rows(5))
    assert all(p.grad_sample is None and p.summed_grad is None for p in private.parameters)  # type: ignore[attr-defined]
    assert not any(getattr(module, "activations", []) for module in private.networks["discriminator"][0].modules())


def test_channels_last_records_would_mislead_opacus_own_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap behind ``RecordHooks``: tensors laid out as the loader does give wrong gradients in silence."""
    x = rows(6).to(memory_format=torch.channels_last)
    ours = Private(tiny(), scale=3.0)
    expected = ours.literal(x)
    torch.testing.assert_close(ours.samples(x), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    monkeypatch.setattr(_grad_sample, "RecordHooks", GradSampleHooks)
    wrong = Private(tiny(), scale=3.0).samples(x)
    assert float((wrong - expected).norm() / expected.norm()) > 0.1
