"""A statistic's mean over dropout masks: against networks thinned by hand, and on a release that has dropout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from discriminator_cases import MEMBERS, SCHEMA, overfitted
from numpy.typing import NDArray
from torch import nn

from bench.attacks.base import Knowledge, TrialSpec
from bench.attacks.lira import Lira
from bench.attacks.logan_white_box import LoganWhiteBox
from bench.attacks.mc_dropout import MCDropout, dropout_layers, masked
from bench.contracts import check_attack
from bench.contracts.planted import Planted
from bench.contracts.tiny import GREY, tiny_records
from bench.devices import Device
from bench.errors import IncompatibleError, InputError
from bench.records import Records
from bench.release import Release, View
from bench.rng import RecordRng, torch_generator
from defenses.dropout import Dropout
from targets.base import Draw, Networks
from targets.dcgan import DCGAN
from targets.nets.dropout import SeededDropout

RNG = RecordRng(9, "attack", "mc_dropout")
RATES = (0.4, 0.25)


def thinned() -> Networks:
    """Two hidden layers with dropout behind them, one of each kind."""
    rng = torch_generator(0, "test")
    linear = [nn.Linear(64, 12), nn.Linear(12, 6), nn.Linear(6, 1)]
    with torch.no_grad():
        for layer in linear:
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng))
    network = nn.Sequential(
        nn.Flatten(), linear[0], nn.ReLU(), SeededDropout(RATES[0], Draw(Device(), 0, "training")),
        linear[1], nn.ReLU(), nn.Dropout(RATES[1]), linear[2],
    )  # fmt: skip
    return {"generator": (nn.Identity(),), "discriminator": (network.eval(),)}


def looped(networks: Networks, candidates: Records, masks: int) -> NDArray[np.float64]:
    """One record under one mask at a time, the thinned layers written out."""
    network = networks["discriminator"][0]
    first, second, third = (layer for layer in network.children() if isinstance(layer, nn.Linear))
    scores = []
    with torch.no_grad():
        for x in torch.from_numpy(candidates.floats()):
            logits = []
            for k in range(masks):
                kept = [
                    torch.rand((units,), generator=torch_generator(RNG.seed, "mask", k, place)) >= rate
                    for place, (units, rate) in enumerate(zip((12, 6), RATES, strict=True))
                ]
                hidden = first(x.flatten()).relu() * kept[0] / (1 - RATES[0])
                hidden = second(hidden).relu() * kept[1] / (1 - RATES[1])
                logits.append(float(third(hidden)))
            scores.append(np.mean(logits))
    return np.array(scores)


def judge(attack: MCDropout, networks: Networks, candidates: Records, **chunk: int) -> Any:
    release = Release(DCGAN(), networks, GREY, Device())
    view = View("white_box", GREY, Device(), release=lambda: release)
    return attack.score(candidates, view, Knowledge(), RNG, **chunk)


def test_scores_are_those_of_networks_thinned_one_by_one() -> None:
    candidates, networks = tiny_records(GREY, 9), thinned()
    found = judge(MCDropout(masks=5), networks, candidates)
    np.testing.assert_allclose(found.scores, looped(networks, candidates, 5), rtol=1e-4)
    assert found.diagnostics == {"dropout_layers": 2.0}


def test_many_masks_come_near_the_expected_score_of_a_linear_network() -> None:
    """Dropout keeps the mean of what goes into a linear layer, so the mean over masks is the logit in eval mode."""
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 1)).eval()
    networks: Networks = {"generator": (nn.Identity(),), "discriminator": (network,)}
    candidates = tiny_records(GREY, 5)
    with torch.no_grad():
        wanted = network(torch.from_numpy(candidates.floats()))[:, 0].numpy()
    found = judge(MCDropout(masks=4000), networks, candidates).scores
    np.testing.assert_allclose(found, wanted, atol=0.05)
    assert abs(judge(MCDropout(masks=2), networks, candidates).scores - wanted).max() > 0.05


def test_a_network_is_as_before_once_it_was_masked() -> None:
    networks = thinned()
    network, x = networks["discriminator"][0], torch.from_numpy(tiny_records(GREY, 4).floats())
    with torch.no_grad():
        before = network(x)
        with masked(dropout_layers(networks), 0, 0):
            assert not torch.equal(network(x), before)
        assert torch.equal(network(x), before)
        with pytest.raises(RuntimeError), masked(dropout_layers(networks), 0, 0):
            network(x[:, :, :3])  # an attack that fails
        assert torch.equal(network(x), before)
    assert not network.training


def test_every_row_has_the_same_mask_and_every_layer_and_mask_another() -> None:
    first, second = nn.Dropout(0.5).eval(), nn.Dropout(0.5).eval()
    ones, seen = torch.ones(3, 40), []
    for mask in (0, 1, 0):
        with masked([first, second], 1, mask):
            seen.append([first(ones), second(ones)])
    for layers in seen:
        for out in layers:
            assert torch.equal(out, out[:1].expand(3, -1))
            assert set(out.flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(seen[0][0], seen[2][0])
    assert not torch.equal(seen[0][0], seen[1][0])
    assert not torch.equal(seen[0][0], seen[0][1])


def test_a_layer_that_stands_twice_is_masked_once() -> None:
    layer = nn.Dropout(0.5)
    networks: Networks = {"discriminator": (nn.Sequential(layer, nn.ReLU(), layer), nn.Sequential(layer))}
    assert dropout_layers(networks) == [layer]


class WithDropout(Planted):
    """A release that has memorised its members, and looks at every record through dropout."""

    def networks(self, records: Records) -> Networks:
        found = super().networks(records)
        (judges,) = found["discriminator"]
        seen = nn.Sequential(SeededDropout(0.2, Draw(Device(), 0, "training")), judges).eval()
        return {**found, "discriminator": (seen,)}


def test_contract() -> None:
    report = check_attack(MCDropout(masks=4), planted=WithDropout())
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_a_statistic_of_less_access_needs_the_networks_all_the_same() -> None:
    attack = MCDropout(statistic="label_only")
    assert (attack.statistic.access, attack.access) == ("decision", "white_box")
    assert overfitted(Dropout(rate=0.5)).auc(MCDropout(statistic="label_only", masks=2)) > 0.85


def test_networks_without_dropout_are_refused() -> None:
    networks: Networks = {"discriminator": (nn.Sequential(nn.Flatten(), nn.Linear(64, 1)),)}
    with pytest.raises(IncompatibleError, match="expected networks with dropout layers, got none"):
        judge(MCDropout(), networks, tiny_records(GREY, 4))


def test_a_statistic_that_masks_cannot_change_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected a statistic that asks the networks, .* access is samples"):
        MCDropout(statistic="nearest_sample")


ROLES = frozenset({"generator", "discriminator"})


@pytest.mark.parametrize("named", [{"mc_dropout"}, {"hole", "mc_dropout"}, {"hole"}, set()], ids=repr)
def test_it_applies_where_a_defense_names_it(named: set[str]) -> None:
    trial = TrialSpec(GREY, 10, {}, {"name": "dcgan"}, ({"name": "mine"},), 0, 100, adaptive=frozenset(named))
    reason = MCDropout().not_applicable(trial, ROLES)
    if "mc_dropout" in named:
        assert reason is None
    else:
        assert reason == (
            "mc_dropout is made against dropout, and no defense of this stack names it as made against itself"
        )


def test_shadows_without_the_defense_are_refused_before_they_are_trained() -> None:
    sizes = {"members": 10, "nonmembers": 10, "reference": 40}
    trial = TrialSpec(GREY, 10, sizes, {"name": "dcgan"}, (), 0, 100, adaptive=frozenset({"mc_dropout"}))
    reason = Lira(statistic="mc_dropout", defended=False).not_applicable(trial, ROLES)
    assert reason == "lira with defended=false has shadows without what mc_dropout is made against"
    assert Lira(statistic="mc_dropout").not_applicable(trial, ROLES) is None


def test_no_discriminator_is_the_first_reason() -> None:
    trial = TrialSpec(GREY, 10, {}, {"name": "vae"}, ({"name": "dropout"},), 0, 100)
    reason = MCDropout().not_applicable(trial, frozenset({"encoder"}))
    assert reason == "logan_white_box needs the target's discriminator, and vae has none"


def test_dropout_names_it() -> None:
    assert Dropout.adaptive == ("mc_dropout",)


def test_it_finds_the_members_of_a_discriminator_trained_under_dropout() -> None:
    trained, untrained = overfitted(Dropout(rate=0.5)), overfitted(Dropout(rate=0.5), steps=0)
    assert trained.auc(MCDropout()) > 0.9
    assert trained.auc(MCDropout()) != trained.auc(LoganWhiteBox())
    assert abs(untrained.auc(MCDropout()) - 0.5) < 0.29  # four standard deviations of 20 against 80


def test_candidates_in_another_order_have_the_same_scores() -> None:
    case = overfitted(Dropout(rate=0.5))
    turned = replace(case, candidates=case.candidates.take(np.arange(len(case.candidates))[::-1].copy()))
    assert np.array_equal(turned.scores(MCDropout(masks=2)), case.scores(MCDropout(masks=2))[::-1])
    assert case.release.schema == SCHEMA
    assert case.membership.sum() == MEMBERS
