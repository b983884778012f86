"""What attacks that search latent space share: records decoded in blocks, GAN-Leaks' loss, and where to start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._lowest import Floats, Places
from bench.attacks.base import Attack, Chunk, Knowledge
from bench.distances import nearest
from bench.plugin import PluginOptions
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

if TYPE_CHECKING:
    import torch

ROWS = 64  # per pass through a decoder: bounds memory
MULTIPLE = 16  # every pass has a multiple of this many rows; see `blocks`

Labels = NDArray[np.int64]


class SearchOptions(PluginOptions):
    """Options of every search of a latent."""

    pixel_weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Weight of the mean squared error in [-1, 1] pixels."""
    perceptual_weight: float = Field(0.2, ge=0, allow_inf_nan=False)
    """Weight of the perceptual distance of images; tables have none."""
    prior_weight: float = Field(0.001, ge=0, allow_inf_nan=False)
    """Weight of the squared difference between the latent's squared norm and its dimension, the prior's mean of it."""
    starts: int = Field(4096, ge=1)
    """Latents that the attacker draws, and among whose records the search of each candidate starts at the nearest."""
    candidates: int | None = Field(200, ge=2)
    """Candidates that are judged, a seeded subset with as many members as non-members; None: all."""


class LatentSearch(Attack):
    """Base class of attacks that search the latent whose record comes nearest to the candidate.

    The latents behind the released records are not released, so the attacker draws and decodes latents of its own: the
    nearest of those is the published start, the latent of the nearest generated record.
    """

    data = frozenset({"image", "table"})
    reads_samples = False
    cost = "minutes"

    class Options(SearchOptions, Attack.Options):
        """No options beside those of every search."""

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.cap = self.options.candidates

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Starts:
        return nearest_draws(candidates, view, self.options.starts, rng)

    def score_chunk(self, chunk: Chunk, state: Starts, view: View, rng: RecordRng) -> Floats:
        ids, first, back = np.unique(chunk.ids, return_index=True, return_inverse=True)  # padding is searched once
        labels = None if chunk.labels is None else chunk.labels[first]
        loss = LatentLoss(view, chunk.x[first], labels, state.shape, self.options)
        scores: Floats = -self.search(loss, state.z[np.searchsorted(state.ids, ids)], view)[back]
        return scores

    def search(self, loss: LatentLoss, start: Floats, view: View) -> Floats:
        """The lowest loss found of each candidate, ``(n,)``, from its own start ``(n, dimensions)``."""
        raise NotImplementedError


@dataclass(frozen=True)
class Starts:
    """Where the search of each candidate starts.

    Attributes:
        ids: int64 ``(n,)``, rising.
        z: float64 ``(n, dimensions)``, flat.
        shape: of one latent, as the decoder takes it.
    """

    ids: Places
    z: Floats
    shape: tuple[int, ...]


def nearest_draws(candidates: Records, view: View, n: int, rng: RecordRng) -> Starts:
    """The latent of the record nearest to each candidate (by id, rising) among those of ``n`` draws from the prior.

    A target that takes labels decodes the same draws under each of the candidates' labels in turn.
    """
    import torch

    from targets.base import Draw

    z = view.latent(n, Draw(view.device, rng.seed, "latents"))
    flat, x = z.flatten(1).cpu().numpy(), candidates.floats()
    found = np.empty((len(x), flat.shape[1]))
    groups: list[tuple[int | None, NDArray[np.bool_]]] = [(None, np.ones(len(x), dtype=np.bool_))]
    if candidates.labels is not None and view.conditional:
        groups = [(int(label), candidates.labels == label) for label in np.unique(candidates.labels)]
    records = np.empty((n, *view.schema.shape), dtype=np.float32)
    for label, chosen in groups:
        with torch.no_grad():
            for rows, padded in blocks(n):
                all_alike = None if label is None else np.full(len(padded), label, dtype=np.int64)
                records[rows] = view.decode(z[padded], all_alike)[: len(rows)].cpu().numpy()
        _, which = nearest(x[chosen], records, view.device)
        found[chosen] = flat[which[:, 0]]
    return Starts(candidates.ids, found, tuple(z.shape[1:]))


