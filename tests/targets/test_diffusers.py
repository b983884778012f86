"""Pipelines that users bring: what they declare is read without the package, what they compute checked against it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.contracts import check_target
from bench.devices import Device
from bench.errors import InputError, PluginError
from bench.records import Schema
from bench.rng import torch_generator
from targets.base import Draw
from targets.diffusers import Diffusers

GREY = Schema("image", (1, 8, 8))
PIPELINE = Path(__file__).parent / "pipeline"  # the configurations that diffusers 0.42 saved, without weights


def copy(source: Path, place: Path, file: str = "", **changes: Any) -> Path:
    """A pipeline's copy, one of its configurations changed."""
    shutil.copytree(source, place / "pipeline")
    if file:
        path = place / "pipeline" / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return place / "pipeline"


def test_what_it_declares() -> None:
    target = Diffusers(path=PIPELINE.name).at(PIPELINE.parent)
    assert target.refuses(GREY) is None
    assert target.untrained() is None
    assert target.phases() == ()


@pytest.mark.parametrize(
    ("file", "changes", "reason"),
    [
        (
            "scheduler/scheduler_config.json",
            {"prediction_type": "v_prediction"},
            r"prediction_type: epsilon\), got v_pred",
        ),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, r"prediction_type: epsilon\), got sample"),
        ("scheduler/scheduler_config.json", {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
        ("scheduler/scheduler_config.json", {"_class_name": "EDMEulerScheduler"}, "got EDMEulerScheduler"),
        (
            "scheduler/scheduler_config.json",
            {"num_train_timesteps": 10},
            "cannot visit 50 times of a model that has 10",
        ),
        ("unet/config.json", {"num_class_embeds": 10}, "this one is told a class"),
        ("unet/config.json", {"out_channels": 2}, "predicts a variance too"),
        ("unet/config.json", {"sample_size": 32}, "makes images of 1x32x32, got image 1x8x8; set `resize`"),
        ("unet/config.json", {"sample_size": [8, 9]}, "makes images of 1x8x9"),
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "DDPMPipeline with UNet2DConditionModel"),
        ("model_index.json", {"_class_name": "StableDiffusionPipeline"}, "got StableDiffusionPipeline with"),
    ],
)
def test_what_it_refuses(tmp_path: Path, file: str, changes: dict[str, Any], reason: str) -> None:
    assert re.search(reason, Diffusers(path=str(copy(PIPELINE, tmp_path, file, **changes))).refuses(GREY) or "")


def test_a_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    place = copy(PIPELINE, tmp_path)
    (place / "unet" / "config.json").unlink()
    with pytest.raises(InputError, match=r"expected the folder of a saved pipeline, but .*config\.json cannot be read"):
        Diffusers(path=str(place)).refuses(GREY)
    (place / "unet" / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"expected a JSON object in .*, got list"):
        Diffusers(path=str(place)).refuses(GREY)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    place = copy(PIPELINE, tmp_path)
    (place / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected weights as safetensors in .*safe_serialization=True"):
        Diffusers(path=str(place)).build(GREY, torch_generator(0, "test"))


def test_the_package_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    place = copy(PIPELINE, tmp_path)
    (place / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    with pytest.raises(PluginError, match=r"run pip install 'leakboard\[diffusers\]'"):
        Diffusers(path=str(place)).build(GREY, torch_generator(0, "test"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with random weights, saved by the package."""
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = diffusers.UNet2DModel.from_config(diffusers.UNet2DModel.load_config(PIPELINE / "unet"))
    scheduler = diffusers.DDPMScheduler.from_pretrained(PIPELINE / "scheduler")
    place = tmp_path_factory.mktemp("saved")
    diffusers.DDPMPipeline(network, scheduler).save_pretrained(place)
    return place


def test_its_noise_and_schedule_are_the_packages(saved: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    pipeline = diffusers.DDPMPipeline.from_pretrained(saved, use_safetensors=True, local_files_only=True)
    target = Diffusers(path=str(saved))
    networks = target.build(GREY, torch_generator(0, "test"))
    x = Draw(Device(), 0, "x").normal(5, 1, 8, 8)
    t = torch.tensor([0, 3, 100, 500, 999])
    with torch.no_grad():
        assert torch.equal(target.predict_noise(networks, x, t), pipeline.unet.eval()(x, t).sample)
    betas = np.linspace(1e-4, 0.02, 1000)
    np.testing.assert_allclose(target.alpha_bar(), np.cumprod(1 - betas), rtol=1e-4)


def test_its_samples_are_those_of_the_packages_ddim(saved: Path, tmp_path: Path) -> None:
    """The package's own scheduler, told to clip in the same way, on a model whose every time is visited."""
    diffusers = pytest.importorskip("diffusers")
    place = copy(saved, tmp_path, "scheduler/scheduler_config.json", num_train_timesteps=20)
    target = Diffusers(path=str(place), sampling_steps=20)
    networks = target.build(GREY, torch_generator(0, "test"))
    config = json.loads((place / "scheduler" / "scheduler_config.json").read_text())
    scheduler = diffusers.DDIMScheduler.from_config(config, clip_sample=True)
    scheduler.set_timesteps(20)
    assert scheduler.timesteps.tolist() == list(range(19, -1, -1))
    x = z = Draw(Device(), 0, "z").normal(4, 1, 8, 8)
    with torch.no_grad():
        for t in scheduler.timesteps:
            noise = networks["denoiser"][0](x, t).sample
            x = scheduler.step(noise, t, x, eta=0.0, use_clipped_model_output=True).prev_sample
        found = target.decode(networks, z)
    torch.testing.assert_close(found, x, rtol=1e-3, atol=1e-4)


def test_weights_that_do_not_fit(saved: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    place = copy(saved, tmp_path, "unet/config.json", block_out_channels=[8, 32])
    with pytest.raises(InputError, match=r"unet cannot be loaded: .*size mismatch"):
        Diffusers(path=str(place)).build(GREY, torch_generator(0, "test"))
    place = copy(saved, tmp_path / "missing")
    weights = place / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    bias = tensors.pop("conv_in.bias")
    save_file(tensors, weights)
    with pytest.raises(InputError, match=r"expected weights that fit .*config\.json, got 1 missing keys"):
        Diffusers(path=str(place)).build(GREY, torch_generator(0, "test"))
    save_file({**tensors, "conv_in.bias": bias * torch.nan}, weights)
    with pytest.raises(InputError, match=r"expected finite weights in .*, got NaN or infinity in conv_in\.bias"):
        Diffusers(path=str(place)).build(GREY, torch_generator(0, "test"))


def test_its_contract(saved: Path) -> None:
    report = check_target(Diffusers(path=str(saved), sampling_steps=2), schemas=(GREY,))
    assert {rule: reason for rule, reason in report.items() if reason} == {
        "trains": "it was trained elsewhere",
        "judges_where_it_has_a_discriminator": "it has no discriminator",
        "keeps_records_apart": "no phase of it reads records",
    }
