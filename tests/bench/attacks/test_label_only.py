"""The label-only attack: against a loop over single copies, and where hard answers do and do not tell."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from discriminator_cases import overfitted
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage
from torch import nn

from bench.attacks.base import Knowledge, TrialSpec
from bench.attacks.label_only import LabelOnly
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.contracts.tiny import GREY, MIXED, tiny_records
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Records, Schema
from bench.release import Release, View
from bench.rng import RecordRng, generator
from targets.base import Target

RNG = RecordRng(3, "attack", "label_only")


class Linear(Target):
    """A discriminator that weighs the values of a record; a label adds its number."""

    name = "linear"
    roles = ("discriminator",)
    private_roles = ("discriminator",)
    data = frozenset({"image", "table"})

    class Options(Target.Options):
        conditional: bool = False

    def logit(self, network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        found: torch.Tensor = network(x.flatten(1))[:, 0]
        return found if labels is None else found + labels


def weights_of(schema: Schema) -> NDArray[np.float64]:
    return generator(0, "test weights").normal(size=int(np.prod(schema.shape)))


def view(schema: Schema, thresholds: tuple[float, ...] = (), **options: Any) -> View:
    network = nn.Linear(int(np.prod(schema.shape)), 1, bias=False).double()
    with torch.no_grad():
        network.weight[0] = torch.from_numpy(weights_of(schema))
    network.float()
    release = Release(Linear(**options), {"discriminator": (network,)}, schema, Device(), thresholds)
    return View("decision", schema, Device(), release=lambda: release)


def judge(attack: LabelOnly, candidates: Records, seen: View) -> NDArray[np.float64]:
    return attack.score(candidates, seen, Knowledge(), RNG).scores


def copies(attack: LabelOnly, one: Records) -> list[NDArray[np.float64]]:
    """Every copy of one record, by scipy."""
    o, x = attack.options, one.floats()[0].astype(np.float64)
    found = [x]
    noise = RNG.record(int(one.ids[0]), "noise").standard_normal((o.draws, *x.shape), dtype=np.float32)
    found += [x + radius * direction for radius in o.noise for direction in noise]
    if one.schema.kind == "table":
        return found
    found = [np.clip(copy, -1, 1) for copy in found]
    for distance in o.shifts:
        for axis in (1, 2):
            for sign in (-1, 1):
                by = np.zeros(3)
                by[axis] = sign * distance
                found.append(ndimage.shift(x, by, order=0, mode="nearest", prefilter=False))
    for angle in o.rotations:
        for sign in (-1, 1):
            turned = [ndimage.rotate(c, sign * angle, reshape=False, order=1, mode="nearest") for c in x]
            found.append(np.stack(turned))
    return found


@pytest.mark.parametrize("schema", [GREY, Schema("image", (2, 6, 9), 3), MIXED], ids=str)
@pytest.mark.parametrize("options", [{}, {"noise": [0.3], "draws": 2, "shifts": [3], "rotations": [11]}], ids=str)
def test_scores_are_those_of_a_loop(schema: Schema, options: dict[str, Any]) -> None:
    attack, candidates = LabelOnly(**options), tiny_records(schema, 12)
    wanted = []
    for i in range(12):
        every = copies(attack, candidates.take(np.array([i])))
        wanted.append(np.mean([copy.ravel() @ weights_of(schema) > 0 for copy in every]))
    assert len(set(wanted)) > 3
    np.testing.assert_allclose(judge(attack, candidates, view(schema)), wanted, rtol=1e-12)


def test_the_threshold_is_that_of_the_release() -> None:
    """Without any perturbation, the score is the hard answer itself."""
    attack, candidates = LabelOnly(noise=[], shifts=[], rotations=[]), tiny_records(GREY, 12)
    logits = candidates.floats().reshape(12, -1) @ weights_of(GREY)
    middle = float(np.median(logits))
    assert judge(attack, candidates, view(GREY, (middle,))).tolist() == (logits > middle).astype(float).tolist()
    assert judge(attack, candidates, view(GREY)).tolist() == (logits > 0).astype(float).tolist()


@pytest.mark.parametrize(("threshold", "answer"), [(-1e9, 1.0), (1e9, 0.0)])
def test_a_constant_answer_ties_everybody(threshold: float, answer: float) -> None:
    assert set(judge(LabelOnly(), tiny_records(GREY, 5), view(GREY, (threshold,)))) == {answer}


def test_a_conditional_target_is_told_each_copys_label() -> None:
    attack, candidates = LabelOnly(noise=[], shifts=[], rotations=[]), tiny_records(GREY, 12)
    assert candidates.labels is not None
    logits = candidates.floats().reshape(12, -1) @ weights_of(GREY) + candidates.labels
    middle = float(np.median(logits))
    found = judge(attack, candidates, view(GREY, (middle,), conditional=True))
    assert found.tolist() == (logits > middle).astype(float).tolist()
    unlabelled = Records(candidates.ids, candidates.x, None, Schema("image", GREY.shape))
    with pytest.raises(IncompatibleError, match="expected a label for every record"):
        judge(attack, unlabelled, view(GREY, conditional=True))


def test_noise_that_goes_further_is_the_same_noise() -> None:
    """Along one direction from a linear boundary, a copy once lost stays lost: scores fall with the radius."""
    candidates = tiny_records(MIXED, 30)
    answers = [judge(LabelOnly(noise=[r], draws=1), candidates, view(MIXED)) for r in (0.1, 1.0, 10.0)]
    real = judge(LabelOnly(noise=[], draws=1), candidates, view(MIXED)) == 1
    assert (answers[0][real] >= answers[1][real]).all()
    assert (answers[1][real] >= answers[2][real]).all()
    assert answers[0][real].mean() > answers[2][real].mean()


@pytest.mark.parametrize("option", ["noise", "shifts", "rotations"])
def test_a_radius_is_above_0(option: str) -> None:
    with pytest.raises(ValidationError, match=option):
        LabelOnly(**{option: [0]})


@pytest.mark.parametrize("kind", ["image", "table"])
def test_contract(kind: Any) -> None:
    report = check_attack(LabelOnly(), planted=Planted(kind))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_not_applicable_without_a_discriminator() -> None:
    trial = TrialSpec(GREY, 10, {}, {"name": "vae"}, (), 0, 100)
    assert LabelOnly().not_applicable(trial, frozenset({"encoder"})) == (
        "label_only needs the target's discriminator, and vae has none"
    )


def test_an_overfitted_discriminator_gives_its_members_away_and_an_untrained_one_does_not() -> None:
    assert overfitted().auc(LabelOnly()) > 0.85
    assert abs(overfitted(steps=0).auc(LabelOnly()) - 0.5) < 0.29  # four standard deviations of 20 against 80


def test_of_several_discriminators_the_most_convinced_counts() -> None:
    """By its share of the copies, and not copy by copy, where one of many would nod at nearly anything."""
    attack, candidates = LabelOnly(), tiny_records(GREY, 12)

    class Two:
        def decision(self, x: Any, labels: Any) -> Any:
            first = x.reshape(len(x), -1) @ weights_of(GREY) > 0
            return np.stack([first, ~first])

    one = judge(attack, candidates, view(GREY))
    two = judge(attack, candidates, cast("View", Two()))
    np.testing.assert_allclose(two, np.maximum(one, 1 - one))
