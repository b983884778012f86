"""A planted table with numbers and categories, and private updates on it taken apart."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bench.devices import Device
from bench.records import Column, Records, Schema
from bench.rng import generator
from defenses._per_record import PerRecordUpdater
from defenses.base import Defense, TrainingContext
from targets.base import Batch, Draw, Losses, Networks, Target, parameters
from targets.training import TrainingRequest, TrainingResult, build_networks, generate, set_mode, train

SHAPE = ("disc", "ring", "bar")
MIXED = Schema(
    "table",
    (7,),
    2,
    (Column("height"), Column("shape", SHAPE), Column("weight"), Column("heavy", ("no", "yes"))),
    class_shares=(0.55, 0.45),
)
HEIGHT, SHAPES, WEIGHT, HEAVY = 0, slice(1, 4), 4, slice(5, 7)

SHARES = np.array([0.6, 0.3, 0.1])  # of the shapes
MEANS = np.array([-0.8, 0.7, 1.8])  # of the height, given the shape
SPREAD = 0.4  # of the height, given the shape


def planted(n: int, seed: int = 0) -> Records:
    """Rows whose height follows their shape, whose weight follows the height, and which may be called heavy.

    That is the likelier the more they weigh, and it is their label.
    """
    rng = generator(seed, "planted rows")
    shape = rng.choice(3, n, p=SHARES)
    height = MEANS[shape] + SPREAD * rng.normal(size=n)
    weight = 0.8 * height + 0.6 * rng.normal(size=n)
    heavy = (rng.random(n) < 1 / (1 + np.exp(-3 * weight))).astype(np.int64)
    x = np.column_stack([height, np.eye(3)[shape], weight, np.eye(2)[heavy]]).astype(np.float32)
    return Records(np.arange(n, dtype=np.int64), x, heavy, MIXED)


def noise_table(n: int, values: int, seed: int = 0) -> Records:
    """Rows of independent normal numbers: there is nothing to learn from them but themselves."""
    x = generator(seed, "noise rows").normal(size=(n, values)).astype(np.float32)
    return Records(np.arange(n, dtype=np.int64), x, None, Schema("table", (values,)))


def run(target: Target, records: Records, *defenses: Defense, seed: int = 0) -> TrainingResult:
    nobody = records.take(np.zeros(0, np.int64))
    return train(TrainingRequest(target, defenses, records, len(records), nobody, seed, Device()))


def made(target: Target, networks: Networks, n: int, schema: Schema = MIXED) -> NDArray[np.float32]:
    """Generated rows."""
    return np.asarray(generate(target, networks, schema, n, 0, Device()), dtype=np.float32)


def one_hot(x: NDArray[np.float32], span: slice) -> bool:
    """Whether these values are one 1 and otherwise 0, exactly, in every row."""
    return bool(np.isin(x[:, span], (0, 1)).all() and (x[:, span].sum(axis=1) == 1).all())


def auc(members: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]]) -> float:
    """Probability that a member's score is above another's, ties counting half."""
    higher = members[:, None] > others[None]
    return float((higher + 0.5 * (members[:, None] == others[None])).mean())


class Replayed(Draw):
    """Draws that were made before, for some of the rows."""

    def __init__(self, seed: int) -> None:
        super().__init__(Device(), seed, "replayed")
        self.made: list[torch.Tensor] = []
        self.rows: Sequence[int] | None = None

    def normal(self, *shape: int) -> torch.Tensor:
        return self._next(super().normal, shape)

    def uniform(self, *shape: int) -> torch.Tensor:
        return self._next(super().uniform, shape)

    def _next(self, new: object, shape: tuple[int, ...]) -> torch.Tensor:
        if self.rows is None:
            assert callable(new)
            self.made.append(new(*shape))
            return self.made[-1]
        return self.made.pop(0)[list(self.rows)]


@dataclass
class Private:
    """The private phase of a target of planted rows, on fixed weights.

    Attributes:
        clip: bound on one record's gradient.
        mode: how Opacus finds the gradients.
        scale: multiplies every weight, so that gradients vary in size.
    """

    target: Target
    clip: float
    mode: Literal["hooks", "functorch"]
    scale: float = 2.0

    def __post_init__(self) -> None:
        o = self.target.options
        nobody = planted(1).take(np.zeros(0, np.int64))
        context = TrainingContext(self.target, MIXED, 30, o.steps, o.batch_size, 0, Device(), nobody)
        (self.phase,) = (phase for phase in self.target.phases() if phase.private)
        self.networks = build_networks(self.target, (), context)
        set_mode(self.networks, train=True)
        self.parameters = parameters(self.networks, self.phase.roles)
        with torch.no_grad():
            for p in self.parameters:
                p.mul_(self.scale)
        still = torch.optim.SGD(self.parameters, lr=1e-30)  # the weights stay, so that updates can be compared
        self.updater = PerRecordUpdater(
            self.phase, self.networks, still, context, noise_multiplier=0.0, max_grad_norm=self.clip, mode=self.mode
        )
        self.size = context.batch_size

    def losses(self, records: Records, draw: Draw) -> Losses:
        labels = None if records.labels is None else torch.from_numpy(records.labels)
        batch = Batch(torch.from_numpy(records.floats()), labels, self.size, MIXED)
        return self.target.losses(self.phase, self.networks, batch, draw)

    def update(self, records: Records, draw: Draw) -> torch.Tensor:
        """The sum of the clipped gradients that one step uses, flat."""
        self.updater.begin()
        try:
            self.updater.step(self.losses(records, draw), self.size)
        finally:
            self.updater.end()
        return self.size * torch.cat([p.grad.flatten() for p in self.parameters if p.grad is not None])

    def gradient(self, records: Records, draw: Draw) -> torch.Tensor:
        """The gradient of the summed losses by plain backpropagation, flat."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            found = torch.autograd.grad(self.losses(records, draw).total(), self.parameters)
        return torch.cat([g.flatten() for g in found]).detach()
