"""The diffusion model: a network that learns to see the noise in noisy records, and takes it away step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from bench.errors import IncompatibleError
from bench.records import Schema
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, TargetOptions

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn


class DDPM(Target):
    """Denoising diffusion with a small U-Net and averaged weights; any image from 8x8 grey to 64x64 colour.

    A record's loss is the mean squared error per value of the noise that is predicted at a random time (the simple
    objective, equation 14 of Ho et al.). With several times per record, each is a pass of its own through the
    denoiser, so that per-record gradients are those of the record's mean loss, and one clip bounds them together.

    Three departures make short trainings work: the network refines a linear guess of the record, which is clipped
    (``preconditioned``), its first level holds squares of pixels (``patch``), and few times are visited on the way from
    noise to a record (``sampling_steps``). The preset ``gpu`` keeps the first alone.

    The denoiser is trained; records are generated from ``average``, a running average of its weights, which is what
    attacks query too. Under private training the average is post-processing of the noisy weights.
    """

    name = "ddpm"
    paper = (
        "Ho, Jain and Abbeel, Denoising Diffusion Probabilistic Models, NeurIPS 2020; sampling: Song, Meng and Ermon, "
        "DDIM, ICLR 2021; cosine schedule: Nichol and Dhariwal, ICML 2021; attacked in Carlini et al., Extracting "
        "Training Data from Diffusion Models, USENIX Security 2023, and Matsumoto et al., SPW 2023"
    )
    roles = ("denoiser", "average")
    private_roles = ("denoiser",)
    sides = (8, 64)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpu": {
            "width": 64, "levels": 3, "blocks": 2, "patch": 1, "attention": True, "batch_size": 128, "steps": 50_000,
            "learning_rate": 2e-4, "decay": 0.9999, "sampling_steps": 100,
        },
    }  # fmt: skip

    class Options(TargetOptions):
        width: int = Field(24, ge=4)
        """Channels at the U-Net's first level; doubled at each further one."""
        levels: int = Field(2, ge=1, le=4)
        """Resolutions of the U-Net, each half of the one before."""
        blocks: int = Field(1, ge=1)
        """Residual blocks per level, on the way down and on the way up."""
        patch: int = Field(2, ge=1, le=8)
        """Pixels a side that become one position of the first level; 1 is the original, 2 costs a quarter."""
        attention: bool = True
        """Whether the lowest resolution has self-attention."""
        preconditioned: bool = True
        """Whether the network refines a linear guess of the record; without, its output is the noise (Ho et al.)."""
        schedule: Literal["linear", "cosine"] = "linear"
        """How fast the signal fades with time."""
        timesteps: int = Field(1000, ge=2)
        """Diffusion times."""
        times_per_record: int = Field(1, ge=1)
        """Diffusion times at which a record of a batch is learnt; its loss is their mean."""
        sampler: Literal["ddim", "ddpm"] = "ddpm"
        """How records are generated: by DDPM's ancestral sampling, or by DDIM; chosen latents are decoded by DDIM."""
        sampling_steps: int = Field(30, ge=1)
        """Times that are visited on the way from noise to a record."""
        eta: float = Field(0.0, ge=0, le=1)
        """Noise that DDIM adds on the way, from none to as much as DDPM; of no effect on `sampler: ddpm`."""
        decay: float = Field(0.9995, ge=0, lt=1)
        """Weight that the average gives its past at each step, less in the beginning: at most (1 + n) / (10 + n)."""
        learning_rate: float = Field(2e-3, gt=0)
        """Adam's step size."""
        conditional: bool = False
        """Whether the denoiser is told the record's label."""
        steps: int = Field(6000, ge=0)
        """Training steps; 0 gives the untrained network, which the quality of a row is read against."""
        batch_size: int = Field(16, ge=2)
        """Records per step (under Poisson sampling: the expected number)."""

        @model_validator(mode="after")
        def _samples_at_its_times(self) -> Self:
            if self.sampling_steps > self.timesteps:
                raise ValueError(
                    f"expected at most as many sampling_steps as timesteps, {self.timesteps}, got {self.sampling_steps}"
                )
            return self

    options: Options
    _shape: tuple[int, ...] | None = None  # of an image, known from the first build on

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("denoiser", ("denoiser",), private=True),)

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        from copy import deepcopy

        import torch

        from targets.nets.unet import Denoiser, UNet, initialise

        o = self.options
        self._shape = schema.shape
        network = UNet(
            schema.shape,
            width=o.width,
            levels=o.levels,
            blocks=o.blocks,
            patch=o.patch,
            attention=o.attention,
            classes=schema.classes if o.conditional else None,
        )
        denoiser = Denoiser(initialise(network, rng), schema.shape, self.alpha_bar(), o.preconditioned)
        average = deepcopy(denoiser).requires_grad_(False)
        average.register_buffer("updates", torch.zeros(()))  # how often it was updated, as its warm-up needs to know
        return {"denoiser": (denoiser,), "average": (average,)}

    def optimizer(self, phase: Phase, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.Adam(parameters, lr=self.options.learning_rate, betas=(0.9, 0.99), fused=True)

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        import torch

        (denoiser,), o, n = networks["denoiser"], self.options, len(batch.x)
        labels = batch.labels if self.conditional else None
        left = torch.from_numpy(self.alpha_bar()).to(batch.x)
        errors = []
        for _ in range(o.times_per_record):
            t, eps = draw.integers(o.timesteps, n), draw.normal(*batch.x.shape)
            share = left[t][:, None, None, None]
            noisy = share.sqrt() * batch.x + (1 - share).sqrt() * eps
            predicted = denoiser(noisy, t, labels)
            errors.append((predicted.float() - eps).square().flatten(1).mean(dim=1))
        return Losses(torch.stack(errors).mean(dim=0), None)

    def after_update(self, phase: Phase, networks: Networks, losses: Losses, batch: Batch) -> None:
        (denoiser,), (average,) = networks["denoiser"], networks["average"]
        of_denoiser, of_average = dict(denoiser.named_parameters()), dict(average.named_parameters())
        if strangers := sorted(of_denoiser.keys() ^ of_average.keys()):
            raise IncompatibleError(
                f"expected ddpm's denoiser and average to have the same parameters, but {strangers[0]} is in one "
                "only; let the defense change both, roles: [denoiser, average]"
            )
        n = average.get_buffer("updates")
        new = 1 - ((1 + n) / (10 + n)).clamp_max(self.options.decay)
        n += 1
        for name, value in of_average.items():
            value.lerp_(of_denoiser[name], new)

    def predict_noise(
        self, networks: Networks, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        (average,) = networks["average"]
        eps: torch.Tensor = average(x, t, labels)
        return eps

    def alpha_bar(self) -> NDArray[np.float64]:
        from targets.nets.diffusion import alpha_bar

        return alpha_bar(self.options.schedule, self.options.timesteps)

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        if self._shape is None:
            raise ValueError(
                "expected ddpm's networks to be built before its latents are drawn: they tell its image size"
            )
        return draw.normal(n, *self._shape)

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return self._sample(networks, z, labels, eta=0.0)

    def generate(self, networks: Networks, n: int, draw: Draw, labels: torch.Tensor | None = None) -> torch.Tensor:
        eta = 1.0 if self.options.sampler == "ddpm" else self.options.eta
        shape: tuple[int, ...] = networks["average"][0].shape  # type: ignore[assignment]
        z = draw.normal(n, *shape)
        return self._sample(networks, z, labels, eta=eta, draw=draw)

    def _sample(
        self,
        networks: Networks,
        z: torch.Tensor,
        labels: torch.Tensor | None,
        *,
        eta: float,
        draw: Draw | None = None,
    ) -> torch.Tensor:
        import torch

        from targets.nets.diffusion import ddim, sampling_times

        return ddim(
            lambda x, t: self.predict_noise(networks, x, t, labels).float(),
            z.contiguous(memory_format=torch.channels_last),
            self.alpha_bar(),
            sampling_times(self.options.timesteps, self.options.sampling_steps),
            eta=eta,
            noise=None if draw is None else draw.normal,
        )
