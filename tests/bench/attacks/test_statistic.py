"""Statistics that other attacks are built around: which can serve, what they are told, and attacks within attacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shadow_cases import Lookup, rows, trial, world

from bench.attacks._shadow_attack import population
from bench.attacks._statistic import StatisticAttack, joined, score_statistic, statistic_of, trained_on
from bench.attacks.base import Chunk, Knowledge
from bench.attacks.lira import Lira
from bench.attacks.shadow_classifier import ShadowClassifier
from bench.contracts import check_attack
from bench.devices import Device
from bench.errors import InputError, PluginError
from bench.records import Records, Schema
from bench.registry import get
from bench.release import Model, View
from bench.rng import RecordRng


class Doubled(StatisticAttack):
    """Twice what its statistic says."""

    name = "doubled"

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> NDArray[np.float64]:
        return 2 * self.scores(candidates, view, knowledge, rng)


class Strict(Doubled):
    """The same, of reference records too."""

    name = "strict"
    judges_reference = True


class Told(Lookup):
    """Notes what it was told."""

    name = "told"

    def __init__(self, level: Any) -> None:
        super().__init__()
        self.knowledge = level
        self.given: list[Knowledge] = []

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> None:
        self.given.append(knowledge)

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        return np.zeros(len(chunk))


def test_it_takes_over_the_statistics_access_and_reach() -> None:
    attack = Doubled(statistic="logan_white_box")
    assert (attack.access, attack.needs_roles, attack.reads_samples) == ("white_box", {"discriminator"}, False)
    assert attack.knowledge == "nothing"
    assert Doubled(statistic="diffusion_loss").data == {"image"}
    assert Doubled(statistic="monte_carlo").knowledge == "reference"
    limited = Doubled(statistic={"name": "gan_leaks_partial", "candidates": 30})
    assert (limited.access, limited.cap) == ("latent", 30)


def test_its_source_counts_with_that_of_its_statistic() -> None:
    assert [part.name for part in Doubled(statistic="reconstruction").parts()] == ["reconstruction"]


def test_options_of_the_statistic() -> None:
    attack = Doubled(statistic={"name": "reconstruction", "encodings": 3})
    assert attack.statistic.options.encodings == 3
    assert attack.label() == "doubled(statistic=reconstruction(encodings=3))"


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        ({"encodings": 3}, r"doubled: expected the statistic's name, got \{'encodings': 3\}"),
        ("nearest_simple", "did you mean 'nearest_sample'"),
        (
            "blind",
            "doubled: expected a statistic that needs no labels and no models of its own, got blind, which needs",
        ),
        ("random", "doubled: expected a statistic that needs no labels"),
        ("lira", "got lira, which needs shadow"),
        ({"name": "lira", "online": True}, r"got lira, which needs shadow \+ candidates"),
    ],
)
def test_statistics_that_cannot_serve(statistic: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Doubled(statistic=statistic)


def test_a_statistic_that_was_fitted_on_reference_records_judges_candidates_only() -> None:
    assert Doubled(statistic="domias").knowledge == "reference"
    with pytest.raises(InputError, match="strict scores reference records too, and domias was fitted on those"):
        Strict(statistic="domias")
    assert statistic_of("strict", "nearest_sample", fair=True).name == "nearest_sample"


def test_a_statistic_that_trains_models_is_not_applicable() -> None:
    roles = frozenset({"generator", "discriminator"})
    reason = "doubled needs a statistic that trains no models of its own, and logan_black_box does"
    assert Doubled(statistic="logan_black_box").not_applicable(trial(), roles) == reason
    missing = "logan_white_box needs the target's discriminator, and vae has none"
    assert Doubled(statistic="logan_white_box").not_applicable(trial(), frozenset({"decoder"})) == missing
    assert Doubled().not_applicable(trial(), roles) is None


@pytest.mark.parametrize(("level", "has_reference"), [("nothing", False), ("reference", True)])
def test_a_statistic_is_told_what_it_declares_and_no_more(level: str, has_reference: bool) -> None:
    given, told = world(), Told(level)
    everything = Knowledge(
        rows(np.arange(60, 150)), rows(np.arange(3)), {0: True}, dict(given.knowledge("offline").models), 7, 9
    )
    view = View("samples", Schema("table", (1,)), Device(), lambda: given.target)
    score_statistic(told, rows(np.arange(60)), view, everything, RecordRng(0))
    (ordinary,) = told.given
    assert (ordinary.reference is not None) == has_reference
    assert (ordinary.known, ordinary.membership, dict(ordinary.models)) == (None, None, {})
    assert (ordinary.members, ordinary.nonmembers) == (7, 9)


def test_shadow_scores_are_those_of_each_models_view() -> None:
    given, attack = world(models=3), Doubled()
    attack.statistic = Lookup()
    models = list(given.knowledge("offline").models.values())
    found = attack.shadow_scores(rows(np.arange(10)), models, Knowledge(), RecordRng(0))
    assert np.array_equal(found, given.shadows[:, :10, 0].astype(np.float64))


def test_attacks_within_attacks() -> None:
    """A likelihood ratio of an average over augmentations of a logit; each level takes over the one within."""
    attack = Lira(models=2, statistic={"name": "augmented", "statistic": "logan_white_box"})
    assert (attack.access, attack.needs_roles, attack.reads_samples) == ("white_box", {"discriminator"}, False)
    assert [part.name for part in attack.parts()] == ["augmented", "logan_white_box"]
    report = check_attack(attack)
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_which_records_each_model_was_trained_on() -> None:
    given = world(models=4, online=True)
    models = list(given.knowledge("online").models.values())
    assert np.array_equal(trained_on(rows(given.ids), models), given.trained)
    assert np.array_equal(trained_on(rows(given.ids[::-1]), models), given.trained[:, ::-1])


def test_a_model_of_generated_records_is_no_shadow() -> None:
    model = Model(Schema("table", (1,)), Device(), lambda: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(PluginError, match="expected shadows that were trained on records of the split"):
        trained_on(rows(np.arange(3)), [model])


def test_joined_records_keep_their_order() -> None:
    both = joined(rows(np.array([5, 9])), rows(np.array([1, 7])))
    assert both.ids.tolist() == [5, 9, 1, 7]
    assert both.x[:, 0].tolist() == [5, 9, 1, 7]
    labelled = [
        Records(np.array([i]), np.zeros((1, 1), np.float32), np.array([i]), Schema("table", (1,))) for i in (4, 2)
    ]
    labels = joined(*labelled).labels
    assert labels is not None
    assert labels.tolist() == [4, 2]


def test_a_candidate_that_is_its_own_reference_is_refused() -> None:
    with pytest.raises(PluginError, match="expected reference records that are no candidates, got 1 that are"):
        joined(rows(np.array([5, 9])), rows(np.array([1, 9])))


def test_a_population_is_a_subset_by_draw_sorted_by_id() -> None:
    knowledge = Knowledge(rows(np.arange(100, 200)))
    some, again = (population(knowledge, 30, RecordRng(0)).ids for _ in range(2))
    assert np.array_equal(some, again)
    assert len(set(some.tolist())) == 30
    assert np.array_equal(some, np.sort(some))
    assert not np.array_equal(some, population(knowledge, 30, RecordRng(1)).ids)
    assert population(knowledge, None, RecordRng(0)).ids.tolist() == list(range(100, 200))
    assert len(population(knowledge, 1000, RecordRng(0))) == 100


@pytest.mark.parametrize("reference", [None, rows(np.zeros(0, np.int64))])
def test_without_reference_records_there_is_no_population(reference: Records | None) -> None:
    with pytest.raises(PluginError, match="expected reference records, got none"):
        population(Knowledge(reference), None, RecordRng(0))


def test_an_attack_within_an_attack_is_as_fair_as_what_is_inside() -> None:
    """Reference records are no candidates to a density that was fitted on them, however deep it lies."""
    assert not Doubled(statistic="domias").fair_to_reference
    assert Doubled(statistic="nearest_sample").fair_to_reference
    nested = {"name": "augmented", "statistic": {"name": "mixed_pairs", "statistic": "domias"}}
    with pytest.raises(InputError, match="scores reference records too, and augmented was fitted on those"):
        Strict(statistic=nested)


@pytest.mark.parametrize(
    "written",
    [
        "nearest_sample",
        {"name": "nearest_sample"},
    ],
    ids=repr,
)
def test_a_statistic_has_one_identity_however_it_is_written(written: Any) -> None:
    attack = Lira(statistic=written)
    assert attack == Lira()
    assert attack.label() == "lira"
    assert attack.spec() == Lira().spec()


def test_the_spec_has_all_options_of_the_statistic_and_makes_the_same_attack() -> None:
    attack = Lira(statistic={"name": "monte_carlo", "features": "hog", "weighted": False}, models=3)
    assert attack.label() == "lira(statistic=monte_carlo(features=hog),models=3)"
    assert attack.spec()["statistic"] == get("attacks", "monte_carlo")(features="hog").spec()
    assert Lira.from_spec(attack.spec()) == attack
    several = ShadowClassifier(statistics=[{"name": "nearest_sample"}, {"name": "monte_carlo", "features": "hog"}])
    assert [one["name"] for one in several.spec()["statistics"]] == ["nearest_sample", "monte_carlo"]
    assert several == ShadowClassifier(statistics=["nearest_sample", {"name": "monte_carlo", "features": "hog"}])


def test_what_is_wrong_with_a_statistics_options_is_said_of_the_statistic() -> None:
    with pytest.raises(InputError, match="lira: statistic 'reconstruction': encodngs: Extra inputs are not permitted"):
        Lira(statistic={"name": "reconstruction", "encodngs": 3})
    with pytest.raises(InputError, match=r"lira: statistic 'reconstruction': encodings: .* greater than or equal to 1"):
        Lira(statistic={"name": "reconstruction", "encodings": -3})
    with pytest.raises(InputError, match=r"'gan_leaks_partial': expected one of its presets \(.*got 'x'"):
        Lira(statistic={"name": "gan_leaks_partial", "preset": "x"})
    preset = get("attacks", "gan_leaks_partial").presets["paper"]
    assert Lira(statistic={"name": "gan_leaks_partial", "preset": "paper"}).statistic == get(
        "attacks", "gan_leaks_partial"
    )(**preset)


def test_a_statistic_in_a_file_is_refused() -> None:
    """Workers in another folder would find another file of that name, or none."""
    with pytest.raises(InputError, match="expected the name of an attack that is installed as statistic, got the file"):
        Lira(statistic="./mine.py:Mine")
