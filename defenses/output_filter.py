"""Output filter: generated records that come too near to a training record are not released."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bench.devices import Device
from bench.distances import nearest
from bench.errors import IncompatibleError
from bench.records import Records, to_float
from defenses.base import Defense, TrainingContext
from targets.base import Networks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OutputFilter(Defense):
    """Rejects generated samples closer to a training record than a quantile of the validation records' distances.

    Validation records were never trained on, so their distances to their nearest training record say how near two
    records come by nature. A sample nearer than the low quantile of these is rejected, and a copy always is, even where
    the quantile is 0 because validation records have twins among the members.

    Distances are Euclidean over a record as models see it: pixels in [-1, 1]; a table's encoded row, in which every
    number has its scale of the reference records and a category's value is one-hot, so that two categories differ by as
    much as numbers that lie 1.4 standard deviations apart. Labels are not compared.

    The test of a sample is that of data-copying and distance-to-closest-record reports; used as a filter, it makes a
    hole around every member in what is released, which the attack ``hole`` looks for. Training is the undefended one.
    """

    name = "output_filter"
    paper = (
        "the suite's own; the distance test is that of Meehan, Chaudhuri and Dasgupta, A Non-Parametric Test to Detect "
        "Data-Copying in Generative Models, AISTATS 2020, whose held-out records are the validation records"
    )
    family = "release"
    adaptive = ("hole",)
    reads_members = "it accepts or rejects a sample by its distances to members, which no noise covers"
    caveat = "It changes the released samples only: an attack on the networks goes around it."

    class Options(Defense.Options):
        quantile: float = Field(0.1, gt=0, lt=1)
        """Share of the validation records that lie nearer to a training record than a released sample may."""

    options: Options

    def start(self, networks: Networks, context: TrainingContext) -> Any:
        self._enough(context.validation)  # before training, not after hours of it

    def filter_samples(
        self, samples: NDArray[np.generic], members: Records, validation: Records
    ) -> NDArray[np.bool_] | None:
        import numpy as np

        self._enough(validation)
        if not len(samples):
            return np.zeros(0, np.bool_)
        known = members.floats()
        natural, _ = nearest(validation.floats(), known, Device())
        distances, _ = nearest(to_float(samples, members.schema), known, Device())
        threshold = np.quantile(natural[:, 0], self.options.quantile)
        # What is not a number is nobody's neighbour: that a model makes it is for the quality metrics to say.
        rejected: NDArray[np.bool_] = (distances[:, 0] < threshold) | (distances[:, 0] == 0)
        return ~rejected

    def _enough(self, validation: Records) -> None:
        """Raise where the quantile would lie below the nearest validation record."""
        needed = math.ceil(1 / self.options.quantile)
        if len(validation) < needed:
            raise IncompatibleError(
                f"{self.name}: expected at least {needed} validation records for a quantile of "
                f"{self.options.quantile:g}, got {len(validation)}; set `validation` to at least {needed}"
            )
