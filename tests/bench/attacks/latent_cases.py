"""Targets whose latents are searched: small networks with weights that matter, and rows by a matrix."""

from __future__ import annotations

import numpy as np
import torch

from bench.devices import Device
from bench.records import Schema
from bench.release import Access, Release, View
from bench.rng import generator, torch_generator
from targets.base import Networks, Target
from targets.training import set_mode
from targets.vae import VAE

GREY = Schema("image", (1, 8, 8), 3)
ROW = Schema("table", (5,))
MATRIX = generator(0, "matrix").normal(size=(3, 5)).astype(np.float32)


class Linear(VAE):
    """Rows from latents by a matrix."""

    name = "linear"

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return z @ torch.from_numpy(MATRIX)


def fresh(target: Target, scale: float = 4.0) -> Networks:
    """Networks with weights large enough to matter."""
    networks = target.build(GREY, torch_generator(3, "weights", target.name))
    with torch.no_grad():
        for modules in networks.values():
            for p in modules[0].parameters():
                p.mul_(scale)
    set_mode(networks, train=False)
    return networks


def view_of(target: Target, networks: Networks, access: Access) -> View:
    return View(access, GREY, Device(), None, lambda: Release(target, networks, GREY, Device()))
