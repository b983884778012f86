"""Weights that users bring: they come back exactly, and what does not fit is named."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from training_cases import SCHEMA, run, tiny, weights

from bench.contracts import check_target
from bench.devices import Device
from bench.errors import InputError
from bench.identity import ROOT
from bench.records import Schema
from bench.release import Release
from bench.rng import torch_generator
from defenses.base import stack_refuses
from defenses.weight_norm import WeightNorm
from targets.base import to_tensors
from targets.checkpoint import Checkpoint
from targets.dcgan import DCGAN
from targets.training import generate
from targets.vae import VAE

OPTIONS = {"width": 4, "latent": 5, "average": None}
RECIPE = {"name": "dcgan", **OPTIONS}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(tiny(), run(tiny()).networks, SCHEMA, Device())


@pytest.fixture
def file(trained: Release, tmp_path: Path) -> Path:
    return save(tmp_path, to_tensors(trained.networks))


def save(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def checkpoint(path: Path, target: Any = RECIPE) -> Checkpoint:
    return Checkpoint(path=path.name, target=target).at(path.parent)


def build(path: Path, target: Any = RECIPE, schema: Schema = SCHEMA) -> dict[str, torch.Tensor]:
    return weights(checkpoint(path, target).build(schema, torch_generator(7, "test")))


def test_the_weights_come_back_exactly(trained: Release, file: Path) -> None:
    target = checkpoint(file)
    networks = target.build(SCHEMA, torch_generator(7, "test"))
    found, expected = weights(networks), weights(trained.networks)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert found.keys() == expected.keys()
    made = [generate(t, n, SCHEMA, 6, 1, Device()) for t, n in ((target, networks), (tiny(), trained.networks))]
    assert np.array_equal(*made)
    x = np.zeros((3, *SCHEMA.shape), np.float32)
    assert np.array_equal(Release(target, networks, SCHEMA, Device()).logits(x), trained.logits(x))


def test_the_recipe_of_the_documents_writes_such_a_file(
    trained: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "bring-your-own.md").read_text("utf-8")
    (recipe,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(recipe, {"networks": trained.networks})
    assert build(tmp_path / "weights.safetensors").keys() == weights(trained.networks).keys()


def test_a_folder_with_weights(file: Path) -> None:
    assert build(file.parent).keys() == build(file).keys()


def test_it_becomes_what_it_holds(file: Path) -> None:
    target = checkpoint(file)
    assert (target.roles, target.private_roles, target.data) == (DCGAN.roles, DCGAN.private_roles, DCGAN.data)
    assert target.parts() == (DCGAN(**OPTIONS),)
    assert target.untrained() == DCGAN(**OPTIONS, steps=0)
    assert target.refuses(Schema("table", (3,))) == "dcgan models image records, not table records"
    assert checkpoint(file, "vae").roles == VAE.roles
    conditional = checkpoint(file, {"name": "vae", "conditional": True})
    assert conditional.conditional
    assert not target.conditional
    assert Checkpoint.from_spec(target.spec()) == target
    assert Checkpoint.from_spec(target.spec()).roles == target.roles


def test_every_call_reaches_the_networks(tmp_path: Path) -> None:
    """An encoder's, which a GAN has not."""
    inner = VAE(width=4, latent=3)
    networks = inner.build(SCHEMA, torch_generator(0, "test"))
    target = checkpoint(save(tmp_path, to_tensors(networks)), {"name": "vae", "width": 4, "latent": 3})
    loaded = target.build(SCHEMA, torch_generator(1, "test"))
    x = torch.rand((4, *SCHEMA.shape), generator=torch_generator(0, "x")) * 2 - 1
    for ours, theirs in zip(target.posterior(loaded, x), inner.posterior(networks, x), strict=True):
        assert torch.equal(ours, theirs)


