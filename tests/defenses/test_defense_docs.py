"""What docs/defenses.md says of the defenses is what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest

from bench.records import Schema
from bench.registry import get, names
from defenses.base import Defense, stack_refuses
from defenses.dp_sgd import DPSGD
from targets.dcgan import DCGAN

TEXT = (Path(__file__).parents[2] / "docs" / "defenses.md").read_text("utf-8")
ROWS = {
    re.findall(r"`(\w+)`", cells[0])[0]: cells
    for line in TEXT.splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 5 and cells[0].startswith("`")
}
NEEDED: dict[str, dict[str, Any]] = {
    "dp_sgd": {"noise_multiplier": 1.0},
    "dp_federated": {"noise_multiplier": 1.0},
    "pate_gan": {"noise_scale": 1.0},
}


def test_every_defense_has_its_row_and_no_row_is_of_none() -> None:
    assert set(ROWS) == set(names("defenses"))


@pytest.mark.parametrize("name", sorted(ROWS))
def test_adaptive_attacks_and_private_stacks_are_those_of_the_code(name: str) -> None:
    defense = cast("type[Defense]", get("defenses", name))(**NEEDED.get(name, {}))
    assert tuple(re.findall(r"`(\w+)`", ROWS[name][2])) == defense.adaptive
    if defense.per_record or defense.family == "none":
        assert ROWS[name][3] == ""
        return
    refused = stack_refuses([defense, DPSGD(noise_multiplier=1.0)], DCGAN(), Schema("image", (1, 28, 28), 10))
    said = "no" if refused else "void" if defense.reads_members else "yes"
    assert ROWS[name][3].split(",")[0] == said
