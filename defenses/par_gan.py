"""PAR-GAN: one generator against several discriminators, each of which sees a part of the members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from bench.records import Schema
from bench.rng import torch_generator
from defenses._pairs import finisher, generator_rows, pair_of, refuses_pairs, some_stop, trainees
from defenses._partition import even_parts
from defenses.base import Defense, TrainingContext
from targets.base import Batch, Losses, Networks, Phase, Target

if TYPE_CHECKING:
    from targets.trainee import Trainee
    from targets.training import TrainingRequest, TrainingResult


class ParGAN(Defense):
    """One generator that minimises the mean of its losses against discriminators of disjoint parts of the members.

    So it learns the mixture of the parts, and what one discriminator knows of single records counts for little. At
    each step every discriminator is updated once on a batch of its part, as large as the undefended one's, and the
    generator once: both make as many updates as undefended. As in the authors' code, the generator's loss against each
    discriminator is that of latents of its own, and the parts are even.

    It departs from that code, which updates the discriminators twice per update of the generator: the target says how
    often here, so that the number of updates is no part of the comparison. The parts are drawn by chance and hold all
    members, where the code cuts the records in order and leaves out the rest.
    """

    name = "par_gan"
    paper = (
        "Chen, Wang, Gao and Shi, PAR-GAN: Improving the Generalization of Generative Adversarial Networks Against "
        "Membership Inference Attacks, KDD 2021"
    )
    family = "architecture"
    replaces_procedure = True
    adaptive = ("logan_white_box",)
    caveat = (
        "Each released discriminator saw one part of the members alone, in as many updates as an undefended one sees "
        "all of them, so it may know its own better."
    )

    class Options(Defense.Options):
        discriminators: int = Field(3, ge=2, le=100)
        """Into how many parts the members are divided (K); the authors take 5 for images."""

    options: Options

    @property
    def partitions(self) -> int:
        return self.options.discriminators

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        return refuses_pairs(self.name, target)

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        judges = [pair_of(self.name, context.target, networks)[1]]
        for number in range(1, self.options.discriminators):
            rng = torch_generator(context.seed, "weights", self.name, number)
            judges += context.target.build(context.schema, rng)["discriminator"]
        return {**networks, "discriminator": tuple(judges)}

    def procedure(self, request: TrainingRequest) -> TrainingResult:
        from targets.training import prepare, run

        networks, history = prepare(request)
        part_of = even_parts(len(request.records), self.partitions, request.seed)
        each: list[Networks] = [{**networks, "discriminator": (judge,)} for judge in networks["discriminator"]]
        pairs = trainees(request, each, part_of, history)
        whole = finisher(pairs[0], networks)

        def step(number: int) -> None:
            batches = [next(pair.source) for pair in pairs]
            for phase in whole.due(number):
                if phase.private:
                    for pair, batch in zip(pairs, batches, strict=True):
                        pair.update(phase, batch, number)
                else:
                    whole.update(phase, batches[0], number, partial(mean, pairs, phase, number))

        found = run(request, networks, history, step, lambda: (), lambda number: some_stop(pairs, number))
        return replace(found, parts=part_of)


def mean(pairs: Sequence[Trainee], phase: Phase, number: int, batch: Batch) -> Losses:
    """The mean over all pairs of the loss of one generated row each, ``(size,)``, after the defenses of the stack."""
    import torch

    rows = []
    for pair in pairs:
        found = pair.request.target.losses(phase, pair.networks, batch, pair.draw)
        rows.append(generator_rows(pair, found, phase, batch, number))
    return Losses(None, torch.stack(rows).mean(dim=0))
