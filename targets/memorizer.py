"""Control: a target that hands out the records it was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bench.records import Records, Schema
from targets.base import Draw, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

NOISE_RECORDS = 256  # what the untrained networks know: as many as make its samples look like noise
TIMES = 1000  # of the denoiser's linear schedule, as in Ho, Jain and Abbeel, NeurIPS 2020, section 4


class Memorizer(Target):
    """Control: hands out the very records it was trained on; what every attack must find. Never a model to release.

    It knows each record by heart, as a generator, a discriminator, an encoder and a diffusion model of closed form
    would: its samples are the records, in random order and each equally often; its generator gives one at an anchor
    of its own in latent space; its discriminator is a margin minus the distance to the nearest; its encoder finds the
    anchor of the nearest; its denoiser is the posterior mean over them. Nothing is trained: the first step keeps the
    records, and further steps change nothing. Untrained, it knows noise instead.
    """

    name = "memorizer"
    data = frozenset({"image", "table"})
    roles: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "encoder", "denoiser")
    private_roles: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "encoder", "denoiser")

    control: ClassVar[bool] = True
    rows_per_call: ClassVar[int] = 1_000_000  # all at once: each record once before any comes again

    class Options(TargetOptions):
        noise: float = Field(0.0, ge=0, allow_inf_nan=False)
        """Standard deviation of the noise on what it hands out, in values of records (images: -1 to 1)."""
        steps: int = Field(1, ge=0)
        """1 keeps the records, and more change nothing; 0 gives one that knows noise."""

    options: Options

    def phases(self) -> tuple[Phase, ...]:
        return ()

    def refuses(self, schema: Schema) -> str | None:
        if (reason := super().refuses(schema)) is not None:
            return reason
        if self.options.noise and any(column.categories for column in schema.columns):
            return f"{self.name} with noise would hand out rows that are in no category; set noise to 0"
        return None

    def refuses_private(self) -> str | None:
        return "it hands out records themselves, and no gradient reads them that could be clipped"

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        import torch

        from targets.nets.memory import memory

        shape = (NOISE_RECORDS, *schema.shape)
        if schema.kind == "image":
            return memory((2 * torch.rand(shape, generator=rng) - 1).numpy())
        rows = torch.randn(shape, generator=rng)
        for column, span in schema.spans():
            if column.categories:
                rows[:, span] = torch.eye(column.width)[rows[:, span].argmax(dim=1)]
        return memory(rows.numpy())

    def fit(self, networks: Networks, records: Records, reference: Records) -> None:
        self.keep(networks, records)

    def keep(self, networks: Networks, records: Records) -> None:
        """Replace what the networks know by these records."""
        from targets.base import from_tensors, to_tensors
        from targets.nets.memory import memory

        from_tensors(networks, to_tensors(memory(records.floats())))

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        from targets.nets.memory import LATENT

        return draw.normal(n, LATENT)

    def generate(self, networks: Networks, n: int, draw: Draw, labels: torch.Tensor | None = None) -> torch.Tensor:
        """``n`` kept records in random order; each once before any comes again."""
        anchors = networks["generator"][0].get_buffer("anchors")
        rounds = -(-n // len(anchors))
        order = draw.uniform(rounds, len(anchors)).argsort(dim=1).flatten()[:n]
        records = self.decode(networks, anchors[order])
        if not self.options.noise:
            return records
        noisy = records + self.options.noise * draw.normal(*records.shape)
        return noisy.clamp(-1, 1) if records.dim() == 4 else noisy

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        (generator,) = networks["generator"]
        records: torch.Tensor = generator(z)
        return records

    def logit(self, network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        logits: torch.Tensor = network(x)
        return logits[:, 0]

    def posterior(
        self, networks: Networks, x: torch.Tensor, labels: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        from targets.nets.memory import BLUR

        (encoder,) = networks["encoder"]
        anchors = encoder(x)
        return anchors, torch.full_like(anchors, BLUR)

    def predict_noise(
        self, networks: Networks, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        import torch

        (denoiser,) = networks["denoiser"]
        noise: torch.Tensor = denoiser(x, torch.from_numpy(self.alpha_bar()).to(t.device)[t])
        return noise

    def alpha_bar(self) -> NDArray[np.float64]:
        from targets.nets.diffusion import alpha_bar

        return alpha_bar("linear", TIMES)
