"""privGAN: pairs of networks on parts of the members, and a discriminator of which generator made a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from bench.errors import IncompatibleError
from bench.records import Schema
from bench.rng import torch_generator
from defenses._pairs import pair_of, refuses_pairs, some_stop, trainees
from defenses._partition import even_parts
from defenses._privacy_discriminator import PrivacyTraining, classifier
from defenses.base import Defense, TrainingContext
from targets.base import Networks, Target

if TYPE_CHECKING:
    from targets.training import TrainingRequest, TrainingResult


class PrivGAN(Defense):
    """Pairs of generator and discriminator on disjoint parts, whose generators must not be told apart by their samples.

    A privacy discriminator says which generator made a sample. Each generator's loss is that against its own
    discriminator plus ``weight`` times the cross-entropy of the privacy discriminator's answer with another generator,
    drawn for each sample. The privacy discriminator first learns which part each member is in (``pretraining``), stays
    as it is (``delay``), and then learns of the generated samples at every update of the generators. What is released
    generates by all generators in equal shares.

    Every generator and every discriminator makes as many updates as the undefended one, on batches as large; those of
    the privacy discriminator, which has the discriminator's architecture and optimiser with an output per generator,
    come in addition. It departs from the authors' code: the parts are drawn by chance; the generators do not share
    their latents; what the privacy discriminator learns of are the samples of the generators' own update just before,
    not of the discriminators' before that; lengths are shares of the training, of the same size as that code's
    defaults; and the labels are not smoothed, as the undefended target's are not.
    """

    name = "privgan"
    paper = (
        "Mukherjee, Xu, Trivedi, Patowary and Lavista Ferres, privGAN: Protecting GANs from membership inference "
        "attacks at low cost to utility, PoPETs 2021"
    )
    family = "architecture"
    replaces_procedure = True
    adaptive = ("logan_white_box",)
    caveat = (
        "Each released discriminator saw one part of the members alone, in as many updates as an undefended one sees "
        "all of them, so it may know its own better, and the released privacy discriminator learnt of members too."
    )

    class Options(Defense.Options):
        pairs: int = Field(2, ge=2, le=100)
        """Pairs of a generator and a discriminator, and parts of the members."""
        weight: float = Field(1.0, gt=0, allow_inf_nan=False)
        """Weight of the privacy loss beside each generator's own (lambda)."""
        pretraining: float = Field(0.25, ge=0, le=10)
        """Updates of the privacy discriminator on the members before the training, as a share of its steps."""
        delay: float = Field(0.5, ge=0, le=1)
        """Share of the training after which the privacy discriminator learns of generated samples."""

    options: Options

    @property
    def partitions(self) -> int:
        return self.options.pairs

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        return refuses_pairs(self.name, target)

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        from targets.nets.mixture import Mixture

        target, schema, seed = context.target, context.schema, context.seed
        pairs = [pair_of(self.name, target, networks)]
        for number in range(1, self.options.pairs):
            more = target.build(schema, torch_generator(seed, "weights", self.name, number))
            pairs.append(pair_of(self.name, target, more))
        rng = torch_generator(seed, "weights", self.name, "privacy discriminator")
        _, privacy = pair_of(self.name, target, target.build(schema, rng))
        return {
            "generator": (Mixture([generator for generator, _ in pairs]),),
            "discriminator": tuple(discriminator for _, discriminator in pairs),
            "privacy_discriminator": (classifier(privacy, self.options.pairs, rng),),
        }

    def procedure(self, request: TrainingRequest) -> TrainingResult:
        from targets.nets.mixture import Mixture
        from targets.training import prepare, run

        networks, history = prepare(request)
        part_of = even_parts(len(request.records), self.partitions, request.seed)
        (mixture,) = networks["generator"]
        if not isinstance(mixture, Mixture):
            raise IncompatibleError(
                f"{self.name}: expected the generators that it built, got a {type(mixture).__name__}: another defense "
                "of the stack replaced them"
            )
        each: list[Networks] = [
            {**networks, "generator": (generator,), "discriminator": (judge,)}
            for generator, judge in zip(mixture.generators, networks["discriminator"], strict=True)
        ]
        pairs = trainees(request, each, part_of, history)
        o, steps = self.options, request.target.options.steps
        training = PrivacyTraining(request, pairs, o.weight, starts=o.delay * steps)
        training.pretrain(round(o.pretraining * steps))
        found = run(request, networks, history, training.step, lambda: (), lambda number: some_stop(pairs, number))
        return replace(found, parts=part_of)
