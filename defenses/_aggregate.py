"""How a server puts the models of its clients together: the weighted mean, or a function that a user brings.

Everything here is numpy, so that whoever writes an aggregation can try it without the suite's networks.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, PluginError
from defenses._flower import adapted, is_strategy

Arrays = list[NDArray[Any]]
Aggregate = Callable[[list[Arrays], list[int], Arrays, int], Sequence[NDArray[Any]]]
"""``aggregate(models, sizes, current, number)``: the new global model, as arrays of the same shapes.

``models`` are the clients' models, each a list of arrays; ``sizes`` how many records each client has; ``current`` the
global model that the round began with; ``number`` the round, from 1.
"""


def weighted_mean(arrays: Sequence[NDArray[Any]], weights: Sequence[float]) -> NDArray[Any]:
    """The mean of arrays of one shape, in their type; whole numbers are rounded.

    Sums in float64, so that the mean of one array is that array, bit for bit.
    """
    total = np.zeros(arrays[0].shape, np.float64)
    for array, weight in zip(arrays, weights, strict=True):
        total += array * np.float64(weight)
    mean = total / np.sum(weights, dtype=np.float64)
    whole = not np.issubdtype(arrays[0].dtype, np.inexact)
    return np.asarray(np.rint(mean) if whole else mean, arrays[0].dtype)


def federated_mean(models: list[Arrays], sizes: list[int], current: Arrays, number: int) -> Arrays:
    """FedAvg: the clients' models, weighted by how many records each has (McMahan et al. 2017, algorithm 1)."""
    return [weighted_mean([model[place] for model in models], sizes) for place in range(len(current))]


def split_reference(reference: str) -> tuple[str, str]:
    """The file and the name of ``./file.py:name``."""
    file, _, name = reference.rpartition(":")
    return file, name


def load_aggregate(file: Path, name: str) -> Aggregate:
    """What a file calls ``name``: a function as ``Aggregate`` describes it, or a strategy of Flower.

    The file runs anew for each training, so that what an aggregation keeps between rounds (a momentum) begins afresh.

    Raises:
        InputError: the file has nothing of this name that could aggregate.
        PluginError: the file does not run.
    """
    module_name = f"leakboard_aggregate_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"expected a Python file to aggregate with, got {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise PluginError(f"{file} does not run: {type(error).__name__}: {error}") from error
    known = sorted(key for key, value in vars(module).items() if callable(value) or is_strategy(value))
    if name not in known:
        raise InputError(
            f"expected a function or a Flower strategy {name!r} in {file}, got {', '.join(known) or 'none'}"
        )
    found = getattr(module, name)
    if isinstance(found, type):
        raise InputError(
            f"{file}: expected {name!r} to be a function or a Flower strategy, got a class: make one of it"
        )
    aggregate: Aggregate = adapted(found) if is_strategy(found) else found
    return aggregate


def checked(
    aggregate: Aggregate, where: str, models: list[Arrays], sizes: list[int], current: Arrays, number: int
) -> Arrays:
    """What an aggregation returns, in the types of the global model, once it is what it must be.

    Raises:
        PluginError: it fails, or returns other shapes or values that are not finite.
    """
    finite = all(np.isfinite(array).all() for model in models for array in model)
    try:
        returned = aggregate(models, sizes, [array.copy() for array in current], number)
        found = [np.asarray(array, np.float64) for array in returned]
    except Exception as error:
        raise PluginError(f"{where} failed in round {number}: {type(error).__name__}: {error}") from error
    shapes, wanted = [a.shape for a in found], [a.shape for a in current]
    if shapes != wanted:
        first = next((i for i, pair in enumerate(zip(shapes, wanted, strict=False)) if pair[0] != pair[1]), None)
        what = f"array {first} of shape {shapes[first]} for {wanted[first]}" if first is not None else f"{len(shapes)}"
        raise PluginError(f"{where}: expected {len(wanted)} arrays in the shapes of the global model, got {what}")
    # A client that diverged is for the training's own check: it is no fault of the aggregation.
    if finite and not all(np.isfinite(array).all() for array in found):
        raise PluginError(f"{where}: expected finite values from finite models, got NaN or infinity in round {number}")
    return [array.astype(old.dtype, copy=False) for array, old in zip(found, current, strict=True)]
