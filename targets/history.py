"""What training leaves behind of its losses and gradients."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class History:
    """Losses and gradient norms by step, kept on the device until somebody looks.

    Where one step makes several updates of a phase, for several networks of one role, it holds their mean.

    Args:
        every: phase -> training steps per update.
    """

    def __init__(self, every: Mapping[str, int]) -> None:
        self.every = dict(every)
        self._step: dict[str, list[torch.Tensor]] = {}
        self._pending: dict[str, list[torch.Tensor]] = {}
        self._seen: dict[str, list[float]] = {}

    def add(self, name: str, value: torch.Tensor) -> None:
        """Note a value of the step that is being made."""
        self._step.setdefault(name, []).append(value.detach().float())

    def close_step(self) -> None:
        """The step is made: what was noted of it becomes one value each."""
        import torch

        for name, values in self._step.items():
            if values:
                value = values[0] if len(values) == 1 else torch.stack(values).mean()
                self._pending.setdefault(name, []).append(value)
                values.clear()

    def first_bad_step(self, limit: float, unread: Collection[str] = ()) -> int | None:
        """Index of the first step whose loss or gradient is not finite, or whose loss is beyond the limit.

        Args:
            limit: of the absolute loss.
            unread: histories that may not decide it.
        """
        self._flush()
        bad = [
            (int(index[0]) + 1) * self._every(name) - 1
            for name, values in self._seen.items()
            if name not in unread
            and len(index := np.flatnonzero(_beyond(np.asarray(values), limit if name.startswith("loss/") else np.inf)))
        ]
        return min(bad) if bad else None

    def arrays(self, steps: int) -> dict[str, NDArray[np.float64]]:
        """What the first ``steps`` steps left."""
        self._flush()
        return {
            name: np.asarray(values[: steps // self._every(name)], dtype=np.float64)
            for name, values in sorted(self._seen.items())
        }

    def _flush(self) -> None:
        import torch

        for name, values in self._pending.items():
            if values:
                self._seen.setdefault(name, []).extend(torch.stack(values).double().cpu().tolist())
                values.clear()

    def _every(self, name: str) -> int:
        return self.every[name.partition("/")[2]]


def _beyond(values: NDArray[np.float64], limit: float) -> NDArray[np.bool_]:
    return ~np.isfinite(values) | (np.abs(values) > limit)
