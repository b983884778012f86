"""PATE-GAN: the figures, and each kind of mistake that public implementations were found to make."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from accountants import laplace_epsilon_by_pld
from dp_cases import SCHEMA, noise_records, request, tiny
from pydantic import ValidationError
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, differing
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Records, Schema
from defenses._laplace import laplace_epsilon, laplace_rdp_epsilon
from defenses.base import Defense, TrainingContext, stack_refuses
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.pate_gan import PATEGAN, Votes, parts_by_id, student_losses
from defenses.weight_norm import WeightNorm
from targets.base import Batch, Networks, Phase, Target
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.ddpm import DDPM
from targets.logan_attacker import LoganAttacker
from targets.trainee import Trainee
from targets.training import TrainingResult, train
from targets.vae import VAE
from targets.wgan_gp import WGANGP


def pate(**options: Any) -> PATEGAN:
    return PATEGAN(**{"teachers": 3, **({} if "epsilon" in options else {"noise_scale": 1.0}), **options})


def answer_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels that no teacher has a say in."""

    def labels(self: Votes, logits: Sequence[torch.Tensor]) -> torch.Tensor:
        self.answered += len(logits[0])
        return torch.arange(len(logits[0])) % 2 == 0

    monkeypatch.setattr(Votes, "labels", labels)


def updates_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Trainee, Phase, Batch]]:
    """Every update that is made from now on."""
    made: list[tuple[Trainee, Phase, Batch]] = []
    original = Trainee.update

    def update(self: Trainee, phase: Phase, batch: Batch, *rest: Any) -> None:
        made.append((self, phase, batch))
        original(self, phase, batch, *rest)

    monkeypatch.setattr(Trainee, "update", update)
    return made


def released_alike(a: TrainingResult, b: TrainingResult) -> bool:
    """Whether everything that leaves two trainings is the same to the last bit."""
    return (
        not differing(a.networks, b.networks)
        and a.history.keys() == b.history.keys()
        and all(np.array_equal(a.history[name], b.history[name]) for name in a.history)
        and np.array_equal(a.snapshots, b.snapshots)
        and (a.claim, a.status, a.steps_done) == (b.claim, b.status, b.steps_done)
    )


