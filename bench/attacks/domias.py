"""DOMIAS: where generated samples are denser than the data is, the model has overfitted."""

from __future__ import annotations

from typing import Literal

from bench.attacks.density import Density


class Domias(Density):
    """Log density of the generated samples at a record, minus that of the reference records.

    Both densities have the same features, number of records, bandwidth and (for flows) seed, so that they differ in
    nothing but whose records they are: the paper's ratio, in log space. Unlike in the paper, which estimates kernels
    in the data's own columns, features are standardised principal components of the reference, and the bandwidth of
    both densities is the reference's; a bandwidth from the samples' own spread would tell a blurred model by its
    blur. A reference record is part of the second density, so its score is not on one scale with a candidate's.
    """

    name = "domias"
    paper = (
        "van Breugel et al., Membership Inference Attacks against Synthetic Data through Overfitting Detection, "
        "AISTATS 2023, section 4, equation 2"
    )
    fair_to_reference = False

    class Options(Density.Options):
        """Those of ``density``; the number of records is that of both densities."""

    options: Options

    def _densities(self) -> tuple[Literal["samples", "reference"], ...]:
        return ("samples", "reference")
