"""Powell's search without gradients, for many candidates at once: each has directions and line searches of its own.

Powell, The Computer Journal 7 (1964); Brent, Algorithms for Minimization without Derivatives, 1973, chapter 5; the
bracket and all constants are those of ``scipy.optimize``, so that one candidate takes the path that it takes there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.attacks._lowest import Floats, Lowest, Places, Values

Along = Callable[[Floats, Places], Floats]
"""Losses ``(k,)`` at steps ``(k,)`` along the lines ``(k,)``."""

TOLERANCE = 1e-4  # of the loss (relative) over an iteration, below which a candidate is done
LINE_TOLERANCE = 1e-2  # of a step along a line, relative: a hundred times the tolerance of a point, as in scipy
GOLDEN = 1.618034  # what a bracket grows by
FURTHEST = 110.0  # a parabola may jump this many times as far as the bracket's last step
SECTION = 0.3819660  # the golden section of Brent's search
GROWTHS = 50  # of a bracket: beyond 1.6 ** 50, a loss that still falls has no minimum along that line
SECTIONS = 100  # of Brent's search; float64 has been exhausted long before
TINY = 1e-21


def powell(values: Values, start: Floats, iterations: int, evaluations: int | None = None) -> Lowest:
    """Minimise each candidate's loss from its own start; nothing of one candidate's path depends on another.

    Args:
        values: the losses; called with each candidate at most once at a time.
        start: float64 ``(n, dimensions)``.
        iterations: rounds through all directions, at most.
        evaluations: a candidate's points, at most; it stops at the end of the line in which they run out.

    Returns:
        The lowest loss of each candidate among all points evaluated.
    """
    n, dimensions = start.shape
    lowest = Lowest(n, dimensions, evaluations)
    x, going = start.astype(np.float64), np.arange(n)
    loss = lowest.see(x, going, values(x, going))
    directions = np.tile(np.eye(dimensions), (n, 1, 1))

    def search(who: Places, lines: Floats) -> Floats:
        """Move to the minimum along the lines ``(k, dimensions)``; the steps taken, likewise."""

        def along(t: Floats, rows: Places) -> Floats:
            z = x[who[rows]] + t[:, None] * lines[rows]
            return lowest.see(z, who[rows], values(z, who[rows]))

        t, loss[who] = line_search(along, loss[who])
        steps: Floats = t[:, None] * lines
        x[who] += steps
        return steps

    origin = x.copy()
    for round_ in range(iterations):
        before = loss.copy()
        largest, place = np.zeros(n), np.zeros(n, dtype=np.int64)
        for i in range(dimensions):
            going = going[lowest.left(going)]
            previous = loss[going]
            search(going, directions[going, i])
            drop = previous - loss[going]
            more = drop > largest[going]
            largest[going[more]], place[going[more]] = drop[more], i
        done = 2 * (before - loss) <= TOLERANCE * (np.abs(before) + np.abs(loss)) + 1e-20
        going = going[~done[going] & lowest.left(going)]
        if not len(going) or round_ == iterations - 1:
            break
        # The way of the whole round, once more: is it worth becoming a direction (Powell 1964, section 4)?
        move, origin = x[going] - origin[going], x.copy()
        beyond = x[going] + move
        f0, f2, f1 = before[going], lowest.see(beyond, going, values(beyond, going)), loss[going]
        with np.errstate(over="ignore"):
            test = 2 * (f0 + f2 - 2 * f1) * (f0 - f1 - largest[going]) ** 2 - largest[going] * (f0 - f2) ** 2
        worth = (f0 > f2) & (test < 0)
        who = going[worth]
        steps = search(who, move[worth])
        who, steps = who[steps.any(axis=1)], steps[steps.any(axis=1)]
        directions[who, place[who]] = directions[who, -1]
        directions[who, -1] = steps
    return lowest


def line_search(along: Along, here: Floats) -> tuple[Floats, Floats]:
    """Each line's lowest point near step 0, where the losses are ``here`` ``(n,)``: steps and losses, ``(n,)`` each."""
    t, f = _bracket(along, here)
    proper = (f[1] <= f[0]) & (f[1] <= f[2]) & ((f[1] < f[0]) | (f[1] < f[2]))
    # Where no bracket was found (a flat line, or one that only falls) its best point is all there is.
    order = np.lexsort((np.abs(t), f), axis=0)[:1]
    best, lowest = np.take_along_axis(t, order, axis=0)[0], np.take_along_axis(f, order, axis=0)[0]
    rows = np.flatnonzero(proper)
    best[rows], lowest[rows] = _brent(along, rows, t[:, rows], f[1, rows])
    stay = lowest >= here
    best[stay], lowest[stay] = 0.0, here[stay]
    return best, lowest