# --- what reaches the release -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "stack"),
    [
        (tiny(), ()),
        (tiny(norm="batch"), ()),
        (tiny(average=None), (WeightNorm(), Dropout())),
    ],
    ids=str,
)
def test_records_reach_the_release_through_labels_alone(
    target: Target, stack: tuple[Defense, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the labels held, other records in other number leave the same bytes: networks, losses, snapshots, claim."""

    def run(n: int, seed: int) -> TrainingResult:
        asked = request(target, pate(), *stack, expected=30)
        return train(replace(asked, records=noise_records(n, seed), snapshot_records=4))

    assert not released_alike(run(30, 0), run(30, 5))  # while teachers have a say, records matter
    answer_alike(monkeypatch)
    first = run(30, 0)
    assert released_alike(first, run(30, 5))
    assert released_alike(first, run(1, 7))
    assert first.status == "completed"


def test_one_record_more_changes_one_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_alike(monkeypatch)
    everybody = noise_records(31)
    found: list[list[Networks]] = []
    for records in (everybody, everybody.take(np.delete(np.arange(31), 12))):
        made = updates_of(monkeypatch)
        train(replace(request(tiny(), pate(), expected=30), records=records))
        teachers = list(dict.fromkeys(trainee for trainee, phase, batch in made if len(batch.x)))
        found.append([{"discriminator": one.networks["discriminator"]} for one in teachers])
    changed = [bool(differing(a, b)) for a, b in zip(*found, strict=True)]
    part = int(parts_by_id(everybody.ids, 3, 0)[12])
    assert changed == [index == part for index in range(3)]


def test_each_teacher_sees_its_own_part_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    made = updates_of(monkeypatch)
    asked = request(tiny(steps=12), pate())
    result = train(asked)
    assert result.parts is not None
    known = {row.tobytes(): index for index, row in enumerate(asked.records.floats())}
    seen: dict[Trainee, set[int]] = {}
    for trainee, _, batch in made:
        for row in batch.x.numpy():
            seen.setdefault(trainee, set()).add(known[row.tobytes()])
    assert len(seen) == 3
    # Every record of the part, none of another's: 12 batches of 8 go several times through about 10 records.
    assert sorted(map(sorted, seen.values())) == sorted(np.flatnonzero(result.parts == k).tolist() for k in range(3))


def test_a_records_part_is_its_own_and_parts_are_about_even() -> None:
    ids = np.arange(3000, dtype=np.int64)
    parts = parts_by_id(ids, 5, seed=0)
    kept = np.random.Generator(np.random.PCG64(0)).permutation(3000)[:1700]
    assert np.array_equal(parts_by_id(ids[kept], 5, seed=0), parts[kept])
    assert parts.dtype == np.int64
    assert np.abs(np.bincount(parts, minlength=5) - 600).max() < 5 * math.sqrt(600)
    assert not np.array_equal(parts_by_id(ids, 5, seed=1), parts)


def test_teachers_start_apart_and_draw_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    made = updates_of(monkeypatch)
    train(request(tiny(steps=1), pate()))
    teachers = list(dict.fromkeys(trainee for trainee, phase, batch in made if len(batch.x)))
    draws = {one.draw.normal(3).numpy().tobytes() for one in teachers}
    weights = {next(one.networks["discriminator"][0].parameters()).detach().numpy().tobytes() for one in teachers}
    assert (len(teachers), len(draws), len(weights)) == (3, 3, 3)


def test_student_and_generator_are_updated_as_often_as_undefended(monkeypatch: pytest.MonkeyPatch) -> None:
    made = updates_of(monkeypatch)
    target = CTGAN(steps=6, batch_size=8, width=8, latent=4, critic_steps=2)
    from bench.contracts.tiny import tiny_request

    result = train(tiny_request(target, [pate()], MIXED))
    teachers, others = Counter(), Counter()  # type: Counter[str], Counter[str]
    for _, phase, batch in made:
        (teachers if len(batch.x) else others).update([phase.name])
    assert others == {"discriminator": 6, "generator": 3}
    assert teachers == {"discriminator": 18}
    undefended = train(tiny_request(target, (), MIXED))
    assert {name: len(values) for name, values in result.history.items()} == {
        name: len(values) for name, values in undefended.history.items()
    }


def test_before_the_first_step_the_release_is_the_undefended_one() -> None:
    plain, defended = train(request(tiny(steps=0))), train(request(tiny(steps=0), pate()))
    assert not differing(plain.networks, defended.networks)
    assert defended.claim is not None
    assert (defended.claim.epsilon, defended.claim.queries, defended.claim.steps) == (0.0, 0, 0)


def test_the_student_learns_the_labels_it_is_given() -> None:
    target = tiny()
    networks = target.build(SCHEMA, torch.Generator().manual_seed(0))
    x = torch.randn(9, *SCHEMA.shape, generator=torch.Generator().manual_seed(1))
    real = torch.arange(9) % 3 == 0
    losses = student_losses(target, networks["discriminator"][0], x, real)
    logit = networks["discriminator"][0](x)[:, 0]
    assert losses.private is None
    assert losses.public is not None
    expected = binary_cross_entropy_with_logits(logit, real.float(), reduction="none")
    torch.testing.assert_close(losses.public, expected, rtol=1e-5, atol=1e-6)


def test_without_noise_the_student_comes_to_agree_with_the_teachers() -> None:
    """Against a generator that stands still: records are noise and samples smooth, so that every vote is for fake."""
    target = tiny(steps=60, learning_rate=1e-30, discriminator_learning_rate=2e-3)
    result = train(request(target, pate(noise_scale=0.01)))
    assert result.history["loss/discriminator"][-10:].mean() < 0.2
    coins = train(request(target, pate(noise_scale=1e6)))
    assert coins.history["loss/discriminator"][-10:].mean() == pytest.approx(math.log(2), abs=0.12)


# --- the noise --------------------------------------------------------------------------------------------------------


def votes_of(defense: PATEGAN, target: Target | None = None, seed: int = 0) -> Votes:
    return Votes(defense, replace(request(target or tiny(), defense), seed=seed))


def ballots(real: int, teachers: int, rows: int) -> list[torch.Tensor]:
    """Logits of teachers of whom so many vote real."""
    return [torch.full((rows,), 0.7 if index < real else -0.2) for index in range(teachers)]


@pytest.mark.parametrize("scale", [0.4, 1.0, 5.0, 40.0])
@pytest.mark.parametrize("real", [0, 1, 3, 4, 5])
def test_labels_flip_as_often_as_two_laplace_draws_do(scale: float, real: int) -> None:
    """P(L1 - L2 > g) = exp(-g/b) (2 + g/b) / 4 for g >= 0, where g is by how many votes fake leads."""
    rows = 40_000
    labels = votes_of(pate(teachers=5, noise_scale=scale)).labels(ballots(real, 5, rows))
    lead = abs(5 - 2 * real) / scale
    tail = math.exp(-lead) * (2 + lead) / 4
    expected = tail if 5 - 2 * real >= 0 else 1 - tail
    deviation = math.sqrt(expected * (1 - expected) / rows)
    assert labels.dtype == torch.bool
    assert float(labels.double().mean()) == pytest.approx(expected, abs=5 * deviation + 1e-12)


def test_each_query_draws_noise_of_its_own() -> None:
    votes = votes_of(pate(teachers=2, noise_scale=3.0))
    rounds = torch.stack([votes.labels(ballots(1, 2, 200)) for _ in range(200)]).double().numpy()
    assert rounds.mean() == pytest.approx(0.5, abs=0.02)
    for table in (rounds, rounds.T):  # neither from query to query nor from step to step
        between = np.corrcoef(table)[np.triu_indices(200, 1)]
        assert abs(between).max() < 6 / math.sqrt(200)
        assert between.std() == pytest.approx(1 / math.sqrt(200), rel=0.1)


def test_noise_follows_the_seed_and_is_never_shared_between_models() -> None:
    def first(votes: Votes) -> list[bool]:
        found: list[bool] = votes.labels(ballots(1, 2, 400)).tolist()
        return found

    one = first(votes_of(pate(teachers=2)))
    assert one == first(votes_of(pate(teachers=2)))
    stacked = Votes(pate(teachers=2), request(tiny(), pate(teachers=2), Dropout()))
    for other in (
        votes_of(pate(teachers=2), seed=1),
        votes_of(pate(teachers=2, noise_scale=1.01)),
        votes_of(pate(teachers=2), tiny(learning_rate=1e-3)),
        stacked,
    ):
        assert 0.4 < np.mean([a == b for a, b in zip(one, first(other), strict=True)]) < 0.6


def test_a_teacher_whose_logits_are_not_finite_votes_fake() -> None:
    votes = votes_of(pate(noise_scale=0.01))
    logits = [torch.tensor([math.nan, math.inf]), torch.tensor([1.0, 1.0]), torch.tensor([-1.0, -1.0])]
    assert votes.labels(logits).tolist() == [False, True]


# --- the claim --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("labelled", "queries"), [(None, 48), (3, 18), (20, 120)])
def test_every_labelled_sample_is_a_query_of_two_counts(
    labelled: int | None, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    original = Votes.labels

    def labels(self: Votes, logits: Sequence[torch.Tensor]) -> torch.Tensor:
        asked.append(len(logits[0]))
        return original(self, logits)

    monkeypatch.setattr(Votes, "labels", labels)
    claim = train(request(tiny(), pate(noise_scale=20.0, labelled=labelled, delta=1e-4))).claim
    assert claim is not None
    assert sum(asked) == claim.queries == queries
    assert claim.epsilon is not None
    truth = laplace_epsilon_by_pld(20.0, 2 * queries, 1e-4, 1e-4)
    assert truth - 1e-3 <= claim.epsilon <= 1.01 * truth + 0.01
    assert claim.epsilon == laplace_epsilon(20.0, 2 * queries, 1e-4)
    assert claim.epsilon_rdp == laplace_rdp_epsilon(20.0, 2 * queries, 1e-4)
    assert (claim.unit, claim.adjacency, claim.accountant, claim.void_reason) == ("record", "add/remove", "pld", "")
    assert (claim.noise_multiplier, claim.sample_rate, claim.steps, claim.delta) == (20.0, 1.0, 6, 1e-4)
    assert claim.max_grad_norm is None


def test_a_training_by_budget_claims_within_it_and_more_votes_need_more_noise() -> None:
    found = [train(request(tiny(), pate(epsilon=2.0, labelled=n))).claim for n in (4, 16)]
    for claim in found:
        assert claim is not None
        assert claim.epsilon is not None
        assert 1.98 <= claim.epsilon <= 2.0
    assert found[0] is not None
    assert found[1] is not None
    # Of many counts epsilon is about that of Gaussian noise, whose deviation grows with the root of their number.
    assert found[1].noise_multiplier == pytest.approx(2 * found[0].noise_multiplier, rel=0.05)


def test_the_claim_rests_on_public_numbers_alone() -> None:
    claims = [train(request(tiny(), pate(), n=n, expected=30)).claim for n in (12, 30, 41)]
    assert claims[0] is not None
    assert claims[0] == claims[1] == claims[2]


class Stopper(Defense):
    """Ends the training after two steps."""

    name = "stopper"

    def after_step(self, number: int, networks: Networks, context: TrainingContext, state: object) -> bool:
        return number == 2


def test_a_training_that_ends_early_claims_what_the_planned_one_would_spend() -> None:
    early, whole = (train(request(tiny(), pate(), *more)) for more in ((Stopper(),), ()))
    assert (early.steps_done, whole.steps_done) == (2, 6)
    assert early.claim == whole.claim


def test_queries_beyond_the_plan_are_claimed_too() -> None:
    votes = votes_of(pate())
    votes.labels(ballots(1, 3, 100))
    claim = votes.claim()
    assert (claim.queries, claim.steps) == (100, 13)
    assert claim.epsilon == laplace_epsilon(1.0, 200, 1e-5)


def test_a_delta_that_lets_one_record_be_published_voids_the_claim() -> None:
    claim = train(request(tiny(), pate(delta=0.04), n=30)).claim
    assert claim is not None
    assert (claim.epsilon, claim.epsilon_rdp) == (None, None)
    assert claim.void_reason == "delta 0.04 is not below 1 / 30 records"


class Reader(Defense):
    """Looks at members outside of the accounting."""

    name = "reader"
    reads_members = "chooses its threshold on member records"


def test_a_defense_that_reads_members_voids_the_claim() -> None:
    claim = train(request(tiny(), pate(), Reader())).claim
    assert claim is not None
    assert claim.epsilon is None
    assert claim.void_reason == "reader: chooses its threshold on member records"


# --- where it applies -------------------------------------------------------------------------------------------------


def checked(report: dict[str, str]) -> bool:
    return not any(report.values())


@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (DCGAN(width=4, latent=4), GREY),
        (DCGAN(width=4, latent=4, norm="batch"), GREY),
        (CTGAN(width=8, latent=4), MIXED),
    ],
    ids=str,
)
def test_it_keeps_the_contract(target: Target, schema: Schema) -> None:
    assert checked(check_defense(pate(), target=target, schema=schema))


def test_it_trains_in_half_precision() -> None:
    half = replace(request(tiny(steps=3), pate()), device=Device(precision="bf16"))
    result = train(half)
    assert result.status == "completed"
    assert all(p.dtype == torch.float32 for p in result.networks["discriminator"][0].parameters())


def test_a_teacher_without_records_votes_as_it_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    made = updates_of(monkeypatch)
    asked = replace(request(tiny(norm="batch"), pate(), expected=30), records=noise_records(1))
    assert train(asked).status == "completed"
    assert len({trainee for trainee, _, batch in made if len(batch.x)}) == 1


def test_fewer_records_than_teachers_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="at least as many records as the 40 teachers, got 30"):
        train(request(tiny(), pate(teachers=40)))


class OwnFit(DCGAN):
    """Takes something from the records before training."""

    name = "own_fit"

    def fit(self, networks: Networks, records: Records, reference: Records) -> None:
        """Take it."""


@pytest.mark.parametrize(
    ("target", "schema", "reason"),
    [
        (WGANGP(), SCHEMA, "the critic of wgan_gp has no such zero"),
        (CTGAN(loss="wgan_gp"), MIXED, "the critic of ctgan has no such zero"),
        (BEGAN(), SCHEMA, "the critic of began has no such zero"),
        (VAE(), SCHEMA, "vae is trained otherwise"),
        (DDPM(), SCHEMA, "ddpm is trained otherwise"),
        (DCGANVAE(), SCHEMA, "dcgan_vae is trained otherwise"),
        (DCGAN(conditional=True), GREY, "dcgan is told each record's label"),
        (LoganAttacker(), GREY, "it takes more from the records than the teachers' updates"),
        (OwnFit(), SCHEMA, "own_fit: it takes more from the records than the teachers' updates"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_targets_that_it_cannot_protect_are_refused(target: Target, schema: Schema, reason: str) -> None:
    refused = stack_refuses([pate()], target, schema)
    assert refused is not None
    assert reason in refused


@pytest.mark.parametrize(
    ("stack", "reason"),
    [
        ([Dropout(), pate()], "write [pate_gan, dropout]"),
        ([pate(), DPSGD(noise_multiplier=1.0)], "pate_gan replaces the training procedure"),
        ([pate(), pate(teachers=2)], "at most one defense of a stack may replace"),
    ],
)
def test_stacks_that_do_not_go_together_are_refused(stack: list[Defense], reason: str) -> None:
    refused = stack_refuses(stack, tiny(), SCHEMA)
    assert refused is not None
    assert reason in refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of `epsilon` and `noise_scale`"),
        ({"epsilon": 1.0, "noise_scale": 1.0}, "exactly one of `epsilon` and `noise_scale`"),
        ({"epsilon": 0.0}, "greater than 0"),
        ({"epsilon": math.inf}, "finite number"),
        ({"noise_scale": 0.0}, r"greater than or equal to 0\.01"),
        ({"noise_scale": math.inf}, "finite number"),
        ({"epsilon": 1.0, "delta": 1e-13}, r"greater than or equal to 0\.000000001"),
        ({"epsilon": 1.0, "delta": 1.0}, "less than 1"),
        ({"epsilon": 1.0, "teachers": 1}, "greater than or equal to 2"),
        ({"epsilon": 1.0, "labelled": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PATEGAN(**options)


def test_it_names_its_parts() -> None:
    assert pate(teachers=4).partitions == 4