def blocks(n: int) -> Iterator[tuple[Places, Places]]:
    """Places 0 to n - 1 in blocks: those of a pass, and the same followed by repeats of the last, to a full pass.

    Rounding within a network may depend on how many rows pass together: other kernels are chosen for one row or three
    than for sixteen. A search magnifies rounding, and a score must not depend on the other candidates of a batch; so
    each pass has a multiple of 16 rows.
    """
    for start in range(0, n, ROWS):
        rows = np.arange(start, min(start + ROWS, n))
        size = -(-len(rows) // MULTIPLE) * MULTIPLE
        yield rows, np.minimum(np.arange(start, start + size), n - 1)


class LatentLoss:
    """GAN-Leaks' loss between candidates and the records of latents.

    ``pixel_weight * mean (x - G(z))^2 + perceptual_weight * perceptual(x, G(z)) + prior_weight * (|z|^2 - dim z)^2``

    Args:
        view: whose decoder is searched.
        x: the candidates, float32 ``(n, *shape)``.
        labels: int64 ``(n,)`` or None; reach conditional targets only.
        shape: of one latent, as the decoder takes it.
        options: the weights.
    """

    def __init__(
        self, view: View, x: NDArray[np.float32], labels: Labels | None, shape: tuple[int, ...], options: SearchOptions
    ) -> None:
        import torch

        from bench.attacks._perceptual import features

        self.view, self.labels, self.shape, self.options = view, labels, shape, options
        self.x = torch.from_numpy(np.ascontiguousarray(x)).to(view.device.name)
        self.looks = features(self.x) if view.schema.kind == "image" and options.perceptual_weight else []

    def values(self, z: Floats, which: Places) -> Floats:
        """Losses ``(k,)`` of the latents ``(k, dimensions)`` for the candidates at ``which`` ``(k,)``."""
        import torch

        found = np.empty(len(z))
        with torch.no_grad():
            for rows, padded in blocks(len(z)):
                latents = self._latents(z[padded])
                found[rows] = self._distances(latents, which[padded])[: len(rows)].cpu().double().numpy()
        return found + self._prior(z)[0]

    def slopes(self, z: Floats, which: Places) -> tuple[Floats, Floats]:
        """The same losses, and their gradients by the latents ``(k, dimensions)``."""
        import torch

        found, gradient = np.empty(len(z)), np.empty(z.shape)
        for rows, padded in blocks(len(z)):
            latents = self._latents(z[padded]).requires_grad_()
            losses = self._distances(latents, which[padded])
            # Rows do not meet in the decoder, so the gradient of the sum holds each row's own.
            (slope,) = torch.autograd.grad(losses.sum(), latents)
            found[rows] = losses.detach()[: len(rows)].cpu().double().numpy()
            gradient[rows] = slope.flatten(1)[: len(rows)].cpu().double().numpy()
        penalty, slope_of_it = self._prior(z)
        return found + penalty, gradient + slope_of_it

    def encoded(self) -> Floats:
        """The mean encoding of each candidate, ``(n, dimensions)``, by the target's encoder."""
        import torch

        found = np.empty((len(self.x), int(np.prod(self.shape))))
        with torch.no_grad():
            for rows, padded in blocks(len(self.x)):
                x = self.x[torch.from_numpy(padded)].cpu().numpy()
                mean, _ = self.view.posterior(x, None if self.labels is None else self.labels[padded])
                found[rows] = mean.flatten(1)[: len(rows)].cpu().double().numpy()
        return found

    def _latents(self, z: Floats) -> torch.Tensor:
        import torch

        return torch.from_numpy(z.astype(np.float32).reshape(len(z), *self.shape)).to(self.x.device)

    def _distances(self, latents: torch.Tensor, which: Places) -> torch.Tensor:
        import torch

        from bench.attacks._perceptual import distance, features

        places = torch.from_numpy(which).to(self.x.device)
        decoded = self.view.decode(latents, None if self.labels is None else self.labels[which])
        losses = self.options.pixel_weight * (decoded - self.x[places]).square().flatten(1).mean(dim=1)
        if self.looks:
            looks = distance([scale[places] for scale in self.looks], features(decoded))
            losses = losses + self.options.perceptual_weight * looks
        return losses

    def _prior(self, z: Floats) -> tuple[Floats, Floats]:
        """How far the latents are from where the prior is, and the gradient of that."""
        beyond = np.einsum("nd,nd->n", z, z) - z.shape[1]
        weight = self.options.prior_weight
        return weight * beyond**2, (4 * weight * beyond)[:, None] * z