def _bracket(along: Along, here: Floats) -> tuple[Floats, Floats]:
    """Three steps ``(3, n)`` of each line and their losses, the middle one lowest where such steps were found."""
    n = len(here)
    every = np.arange(n)
    a, b, fa = np.zeros(n), np.ones(n), here.copy()
    fb = along(b, every)
    back = fa < fb
    a, b, fa, fb = np.where(back, b, a), np.where(back, a, b), np.where(back, fb, fa), np.where(back, fa, fb)
    c = b + GOLDEN * (b - a)
    fc = along(c, every)
    t, f = np.stack([a, b, c]), np.stack([fa, fb, fc])
    live = np.flatnonzero(fc < fb)
    for _ in range(GROWTHS):
        if not len(live):
            break
        (a, b, c), (fa, fb, fc) = t[:, live], f[:, live]
        one, two = (b - a) * (fb - fc), (b - c) * (fb - fa)
        curve = np.where(np.abs(two - one) < TINY, TINY, two - one)
        w = b - ((b - c) * two - (b - a) * one) / (2 * curve)
        limit = b + FURTHEST * (c - b)
        inside = (w - c) * (b - w) > 0
        past = ~inside & ((w - limit) * (limit - c) >= 0)
        between = ~inside & ~past & ((w - limit) * (c - w) > 0)
        w = np.where(inside | between, w, np.where(past, limit, c + GOLDEN * (c - b)))
        fw = along(w, live)
        middle, outer = inside & (fw < fc), inside & (fw > fb)
        outer &= ~middle
        shift = between & (fw < fc)
        b, fb = np.where(shift, c, b), np.where(shift, fc, fb)
        c, fc = np.where(shift, w, c), np.where(shift, fw, fc)
        again = shift | (inside & ~middle & ~outer)
        w = np.where(again, c + GOLDEN * (c - b), w)
        if again.any():
            fw[again] = along(w[again], live[again])
        # The parabola's minimum as the new middle or the new end closes the bracket; else all three move on.
        t[:, live] = np.where(middle, [b, w, c], np.where(outer, [a, b, w], [b, c, w]))
        f[:, live] = np.where(middle, [fb, fw, fc], np.where(outer, [fa, fb, fw], [fb, fc, fw]))
        live = live[~(middle | outer) & (f[2, live] < f[1, live])]
    return t, f


def _brent(along: Along, rows: Places, t: Floats, middle: Floats) -> tuple[Floats, Floats]:
    """Brent's minimum within brackets ``(3, k)`` of the lines ``rows`` whose middle has the loss ``middle``."""
    low, high = np.minimum(t[0], t[2]), np.maximum(t[0], t[2])
    zero = np.zeros(len(rows))
    # low, high, best, second, third, their losses, the step before last, the last step
    state = np.stack([low, high, t[1], t[1], t[1], middle, middle, middle, zero, zero])
    live = np.arange(len(rows))
    for _ in range(SECTIONS):
        low, high, x, w, v, fx, fw, fv, last, step = state[:, live]
        least = LINE_TOLERANCE * np.abs(x) + 1e-11
        centre = (low + high) / 2
        open_ = np.abs(x - centre) >= 2 * least - (high - low) / 2
        if not open_.any():
            break
        if not open_.all():
            live = live[open_]
            low, high, x, w, v, fx, fw, fv, last, step = state[:, live]
            least, centre = least[open_], centre[open_]
        last, step = _next_step(low, high, x, w, v, fx, fw, fv, last, step, least, centre)
        u = x + np.where(np.abs(step) < least, np.where(step >= 0, least, -least), step)
        fu = along(u, rows[live])
        lower = fu <= fx
        ahead = u >= x
        low = np.where(lower & ahead, x, np.where(~lower & ~ahead, u, low))
        high = np.where(lower & ~ahead, x, np.where(~lower & ahead, u, high))
        second = ~lower & ((fu <= fw) | (w == x))
        third = ~lower & ~second & ((fu <= fv) | (v == x) | (v == w))
        v, fv = (
            np.where(lower | second, w, np.where(third, u, v)),
            np.where(lower | second, fw, np.where(third, fu, fv)),
        )
        w, fw = np.where(lower, x, np.where(second, u, w)), np.where(lower, fx, np.where(second, fu, fw))
        x, fx = np.where(lower, u, x), np.where(lower, fu, fx)
        state[:, live] = low, high, x, w, v, fx, fw, fv, last, step
    return state[2], state[5]


def _next_step(
    low: Floats, high: Floats, x: Floats, w: Floats, v: Floats, fx: Floats, fw: Floats, fv: Floats,
    last: Floats, step: Floats, least: Floats, centre: Floats,
) -> tuple[Floats, Floats]:  # fmt: skip
    """The step before the next one, and the next: to the vertex of a parabola where that is safe, else a section."""
    one, two = (x - w) * (fx - fv), (x - v) * (fx - fw)
    p, q = (x - v) * two - (x - w) * one, 2 * (two - one)
    p, q = np.where(q > 0, -p, p), np.abs(q)
    with np.errstate(over="ignore"):
        safe: NDArray[np.bool_] = (
            (np.abs(last) > least) & (p > q * (low - x)) & (p < q * (high - x)) & (np.abs(p) < np.abs(0.5 * q * last))
        )
    vertex = np.divide(p, q, out=np.zeros_like(p), where=safe)
    close = (x + vertex - low < 2 * least) | (high - x - vertex < 2 * least)
    vertex = np.where(close, np.where(centre >= x, least, -least), vertex)
    rest = np.where(x >= centre, low - x, high - x)
    return np.where(safe, step, rest), np.where(safe, vertex, SECTION * rest)
