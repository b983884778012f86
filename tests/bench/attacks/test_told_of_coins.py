"""Which attacks may certify a bound: those that no coin reaches, neither as truth nor through a model of their own."""

from __future__ import annotations

from typing import cast

import pytest

from bench import registry
from bench.attacks.base import Attack, Shares, TrialSpec
from bench.board.audit import SEES_COINS
from bench.records import Schema

TRIAL = TrialSpec(
    Schema("image", (1, 8, 8), 10),
    members=40,
    sizes={"members": 40, "nonmembers": 40, "reference": 400, "validation": 40, "holdout": 40},
    target={"name": "dcgan"},
    defenses=(),
    seed=0,
    samples=100,
    updates=True,
)
ATTACKS = [cast("type[Attack]", registry.get("attacks", name)) for name in registry.names("attacks")]


@pytest.mark.parametrize("attack", [a() for a in ATTACKS], ids=lambda attack: attack.name)
def test_no_model_of_an_attack_without_labels_learns_from_a_coin(attack: Attack) -> None:
    requests = attack.needs(TRIAL)
    if attack.knowledge not in SEES_COINS:
        assert attack.known == Shares()
        assert all(r.source != "members" and r.against != "members" and not r.known for r in requests)


def test_the_attacks_that_are_told_are_known() -> None:
    told = {a.name for a in (cls() for cls in ATTACKS) if a.knowledge in SEES_COINS}
    assert {"oracle", "blind"} <= told
    assert "logan_white_box" not in told
