"""Co-membership: a network trained to give the latents of records that are all in, or all out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._latent_search import MULTIPLE, ROWS
from bench.attacks.base import Attack, Chunk, Knowledge
from bench.errors import InputError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

if TYPE_CHECKING:
    import torch

LEAK = 0.2  # slope of the hidden layer's rectifier below 0, as in DCGAN's discriminator
COPY = 1e-12  # under the distance's root: its slope is finite where a record is met exactly
WEIGHTS = 2**24  # of all networks that are trained at once: bounds memory


class CoMembership(Attack):
    """Minus the mean distance at which a network, trained on a set alone, finds its records in the generator.

    With the generator fixed, a fresh network from record to latent is trained on the records of a set, to bring what
    the generator gives for its latents near them. A single candidate is a set of one. All sets begin with the same
    weights, and the best of a few such beginnings counts.

    Choosing latents includes following the generator's slopes by them. A training ends in the minimum that its weights
    lead to, which may be another record's; rows of few values, near to blends of others, have many such.

    It departs from its source in the network, which has one hidden layer, so that thousands can be trained side by
    side; and in keeping the lowest loss of a training, not the last.
    """

    name = "co_membership"
    paper = (
        "Liu, Xiao, Li and Gao, Performing Co-Membership Attacks Against Deep Generative Models, ICDM 2019, "
        "the single and the co-membership attack"
    )
    access = "latent"
    reads_samples = False
    scores_sets: ClassVar[bool] = True
    cost = "minutes"

    class Options(Attack.Options):
        steps: int = Field(200, ge=1)
        """Training steps of each network."""
        restarts: int = Field(2, ge=1, le=10)
        """Beginnings, of which the best counts."""
        width: int = Field(64, ge=1)
        """Units of the hidden layer."""
        learning_rate: float = Field(1e-2, gt=0, allow_inf_nan=False)
        """Adam's step size."""
        candidates: int | None = Field(200, ge=2)
        """Candidates that are judged, a seeded subset with as many members as non-members; None: all."""

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.cap = self.options.candidates

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        _, first, back = np.unique(chunk.ids, return_index=True, return_inverse=True)  # padding is not searched again
        labels = None if chunk.labels is None else chunk.labels[first][:, None]
        scores: NDArray[np.float64] = -self._losses(chunk.x[first][:, None], labels, view, rng)[back]
        return scores

    def score_sets(
        self, sets: Sequence[Records], view: View, knowledge: Knowledge, rng: RecordRng
    ) -> NDArray[np.float64]:
        """Minus the lowest mean distance of each set, whose records share one network; in the sets' order.

        Raises:
            InputError: a set is empty.
        """
        if any(len(records) == 0 for records in sets):
            raise InputError("expected at least one record in every set of candidates, got an empty set")
        scores = np.empty(len(sets))
        ordered = [records.take(np.argsort(records.ids, kind="stable")) for records in sets]
        for size in sorted({len(records) for records in sets}):
            alike = [i for i, records in enumerate(ordered) if len(records) == size]
            x = np.stack([ordered[i].floats() for i in alike])
            given = [found for i in alike if (found := ordered[i].labels) is not None]
            scores[alike] = -self._losses(x, np.stack(given) if given else None, view, rng)
        return scores

    def _losses(
        self, x: NDArray[np.float32], labels: NDArray[np.int64] | None, view: View, rng: RecordRng
    ) -> NDArray[np.float64]:
        """The lowest mean distance of each set ``(sets, records, *shape)``, over steps and beginnings."""
        from targets.base import Draw

        sets, size, *shape = x.shape
        latent = tuple(view.latent(1, Draw(view.device, rng.seed, "shape of a latent")).shape[1:])
        values, dimensions, width = int(np.prod(shape)), int(np.prod(latent)), self.options.width
        most = max(1, min(ROWS // size, WEIGHTS // (width * (values + dimensions))))
        best = np.full(sets, np.inf)
        for restart in range(self.options.restarts):
            draws = rng.shared("network", restart)
            layers = [_layer(draws, values, width), _layer(draws, width, dimensions)]
            for real, padded in _blocks(sets, most, size):
                lowest = self._train(layers, x[padded], None if labels is None else labels[padded], latent, view)
                best[real] = np.minimum(best[real], lowest[: len(real)])
        return best

    def _train(
        self,
        layers: list[NDArray[np.float32]],
        x: NDArray[np.float32],
        labels: NDArray[np.int64] | None,
        latent: tuple[int, ...],
        view: View,
    ) -> NDArray[np.float64]:
        """One network per set, all from these weights; the lowest loss of each."""
        import torch

        sets, size = x.shape[:2]
        records = torch.from_numpy(x).to(view.device.name).flatten(2)
        y = None if labels is None else labels.reshape(-1)
        copies = [torch.from_numpy(layer).to(view.device.name).repeat(sets, 1, 1).requires_grad_() for layer in layers]
        optimizer = torch.optim.Adam(copies, lr=self.options.learning_rate, fused=True)
        best = torch.full((sets,), torch.inf, device=records.device)
        for step in range(self.options.steps):
            hidden = torch.nn.functional.leaky_relu(_apply(copies[0], records), LEAK)
            z = _apply(copies[1], hidden)
            decoded = view.decode(z.reshape(sets * size, *latent), y).reshape(sets, size, -1)
            losses = ((decoded - records).square().sum(dim=2) + COPY).sqrt().mean(dim=1)
            best = torch.fmin(best, losses.detach())
            if step < self.options.steps - 1:
                # Sets do not meet in the networks, so the gradient of the sum holds each network's own.
                gradients = torch.autograd.grad(losses.sum(), copies)
                for weights, gradient in zip(copies, gradients, strict=True):
                    weights.grad = gradient
                optimizer.step()
        found: NDArray[np.float64] = best.cpu().double().numpy()
        return found


def _layer(draws: np.random.Generator, inputs: int, outputs: int) -> NDArray[np.float32]:
    """Weights ``(inputs + 1, outputs)``, the last row the bias, uniform as torch's linear layers draw them."""
    bound = inputs**-0.5
    drawn: NDArray[np.float32] = draws.uniform(-bound, bound, (inputs + 1, outputs)).astype(np.float32)
    return drawn


def _apply(layers: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """One layer per set ``(sets, inputs + 1, outputs)`` on ``(sets, records, inputs)``."""
    import torch

    return torch.baddbmm(layers[:, -1:], x, layers[:, :-1])


def _blocks(sets: int, most: int, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places of at most so many sets at a time; and the same with the last repeated, until its records fill a pass."""
    unit = min(most, -(-MULTIPLE // size))
    for start in range(0, sets, most):
        real = np.arange(start, min(start + most, sets))
        padded = np.arange(start, start + -(-len(real) // unit) * unit)
        yield real, np.minimum(padded, sets - 1)