def test_a_critic_stays_a_critic(tmp_path: Path) -> None:
    """Its answers need a threshold, wherever it was trained."""
    target = checkpoint(tmp_path / "none.safetensors", {"name": "wgan_gp", "width": 4})
    assert target.critic
    assert not checkpoint(tmp_path / "none.safetensors", {"name": "dcgan", "width": 4}).critic


def test_a_target_of_a_file(file: Path) -> None:
    text = "from targets.dcgan import DCGAN\n\n\nclass Mine(DCGAN):\n    '''Mine.'''\n\n    name = 'mine'\n"
    (file.parent / "mine.py").write_text(text)
    target = checkpoint(file, {"name": "./mine.py:Mine", **OPTIONS})
    assert target.inner.name == "mine"
    assert target.roles == DCGAN.roles


@pytest.mark.parametrize(
    ("recipe", "schema", "message"),
    [
        ({**RECIPE, "width": 8}, SCHEMA, r"of another shape \(.*of \(\d+, .* for \(\d+"),
        ({"name": "vae"}, SCHEMA, r"\d+ missing \(decoder.*; \d+ unexpected \(discriminator\.0\..*, …\)"),
        ({**RECIPE, "norm": "none"}, SCHEMA, r"expected the weights of DCGAN\(.*norm='none'.*unexpected"),
        (RECIPE, Schema("image", (3, 10, 12)), r"the data set the size of its records"),
    ],
)
def test_weights_of_something_else(file: Path, recipe: dict[str, Any], schema: Schema, message: str) -> None:
    with pytest.raises(InputError, match=f"checkpoint: .*weights.safetensors: .*{message}"):
        build(file, recipe, schema)


def test_a_missing_tensor(trained: Release, tmp_path: Path) -> None:
    tensors = to_tensors(trained.networks)
    name = sorted(tensors)[0]
    del tensors[name]
    with pytest.raises(InputError, match=rf"1 missing \({name}\); give `target` the options"):
        build(save(tmp_path, tensors))


def test_weights_that_are_not_finite(trained: Release, tmp_path: Path) -> None:
    tensors = to_tensors(trained.networks)
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] = torch.nan
    with pytest.raises(InputError, match=f"expected finite weights, got NaN or infinity in {name}"):
        build(save(tmp_path, tensors))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was read",))


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match=r"model\.pt: expected a safetensors file, got something else"):
        build(path)
    with pytest.raises(InputError, match=r"there is no .*weights\.safetensors"):
        build(tmp_path)
    with pytest.raises(InputError, match="expected a file or folder as 'path', but there is no"):
        build(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"width": 4}, "expected `target` as a name, or a mapping with a `name`"),
        ({"name": "samples", "path": "x"}, "expected `target` to name a target that is trained here, got 'samples'"),
        ({"name": "dcgan", "widht": 4}, "checkpoint: target 'dcgan': widht: Extra inputs are not permitted"),
        (
            {"name": "vae", "preset": "tpu"},
            r"target 'vae': expected one of its presets \(gpu.*\), got 'tpu'",
        ),
        ("dcgam", "dcgan"),
    ],
)
def test_a_target_that_is_none(recipe: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Checkpoint(path="w.safetensors", target=recipe)


def test_a_preset_is_the_inner_targets(file: Path) -> None:
    assert checkpoint(file, {"name": "vae", "preset": "gpu", "latent": 7}).inner == VAE(
        **{**VAE.presets["gpu"], "latent": 7}
    )


def test_its_contract(file: Path) -> None:
    report = check_target(Checkpoint(path=str(file), target=RECIPE), schemas=(SCHEMA,))
    assert {rule: reason for rule, reason in report.items() if reason} == {
        "trains": "it was trained elsewhere",
        "keeps_records_apart": "no phase of it reads records",
    }


def test_no_defense_of_training_applies(file: Path) -> None:
    assert stack_refuses([WeightNorm()], checkpoint(file), SCHEMA) == (
        "checkpoint was trained elsewhere, so weight_norm cannot change its training"
    )
