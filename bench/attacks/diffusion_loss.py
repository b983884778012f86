"""The loss-threshold attack on diffusion models: trained records have their noise predicted better."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._diffusion import Time, chunk_noise, noisy, norm_power, on_device, predicted, times_of
from bench.attacks.base import Attack, Chunk, Knowledge
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng


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
    reads_samples = False
    data = frozenset({"image"})
    needs_roles = frozenset({"denoiser"})

    class Options(Attack.Options):
        times: list[Annotated[int, Field(ge=0, lt=1000)]] = Field([*range(50, 301, 25)], min_length=1)
        """Diffusion times, on a linear schedule of 1000; the target's own have the same ratio of signal to noise."""
        noises: int = Field(2, ge=1)
        """Draws of the noise per time."""

    options: Options

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> list[Time]:
        """Each published time with the target's own."""
        return times_of(self.options.times, view.alpha_bar())

    def score_chunk(self, chunk: Chunk, state: list[Time], view: View, rng: RecordRng) -> NDArray[np.float64]:
        x, total = on_device(chunk.x, view), np.zeros(len(chunk))
        for time in state:
            for draw in range(self.options.noises):
                eps = chunk_noise(rng, chunk, time.published, draw, view)
                total += norm_power(predicted(view, noisy(x, eps, time.left), time, chunk.labels) - eps)
        return -total / (len(state) * self.options.noises)

    def diagnostics(self, state: list[Time]) -> dict[str, float]:
        """How many of the target's own times the published ones became."""
        return {"distinct_times": float(len({time.own for time in state}))}
