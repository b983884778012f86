"""Reconstruction error under the target's own encoder: the attack on models that encode records."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks.base import Attack, Chunk
from bench.release import View
from bench.rng import RecordRng

ROWS = 4096  # latents per pass through the decoder: bounds memory, changes nothing else


class Reconstruction(Attack):
    """Minus the mean squared error of a record's reconstructions, over draws of its latent: members come back best.

    The error is per value, in [-1, 1] pixels. Every record has draws of its own, which follow its id.
    """

    name = "reconstruction"
    paper = (
        "Hilprecht, Härterich and Bernau, Monte Carlo and Reconstruction Membership Inference, PoPETs 2019, section 4.2"
    )
    access = "white_box"
    reads_samples = False
    needs_roles = frozenset({"encoder"})

    class Options(Attack.Options):
        encodings: int = Field(100, ge=1)
        """Draws of the latent per record, each decoded once."""

    options: Options

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        import torch

        k, n = self.options.encodings, len(chunk)
        with torch.no_grad():
            mean, deviation = view.posterior(chunk.x, chunk.labels)
            noise = np.stack([encoding_noise(rng, int(i), k, mean.shape[1]) for i in chunk.ids])
            eps = torch.from_numpy(noise).to(mean.device)
            x = torch.from_numpy(chunk.x).to(mean.device).flatten(1)
            total = torch.zeros(n, dtype=torch.float64, device=mean.device)
            step = max(1, ROWS // n)
            for first in range(0, k, step):
                drawn = eps[:, first : first + step]
                several = drawn.shape[1]
                z = mean[:, None] + deviation[:, None] * drawn
                labels = None if chunk.labels is None else np.repeat(chunk.labels, several)
                decoded = view.decode(z.flatten(0, 1), labels).flatten(1).reshape(n, several, -1)
                total += (decoded - x[:, None]).square().mean(dim=2).double().sum(dim=1)
        scores: NDArray[np.float64] = -(total / k).cpu().numpy()
        return scores


def encoding_noise(rng: RecordRng, record: int, k: int, latent: int) -> NDArray[np.float32]:
    """The standard normal draws ``(k, latent)`` behind one record's encodings."""
    return rng.record(record, "encodings").standard_normal((k, latent), dtype=np.float32)
