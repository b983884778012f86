"""Generators of several pairs in training against a discriminator that says which of them made a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench.errors import IncompatibleError
from bench.rng import derive_seed
from defenses._pairs import finisher, generator_rows
from defenses.base import Updater
from targets.base import Batch, Draw, Losses, Phase

if TYPE_CHECKING:
    import torch
    from torch import nn

    from targets.trainee import Trainee
    from targets.training import TrainingRequest

    Shown = tuple[torch.Tensor, ...]  # what a discriminator is called with: rows, and their labels if there are any


class PrivacyTraining:
    """Pairs in training whose networks have a ``privacy_discriminator`` in common.

    Args:
        request: the whole training's.
        pairs: one per part of the members.
        weight: of the privacy loss beside a generator's own.
        starts: the number of training steps after which the privacy discriminator learns of generated samples.
    """

    def __init__(self, request: TrainingRequest, pairs: Sequence[Trainee], weight: float, starts: float) -> None:
        self.request, self.pairs, self.weight, self.starts = request, pairs, weight, starts
        self.makers = [finisher(pair, pair.networks) for pair in pairs]
        (self.privacy,) = pairs[0].networks["privacy_discriminator"]
        judging = next(phase for phase in pairs[0].phases if phase.private)
        self.updater = Updater(request.target.optimizer(judging, self.privacy.parameters()))
        self.draw = Draw(request.device, request.seed, "privacy discriminator")

    def pretrain(self, updates: int) -> None:
        """Teach the privacy discriminator which part members are in, by a batch of each part per update."""
        from targets.loader import batches

        sources = []
        for pair in self.pairs:
            context = replace(pair.context, seed=derive_seed(pair.context.seed, "pretraining"))
            sources.append(batches(pair.request.records, context, poisson=False))
        told = self.request.target.conditional
        for _ in range(updates):
            found = [next(source) for source in sources]
            self.teach([(b.x, b.labels) if told and b.labels is not None else (b.x,) for b in found])

    def step(self, number: int) -> None:
        """One step of every pair, and then of the privacy discriminator where the generators were updated."""
        found = [next(pair.source) for pair in self.pairs]
        for phase in self.pairs[0].due(number):
            if phase.private:
                for pair, batch in zip(self.pairs, found, strict=True):
                    pair.update(phase, batch, number)
                continue
            shown: list[Shown] = []
            for part, (maker, batch) in enumerate(zip(self.makers, found, strict=True)):
                maker.update(phase, batch, number, partial(self.losses, part, phase, number, shown))
            if number > self.starts:
                self.teach(shown)

    def losses(self, part: int, phase: Phase, number: int, shown: list[Shown], batch: Batch) -> Losses:
        """A generator's own losses plus the weighted privacy loss, by row; its samples are put into ``shown``.

        Raises:
            IncompatibleError: its loss does not show the discriminator one sample per row, once.
        """
        from torch.nn.functional import cross_entropy

        pair, target = self.pairs[part], self.request.target
        seen: list[Shown] = []
        # Samples are taken where the discriminator is shown them, so that they are generated once for both.
        hook = pair.networks["discriminator"][0].register_forward_pre_hook(lambda _, given: seen.append(given))
        try:
            own = target.losses(phase, pair.networks, batch, pair.draw)
        finally:
            hook.remove()
        if (rows := [len(given[0]) for given in seen]) != [batch.size]:
            raise IncompatibleError(
                f"expected {target.name} to show its discriminator the {batch.size} generated rows of an update of the "
                f"generator in one pass, got passes of {rows} rows: which to show the privacy discriminator is unknown"
            )
        public = generator_rows(pair, own, phase, batch, number)
        others = self.draw.integers(len(self.pairs) - 1, batch.size)
        others = others + (others >= part)  # every part but its own
        privacy = cross_entropy(self.privacy(*seen[0]).float(), others, reduction="none")
        shown.append(tuple(given.detach() for given in seen[0]))
        return Losses(None, public + self.weight * privacy)

    def teach(self, shown: Sequence[Shown]) -> None:
        """One update of the privacy discriminator on what each part or generator shows, in their order."""
        import torch
        from torch.nn.functional import cross_entropy

        self.updater.begin()
        rows = []
        with self.request.device.autocast():
            for part, given in enumerate(shown):  # one by one, as the generators are judged, for BatchNorm's sake
                answer = self.privacy(*given).float()
                rows.append(cross_entropy(answer, answer.new_full((len(answer),), part).long(), reduction="none"))
        self.updater.step(Losses(None, torch.cat(rows)), sum(map(len, rows)))
        self.updater.end()


def classifier(judge: nn.Module, classes: int, rng: torch.Generator) -> nn.Module:
    """A discriminator with a logit per class in place of its one.

    Raises:
        IncompatibleError: it does not end in one linear layer with one output.
    """
    from torch import nn

    from targets.nets.mlp import initialise

    heads = [
        (parent, name, child.in_features)
        for parent in judge.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) and child.out_features == 1
    ]
    if len(heads) != 1:
        raise IncompatibleError(
            "privgan makes the privacy discriminator of the target's by giving its last layer an output per generator: "
            f"expected one linear layer with one output, got {len(heads)}"
        )
    parent, name, inputs = heads[0]
    setattr(parent, name, initialise(nn.Linear(inputs, classes), rng))
    return judge
