"""L-BFGS for many candidates at once: each has a history and a line search of its own.

Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.4. The line search is the bisection of Lewis and Overton,
Nonsmooth optimization via quasi-Newton methods, Mathematical Programming 141 (2013), algorithm 2.6, since generators
with rectifiers and clipped outputs are smooth in pieces only. ``torch.optim.LBFGS`` over a batch would give all
candidates one history and one step, so that a record's loss depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.attacks._lowest import Floats, Lowest, Places

Slopes = Callable[[Floats, Places], tuple[Floats, Floats]]
"""Losses ``(k,)`` and gradients ``(k, dimensions)`` of points, each belonging to one of the candidates ``(k,)``."""

DECREASE, CURVATURE = 1e-4, 0.9  # of a step: the usual constants for quasi-Newton directions
MEMORY = 10  # pairs of steps and gradient differences that are kept, as in scipy
TOLERANCE = 1e-7  # of the loss over a step, relative to it or to 1; float32 losses carry no more
FLAT = 1e-8  # largest entry of a gradient that counts as none
TRIALS = 25  # of one line search, before the history is given up for the steepest descent


class _Paths:
    """Where each candidate is, and the line along which it looks."""

    def __init__(self, x: Floats, loss: Floats, gradient: Floats) -> None:
        n, dimensions = x.shape
        self.x, self.loss, self.gradient = x, loss, gradient
        self.steps, self.changes = np.zeros((2, n, MEMORY, dimensions))
        self.weights, self.scale = np.zeros((n, MEMORY)), np.zeros(n)
        self.line, self.slope = np.zeros_like(x), np.zeros(n)
        self.t, self.low, self.high = np.zeros(n), np.zeros(n), np.zeros(n)
        self.trials = np.zeros(n, dtype=np.int64)
        self.aim(np.arange(n))

    def aim(self, who: Places) -> None:
        """A new line from the current point, by the two-loop recursion."""
        q, known = -self.gradient[who], self.scale[who] > 0
        s, y, weight = self.steps[who], self.changes[who], self.weights[who]
        alpha = np.zeros_like(weight)
        for i in range(MEMORY):  # newest first; empty places weigh nothing
            alpha[:, i] = weight[:, i] * np.einsum("nd,nd->n", s[:, i], q)
            q -= alpha[:, i, None] * y[:, i]
        q *= np.where(known, self.scale[who], 1.0)[:, None]
        for i in reversed(range(MEMORY)):
            beta = weight[:, i] * np.einsum("nd,nd->n", y[:, i], q)
            q += (alpha[:, i] - beta)[:, None] * s[:, i]
        slope = np.einsum("nd,nd->n", q, self.gradient[who])
        self.line[who], self.slope[who] = q, slope
        length = np.linalg.norm(q, axis=1)
        # Without a history the gradient's length says nothing of how far to go.
        self.t[who] = np.where(known, 1.0, 1 / np.maximum(length, 1.0))
        self.low[who], self.high[who], self.trials[who] = 0.0, np.inf, 0

    def forget(self, who: Places) -> None:
        """Drop the history, which led nowhere."""
        self.steps[who], self.changes[who], self.weights[who], self.scale[who] = 0, 0, 0, 0

    def learn(self, who: Places, x: Floats, loss: Floats, gradient: Floats) -> None:
        """Move to these points, and keep the step and what it changed."""
        step, change = x - self.x[who], gradient - self.gradient[who]
        product, size = np.einsum("nd,nd->n", step, change), np.einsum("nd,nd->n", change, change)
        good = product > 1e-10 * size  # the line search sees to it, but for rounding
        kept = who[good]
        for history, new in ((self.steps, step), (self.changes, change)):
            history[kept, 1:] = history[kept, :-1]
            history[kept, 0] = new[good]
        self.weights[kept, 1:] = self.weights[kept, :-1]
        self.weights[kept, 0] = 1 / product[good]
        self.scale[kept] = product[good] / size[good]
        self.x[who], self.loss[who], self.gradient[who] = x, loss, gradient


def lbfgs(slopes: Slopes, start: Floats, evaluations: int) -> Lowest:
    """Minimise each candidate's loss from its own start; nothing of one candidate's path depends on another.

    Every round evaluates one point of each candidate that is still going, wherever in its line search it may be.

    Args:
        slopes: the losses and their gradients; called with each candidate at most once at a time.
        start: float64 ``(n, dimensions)``.
        evaluations: a candidate's points, at most.

    Returns:
        The lowest loss of each candidate among all points evaluated, which may not be the last one.
    """
    lowest = Lowest(len(start), start.shape[1], evaluations)
    going = np.arange(len(start))

    def look(z: Floats, which: Places) -> tuple[Floats, Floats]:
        loss, gradient = slopes(z, which)
        usable = np.isfinite(loss) & np.isfinite(gradient).all(axis=1)
        return lowest.see(z, which, np.where(usable, loss, np.inf)), np.where(usable[:, None], gradient, 0.0)

    x = start.astype(np.float64)
    paths = _Paths(x, *look(x, going))
    going = going[np.abs(paths.gradient).max(axis=1, initial=0) > FLAT]
    while len(going := going[lowest.left(going)]):
        t, slope = paths.t[going], paths.slope[going]
        z = paths.x[going] + t[:, None] * paths.line[going]
        loss, gradient = look(z, going)
        falls = loss <= paths.loss[going] + DECREASE * t * slope
        turns = np.einsum("nd,nd->n", gradient, paths.line[going]) >= CURVATURE * slope
        paths.high[going[~falls]] = t[~falls]
        paths.low[going[falls & ~turns]] = t[falls & ~turns]
        low, high = paths.low[going], paths.high[going]
        paths.t[going] = np.where(np.isfinite(high), (low + np.where(np.isfinite(high), high, 0)) / 2, 2 * t)
        paths.trials[going] += 1

        taken = falls & turns
        arrived = going[taken]
        gain = paths.loss[arrived] - loss[taken]
        size = np.maximum(1.0, np.maximum(np.abs(paths.loss[arrived]), np.abs(loss[taken])))
        paths.learn(arrived, z[taken], loss[taken], gradient[taken])
        done = (gain <= TOLERANCE * size) | (np.abs(gradient[taken]).max(axis=1, initial=0) <= FLAT)
        paths.aim(arrived[~done])

        stuck = going[~taken & (paths.trials[going] >= TRIALS)]
        hopeless = stuck[paths.scale[stuck] == 0]
        paths.forget(stuck)
        paths.aim(stuck)
        going = np.setdiff1d(going, np.concatenate([arrived[done], hopeless]), assume_unique=True)
    return lowest
