"""More training records: which join, what is left, and that nothing else of a training changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dp_cases import request as dp_request
from dp_cases import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, differing, run, tiny_records, tiny_request
from bench.errors import IncompatibleError, InputError, PluginError
from bench.records import Records
from bench.rng import generator
from bench.steps.train import trained_on
from defenses.base import Defense, stack_refuses
from defenses.dp_sgd import DPSGD
from defenses.more_data import MoreData
from defenses.none import NoDefense
from defenses.output_filter import OutputFilter
from targets.dcgan import DCGAN
from targets.loader import sample_rate
from targets.training import TrainingRequest, context_of, train


def numbered(n: int, first: int, seed: int = 0) -> Records:
    """Records with ids from ``first`` on, in an order by chance."""
    records = tiny_records(GREY, n, seed)
    ids = first + generator(seed, "test order").permutation(n)
    return replace(records, ids=ids)


def bigger(request: TrainingRequest) -> TrainingRequest:
    """The request as the stack's training records make it."""
    validation = replace(request.validation, ids=1000 + request.validation.ids)
    records, left = trained_on(request.defenses, request.records, validation, len(request.records))
    return replace(request, records=records, expected_records=len(records), validation=left)


@given(members=st.integers(1, 40), validation=st.integers(0, 60), factor=st.floats(1.01, 3), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_members_stay_and_validation_records_join_up_to_the_size(
    members: int, validation: int, factor: float, seed: int
) -> None:
    defense, own, spare = MoreData(factor=factor), numbered(members, 0, seed), numbered(validation, 500, seed + 1)
    size = round(factor * members)
    assert defense.training_size(members) == size
    if size == members:
        with pytest.raises(IncompatibleError, match=rf"a factor that adds at least one record to {members} members"):
            defense.training_records(own, spare)
        return
    if size > members + validation:
        with pytest.raises(IncompatibleError, match=rf"`validation` to at least {size - members}, and to more"):
            defense.training_records(own, spare)
        return
    trained, left = defense.training_records(own, spare)
    assert len(trained) == size
    assert set(own.ids) <= set(trained.ids)
    # Everyone is on one side, exactly once, with the pixels and the label that it had.
    assert sorted([*trained.ids, *left.ids]) == sorted([*own.ids, *spare.ids])
    assert list(trained.ids) == sorted(trained.ids)
    assert list(left.ids) == sorted(left.ids)
    for records, before in ((trained, (own, spare)), (left, (spare,))):
        for i, record in enumerate(records.ids):
            (source,) = [part for part in before if record in part.ids]
            place = list(source.ids).index(record)
            assert records.x[i].tobytes() == source.x[place].tobytes()
            assert records.labels is not None
            assert source.labels is not None
            assert records.labels[i] == source.labels[place]


def test_who_joins_depends_on_no_order_and_more_of_them_hold_the_fewer() -> None:
    members, spare = numbered(20, 0), numbered(50, 500)
    turned = spare.take(np.arange(50)[::-1])
    joined = []
    for factor in (1.25, 1.5, 3.0):
        first, again = (MoreData(factor=factor).training_records(members, s)[0] for s in (spare, turned))
        assert first.fingerprint() == again.fingerprint()
        joined.append({int(i) for i in first.ids if i >= 500})
    assert [len(ids) for ids in joined] == [5, 10, 40]
    assert joined[0] < joined[1] < joined[2]
    assert joined[1] != set(range(500, 510))  # by chance, not the first ids


def test_records_without_labels_and_of_tables() -> None:
    schema = replace(MIXED, classes=None)
    members, spare = (
        replace(tiny_records(MIXED, 10, seed), ids=np.arange(10) + 100 * seed, labels=None, schema=schema)
        for seed in (0, 1)
    )
    trained, left = MoreData(factor=1.5).training_records(members, spare)
    assert (len(trained), len(left), trained.labels, trained.schema) == (15, 5, None, schema)


def test_a_record_on_both_sides_is_an_error() -> None:
    with pytest.raises(InputError, match="record ids must be unique"):
        MoreData().training_records(numbered(5, 0), numbered(5, 0))


def test_too_few_validation_records_are_refused_with_the_sizes() -> None:
    with pytest.raises(
        IncompatibleError,
        match=r"at least 20 validation records to train on 40 records in place of 20, got 19; set `validation` to",
    ):
        MoreData(factor=2.0).training_records(numbered(20, 0), numbered(19, 500))
    assert len(MoreData(factor=2.0).training_records(numbered(20, 0), numbered(20, 500))[1]) == 0


def test_what_joined_is_training_data_to_the_rest_of_the_stack() -> None:
    """The filter protects the joined records too, and takes its distances from those that are left."""
    members, spare = numbered(20, 0), numbered(50, 500, 1)
    trained, left = MoreData(factor=1.5).training_records(members, spare)
    joined = trained.take(np.flatnonzero(trained.ids >= 500))
    mask = OutputFilter().filter_samples(joined.x, trained, left)
    assert mask is not None
    assert not mask.any()
    assert set(left.ids) & set(trained.ids) == set()


def test_two_of_them_multiply() -> None:
    stack = (MoreData(factor=2.0), MoreData(factor=1.5))
    assert stack_refuses(stack, DCGAN(), GREY) is None
    trained, left = trained_on(stack, numbered(20, 0), numbered(50, 500), 20)
    assert (len(trained), len(left)) == (60, 10)
    assert stack[1].training_size(stack[0].training_size(20)) == 60


def test_a_training_has_the_same_steps_on_more_records() -> None:
    target = DCGAN(width=4, latent=4, steps=8, batch_size=8)
    defended = replace(tiny_request(target), defenses=(MoreData(),))
    plain, more = run(tiny_request(target)), run(bigger(defended))
    assert more.steps_done == plain.steps_done == 8
    assert {name: values.shape for name, values in more.history.items()} == {
        name: values.shape for name, values in plain.history.items()
    }
    assert differing(plain.networks, more.networks)
    assert differing(run(bigger(defended)).networks, more.networks) == []
    # Without the records that joined, it is the undefended training.
    assert differing(run(defended).networks, plain.networks) == []


def test_a_claim_counts_the_records_that_joined() -> None:
    """As many records are expected as are trained on, so each is drawn half as often, and less is spent."""
    alone = train(dp_request(tiny(), NoDefense(), DPSGD(noise_multiplier=1.0))).claim
    request = dp_request(tiny(), MoreData(), DPSGD(noise_multiplier=1.0))
    both = bigger(replace(request, validation=tiny_like(request.records)))
    assert len(both.records) == 60
    claim = train(both).claim
    assert claim is not None
    assert alone is not None
    assert (claim.sample_rate, claim.void_reason) == (8 / 60, "")
    assert sample_rate(context_of(both)) == alone.sample_rate / 2
    assert claim.epsilon is not None
    assert alone.epsilon is not None
    assert 0 < claim.epsilon < alone.epsilon


def tiny_like(records: Records) -> Records:
    """Other records of the same kind."""
    return replace(records, x=255 - records.x)


def test_contract() -> None:
    assert not any(check_defense(MoreData()).values())


@pytest.mark.parametrize("joined", [14, 20, 26])
def test_how_many_join_follows_the_public_number_of_members(joined: int) -> None:
    """Where coins decide who is a member, one more or less of them must not move another record."""
    trained, left = MoreData(factor=1.5).training_records(numbered(joined, 0), numbered(50, 500), 20)
    assert (len(trained), len(left)) == (joined + 10, 40)
    assert {int(i) for i in trained.ids if i >= 500} == {
        int(i) for i in MoreData(factor=1.5).training_records(numbered(20, 0), numbered(50, 500))[0].ids if i >= 500
    }


@pytest.mark.parametrize("factor", [1.0, 0.5, float("inf"), float("nan")])
def test_options_are_checked(factor: float) -> None:
    with pytest.raises(ValidationError, match="factor"):
        MoreData(factor=factor)


def test_a_defense_must_say_how_many_records_it_adds() -> None:
    class Halving(Defense):
        name = "halving"

        def training_records(
            self, members: Records, validation: Records, expected: int | None = None
        ) -> tuple[Records, Records]:
            return members.take(np.arange(len(members) // 2)), validation

    with pytest.raises(PluginError, match="halving: expected training_records to change the number of records as"):
        trained_on((Halving(),), numbered(20, 0), numbered(50, 500), 20)
