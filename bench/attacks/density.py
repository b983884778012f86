"""The density of generated samples at a record: what DOMIAS is without its calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._density import LogDensity, fit_flow, kernel_log_density, scott
from bench.attacks._features import Components, principal_components
from bench.attacks.base import Attack, Chunk, Knowledge
from bench.devices import Device
from bench.errors import PluginError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng, generator


@dataclass(frozen=True)
class Fitted:
    """What was fitted before any candidate is judged.

    Attributes:
        components: fitted on the reference.
        densities: log density of the samples' standardised features, and of the reference's where that is asked for.
        diagnostics: how many records are behind a density, in how many dimensions.
    """

    components: Components
    densities: tuple[LogDensity, ...]
    diagnostics: dict[str, float]


class Density(Attack):
    """Log density of the generated samples at a record, in standardised principal components of the reference.

    It is DOMIAS's ablation, so its density is the very one that DOMIAS compares: by default of as many samples as
    there are reference records. The components stand for the paper's representation of images, and are scaled to unit
    variance among the reference, so that a kernel's bandwidth is a share of the reference's spread in each of them.
    """

    name = "density"
    paper = (
        "van Breugel et al., Membership Inference Attacks against Synthetic Data through Overfitting Detection, "
        "AISTATS 2023, section 4 (without its equation 2's denominator)"
    )
    access = "samples"
    knowledge = "reference"

    class Options(Attack.Options):
        estimator: Literal["kde", "flow"] = "kde"
        """``kde``: Gaussian kernels; ``flow``: a neural spline flow (needs the extra ``flows``)."""
        components: int = Field(32, ge=1, le=64)
        """Principal components, fitted on the reference; never more than the records have."""
        bandwidth: Literal["scott"] | Annotated[float, Field(gt=0, allow_inf_nan=False)] = "scott"
        """Of the kernels, in standard deviations of the reference: ``scott`` for Scott's factor, or a number."""
        records: int | None = Field(None, ge=2)
        """How many samples are behind the density, a seeded subset; null: as many as there are reference records."""
        epochs: int = Field(100, ge=1)
        """Passes of the flow over its records at most; it stops when a held-out tenth gets no likelier."""

    options: Options

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Fitted:
        samples = view.samples
        if knowledge.reference is None:
            raise PluginError(f"{self.name}: expected reference records to fit components on, got none")
        components = principal_components(knowledge.reference, self.options.components)
        records = {"samples": samples, "reference": knowledge.reference.floats()}
        compared = [records[name] for name in self._densities()]
        count = min(self.options.records or len(knowledge.reference), *map(len, compared), len(samples))
        densities = [self._estimate(components, _subset(x, count), view.device, rng) for x in compared]
        figures = {"records": float(count), "dimensions": float(len(components.deviations))}
        return Fitted(components, tuple(densities), figures)

    def _densities(self) -> tuple[Literal["samples", "reference"], ...]:
        """What densities are estimated of: the score is the first, minus the second where there are two."""
        return ("samples",)

    def _estimate(self, components: Components, x: NDArray[np.float32], device: Device, rng: RecordRng) -> LogDensity:
        data = components.standardised(x)
        if self.options.estimator == "flow":
            # The same seed for every flow: they differ in their records alone.
            seed = int(rng.shared("flow").integers(2**62))
            return fit_flow(data, seed, device, self.options.epochs)
        chosen = self.options.bandwidth
        bandwidth = scott(*data.shape) if chosen == "scott" else chosen
        return lambda x: kernel_log_density(x, data, bandwidth, device)

    def score_chunk(self, chunk: Chunk, state: Fitted, view: View, rng: RecordRng) -> NDArray[np.float64]:
        features = state.components.standardised(chunk.x)
        found, *reference = (log_density(features) for log_density in state.densities)
        return found - reference[0] if reference else found

    def diagnostics(self, state: Fitted) -> dict[str, float]:
        return state.diagnostics


def _subset(x: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Some ``n`` of the records, the same ones in every attack."""
    return x[np.sort(generator(0, "density records").permutation(len(x))[:n])]
