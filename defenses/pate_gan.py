"""PATE-GAN: the released discriminator learns from the noisy votes of teachers, which alone see real records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bench.errors import IncompatibleError
from bench.records import Schema
from bench.results import PrivacyClaim
from bench.rng import RecordRng, derive_seed, generator
from defenses._accounting import SMALLEST_DELTA, delta_too_large
from defenses._laplace import laplace_epsilon, laplace_rdp_epsilon, laplace_scale_for
from defenses.base import Defense, TrainingContext
from targets.base import Batch, Draw, Losses, Networks, Target
from targets.history import History
from targets.trainee import Trainee

if TYPE_CHECKING:
    import torch
    from torch import nn

    from targets.training import TrainingRequest, TrainingResult


class PATEGAN(Defense):
    """A student discriminator that only sees generated samples, labelled by a noisy majority of teachers.

    Each teacher is a discriminator that learns from a part of the records, as the undefended one does from all. In
    every step the student learns from fresh generated samples, each labelled real or fake by the larger of two vote
    counts with independent Laplace noise; the generator learns from the student. Student and generator are released,
    with as many updates as undefended ones and from the same initial weights; the teachers are extra cost.

    The claim depends on no record: adding or removing one changes one teacher, so it moves one vote of every query, and
    each of the two counts by at most 1. Every planned query counts. For that, a record's part is drawn from its own id:
    parts of equal size would move other records where one joins. The paper's accountant spends less where teachers
    agree, but what it then reports depends on the records and would need noise too. Six public implementations violate
    the guarantee (Ganev, Annamalai and De Cristofaro, The Elusive Pursuit of Reproducing PATE-GAN, 2024); the tests
    look for each kind of their mistakes.

    One update of each teacher and of the student per step stands for the paper's several. Other defenses of a stack
    change all networks and the training of the teachers and the generator, but not the student's losses, whose labels
    are no longer those of records. Teachers vote in training mode, as a generator is judged while it learns. The
    student's entry in the history is its cross-entropy with the noisy labels, ln 2 where they are coin flips.
    """

    name = "pate_gan"
    family = "privacy"
    accounted = True
    replaces_procedure = True
    paper = (
        "Jordon, Yoon and van der Schaar, PATE-GAN: Generating Synthetic Data with Differential Privacy Guarantees, "
        "ICLR 2019, section 4 and algorithm 1"
    )
    caveat = (
        "At a small epsilon the noise outvotes the teachers and the labels are coin flips: read its quality against "
        "that of the untrained target."
    )

    class Options(Defense.Options):
        teachers: int = Field(5, ge=2)
        """Number of teachers, and of parts of the records; public, and so never taken from the data."""
        epsilon: float | None = Field(None, gt=0, allow_inf_nan=False)
        """Privacy budget at the end of training; the noise is found from it. Give this or ``noise_scale``."""
        noise_scale: float | None = Field(None, ge=0.01, allow_inf_nan=False)
        """Scale of the Laplace noise on each count, in votes: the paper's 1 / lambda. Give this or ``epsilon``."""
        delta: float = Field(1e-5, ge=SMALLEST_DELTA, lt=1)
        """Probability with which the guarantee may fail; well below 1 / members."""
        labelled: int | None = Field(None, ge=1)
        """Generated samples that are labelled in each step, one query each; None: as many as a batch has records."""

        @model_validator(mode="after")
        def _one_of(self) -> Self:
            if (self.epsilon is None) == (self.noise_scale is None):
                raise ValueError("expected exactly one of `epsilon` and `noise_scale`")
            return self

    options: Options

    @property
    def partitions(self) -> int:
        return self.options.teachers

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        expected = {"discriminator": (("discriminator",), True), "generator": (("generator",), False)}
        if {phase.name: (phase.roles, phase.private) for phase in target.phases()} != expected:
            return (
                f"{self.name} needs a generator that learns from a discriminator alone, which alone reads records; "
                f"{target.name} is trained otherwise"
            )
        if target.critic or getattr(target.options, "loss", None) == "wgan_gp":
            return (
                f"{self.name} needs teachers that vote real or fake, and the critic of {target.name} has no such zero"
            )
        if target.conditional:
            return f"{self.name} protects records without labels, but {target.name} is told each record's label"
        if type(target).fit is not Target.fit:
            return (
                f"{self.name} cannot protect {target.name}: it takes more from the records than the teachers' updates"
            )
        return None

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        if context.expected_records < self.options.teachers:
            raise IncompatibleError(
                f"{self.name}: expected at least as many records as the {self.options.teachers} teachers, got "
                f"{context.expected_records}"
            )
        return networks

    def procedure(self, request: TrainingRequest) -> TrainingResult:
        import torch

        from targets.training import context_of, prepare, run

        networks, history = prepare(request)
        context = context_of(request)
        parts = parts_by_id(request.records.ids, self.options.teachers, request.seed)
        teachers = [self._teacher(request, parts, i) for i in range(self.options.teachers)]
        votes = Votes(self, request)
        player = Trainee(request, context, networks, history)
        pupil = Trainee(replace(request, defenses=()), context, networks, history)
        samples = Draw(request.device, request.seed, "labelled samples")
        nothing = torch.zeros(0, *context.schema.shape, device=request.device.name)

        def lesson(batch: Batch) -> Losses:
            with torch.no_grad():
                x = request.target.generate(networks, batch.size, samples)
                real = votes.labels([request.target.logit(one.networks["discriminator"][0], x) for one in teachers])
            return student_losses(request.target, networks["discriminator"][0], x, real)

        def step(number: int) -> None:
            for phase in player.due(number):
                if phase.private:
                    for teacher in teachers:
                        for own, shared in zip(teacher.networks["generator"], networks["generator"], strict=True):
                            own.load_state_dict(shared.state_dict())
                        if len(teacher.request.records):  # one without any votes as it was built
                            teacher.update(phase, next(teacher.source), number)
                    pupil.update(phase, Batch(nothing, None, votes.size, context.schema), number, lesson)
                else:
                    player.update(phase, Batch(nothing, None, context.batch_size, context.schema), number)

        result = run(request, networks, history, step, lambda: [votes.claim()], player.stops)
        return replace(result, parts=parts)

    def _teacher(self, request: TrainingRequest, parts: NDArray[np.int64], index: int) -> Trainee:
        """A discriminator that learns from one part.

        It shares nothing with the others, not even the generator, of which it has a copy: whatever its updates leave
        behind in there is neither released nor seen by another teacher.
        """
        from targets.training import build_networks, context_of, set_mode

        own = replace(
            request,
            records=request.records.take(np.flatnonzero(parts == index)),
            expected_records=request.expected_records // self.options.teachers,
            seed=derive_seed(request.seed, "teacher", index),
        )
        context = context_of(own)
        networks = build_networks(own.target, request.defenses[1:], context)
        set_mode(networks, train=True)
        return Trainee(own, context, networks, Forgotten({}))


