"""Every registered plugin keeps the contract of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from bench.attacks.base import Attack
from bench.contracts import check_attack, check_dataset, check_defense, check_light, check_target
from bench.contracts.rules import instance
from bench.data.base import Dataset
from bench.plugin import Plugin
from bench.registry import KINDS, Kind, get, names
from defenses.base import Defense
from targets.base import Target

# Options of plugins that need some, and small networks for those that would be slow without.
OPTIONS: dict[Kind, dict[str, dict[str, Any]]] = {
    "targets": {
        "dcgan": {"width": 4, "latent": 4},
        "ddpm": {"width": 8, "sampling_steps": 3},
        "samples": {"path": "samples.npz"},
        "checkpoint": {"path": "weights.safetensors", "target": "dcgan"},
        "diffusers": {"path": str(Path(__file__).parent / "targets" / "pipeline")},
        "wgan_gp": {"width": 4, "latent": 4},
        "began": {"width": 8},
        "tvae": {"width": 8, "latent": 4},
        "ctgan": {"width": 8, "latent": 4},
        "vae": {"width": 4, "latent": 4},
        "dcgan_vae": {"width": 4, "latent": 4, "feature_level": 1},
        "logan_attacker": {"width": 4, "latent": 4},
    },
    "defenses": {
        "dp_federated": {"noise_multiplier": 1.0, "clients": 6, "sample_rate": 0.5},
        "dp_sgd": {"noise_multiplier": 1.0},
        "pate_gan": {"noise_scale": 1.0, "teachers": 3},
        "relaxloss": {"tolerance": 0.0},  # by default it lets the first few steps be
        "early_stopping": {"every": 1, "patience": 1, "tolerance": -1e9},  # ends the few steps of the contract early
    },
    "attacks": {
        "blind": {"permutations": 99},
        "gan_leaks_partial": {"evaluations": 40},
        "gan_leaks_white_box": {"evaluations": 20},
        "co_membership": {"steps": 60},
    },
    "datasets": {
        "image_folder": {"path": "no images"},
        "diabetic_retinopathy": {"path": "no images"},
        "csv": {"path": str(Path(__file__).parent / "bench" / "data" / "people.csv"), "label": "ill"},
    },
}

# Plugin -> rules that do not apply to it; the report says why. Everything else must have been checked.
EXEMPT: dict[str, set[str]] = {
    **{name: {"stays_within_its_access"} for name in ("constant", "random", "oracle", "blind", "logan_black_box")},
    **{
        name: {"stays_within_its_access"}
        for name in ("logan_discriminative", "logan_generative", "generated_classifier")
    },
    "memorizer": {"keeps_records_apart"},
    "resampler": {"keeps_records_apart"},
    "tvae": {"judges_where_it_has_a_discriminator"},
    "npz": {"loads_offline", "same_fingerprint_twice"},
    "ddpm": {"judges_where_it_has_a_discriminator"},
    "vae": {"judges_where_it_has_a_discriminator"},
    # Their files are not in the repository; tests/bench/data checks their contracts on files of its own.
    **{
        name: {"loads_offline", "same_fingerprint_twice"}
        for name in ("mnist", "fashion_mnist", "cifar10", "lfw", "diabetic_retinopathy", "image_folder")
    },
}
PLANTED = {"finds_planted_members", "finds_nothing_where_nothing_is"}

# Attacks that a memorising release has nothing for; the tests of each check its contract on a release that has.
ELSEWHERE = {
    "mc_dropout": "it needs networks with dropout",
    "hole": "it looks for members that no sample comes near",
}


def plugins(kind: Kind) -> list[Any]:
    return [pytest.param(make(kind, name), id=repr(make(kind, name))) for name in names(kind)]


def make(kind: Kind, name: str) -> Plugin:
    cls = get(kind, name)
    options = OPTIONS[kind].get(name)
    return instance(cls) if options is None else cls(**options)


def assert_nothing_else_was_left_out(plugin: Plugin, report: dict[str, str]) -> None:
    exempt = EXEMPT.get(plugin.name, set()) | (PLANTED if getattr(plugin, "control", False) else set())
    assert {rule: reason for rule, reason in report.items() if reason and rule not in exempt} == {}


# What was trained elsewhere lies in files of users; tests/targets checks it on files of its own.
@pytest.mark.parametrize("plugin", [p for p in plugins("targets") if not p.values[0].brought])
def test_target(plugin: Target) -> None:
    assert_nothing_else_was_left_out(plugin, check_target(plugin))


@pytest.mark.parametrize("plugin", plugins("defenses"))
def test_defense(plugin: Defense) -> None:
    assert_nothing_else_was_left_out(plugin, check_defense(plugin))


@pytest.mark.parametrize("plugin", [p for p in plugins("attacks") if p.values[0].name not in ELSEWHERE])
def test_attack(plugin: Attack) -> None:
    assert_nothing_else_was_left_out(plugin, check_attack(plugin))


@pytest.mark.parametrize("plugin", plugins("datasets"))
def test_dataset(plugin: Dataset) -> None:
    assert_nothing_else_was_left_out(plugin, check_dataset(plugin))


def test_no_plugin_imports_torch_at_its_top() -> None:
    check_light([(kind, name, OPTIONS[kind].get(name, {})) for kind in KINDS for name in names(kind)])


def test_adaptive_attacks_exist() -> None:
    """A defense that names an attack which is not there would be flagged `not_adaptive` for ever."""
    known = set(names("attacks"))
    named = {n: set(cast("type[Defense]", get("defenses", n)).adaptive) for n in names("defenses")}
    assert {name: sorted(missing) for name, found in named.items() if (missing := found - known)} == {}
