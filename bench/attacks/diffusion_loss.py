"""The loss-threshold attack on diffusion models: trained records have their noise predicted better."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._diffusion import noisy, own_times
from bench.attacks.base import Attack, Chunk, Knowledge
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

ROWS = 128  # per pass through the denoiser: bounds memory, changes nothing else


class DiffusionLoss(Attack):
    """Minus the squared error of the denoiser's noise prediction, averaged over times and draws of the noise.

    The papers threshold the loss at one time, chosen by its success; here several are averaged instead, from the range
    that Carlini et al. found to tell members best on images, so that no time is picked on the records that are scored.
    Every record has noise of its own, which follows its id.
    """

    name = "diffusion_loss"
    paper = (
        "Carlini et al., Extracting Training Data from Diffusion Models, USENIX Security 2023, section 5.1; Matsumoto, "
        "Miura and Yanai, Membership Inference Attacks against Diffusion Models, SPW 2023, section III"
    )
    access = "white_box"
    data = frozenset({"image"})
    needs_roles = frozenset({"denoiser"})

    class Options(Attack.Options):
        times: list[Annotated[int, Field(ge=0, lt=1000)]] = Field([*range(50, 301, 25)], min_length=1)
        """Diffusion times, on a linear schedule of 1000; the target's own have the same ratio of signal to noise."""
        noises: int = Field(2, ge=1)
        """Draws of the noise per time."""

    options: Options

    def prepare(
        self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng
    ) -> list[tuple[int, int, float]]:
        """Each published time with the target's own and the share of the signal that is left there."""
        alpha_bar = view.alpha_bar()
        own = own_times(self.options.times, alpha_bar)
        return [(time, int(t), float(alpha_bar[t])) for time, t in zip(self.options.times, own, strict=True)]

    def score_chunk(
        self, chunk: Chunk, state: list[tuple[int, int, float]], view: View, rng: RecordRng
    ) -> NDArray[np.float64]:
        total = np.zeros(len(chunk))
        for time, t, left in state:
            for draw in range(self.options.noises):
                shape = chunk.x.shape[1:]
                eps = np.stack([record_noise(rng, int(i), time, draw, shape) for i in chunk.ids])
                total += _errors(chunk, eps, t, left, view)
        return -total / (len(state) * self.options.noises)


def record_noise(rng: RecordRng, record: int, time: int, draw: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The standard normal noise of one record at one published time."""
    return rng.record(record, "noise", time, draw).standard_normal(shape, dtype=np.float32)


def _errors(chunk: Chunk, noise: NDArray[np.float32], t: int, left: float, view: View) -> NDArray[np.float64]:
    """Squared norm of what is wrong with each record's predicted noise, ``(len(chunk),)``."""
    import torch

    from bench.devices import to_device

    parts: list[Any] = []
    with torch.no_grad():
        for start in range(0, len(chunk), ROWS):
            rows = slice(start, start + ROWS)
            x, eps = (to_device(torch.from_numpy(values[rows]), view.device) for values in (chunk.x, noise))
            times = torch.full((len(x),), t, dtype=torch.int64, device=x.device)
            labels = None if chunk.labels is None else chunk.labels[rows]
            wrong = view.predict_noise(noisy(x, eps, left), times, labels) - eps
            parts.append(wrong.flatten(1).double().square().sum(dim=1).cpu().numpy())
    found: NDArray[np.float64] = np.concatenate(parts)
    return found
