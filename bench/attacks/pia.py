"""PIA: whether a diffusion model sees the noise again that it saw in a record first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._diffusion import Time, noisy, norm_power, on_device, predicted, times_of
from bench.attacks.base import Attack, Chunk, Knowledge
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

if TYPE_CHECKING:
    import torch


class PIA(Attack):
    """Minus how far the noise seen at a later time is from that seen in the record itself, which was added to it.

    The score is - ||e0 - e(x_t, t)||_p^p with e0 = e(x, 0) and x_t = sqrt(a_t) x + sqrt(1 - a_t) e0: two questions to
    the denoiser, and nothing random. The times are the target's own of the same ratio of signal to noise as the
    published ones, of which ``time`` is one for all targets: the authors' default, not the best on the scored records.
    """

    name = "pia"
    paper = (
        "Kong, Duan, Ma, Shen, Zhu, Shi and Xu, An Efficient Membership Inference Attack for the Diffusion Model by "
        "Proximal Initialization, ICLR 2024, section 3"
    )
    access = "white_box"
    reads_samples = False
    data = frozenset({"image"})
    needs_roles = frozenset({"denoiser"})

    class Options(Attack.Options):
        time: int = Field(200, ge=1, lt=1000)
        """Diffusion time, on a linear schedule of 1000; the target's own has the same ratio of signal to noise."""
        norm: int = Field(4, ge=1, le=8)
        """Exponent p of the norm that the two noises are compared by."""

    options: Options

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> list[Time]:
        """The target's own first time, and that of ``time``."""
        return times_of([0, self.options.time], view.alpha_bar())

    def score_chunk(self, chunk: Chunk, state: list[Time], view: View, rng: RecordRng) -> NDArray[np.float64]:
        first, later = state
        x = on_device(chunk.x, view)
        eps = self.as_noise(predicted(view, x, first, chunk.labels))
        seen = predicted(view, noisy(x, eps, later.left), later, chunk.labels)
        return -norm_power(eps - seen, self.options.norm)

    def as_noise(self, seen: torch.Tensor) -> torch.Tensor:
        """What is added to each record, from the noise seen in it ``(n, *shape)``."""
        return seen

    def diagnostics(self, state: list[Time]) -> dict[str, float]:
        """How many of the target's own times the two are."""
        return {"distinct_times": float(len({time.own for time in state}))}
