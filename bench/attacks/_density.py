"""Log densities of records in a feature space: kernels and a normalizing flow. Nothing leaves log space."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.attacks._features import distance_blocks
from bench.devices import Device
from bench.errors import InputError
from bench.rng import derive_seed, generator

if TYPE_CHECKING:
    import torch

LogDensity = Callable[[NDArray[np.float64]], NDArray[np.float64]]

TRANSFORMS, HIDDEN = 2, (64, 64)  # of the flow: small, since it learns from some thousand records
BATCH, LEARNING_RATE = 128, 1e-3
HELD_OUT = 0.1  # of a flow's own records, which say when to stop
PATIENCE = 5  # epochs without a better fit to those


def scott(n: int, dimensions: int) -> float:
    """Scott's factor: what the spread of ``n`` records is multiplied by to give a kernel's bandwidth.

    Scott, Multivariate Density Estimation, 1992, equation 6.42.

    >>> scott(1000, 1)
    0.251188643150958
    """
    return float(n ** (-1 / (dimensions + 4)))


def kernel_log_density(
    x: NDArray[np.float64], data: NDArray[np.float64], bandwidth: float, device: Device
) -> NDArray[np.float64]:
    """Log of the mean of Gaussians around ``data``, at ``x``.

    A sum of exponentials, which are all 0 in float64 some 39 bandwidths away from the data, is told in log space:
    relative to its largest term.

    Args:
        x: ``(n, features)``.
        data: ``(m, features)``.
        bandwidth: standard deviation of each Gaussian, the same in all directions.
        device: where the products run.

    Returns:
        float64 ``(n,)``.
    """
    found = np.empty(len(x))
    for rows, squared in distance_blocks(x, data, device):
        found[rows] = squared.mul_(-0.5 / bandwidth**2).logsumexp(dim=1).cpu().numpy()
    found -= math.log(len(data)) + x.shape[1] * (math.log(bandwidth) + math.log(2 * math.pi) / 2)
    return found


def fit_flow(data: NDArray[np.float64], seed: int, device: Device, epochs: int) -> LogDensity:
    """Train a neural spline flow on ``data`` ``(m, features)``, of unit scale, and return its log density.

    A tenth of the records is held out; training stops when they have not become likelier for five epochs, and the
    flow under which they were likeliest is returned.

    Durkan et al., Neural Spline Flows, NeurIPS 2019.

    Raises:
        InputError: the package ``zuko`` is not installed, or there are fewer than two records.
    """
    import torch

    if len(data) < 2:
        raise InputError(f"expected at least 2 records to train a flow on, got {len(data)}")
    flow = _flow(data.shape[1], derive_seed(seed, "flow weights")).to(device.name)
    rng = generator(seed, "flow batches")
    rows = torch.from_numpy(data[rng.permutation(len(data))].astype(np.float32)).to(device.name)
    held = max(1, round(HELD_OUT * len(rows)))
    held_out, rows = rows[:held], rows[held:]
    optimizer = torch.optim.Adam(flow.parameters(), lr=LEARNING_RATE)
    best, best_loss, since = copy.deepcopy(flow.state_dict()), math.inf, 0
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(rows))).to(device.name)
        for start in range(0, len(rows), BATCH):
            optimizer.zero_grad()
            loss = -flow().log_prob(rows[order[start : start + BATCH]]).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
            optimizer.step()
        with torch.no_grad():
            loss_now = float(-flow().log_prob(held_out).mean())
        since += 1
        if loss_now < best_loss:
            best, best_loss, since = copy.deepcopy(flow.state_dict()), loss_now, 0
        if since >= PATIENCE:
            break
    flow.load_state_dict(best)

    def log_density(x: NDArray[np.float64]) -> NDArray[np.float64]:
        with torch.no_grad():
            points = torch.from_numpy(x.astype(np.float32)).to(device.name)
            found: NDArray[np.float64] = flow().log_prob(points).double().cpu().numpy()
        return found

    return log_density


def _flow(features: int, seed: int) -> torch.nn.Module:
    """An untrained flow. Its package draws weights from torch's own generator, which is put back as it was."""
    import torch

    try:
        zuko: Any = import_module("zuko")
    except ModuleNotFoundError as error:
        raise InputError(
            f"expected the package {error.name!r} for estimator 'flow', but it is not installed: "
            "run pip install 'leakboard[flows]', or take estimator 'kde'"
        ) from error
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        made: torch.nn.Module = zuko.flows.NSF(features, transforms=TRANSFORMS, hidden_features=HIDDEN)
    return made
