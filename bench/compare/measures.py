"""What can be compared: each figure's direction, where it comes from, and how much it differs from run to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.board.columns import ACCESS_COLUMNS

Source = Literal["scores", "trials", "count", "row"]


@dataclass(frozen=True)
class Figure:
    """A figure that two boards can be compared by.

    Attributes:
        name: its column.
        better: which way is an improvement.
        source: ``scores``, recomputed from the stored scores; ``trials``, a figure per training run; ``count``, of
            training runs; ``row``, a figure of the row as a whole, which has no known uncertainty.
        spread: standard deviation from one training run to the next that is expected before any was seen; a share of
            the figure where ``relative``. None where there are no runs to differ.
        relative: whether ``spread`` is a share of the figure.
        needs: columns of a trial that must agree for the figure to mean the same.
        unit: what is written behind it.
        digits: decimals for people.
    """

    name: str
    better: Literal["lower", "higher"]
    source: Source
    spread: float | None = None
    relative: bool = False
    needs: tuple[str, ...] = ()
    unit: str = ""
    digits: int = 3

    @property
    def sign(self) -> int:
        """1 where a larger figure is worse, -1 where a smaller one is."""
        return 1 if self.better == "lower" else -1


SPREAD_DF = 4
"""How many degrees of freedom the expected spread counts for: as much as three training runs on each side show."""

_IMAGES = ("extractor", "n", "k")
_SECONDS = 0.3  # a step's time on a shared machine: assumed, not measured

# Root mean squares over rows of the standard deviation between runs, in the boards that are published with the suite:
# 34 rows of the quickstart's GAN and a VAE, two runs each (results/defenses-quick), and four of tables, three runs each
# (results/tables), rounded up. They belong to 250 members, 1,000 non-members and 1,500 records for quality. KID's is
# that without its two wildest rows (.34 with them). Runs that were seen take their place as they come: see `evidence`.
_FIGURES = (
    Figure("auc", "lower", "scores", 0.02),
    *(Figure(f"auc_{access}", "lower", "scores", 0.02) for access in ACCESS_COLUMNS),
    Figure("accuracy", "lower", "scores", 0.04),
    Figure("tpr_at_1pct_fpr", "lower", "scores", 0.06),
    Figure("kid", "lower", "trials", 0.25, relative=True, needs=_IMAGES, digits=1),
    Figure("fid", "lower", "trials", 0.21, relative=True, needs=_IMAGES, digits=1),
    Figure("precision", "higher", "trials", 0.09, needs=_IMAGES),
    Figure("recall", "higher", "trials", 0.07, needs=_IMAGES),
    Figure("density", "higher", "trials", 0.06, needs=_IMAGES),
    Figure("coverage", "higher", "trials", 0.06, needs=_IMAGES),
    Figure("memorization_gap", "lower", "trials", 0.25, relative=True, needs=("extractor", "memorization_n"), digits=1),
    Figure("marginal_distance", "lower", "trials", 0.06, relative=True, needs=("n",)),
    Figure("correlation_distance", "lower", "trials", 0.09, relative=True, needs=("n",)),
    Figure("member_proximity", "lower", "trials", 0.02, needs=("member_proximity_n",)),
    Figure("utility", "higher", "trials", 0.08, needs=("extractor", "utility_n")),
    Figure("loss_oscillation", "lower", "trials", 0.17, relative=True),
    Figure("diverged_runs", "lower", "count", digits=0),
    Figure("collapsed_runs", "lower", "count", digits=0),
    Figure("epsilon_claimed", "lower", "row"),
    Figure("epsilon_lower_bound", "lower", "row"),
    Figure("train_s", "lower", "trials", _SECONDS, relative=True, unit=" s", digits=1),
    Figure("sample_s", "lower", "trials", _SECONDS, relative=True, unit=" s", digits=1),
    Figure("quality_s", "lower", "trials", _SECONDS, relative=True, unit=" s", digits=1),
    Figure("samples_per_s", "higher", "trials", _SECONDS, relative=True, digits=0),
    Figure("peak_mem_mib", "lower", "trials", 0.1, relative=True, unit=" MiB", digits=0),
    Figure("gpu_peak_mem_mib", "lower", "trials", 0.1, relative=True, unit=" MiB", digits=0),
)

FIGURES: Mapping[str, Figure] = {figure.name: figure for figure in _FIGURES}
"""Every figure that ``--fail-on`` can name, in the order in which they are shown."""
