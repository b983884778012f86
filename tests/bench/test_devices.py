"""Devices are arguments: one module names them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import devices
from bench.contracts.tiny import tiny_request
from bench.devices import Device, available, count, generator_device, require, to_device
from bench.errors import InputError
from bench.identity import PACKAGES, ROOT
from targets.dcgan import DCGAN
from targets.training import TrainingRequest, train

# What would tie code to one device.
NAMES = re.compile(r"""\.cuda\(|\.cpu\(\)\.cuda|torch\.cuda|torch\.mps|torch\.device\(|\.to\(["']|["'](?:cuda|mps)\b""")
# Types and lists of the command line and the matrix say which kinds exist; the meta device computes nothing.
ALLOWED = re.compile(r"""Literal\[|DEVICES = |typer\.Option\(|torch\.device\(["']meta["']\)|help=""")


def sources() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def test_nothing_but_the_device_module_names_a_device() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in sources()
        if file != Path(devices.__file__)
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if NAMES.search(line) and not ALLOWED.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    ["x.cuda()", "x.to('cuda:0')", 'device = "cuda"', "torch.device(name)", "torch.cuda.is_available()", 'k == "mps"'],
)
def test_the_search_above_finds_what_it_should(line: str) -> None:
    assert NAMES.search(line)
    assert not ALLOWED.search(line)


@pytest.mark.parametrize(
    ("device", "name", "generators"),
    [
        (Device(), "cpu", "cpu"),
        (Device("cuda"), "cuda:0", "cuda:0"),
        (Device("cuda", 3), "cuda:3", "cuda:3"),
        (Device("mps"), "mps", "cpu"),
    ],
)
def test_names(device: Device, name: str, generators: str) -> None:
    assert device.name == name
    assert generator_device(device) == generators


def test_the_cpu_is_always_there() -> None:
    require("cpu")
    assert available("cpu")
    assert count("cpu") == 1
    device = Device()
    device.synchronize()
    device.reset_peak_memory()
    assert device.peak_memory_mib() is None


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_the_users_problem(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=f"expected a {kind} device .* torch sees none here; .* run with --device cpu"):
        require(kind)  # type: ignore[arg-type]


def test_a_device_that_is_there_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    require("cuda")
    assert count("cuda") == 4


def test_images_are_channels_last_and_nothing_else_is_moved() -> None:
    x = torch.arange(48.0).reshape(2, 3, 2, 4)
    moved = to_device(x, Device())
    assert torch.equal(moved, x)
    assert moved.is_contiguous(memory_format=torch.channels_last)
    assert to_device(x[0], Device()).is_contiguous()


def request(precision: str) -> TrainingRequest:
    base = tiny_request(DCGAN(width=4, latent=4, steps=2, batch_size=4))
    from dataclasses import replace

    return replace(base, device=Device(precision=precision))  # type: ignore[arg-type]


def test_bf16_trains_close_to_float32_but_not_the_same() -> None:
    with Device(precision="bf16").autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == torch.bfloat16
    with Device().autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    full, half = train(request("float32")), train(request("bf16"))
    assert half.status == "completed"
    for name, losses in full.history.items():
        if name.startswith("loss/"):
            assert np.allclose(half.history[name], losses, rtol=0.02)  # bfloat16 has 8 bits: .4 % each
            assert not np.array_equal(half.history[name], losses)
    assert all(p.dtype == torch.float32 for m in half.networks["discriminator"] for p in m.parameters())
