"""A release: everything a trained trial could hand out; and the views of it that attacks get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.devices import Device, to_device
from bench.errors import AccessError, IncompatibleError
from bench.records import Schema, to_float

if TYPE_CHECKING:
    import torch

    from targets.base import Draw, Networks, Target
    from targets.rounds import Round

Access = Literal["nothing", "samples", "latent", "decision", "white_box", "updates"]

# What each access level may touch. `nothing` is for controls, which judge records without any release.
GRANTS: dict[Access, frozenset[Access]] = {
    "nothing": frozenset(),
    "samples": frozenset({"samples"}),
    "latent": frozenset({"samples", "latent"}),
    "decision": frozenset({"samples", "decision"}),
    "white_box": frozenset({"samples", "latent", "decision", "white_box"}),
    "updates": frozenset({"samples", "updates"}),
}

CHUNK = 500  # rows per forward pass


@dataclass(frozen=True)
class Release:
    """The networks of a trained trial, in eval mode.

    Attributes:
        target: what was trained.
        networks: role -> its networks; several where a defense trains several.
        schema: shape of the records.
        device: where the networks live.
        thresholds: above which logit each discriminator calls a record real, as the release fixes it; () is 0 for all.
        updates: the rounds of federated training, in order; () where it was not federated.
    """

    target: Target
    networks: Networks
    schema: Schema
    device: Device
    thresholds: tuple[float, ...] = ()
    updates: tuple[Round, ...] = ()

    def logits(self, x: NDArray[np.float32], labels: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Real/fake logits ``(discriminators, rows)`` of records ``(rows, *shape)`` in [-1, 1].

        The logit and not its sigmoid, which saturates into ties in float32. Labels reach conditional targets only.

        Raises:
            IncompatibleError: the target has no discriminator.
        """
        import torch

        if "discriminator" not in self.networks:
            raise IncompatibleError(f"{self.target.name} has no discriminator")
        rows, y = [], self.labels(labels)
        with torch.no_grad():
            for network in self.networks["discriminator"]:
                parts = [
                    self.target.logit(
                        network,
                        to_device(torch.from_numpy(x[i : i + CHUNK]), self.device),
                        None if y is None else y[i : i + CHUNK],
                    )
                    for i in range(0, len(x), CHUNK)
                ]
                rows.append(torch.cat(parts).double().cpu().numpy())
        return np.stack(rows)

    def labels(self, labels: NDArray[np.int64] | None) -> torch.Tensor | None:
        """The labels as the target takes them: on its device, or None where it is not conditional.

        Raises:
            IncompatibleError: it is conditional, and there are none.
        """
        import torch

        if not self.target.conditional:
            return None
        if labels is None:
            raise IncompatibleError(f"{self.target.name} is conditional: expected a label for every record, got none")
        return torch.from_numpy(labels).to(self.device.name)

    def decode(self, z: torch.Tensor, labels: NDArray[np.int64] | None = None) -> torch.Tensor:
        """Records from latents the caller chose; gradients flow."""
        return self.target.decode(self.networks, z, self.labels(labels))

    def posterior(
        self, x: NDArray[np.float32], labels: NDArray[np.int64] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of each record's latents, ``(rows, latent)`` each.

        Raises:
            IncompatibleError: the target has no encoder.
        """
        import torch

        rows = to_device(torch.from_numpy(x), self.device)
        return self.target.posterior(self.networks, rows, self.labels(labels))

    def predict_noise(self, x: torch.Tensor, t: torch.Tensor, labels: NDArray[np.int64] | None = None) -> torch.Tensor:
        """The noise that the target's denoiser sees in noisy records at times ``t``, int64 ``(rows,)``.

        Raises:
            IncompatibleError: the target has no denoiser.
        """
        return self.target.predict_noise(self.networks, x, t, self.labels(labels))

    def decision(self, x: NDArray[np.float32], labels: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
        """Whether each discriminator calls each record real, ``(discriminators, rows)``: above its own threshold."""
        logits = self.logits(x, labels)
        thresholds = np.array(self.thresholds or (0.0,) * len(logits))
        answers: NDArray[np.bool_] = logits > thresholds[:, None]
        return answers


@dataclass(frozen=True)
class Model:
    """A model that an attack had trained for itself; loaded when it is looked at.

    Attributes:
        schema: shape of the records.
        device: where it computes.
        load_release: loads its networks.
        load_samples: loads the records generated from it, as stored; None: none were asked for.
        trained_on: int64, ids of the records that it was trained on; None where those have no ids (generated ones).
    """

    schema: Schema
    device: Device
    load_release: Callable[[], Release]
    load_samples: Callable[[], NDArray[Any]] | None = None
    trained_on: NDArray[np.int64] | None = None

    @cached_property
    def release(self) -> Release:
        """Its networks; the attack owns them, so nothing is out of its reach."""
        return self.load_release()

    @property
    def samples(self) -> NDArray[np.float32]:
        """Its generated records as float32 ``(n, *shape)``."""
        return self.view("samples").samples

    def view(self, access: Access) -> View:
        """The same view of it as an attack with that access has of the target."""
        # A new one each time: it keeps its samples, and an attack with many models looks at one after the other.
        return View(access, self.schema, self.device, self.load_samples, lambda: self.release)


class View:
    """What an attack sees of a release; raises on anything beyond the declared access.

    Args:
        access: the attack's declared access.
        samples: loads the stored generated records, uint8 images or float32 rows.
        release: loads the release.
        schema: shape of the records.
        device: where the attack may compute.
    """

    def __init__(
        self,
        access: Access,
        schema: Schema,
        device: Device,
        samples: Callable[[], NDArray[Any]] | None = None,
        release: Callable[[], Release] | None = None,
    ) -> None:
        self.access: Access = access
        self.schema = schema
        self.device = device
        self._load_samples = samples
        self._load_release = release

    def _need(self, access: Access) -> None:
        if access not in GRANTS[self.access]:
            raise AccessError(
                f"expected the attack to stay within its declared access {self.access!r}, but it asked for "
                f"{access!r}; declare `access = {access!r}` or do without"
            )

    @cached_property
    def _release(self) -> Release:
        if self._load_release is None:
            raise AccessError("this view was made without a release")
        return self._load_release()

    @cached_property
    def _samples(self) -> NDArray[np.float32]:
        if self._load_samples is None:
            raise AccessError("this view was made without generated records; set `reads_samples = True` to have them")
        return to_float(self._load_samples(), self.schema)

    @property
    def samples(self) -> NDArray[np.float32]:
        """The trial's generated records as float32 ``(n, *shape)``: the same array for every attack."""
        self._need("samples")
        return self._samples

    @property
    def conditional(self) -> bool:
        """Whether latents are decoded only together with labels."""
        self._need("latent")
        return self._release.target.conditional

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        """``n`` draws of the generator's input from its prior, ``(n, *latent)``."""
        self._need("latent")
        return self._release.target.latent(n, draw).to(self.device.name)

    def decode(self, z: torch.Tensor, labels: NDArray[np.int64] | None = None) -> torch.Tensor:
        """Generated records from chosen latents."""
        self._need("latent")
        return self._release.decode(z, labels)

    def decision(self, x: NDArray[np.float32], labels: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
        """Every discriminator's hard real/fake answers, ``(discriminators, rows)``."""
        self._need("decision")
        return self._release.decision(x, labels)

    def logits(self, x: NDArray[np.float32], labels: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Logits ``(discriminators, rows)`` of every discriminator."""
        self._need("white_box")
        return self._release.logits(x, labels)

    def posterior(
        self, x: NDArray[np.float32], labels: NDArray[np.int64] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of each record's latents, by the target's encoder."""
        self._need("white_box")
        return self._release.posterior(x, labels)

    def predict_noise(self, x: torch.Tensor, t: torch.Tensor, labels: NDArray[np.int64] | None = None) -> torch.Tensor:
        """The noise that the target's denoiser sees."""
        self._need("white_box")
        return self._release.predict_noise(x, t, labels)

    def alpha_bar(self) -> NDArray[np.float64]:
        """The diffusion target's share of the signal that is left at each time, ``(times,)``."""
        self._need("white_box")
        return self._release.target.alpha_bar()

    @property
    def updates(self) -> tuple[Round, ...]:
        """The rounds of federated training, as the server sees them."""
        self._need("updates")
        return self._release.updates

    def opened(self, networks: Networks) -> View:
        """A white-box view of a model that a round of updates holds."""
        self._need("updates")
        release = replace(self._release, networks=networks, updates=())
        return View("white_box", self.schema, self.device, release=lambda: release)

    @property
    def release(self) -> Release:
        """The whole release, gradients included."""
        self._need("white_box")
        return self._release

    @property
    def networks(self) -> Networks:
        """All networks, gradients included."""
        self._need("white_box")
        return self._release.networks
