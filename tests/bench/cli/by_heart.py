"""A discriminator that learns every record by heart in a few steps, and a private training that forgets its noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from defenses.dp_sgd import DPSGD
from targets.dcgan import DCGAN

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from torch import nn

    from bench.records import Schema
    from defenses.base import TrainingContext, Updater
    from targets.base import Networks, Phase

WIDTH = 2048  # many more than records, so that no two records share much


class ByHeart(DCGAN):
    """Rows of tables; its discriminator is linear on random waves, in which records are nearly orthogonal."""

    name = "by_heart"
    data = frozenset({"table"})
    sides = None

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        import torch
        from torch import nn

        class Waves(nn.Module):
            def __init__(self, inputs: int) -> None:
                super().__init__()
                self.register_buffer("frequency", 3 * torch.randn(inputs, WIDTH, generator=rng))
                self.register_buffer("phase", 6.283 * torch.rand(WIDTH, generator=rng))

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.cos(x.flatten(1) @ self.get_buffer("frequency") + self.get_buffer("phase"))

        judges = nn.Sequential(Waves(schema.shape[0]), nn.Linear(WIDTH, 1, bias=False))
        nn.init.zeros_(judges[1].weight)
        makes = nn.Linear(self.options.latent, schema.shape[0])
        nn.init.normal_(makes.weight, generator=rng)
        nn.init.zeros_(makes.bias)
        return {"generator": (makes,), "discriminator": (judges,)}

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(parameters, lr=1.0)


class ForgetsNoise(DPSGD):
    """Accounts for noise that it never adds."""

    name = "forgets_noise"

    def updater(
        self, phase: Phase, networks: Networks, optimizer: torch.optim.Optimizer, context: TrainingContext
    ) -> Updater | None:
        made = super().updater(phase, networks, optimizer, context)
        if made is not None:
            made.dp_optimizer.noise_multiplier = 0.0  # type: ignore[attr-defined]
        return made