class Votes:
    """The only way from the records to what is released: noisy majorities of teachers' votes, counted."""

    def __init__(self, defense: PATEGAN, request: TrainingRequest) -> None:
        o = self.options = defense.options
        self.steps, self.expected_records = request.target.options.steps, request.expected_records
        self.size = o.labelled or request.target.options.batch_size
        self.answered = 0
        self.scale = o.noise_scale or laplace_scale_for(o.epsilon or 0.0, o.delta, 2 * self.size * self.steps)
        # Two models that are both released must not share their noise, so its stream is named after all that they are.
        names = (repr(plugin) for plugin in (request.target, *request.defenses))
        self.noise = generator(request.seed, "vote noise", *names)

    def labels(self, logits: Sequence[torch.Tensor]) -> torch.Tensor:
        """Whether each sample counts as real, bool ``(rows,)``, from each teacher's logits ``(rows,)``."""
        import torch

        real = torch.stack([own > 0 for own in logits]).sum(dim=0).cpu().numpy()
        counts = np.stack([real, len(logits) - real])
        # In float64 and by numpy: the tail of float32 noise ends early, and a label could give the count away.
        noisy = counts + self.noise.laplace(0.0, self.scale, counts.shape)
        self.answered += counts.shape[1]
        return torch.from_numpy(noisy[0] > noisy[1]).to(logits[0].device)

    def claim(self) -> PrivacyClaim:
        """What all planned queries spend: earlier labels decide whether a training ends early."""
        delta = self.options.delta
        queries = max(self.answered, self.size * self.steps)
        void = delta_too_large(delta, self.expected_records, "record")
        return PrivacyClaim(
            # Of each query, two counts, each of which one record moves by one vote.
            epsilon=None if void else laplace_epsilon(self.scale, 2 * queries, delta),
            epsilon_rdp=None if void else laplace_rdp_epsilon(self.scale, 2 * queries, delta),
            void_reason=void,
            delta=delta,
            accountant="pld",
            noise_multiplier=self.scale,
            sample_rate=1.0,
            steps=max(self.steps, -(-self.answered // self.size)),
            queries=queries,
            max_grad_norm=None,
        )


class Forgotten(History):
    """Keeps nothing: the losses of teachers are those of records, and no noise covers them."""

    def add(self, name: str, value: torch.Tensor) -> None:
        """Let it go."""


def parts_by_id(ids: NDArray[np.int64], parts: int, seed: int) -> NDArray[np.int64]:
    """The part of each record, int64 ``(n,)``, by a draw of its own: it stays whoever else is there."""
    return np.floor(RecordRng(seed, "teacher's part").uniform(ids) * parts).astype(np.int64)


def student_losses(target: Target, student: nn.Module, x: torch.Tensor, real: torch.Tensor) -> Losses:
    """The student's binary cross-entropy with the labels of generated samples, ``(rows,)``."""
    import torch
    from torch.nn.functional import softplus

    logit = target.logit(student, x)
    return Losses(None, softplus(torch.where(real, -logit, logit)), generated_logits=logit)
