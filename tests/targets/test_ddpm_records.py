"""Per-record gradients of the diffusion model: Opacus against single records, several times of a record as one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from training_cases import noise_records, request

from bench.devices import Device
from bench.records import Records, Schema
from bench.rng import generator
from defenses._per_record import PerRecordUpdater
from targets.base import Batch, Draw, Losses, parameters
from targets.ddpm import DDPM
from targets.training import build_networks, context_of

LABELLED = Schema("image", (1, 10, 12), 3)
CLIP = 0.05


class Case:
    """One private step of a small model, by Opacus and by hand."""

    def __init__(self, mode: Literal["hooks", "functorch"] = "hooks", **options: Any) -> None:
        self.target = DDPM(steps=6, batch_size=8, width=8, conditional=True, timesteps=100, **options)
        self.phase = self.target.phases()[0]
        about = context_of(replace(request(self.target), records=labelled(30)))
        self.networks = build_networks(self.target, (), about)
        self.parameters = parameters(self.networks, ["denoiser"])
        self.updater = PerRecordUpdater(
            self.phase,
            self.networks,
            torch.optim.SGD(self.parameters, lr=1e-30),
            about,
            noise_multiplier=0.0,
            max_grad_norm=CLIP,
            mode=mode,
        )
        records = labelled(5, seed=2)
        assert records.labels is not None
        self.x = torch.from_numpy(records.floats()).contiguous(memory_format=torch.channels_last)
        self.labels = torch.from_numpy(records.labels)

    def losses(self, draw: Draw, rows: slice = slice(None)) -> Losses:
        batch = Batch(self.x[rows], self.labels[rows], 8, LABELLED)
        return self.target.losses(self.phase, self.networks, batch, draw)

    def of_opacus(self) -> torch.Tensor:
        """Gradient of each record, ``(5, parameters)``."""
        self.updater.begin()
        with quiet_hooks():
            self.losses(Draw(Device(), 3, "test")).total().backward()  # type: ignore[no-untyped-call]
        found = torch.cat([p.grad_sample.flatten(1) for p in self.parameters], dim=1)  # type: ignore[attr-defined]
        self.updater.end()
        return found

    def one_by_one(self) -> torch.Tensor:
        """Gradient of each record's own loss, from a batch that holds that record alone."""
        drawn = Draw(Device(), 3, "test")
        times = self.target.options.times_per_record
        noise = [(drawn.integers(100, 5), drawn.normal(*self.x.shape)) for _ in range(times)]
        found = []
        for row in range(5):
            given = _Given([(t[row : row + 1], eps[row : row + 1]) for t, eps in noise])
            loss = self.losses(given, slice(row, row + 1)).private  # type: ignore[arg-type]
            assert loss is not None
            with quiet_hooks():
                found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss[0], self.parameters)]))
        return torch.stack(found)


@contextmanager
def quiet_hooks() -> Iterator[None]:
    """Opacus' hooks fire without a gradient of the input, and say so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield


class _Given:
    """A source of draws that were made before."""

    def __init__(self, drawn: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.times = [t for t, _ in drawn]
        self.noise = [eps for _, eps in drawn]

    def integers(self, high: int, n: int) -> torch.Tensor:
        return self.times.pop(0)

    def normal(self, *shape: int) -> torch.Tensor:
        return self.noise.pop(0)


def labelled(n: int, seed: int = 0) -> Records:
    plain = noise_records(n, seed=seed)
    return Records(plain.ids, plain.x, generator(seed, "test labels").integers(0, 3, n), LABELLED)


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
@pytest.mark.parametrize("times", [1, 3])
def test_per_record_gradients_are_those_of_single_records(mode: Literal["hooks", "functorch"], times: int) -> None:
    """Several times of one record are one gradient sample: the gradient of its mean loss, before any clip."""
    case = Case(mode, times_per_record=times)
    found, expected = case.of_opacus(), case.one_by_one()
    assert found.shape == expected.shape
    apart = (found - expected).norm(dim=1) / expected.norm(dim=1)
    assert float(apart.max()) < 1e-4


@pytest.mark.parametrize("times", [1, 2])
def test_no_record_moves_the_update_by_more_than_the_clip(times: int) -> None:
    case = Case(times_per_record=times)
    case.updater.begin()
    case.updater.step(case.losses(Draw(Device(), 3, "test")), 8)
    case.updater.end()
    update = 8 * torch.cat([p.grad.flatten() for p in case.parameters if p.grad is not None])
    gradients = case.one_by_one()
    norms = gradients.norm(dim=1, keepdim=True)
    assert float(norms.min()) < CLIP < float(norms.max())  # the clip acts on some
    clipped = (gradients * (CLIP / norms).clamp_max(1)).sum(dim=0)
    assert torch.allclose(update, clipped, rtol=1e-3, atol=1e-6)


def test_an_empty_batch_still_counts() -> None:
    case = Case(times_per_record=2)
    case.updater.begin()
    losses = case.losses(Draw(Device(), 3, "test"), slice(0, 0))
    assert losses.private is not None
    assert losses.private.shape == (0,)
    case.updater.step(losses, 8)
    case.updater.end()
    assert all(p.grad is not None and not p.grad.any() for p in case.parameters)
