"""Which coins an audit guesses: by the scores alone, and how many was settled before anyone saw one.

Fewer guesses are surer ones, but the same share of right ones refutes less. Which number is best depends on the leak,
which is not known beforehand, and to look for it afterwards voids the bound. So three numbers are tried in every audit,
each at a third of the level:

- *nearly all* records, where all leak alike (randomised response). About sqrt(n) at either side of the middle are not
  guessed: the number that joined has a standard deviation of sqrt(n) / 2, so there even an attack that never errs
  would be wrong. It gives the largest bound that can be reached.
- *a fifth*, half of it at each end, where scores are noisy (Gaussian mechanisms): the ends are the surest.
- *a twentieth, at the top alone*, where only some members are given away, as by a model that learns a few records by
  heart: then the lowest scores say nothing, and guessing them dilutes the rest.

Several numbers and combinations of numbers were simulated on such leaks; docs/audit.md says how they did.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.rng import generator


class Guesses(NamedTuple):
    """How many of the highest scores are guessed to be in, and how many of the lowest to be out."""

    inside: int
    outside: int

    @property
    def total(self) -> int:
        """All guesses."""
        return self.inside + self.outside


def guess_plan(coins: int) -> tuple[Guesses, ...]:
    """The numbers of guesses that are tried, from the number of coins alone; each is charged for.

    >>> guess_plan(1000)
    (Guesses(inside=468, outside=468), Guesses(inside=100, outside=100), Guesses(inside=50, outside=0))
    >>> guess_plan(3)
    ()
    """
    nearly_all = coins // 2 - math.ceil(math.sqrt(coins))
    tried = (Guesses(nearly_all, nearly_all), Guesses(coins // 10, coins // 10), Guesses(coins // 20, 0))
    return tuple(dict.fromkeys(g for g in tried if g.inside > 0))


def ranked(scores: NDArray[Any], record_ids: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """Places of the records from the highest score to the lowest, int64 ``(n,)``.

    Equal scores come in an order that is drawn by record id, so neither the coins nor the order of the records matter.
    """
    by_id = np.argsort(record_ids, kind="stable")
    draw = np.empty(len(by_id), dtype=np.int64)
    draw[by_id] = generator(seed, "ties of an audit").permutation(len(by_id))
    order: NDArray[np.int64] = np.lexsort((draw, -np.asarray(scores, dtype=np.float64)))
    return order
