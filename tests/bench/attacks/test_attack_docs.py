"""What docs/attacks.md says of the attacks is what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from bench.attacks.base import Attack
from bench.registry import get, names

TEXT = (Path(__file__).parents[3] / "docs" / "attacks.md").read_text("utf-8")


def test_every_attack_has_its_row_and_no_row_is_of_none() -> None:
    cells = re.findall(r"^\| ((?:`\w+`(?: \(no statistic\))?(?:, )?)+) \|", TEXT, re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    attacks = {name for name in names("attacks") if not cast("type[Attack]", get("attacks", name)).control}
    assert listed == attacks


def test_access_and_knowledge_are_those_of_the_code() -> None:
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 6 or not cells[0].startswith("`"):
            continue
        for name in re.findall(r"`(\w+)`", cells[0]):
            attack = cast("type[Attack]", get("attacks", name))()
            assert attack.access == cells[2], name
            assert attack.knowledge in cells[3].split(" or "), name
