"""More data: the effect of the size of the training set alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from bench.errors import IncompatibleError
from bench.records import Records
from bench.rng import generator
from defenses.base import Defense


class MoreData(Defense):
    """Trains on the defender's own validation records too: the same steps, on a larger training set.

    The validation records that join are the first of an order by chance, which is the same for every trial of a split;
    those that are left are the other defenses'. Each record is seen ``1 / factor`` as often as in the undefended run,
    since steps and batches are the same: that is the size effect, against which other defenses are to be read.

    It is scored on the members of the split and on its non-members, as every other row: the records that joined are
    nobody's candidates. They are training records in all else: of a privacy claim, whose sampling rate falls with
    their number, and of a filter of the output.
    """

    name = "more_data"
    paper = "the suite's own; how attacks weaken with more training records: Chen et al., GAN-Leaks, CCS 2020"
    caveat = "It trains on the defender's validation records too, whose membership no attack is scored on."

    class Options(Defense.Options):
        factor: float = Field(2.0, gt=1, allow_inf_nan=False)
        """Size of the training set over the number of members."""

    options: Options

    def training_size(self, members: int) -> int:
        return round(self.options.factor * members)

    def training_records(
        self, members: Records, validation: Records, expected: int | None = None
    ) -> tuple[Records, Records]:
        public = len(members) if expected is None else expected
        size = self.training_size(public)
        more = size - public  # where coins decide who is a member, their number must move no other record
        if more < 1:
            raise IncompatibleError(
                f"{self.name}: expected a factor that adds at least one record to {public} members, got "
                f"{self.options.factor:g}"
            )
        if more > len(validation):
            raise IncompatibleError(
                f"{self.name}: expected at least {more} validation records to train on {size} records in place of "
                f"{public}, got {len(validation)}; set `validation` to at least {more}, and to more if other "
                "defenses of the stack need some"
            )
        by_id = validation.take(np.argsort(validation.ids, kind="stable"))
        order = generator(0, "more data").permutation(len(by_id))
        joined, left = by_id.take(np.sort(order[:more])), by_id.take(np.sort(order[more:]))
        return _together((members, joined)), left


def _together(parts: Sequence[Records]) -> Records:
    """Records of one schema in one set, sorted by id."""
    labels = [part.labels for part in parts if part.labels is not None]
    found = Records(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.x for part in parts]),
        np.concatenate(labels) if len(labels) == len(parts) else None,
        parts[0].schema,
    )
    return found.take(np.argsort(found.ids, kind="stable"))
