"""Defenses that change nothing in silence: the contract says so, and so does the row of a real run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from run_matrix import bench_here
from torch import nn

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, run, tiny_request
from bench.errors import IncompatibleError
from bench.registry import get
from bench.rng import torch_generator
from defenses.base import Defense
from defenses.dropout import Dropout
from defenses.early_stopping import EarlyStopping
from defenses.weight_norm import WeightNorm
from targets.base import Networks
from targets.dcgan import DCGAN
from targets.training import build_networks, context_of

PLANTED = '''
from dataclasses import replace

from pydantic import Field

from defenses.base import Defense
from defenses.dropout import Dropout
from defenses.weight_norm import WeightNorm


class Nothing(Defense):
    """Overrides no hook."""

    name = "nothing"


class AsleepDropout(Dropout):
    """Dropout whose layers stay in evaluation mode: they are there, and they drop nothing."""

    name = "asleep_dropout"
    adaptive = ()

    def adapt_networks(self, networks, context):
        from targets.nets.dropout import SeededDropout

        networks = super().adapt_networks(networks, context)
        layers = [m for m in networks["discriminator"][0].modules() if isinstance(m, SeededDropout)]
        assert layers
        for layer in layers:
            layer.train = lambda mode=True, layer=layer: layer
            layer.training = False
        return networks


class TooWeak(Defense):
    """Multiplies the losses of real records by 1."""

    name = "too_weak"

    class Options(Defense.Options):
        factor: float = Field(1.0, gt=0)
        """What they are multiplied by."""

    def transform_losses(self, losses, batch, step):
        private = None if losses.private is None else losses.private * self.options.factor
        return replace(losses, private=private)


class NoLayers(WeightNorm):
    """Weight normalisation of the layers of a network that has none."""

    name = "no_layers"

    def adapt_networks(self, networks, context):
        from torch import nn

        hidden, networks["discriminator"] = networks["discriminator"], (nn.Flatten(),)
        return super().adapt_networks(networks, context) | {"discriminator": hidden}
'''

MATRIX = """\
name: inert
dataset: {name: digits, members: 20, nonmembers: 20, reference: 100, validation: 10, holdout: 100}
targets:
  - {name: dcgan, width: 4, latent: 4, batch_size: 4, steps: 3}
defenses: [none, "./planted.py:AsleepDropout", "./planted.py:NoLayers"]
attacks: [nearest_sample]
seeds: [0]
controls: false
equal_kid: false
samples: 100
quality: {records: 100, extractor: efficientnet_lite0-64, snapshot_records: 100}
resamples: 40
"""


def planted(folder: Path, name: str) -> type[Defense]:
    (folder / "planted.py").write_text(PLANTED, "utf-8")
    found = get("defenses", f"./planted.py:{name}", folder)
    assert issubclass(found, Defense)
    return found


@pytest.mark.parametrize("name", ["Nothing", "AsleepDropout", "TooWeak"])
def test_the_contract_catches_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"changes_something: .* it is inert") as caught:
        check_defense(planted(tmp_path, name))
    assert str(caught.value).count("\n  - ") == 1  # it breaks no other rule


def test_what_does_something_is_not_called_inert(tmp_path: Path) -> None:
    for defense in (Dropout(), planted(tmp_path, "TooWeak")(factor=2.0)):
        assert check_defense(defense)["changes_something"] == ""


def test_early_stopping_that_comes_too_late_is_inert_and_one_that_ends_is_not() -> None:
    with pytest.raises(AssertionError, match="it is inert"):
        check_defense(EarlyStopping(tolerance=1000.0))
    assert check_defense(EarlyStopping(tolerance=-1000.0, every=1, patience=1))["changes_something"] == ""


def test_the_layers_of_the_sleeping_dropout_are_there(tmp_path: Path) -> None:
    """So that a look at the networks would not find it, only a look at what they do."""
    target = DCGAN(width=4, latent=4, steps=3, batch_size=4)
    asleep, awake = (tiny_request(target, (d,)) for d in (planted(tmp_path, "AsleepDropout")(), Dropout()))
    kinds = [
        [type(m).__name__ for m in build_networks(target, r.defenses, context_of(r))["discriminator"][0].modules()]
        for r in (asleep, awake)
    ]
    assert kinds[0] == kinds[1]
    plain = run(tiny_request(target)).networks
    assert differing_values(run(asleep).networks, plain) == []
    assert differing_values(run(awake).networks, plain)


def differing_values(a: Networks, b: Networks) -> list[int]:
    """Positions of the parameters that differ, whatever they are called."""
    found = [[p for role in sorted(n) for module in n[role] for p in module.parameters()] for n in (a, b)]
    return [i for i, (x, y) in enumerate(zip(*found, strict=True)) if not bool((x == y).all())]


def test_weight_norm_on_no_layer_is_refused(tmp_path: Path) -> None:
    for defense in (planted(tmp_path, "NoLayers")(), WeightNorm(roles=["encoder"])):
        target = DCGAN(width=4, latent=4)
        networks: Networks = {
            "encoder": (nn.Sequential(nn.Flatten(), nn.ReLU()),), **target.build(GREY, torch_generator(0, "weights")),
        }  # fmt: skip
        with pytest.raises(IncompatibleError, match="weight_norm finds no layer to normalise in"):
            defense.adapt_networks(networks, context_of(tiny_request(target)))


def test_a_run_shows_it_in_the_row(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANTED, "utf-8")
    (tmp_path / "inert.yaml").write_text(MATRIX, "utf-8")
    done = bench_here("run", tmp_path / "inert.yaml", "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "results" / "inert" / "leaderboard.csv").open(newline="") as file:
        rows = {row["defense"].partition("(")[0]: row for row in csv.DictReader(file)}
    assert {name: "defense_inert" in row["flags"].split(";") for name, row in rows.items()} == {
        "none": False,
        "asleep_dropout": True,
        "no_layers": False,  # it is not in any figure: it was refused
    }
    assert rows["no_layers"]["status"] not in ("completed", "failed")
