"""Control: a target that hands out real records, but none of those it was trained on."""

from __future__ import annotations

import numpy as np

from bench.errors import InputError
from bench.records import Records
from bench.rng import generator
from targets.base import Networks
from targets.memorizer import Memorizer


class Resampler(Memorizer):
    """Control: hands out reference records and leaks nothing about members; attacks must read chance. Never a release.

    It is the ``memorizer`` of as many reference records as there are records to train on: real samples of the best
    quality there can be, from a model that never saw a candidate.
    """

    name = "resampler"

    def refuses_private(self) -> str | None:
        return "it hands out reference records, and no gradient reads any record that could be clipped"

    def fit(self, networks: Networks, records: Records, reference: Records) -> None:
        """Keep reference records.

        Raises:
            InputError: there are fewer of them than records to train on.
        """
        if len(reference) < len(records):
            raise InputError(
                f"{self.name} keeps as many reference records as it is given records to train on: expected at least "
                f"{len(records)} reference records, got {len(reference)}; give the data set a larger `reference`"
            )
        chosen = generator(0, "resampled records").permutation(len(reference))[: len(records)]
        self.keep(networks, reference.take(np.sort(chosen)))
