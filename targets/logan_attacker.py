"""The GAN of LOGAN's attacker: its records are labelled, and those of class 0 are fakes like the generated ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bench.errors import InputError
from bench.records import Records
from targets.base import Batch, Draw, Losses, Networks, Phase
from targets.dcgan import DCGAN

if TYPE_CHECKING:
    import torch


class LoganAttacker(DCGAN):
    """An attacker's DCGAN, trained by attacks only: its discriminator takes records of class 0 for fakes too.

    Records of every other class are real to it, and so are records without labels. LOGAN's attacker feeds what it knows
    of the candidates to the discriminator of a GAN, or to a discriminator without any generator (``generates``).

    Batches are drawn from both classes together, so that single ones may lack a class; ``balanced``, a row is weighted
    by the share of its class among all records, such that real and fake count equally in expectation, however few
    records one of them has.
    """

    name = "logan_attacker"
    paper = "Hayes et al., LOGAN, PoPETs 2019, section 4.3"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    class Options(DCGAN.Options):
        generates: bool = True
        """Whether a generator is trained, whose images are fakes too; if not, records of class 0 are the only ones."""
        balanced: bool = False
        """Whether both classes count the same, however many records each has; if not, every row counts the same."""
        norm: Literal["group", "none"] = "group"
        """Normalisation of the discriminator; never BatchNorm, which would tell the classes of a batch apart by it."""
        conditional: Literal[False] = False
        """Never told the label, which is what it is to find out."""

    options: Options
    for_attacks = True
    _fakes: float | None = None  # share of class 0 among the records that it trains on

    def fit(self, networks: Networks, records: Records, reference: Records) -> None:
        """Count the classes.

        Raises:
            InputError: its discriminator would see one class alone.
        """
        labels = np.ones(len(records)) if records.labels is None else records.labels
        fakes = float((labels == 0).mean())
        if fakes == 1 or (fakes == 0 and not self.options.generates):
            raise InputError(
                f"{self.name}: expected records of class 0, which are fakes, and of others, got {len(records)} of one "
                "kind alone: its discriminator would have nothing to tell apart"
            )
        self._fakes = fakes if self.options.balanced and fakes > 0 else None

    def phases(self) -> tuple[Phase, ...]:
        return super().phases() if self.options.generates else super().phases()[:1]

    def refuses_private(self) -> str | None:
        return "it is an attacker's model, which has nobody to protect"

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        import torch
        from torch.nn.functional import softplus

        if phase.name == "generator":
            return super().losses(phase, networks, batch, draw)
        (discriminator,) = networks["discriminator"]
        x = batch.x
        if self.options.generates:
            with torch.no_grad():
                generated = self.decode(networks, self.latent(batch.size, draw))
            x = torch.cat([x, generated.to(x.dtype)])
        logits = self.logit(discriminator, x)
        own, rest = logits[: len(batch.x)], logits[len(batch.x) :]
        fake = torch.zeros_like(own, dtype=torch.bool) if batch.labels is None else batch.labels == 0
        private = self._weights(fake).to(own.dtype) * softplus(torch.where(fake, own, -own))
        if not self.options.generates:
            return Losses(private, None)
        # Known fakes and generated ones are half of the fake side each.
        return Losses(private, softplus(rest) * (1.0 if self._fakes is None else 0.5))

    def _weights(self, fake: torch.Tensor) -> torch.Tensor:
        """Weight of each record's row, ``(rows,)``, by its own class and the classes' shares alone."""
        import torch

        share = self._fakes
        if share is None:
            return torch.ones_like(fake, dtype=torch.float32)
        side = 1.0 if self.options.generates else 0.5
        ones = torch.ones_like(fake, dtype=torch.float32)
        return torch.where(fake, ones * (0.5 / share), ones * (side / (1 - share)))
