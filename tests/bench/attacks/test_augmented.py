"""A statistic's mean over augmented copies: against one record and one copy at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from discriminator_cases import overfitted
from numpy.typing import NDArray
from scipy import ndimage

from bench.attacks.augmented import Augmented
from bench.attacks.base import Knowledge, TrialSpec
from bench.contracts import check_attack
from bench.contracts.tiny import GREY, MIXED, tiny_records
from bench.devices import Device
from bench.errors import InputError
from bench.release import View
from bench.rng import RecordRng
from defenses.base import Defense, Step
from targets.base import Batch

RNG = RecordRng(5, "attack", "augmented")


def looped(attack: Augmented, image: NDArray[np.float32], record: int, copy: int) -> NDArray[np.float64]:
    """One copy of one image, by scipy, before it is rounded."""
    o, draw = attack.options, RNG.record(record, "augmented", copy)
    x = image.astype(np.float64)
    if o.flips and draw.random() < 0.5:
        x = x[:, :, ::-1]
    down, right = draw.integers(-o.shift, o.shift + 1, 2)
    x = ndimage.shift(x, (0, down, right), order=0, mode="nearest", prefilter=False)
    brightness, contrast = draw.uniform(-1, 1, 2)
    x = np.clip(x.mean() + (x - x.mean()) * (1 + o.contrast * contrast) + o.brightness * brightness, -1, 1)
    if o.noise:
        x = x + o.noise * draw.standard_normal(x.shape, dtype=np.float32)
    return np.asarray(np.clip(x, -1, 1))


SETTINGS: list[dict[str, Any]] = [
    {"copies": 3},
    {"copies": 2, "flips": True, "shift": 2, "brightness": 0.5, "contrast": 0.5, "noise": 0.2},
    {"copies": 2, "flips": True, "shift": 0, "brightness": 0, "contrast": 0, "noise": 0},
]


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_scores_are_the_mean_over_copies_made_one_by_one(options: dict[str, Any]) -> None:
    attack, candidates, samples = Augmented(**options), tiny_records(GREY, 9), tiny_records(GREY, 30, seed=1)
    view = View("samples", GREY, Device(), lambda: samples.x)
    wanted = []
    for i, image in enumerate(candidates.floats()):
        copies = [image.astype(np.float64)]
        for k in range(attack.options.copies):
            made = looped(attack, image, int(candidates.ids[i]), k)
            copies.append(np.rint((made + 1) * 127.5) / 127.5 - 1)
        nearest = [min(np.sqrt(((copy - s) ** 2).sum()) for s in samples.floats()) for copy in copies]
        wanted.append(-np.mean(nearest))
    found = attack.score(candidates, view, Knowledge(), RNG).scores
    # A value half way between two grey levels may be rounded to the other one.
    np.testing.assert_allclose(found, wanted, rtol=2e-3 if options.get("noise", 1) else 1e-5)


def test_some_copies_are_flipped_and_some_are_not() -> None:
    attack, records = Augmented(flips=True, shift=0, brightness=0, contrast=0, noise=0), tiny_records(GREY, 24)
    copy = attack.copied(records, 0, RNG)
    same = (copy.x == records.x).all(axis=(1, 2, 3))
    flipped = (copy.x == records.x[..., ::-1]).all(axis=(1, 2, 3))
    assert (same ^ flipped).all()
    assert 4 < flipped.sum() < 20
    never = Augmented(shift=0, brightness=0, contrast=0, noise=0).copied(records, 0, RNG)
    assert np.array_equal(never.x, records.x)


def test_copies_follow_the_record_and_differ_from_each_other() -> None:
    attack, records = Augmented(), tiny_records(GREY, 6)
    whole, alone = attack.copied(records, 0, RNG), attack.copied(records.take(np.array([4])), 0, RNG)
    assert np.array_equal(whole.x[4], alone.x[0])
    assert np.array_equal(whole.ids, records.ids)
    assert not np.array_equal(whole.x, attack.copied(records, 1, RNG).x)


def test_copies_are_finite_images_at_the_edges_of_the_range() -> None:
    records = tiny_records(GREY, 4)
    white = replace(records, x=np.full_like(records.x, 255))
    copy = Augmented(brightness=1.0, noise=0.5).copied(white, 0, RNG)
    assert copy.x.dtype == np.uint8
    assert copy.x.max() == 255


def test_no_copies_of_nobody() -> None:
    nobody = tiny_records(GREY, 4).take(np.zeros(0, np.int64))
    assert len(Augmented().copied(nobody, 0, RNG)) == 0


@pytest.mark.parametrize(
    "statistic", ["nearest_sample", "logan_white_box", {"name": "label_only", "noise": [0.1], "rotations": []}], ids=str
)
def test_contract(statistic: str | dict[str, Any]) -> None:
    attack = Augmented(statistic=statistic, copies=2)
    assert attack.access == attack.statistic.access
    report = check_attack(attack)
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_it_judges_images_alone() -> None:
    trial = TrialSpec(MIXED, 10, {}, {"name": "tvae"}, (), 0, 100)
    assert Augmented().not_applicable(trial, frozenset()) == "augmented judges image records, not table records"


def test_a_statistic_with_models_of_its_own_is_refused() -> None:
    with pytest.raises(InputError, match="expected a statistic that needs no labels and no models of its own"):
        Augmented(statistic={"name": "logan_generative", "known_members": 0.2})


def test_an_overfitted_discriminator_gives_its_members_away_and_an_untrained_one_does_not() -> None:
    attack = Augmented(statistic="logan_white_box", shift=0)
    assert overfitted().auc(attack) > 0.85
    assert abs(overfitted(steps=0).auc(attack) - 0.5) < 0.29  # four standard deviations of 20 against 80


class ShiftedRecords(Defense):
    """Trains on records shifted by up to one pixel each way."""

    name = "shifted_records"

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        moves = [step.draw.integers(3, len(batch.x)) - 1 for _ in range(2)]
        rows = [x.roll((int(down), int(right)), (1, 2)) for x, down, right in zip(batch.x, *moves, strict=True)]
        return replace(batch, x=torch.stack(rows))


def test_it_reads_more_than_its_statistic_where_the_target_was_trained_on_copies() -> None:
    case = overfitted(ShiftedRecords())
    attack = Augmented(statistic="logan_white_box", copies=16, brightness=0, contrast=0, noise=0)
    assert case.auc(attack) > case.auc(attack.statistic) + 0.02
