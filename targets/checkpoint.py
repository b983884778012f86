"""Weights of one of the suite's targets that were trained elsewhere, or in an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench.errors import InputError, StoreError
from bench.plugin import Plugin, inner_plugin
from bench.records import Schema
from targets.base import BroughtOptions, Draw, Networks, Phase, Target

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

WEIGHTS = "weights.safetensors"  # as the store names them in a training's folder
SHOWN = 3  # tensors that a message names


class Checkpoint(Target):
    """Weights that you bring: any target of the suite, trained elsewhere, with all of its networks.

    The networks are built as ``target`` says and the file is loaded into them. Names and shapes must fit; what has
    neither, such as an activation, cannot be checked. Defenses that changed the networks' structure must not be in it.
    """

    name = "checkpoint"
    data = frozenset({"image", "table"})
    roles = ()
    private_roles = ()
    brought = True
    files = ("path",)

    class Options(BroughtOptions):
        path: str
        """A safetensors file of tensors `role.position.name`, or a training's folder with `weights.safetensors`."""
        target: str | dict[str, Any]
        """The target that the weights are of: its name, or a mapping of its name and its options."""

    options: Options
    inner: Target

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if ".py:" not in self._recipe()[0]:  # a file is looked for once it is known what it is relative to
            self._adopt()

    def at(self, base_dir: Path) -> Self:
        located = super().at(base_dir)
        located._adopt()
        return located

    def _recipe(self) -> tuple[str, dict[str, Any]]:
        given = self.options.target
        options = {"name": given} if isinstance(given, str) else dict(given)
        name = options.pop("name", None)
        if not isinstance(name, str):
            raise InputError(f"{self.name}: expected `target` as a name, or a mapping with a `name`, got {given!r}")
        return name, options

    def _adopt(self) -> None:
        """Become a target of the inner one's kind: its roles and records are what is known of this instance."""
        from bench.registry import get

        name, options = self._recipe()
        cls = get("targets", name, self.base_dir)
        if not issubclass(cls, Target) or cls.brought:
            raise InputError(f"{self.name}: expected `target` to name a target that is trained here, got {name!r}")
        self.inner = inner_plugin(f"{self.name}: target", cls, options).at(self.base_dir)
        inner = self.inner
        vars(self).update(
            data=inner.data,
            roles=inner.roles,
            private_roles=inner.private_roles,
            loss_limit=inner.loss_limit,
            critic=inner.critic,
        )

    @property
    def conditional(self) -> bool:
        return self.inner.conditional

    def parts(self) -> tuple[Plugin, ...]:
        return (self.inner,)

    def refuses(self, schema: Schema) -> str | None:
        return self.inner.refuses(schema)

    def refuses_private(self) -> str | None:
        return "it was trained elsewhere"

    def untrained(self) -> Target | None:
        return self.inner.untrained()

    def phases(self) -> tuple[Phase, ...]:
        return ()

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        """The inner target's networks with the file's weights.

        Raises:
            InputError: the file is no safetensors file, does not fit the networks, or holds values that are not finite.
        """
        from targets.base import from_tensors

        networks = self.inner.build(schema, rng)
        path = self.path("path")
        file = path / WEIGHTS if path.is_dir() else path
        tensors = _read(self.name, file)
        try:
            from_tensors(networks, tensors)
        except StoreError as error:
            raise InputError(f"{self.name}: {file}: {self._misfit(networks, tensors)}") from error
        return networks

    def _misfit(self, networks: Networks, tensors: Mapping[str, torch.Tensor]) -> str:
        """Which tensors do not fit, and what to look at."""
        from targets.base import to_tensors

        wanted = {name: tuple(tensor.shape) for name, tensor in to_tensors(networks).items()}
        given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        shapes = [
            f"{name} of {given[name]} for {wanted[name]}"
            for name in wanted
            if name in given and given[name] != wanted[name]
        ]
        parts = {"missing": sorted(wanted.keys() - given.keys()), "unexpected": sorted(given.keys() - wanted.keys())}
        parts["of another shape"] = shapes
        told = [
            f"{len(names)} {what} ({', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''})"
            for what, names in parts.items()
            if names
        ]
        return (
            f"expected the weights of {self.inner!r}, got tensors {'; '.join(told)}; give `target` the options that it "
            "was trained with, and the data set the size of its records"
        )

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return self.inner.latent(n, draw)

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return self.inner.decode(networks, z, labels)

    def generate(self, networks: Networks, n: int, draw: Draw, labels: torch.Tensor | None = None) -> torch.Tensor:
        return self.inner.generate(networks, n, draw, labels)

    def logit(self, network: nn.Module, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return self.inner.logit(network, x, labels)

    def posterior(
        self, networks: Networks, x: torch.Tensor, labels: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inner.posterior(networks, x, labels)

    def encode(
        self, networks: Networks, x: torch.Tensor, draw: Draw, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.inner.encode(networks, x, draw, labels)

    def predict_noise(
        self, networks: Networks, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.inner.predict_noise(networks, x, t, labels)

    def alpha_bar(self) -> NDArray[np.float64]:
        return self.inner.alpha_bar()


def _read(name: str, file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; a pickle, which runs code when it is read, is never opened."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise InputError(f"{name}: expected a safetensors file, but there is no {file}")
    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
    except SafetensorError as error:
        raise InputError(
            f"{name}: {file}: expected a safetensors file, got something else ({error}); write the networks' state "
            "with safetensors.torch.save_file, under role.position.name"
        ) from error
    if bad := sorted(n for n, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())):
        raise InputError(f"{name}: {file}: expected finite weights, got NaN or infinity in {', '.join(bad[:SHOWN])}")
    return tensors
