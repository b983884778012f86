"""SecMI: how far a diffusion model misses one step there and back, on the way from a record to noise."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bench.attacks._diffusion import PUBLISHED, Time, distinct, norm_power, on_device, predicted, times_of
from bench.attacks.base import Attack, Chunk, Knowledge
from bench.errors import InputError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

if TYPE_CHECKING:
    import torch


class SecMI(Attack):
    """Minus the squared t-error: a record goes to noise by DDIM, one step further and back; members come back nearest.

    This is SecMI_stat, which needs no labels; SecMI_NNs trains a network on members that are known, and is left out.
    The published times become the target's own of the same ratio of signal to noise; those that become the same one
    are visited once, and the step there and back always leads to another. As in the paper it starts at ``t_sec``; the
    authors' code starts it one interval earlier. Nothing is random.
    """

    name = "secmi"
    paper = (
        "Duan, Kong, Wang, Shi and Xu, Are Diffusion Models Vulnerable to Membership Inference Attacks?, ICML 2023, "
        "section 3; the steps: Song, Meng and Ermon, DDIM, ICLR 2021"
    )
    access = "white_box"
    reads_samples = False
    data = frozenset({"image"})
    needs_roles = frozenset({"denoiser"})

    class Options(Attack.Options):
        t_sec: int = Field(100, ge=1)
        """Time of the step there and back, on a linear schedule of 1000; the target's own is as noisy."""
        interval: int = Field(10, ge=1)
        """Length of a step, in times of that schedule."""

        @model_validator(mode="after")
        def _on_the_schedule(self) -> Self:
            if self.t_sec + self.interval >= len(PUBLISHED):
                raise ValueError(
                    f"expected t_sec and one interval to stay below {len(PUBLISHED)}, got {self.t_sec} and "
                    f"{self.interval}"
                )
            return self

    options: Options

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> list[Time]:
        """The distinct times on the way to ``t_sec``, and the one beyond it.

        Raises:
            InputError: no time of the target's is noisier than its own at ``t_sec``.
        """
        o, alpha_bar = self.options, view.alpha_bar()
        (beyond,) = times_of([o.t_sec + o.interval], alpha_bar)
        path = distinct(times_of([*range(0, o.t_sec, o.interval), o.t_sec], alpha_bar))
        if (own := max(beyond.own, path[-1].own + 1)) >= len(alpha_bar):
            raise InputError(
                f"{self.name}: expected a time of the target's that is noisier than t_sec = {o.t_sec}, but that is as "
                f"noisy as the last of its {len(alpha_bar)} times; set a smaller t_sec"
            )
        return [*path, Time(beyond.published, own, float(alpha_bar[own]))]

    def score_chunk(self, chunk: Chunk, state: list[Time], view: View, rng: RecordRng) -> NDArray[np.float64]:
        *path, last, beyond = state
        x = on_device(chunk.x, view)
        for now, then in pairwise([*path, last]):
            x = _step(x, predicted(view, x, now, chunk.labels), now, then)
        there = predicted(view, x, last, chunk.labels)
        back = predicted(view, _step(x, there, last, beyond), beyond, chunk.labels)
        # x comes back as x + sqrt(left) (scale(beyond) - scale(last)) (there - back): the difference of two large
        # values of x would lose what float32 still knows of there - back.
        step = math.sqrt(last.left) * (_scale(beyond) - _scale(last))
        return -(step**2) * norm_power(there - back)

    def diagnostics(self, state: list[Time]) -> dict[str, float]:
        """How many of the target's own times are visited, the one beyond ``t_sec`` included."""
        return {"distinct_times": float(len(state))}


def _scale(time: Time) -> float:
    """Standard deviation of the noise, where the signal is scaled to 1."""
    return math.sqrt(1 / time.left - 1)


def _step(x: torch.Tensor, eps: torch.Tensor, now: Time, then: Time) -> torch.Tensor:
    """One deterministic step of DDIM, in either direction (Song et al., equation 13)."""
    return math.sqrt(then.left) * (x / math.sqrt(now.left) + (_scale(then) - _scale(now)) * eps)
