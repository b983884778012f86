"""``bench list``: what the code says of itself, readable in any terminal."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from run_matrix import bench

from bench.attacks._statistic import StatisticAttack
from bench.attacks.base import Attack
from bench.cli.listing import KINDS, described
from bench.registry import get, names

ATTACKS = names("attacks")


class Asks(Attack):
    """A long first line that says what the attack does, so long that eighty columns have no room for all of it."""

    name = "asks"
    access = "latent"
    data = frozenset({"image"})
    needs_roles = frozenset({"generator", "encoder"})
    cost = "minutes"
    paper = "Somebody, A Title, A Venue 2020, section 1"

    class Options(Attack.Options):
        steps: int = Field(7, ge=1, lt=50)
        """How many."""
        way: Literal["up", "down"] | Annotated[float, Field(gt=0)] | None = None
        """Which."""
        times: tuple[Annotated[int, Field(ge=0, le=9)], ...] = (1, 2)
        """When."""
        inner: dict[str, Any]
        """What within."""


class Around(StatisticAttack):
    """Around a statistic."""

    name = "around"


def text(plugin: type[Attack], width: int = 120) -> list[str]:
    return list(described("attacks", plugin, width))


def words(plugin: type[Attack]) -> str:
    return " ".join(line.strip() for line in text(plugin))


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_fits_and_says_what_it_is(name: str, width: int) -> None:
    plugin = get("attacks", name)
    lines = list(described("attacks", plugin, width))
    assert max(map(len, lines)) <= width
    said = " ".join(line.strip() for line in lines)
    assert said.startswith(f"{name}: {plugin.summary()}")
    for part in ("access: ", "knowledge: ", "works on: ", "cost: ", *(f"- {o}: " for o in plugin.Options.model_fields)):
        assert part in said
    if plugin.paper:
        assert " ".join(plugin.paper.split()) in said
    assert "Annotated" not in said
    assert lines == list(described("attacks", plugin, width))


def test_options_are_written_as_a_matrix_writes_them() -> None:
    assert text(Asks)[1:] == [
        "      access: latent; knowledge: nothing; works on: image records, of targets with encoder, generator; cost: "
        "minutes",
        "      Somebody, A Title, A Venue 2020, section 1",
        "      - steps: int from 1 below 50 = 7. How many.",
        '      - way: "up" | "down" | float above 0 | null = null. Which.',
        "      - times: tuple of int from 0 to 9, ... = [1, 2]. When.",
        "      - inner: mapping required. What within.",
    ]


def test_lines_hang_below_their_first() -> None:
    lines = text(Asks, 80)
    assert lines[0].startswith("  asks: A long first line")
    assert lines[1].startswith("      ")
    assert max(map(len, lines)) <= 80


def test_a_wrapper_has_the_access_of_its_statistic() -> None:
    said = words(Around)
    assert "access: that of its statistic (nearest_sample: samples)" in said
    assert "knowledge: that of its statistic (nearest_sample: nothing)" in said


def test_a_wrapper_that_needs_options_is_not_made() -> None:
    class Needs(Around):
        """Needs an option."""

        class Options(StatisticAttack.Options):
            weight: float
            """How much."""

    assert "access: that of its statistic; knowledge: that of its statistic" in words(Needs)


def test_capped_and_controls_and_sets_are_named() -> None:
    class Counts(Attack):
        """Counts."""

        name = "counts"
        access = "samples"
        cap = 50
        scores_sets = True

    said = words(Counts)
    assert "judges: at most 50 candidates; sets: judged by a score of their own" in said
    assert "control: measures the instrument, never a headline" in words(get("attacks", "oracle"))


@pytest.mark.parametrize("columns", ["80", "120", "300"])
def test_the_command_follows_the_terminal(columns: str) -> None:
    done = bench("list", "attacks", COLUMNS=columns)
    assert done.returncode == 0, done.stderr
    assert 60 < max(map(len, done.stdout.splitlines())) <= min(int(columns), 120)
    assert done.stdout == bench("list", "attacks", COLUMNS=columns).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_listed(kind: str) -> None:
    done = bench("list", kind)
    assert done.returncode == 0, done.stderr
    for name in names(kind):
        assert f"  {name}: " in done.stdout
