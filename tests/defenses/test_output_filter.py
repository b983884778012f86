"""The filter of the output: what it rejects, against a loop over pairs, and the holes that it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.attacks.base import Knowledge
from bench.attacks.hole import Hole
from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, differing, run, tiny_records, tiny_request
from bench.data.split import ROLES, Split
from bench.devices import Device
from bench.errors import IncompatibleError, PluginError
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import View
from bench.rng import RecordRng, generator
from bench.steps import sample as sample_step
from bench.steps import train as train_step
from bench.steps.data import _write
from bench.steps.task import Job, Task
from bench.store import Store
from defenses.base import Defense, checked_filter, stack_refuses
from defenses.dp_sgd import DPSGD
from defenses.output_filter import OutputFilter
from targets.base import Target
from targets.dcgan import DCGAN
from targets.memorizer import Memorizer
from targets.resampler import Resampler
from targets.training import train
from targets.tvae import TVAE
from targets.vae import VAE

PLANE = Schema("table", (2,))


def points(n: int, seed: int) -> Records:
    x = generator(seed, "test points").normal(size=(n, 2)).astype(np.float32)
    return Records(np.arange(n, dtype=np.int64), x, None, PLANE)


def by_loop(samples: Records, members: Records, validation: Records, quantile: float) -> list[bool]:
    """Pair after pair in float64, pixels put from 0..255 to -1..1."""

    def vector(row: NDArray[np.generic]) -> NDArray[np.float64]:
        wide = row.astype(np.float64).ravel()
        return wide / 127.5 - 1 if members.schema.kind == "image" else wide

    def nearest(row: NDArray[np.generic]) -> float:
        return min(float(np.sqrt(((vector(row) - vector(other)) ** 2).sum())) for other in members.x)

    ordered = sorted(nearest(row) for row in validation.x)
    place = quantile * (len(ordered) - 1)
    low, share = int(place), place - int(place)
    threshold = ordered[low] + share * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])
    return [nearest(row) >= threshold for row in samples.x]


@pytest.mark.parametrize("quantile", [0.05, 0.1, 0.6])
@pytest.mark.parametrize("schema", [GREY, MIXED, Schema("image", (3, 8, 10), 3)], ids=str)
def test_it_lets_pass_what_the_loop_does(schema: Schema, quantile: float) -> None:
    members, validation = tiny_records(schema, 30), tiny_records(schema, 25, seed=1)
    samples = tiny_records(schema, 60, seed=2)
    found = OutputFilter(quantile=quantile).filter_samples(samples.x, members, validation)
    assert found is not None
    assert found.tolist() == by_loop(samples, members, validation, quantile)
    assert 0 < int(found.sum()) < 60


@pytest.mark.parametrize("schema", [GREY, MIXED], ids=str)
def test_a_copy_is_rejected_and_one_that_is_changed_enough_is_not(schema: Schema) -> None:
    members, validation = tiny_records(schema), tiny_records(schema, seed=1)
    copies = members.x[[3, 7, 11]]
    far = np.full_like(copies, 255 if schema.kind == "image" else 50)
    mask = OutputFilter(quantile=0.05).filter_samples(np.concatenate([copies, far]), members, validation)
    assert mask is not None
    assert mask.tolist() == [False] * 3 + [True] * 3
    nudged = members.x.copy()
    nudged[:, 0] += 1  # one row of pixels by one step of grey, or one number
    mask = OutputFilter(quantile=0.9).filter_samples(nudged, members, validation)
    assert mask is not None
    assert not mask.any()


def test_a_copy_is_rejected_where_validation_records_have_twins_among_the_members() -> None:
    members = points(40, 0)
    near = points(5, 3)
    mask = OutputFilter(quantile=0.1).filter_samples(np.concatenate([members.x, near.x]), members, members)
    assert mask is not None
    assert mask.tolist() == [False] * 40 + [True] * 5


def test_about_the_asked_share_of_fresh_records_is_rejected() -> None:
    """Fresh records come as near to the members as validation records do."""
    for quantile in (0.1, 0.3):
        mask = OutputFilter(quantile=quantile).filter_samples(points(4000, 2).x, points(300, 0), points(4000, 1))
        assert mask is not None
        assert 1 - mask.mean() == pytest.approx(quantile, abs=0.03)  # four standard errors of a share of 4,000


def test_no_samples_and_values_that_are_no_numbers() -> None:
    defense, members, validation = OutputFilter(), points(20, 0), points(20, 1)
    empty = defense.filter_samples(members.x[:0], members, validation)
    assert empty is not None
    assert empty.shape == (0,)
    assert empty.dtype == np.bool_
    broken = np.array([[np.nan, 0], [0, np.inf]], np.float32)
    mask = defense.filter_samples(broken, members, validation)
    assert mask is not None
    assert mask.tolist() == [True, True]


@pytest.mark.parametrize(("quantile", "n"), [(0.1, 9), (0.05, 19), (0.1, 0)])
def test_too_few_validation_records_are_refused_before_training_and_after(quantile: float, n: int) -> None:
    defense = OutputFilter(quantile=quantile)
    message = rf"at least {round(1 / quantile)} validation records for a quantile of {quantile:g}, got {n}; set `vali"
    with pytest.raises(IncompatibleError, match=message):
        defense.filter_samples(points(3, 2).x, points(20, 0), points(n, 1))
    request = tiny_request(DCGAN(width=4, latent=4, steps=1, batch_size=4), (defense,))
    with pytest.raises(IncompatibleError, match=message):
        train(replace(request, validation=request.validation.take(np.arange(n))))
    assert defense.filter_samples(points(3, 2).x, points(20, 0), points(n + 1 if n else 10, 1)) is not None


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.1, "low"])
def test_options_are_checked(quantile: object) -> None:
    with pytest.raises(ValidationError, match="quantile"):
        OutputFilter(quantile=quantile)


@pytest.mark.parametrize(
    ("target", "schema"),
    [(DCGAN(width=4, latent=4), GREY), (VAE(width=4, latent=4), GREY), (TVAE(width=8, latent=4), MIXED)],
    ids=["dcgan", "vae", "tvae"],
)
def test_contract(target: Target, schema: Schema) -> None:
    report = check_defense(OutputFilter(), target=target, schema=schema)
    assert not any(report.values()), report


def test_training_is_the_undefended_one() -> None:
    target = DCGAN(width=4, latent=4, steps=3, batch_size=4)
    assert differing(run(tiny_request(target, (OutputFilter(),))).networks, run(tiny_request(target)).networks) == []


def test_a_claim_is_void_and_the_row_says_what_goes_around_it() -> None:
    stack = (OutputFilter(), DPSGD(noise_multiplier=1.0))
    target = DCGAN(width=4, latent=4, steps=2, batch_size=4)
    assert stack_refuses(stack, target, GREY) is None
    assert "must come last in a stack: write [output_filter, dp_sgd]" in str(stack_refuses(stack[::-1], target, GREY))
    claim = train(tiny_request(target, stack)).claim
    assert claim is not None
    assert (claim.epsilon, claim.epsilon_rdp) == (None, None)
    assert claim.void_reason.startswith("output_filter: it accepts or rejects a sample by its distances to members")
    assert "goes around it" in OutputFilter.caveat
    assert OutputFilter.adaptive == ("hole",)


def test_what_was_trained_elsewhere_can_be_filtered_too() -> None:
    class Brought(DCGAN):
        name = "brought"
        brought = True

    assert stack_refuses((OutputFilter(),), Brought(), GREY) is None


def test_hole_finds_the_holes_that_it_leaves() -> None:
    """In a plane with ten samples for each member: a candidate with a sample close by was hardly a member."""
    members, others, reference, validation = (points(300, seed) for seed in range(4))
    drawn = points(3000, 4)
    mask = OutputFilter(quantile=0.1).filter_samples(drawn.x, members, validation)
    assert mask is not None
    everyone = Records(np.arange(600, dtype=np.int64), np.concatenate([members.x, others.x]), None, PLANE)
    membership = np.arange(600) < 300

    def read(samples: NDArray[np.generic]) -> tuple[float, NDArray[np.float64]]:
        view = View("samples", PLANE, Device(), lambda: samples)
        found = Hole(quantile=0.3).score(everyone, view, Knowledge(reference=reference), RecordRng(0, "attack", "hole"))
        return auc(found.scores, membership), found.scores

    filtered, scores = read(drawn.x[mask])
    plain, _ = read(drawn.x)
    assert not (scores[membership] == -1).any()  # no sample lies within the radius of a member
    assert filtered > 0.6
    assert abs(plain - 0.5) < 0.06


def sampled(folder: Path, target: Target, n: int) -> NDArray[np.generic]:
    """What the steps of a run release of a model that knows records by heart, under the filter."""
    everyone = tiny_records(GREY, 5 * 24)
    ids = {role: np.arange(24 * i, 24 * (i + 1), dtype=np.int64) for i, role in enumerate(ROLES)}
    store = Store(folder / "store")
    with store.write("data", "d" * 64) as place:
        _write(place, Split(everyone, ids, "fixed", 24))
    trial = {"target": target.spec(), "defenses": [OutputFilter().spec()], "records": {"source": "members"}}
    config = {**trial, "seed": 0, "precision": "float32", "snapshot_records": 0}
    inputs = {"data": ("data", "d" * 64)}
    with store.write("train", "e" * 64) as place:
        task = Task("train", "e" * 64, config, inputs, None, {}, "train", "train", 1)
        train_step.compute(Job(task, store, place, Device(), lambda done, total: None))
    inputs["train"] = ("train", "e" * 64)
    task = Task("sample", "f" * 64, {"source": "train", "n": n, "seed": 0}, inputs, None, {}, "sample", "sample", 1)
    sample_step.compute(Job(task, store, folder, Device(), lambda done, total: None))
    with np.load(folder / "samples.npz") as arrays:
        return np.asarray(arrays["samples"])


def test_a_model_that_knows_its_members_by_heart_can_release_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        IncompatibleError,
        match=r"expected 30 released records, but the filters of \['output_filter'\] let only 0 of 600 pass; loosen",
    ):
        sampled(tmp_path, Memorizer(), 30)


def test_of_what_is_rejected_others_take_the_place(tmp_path: Path) -> None:
    """Reference records come as near to the members as validation records do, so that some are rejected."""
    released = sampled(tmp_path, Resampler(), 48)
    everyone = tiny_records(GREY, 5 * 24)
    members, reference, validation = (everyone.take(np.arange(i, i + 24)) for i in (0, 48, 72))
    passing = np.array(by_loop(reference, members, validation, 0.1))
    assert ROLES.index("reference") == 2
    assert 0 < passing.sum() < 24
    assert len(released) == 48
    allowed = {row.tobytes() for row in reference.x[passing]}
    assert {row.tobytes() for row in released} == allowed


@pytest.mark.parametrize(
    ("mask", "got"),
    [
        (np.ones(5, np.int64), r"int64 \(5,\)"),
        (np.ones(4, np.bool_), r"bool \(4,\)"),
        ([True] * 5, "list"),
    ],
)
def test_a_mask_that_is_none_is_an_error(mask: Any, got: str) -> None:
    """Integers would choose records 0 and 1 over and over."""

    class Wrong(Defense):
        name = "wrong"
        family = "release"

        def filter_samples(self, samples: Any, members: Records, validation: Records) -> Any:
            return mask

    samples, records = np.zeros((5, 1, 8, 8), np.uint8), tiny_records(GREY)
    with pytest.raises(
        PluginError, match=f"wrong: expected filter_samples to give None or an array of 5 booleans, got {got}"
    ):
        checked_filter(Wrong(), samples, records, records)
