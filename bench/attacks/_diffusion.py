"""What attacks on diffusion models share: published times on the target's own schedule, records under noise, and the
denoiser's answers in passes of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Chunk
from bench.errors import InputError
from bench.release import View
from bench.rng import RecordRng
from targets.nets.diffusion import alpha_bar as schedule

if TYPE_CHECKING:
    import torch

PUBLISHED = schedule("linear", 1000)  # of Ho et al., NeurIPS 2020: what the times of published attacks refer to
ROWS = 128  # per pass through the denoiser: bounds memory, changes nothing else


@dataclass(frozen=True)
class Time:
    """One diffusion time of an attack.

    Attributes:
        published: the time on the schedule that attacks are published for.
        own: the target's time with the same ratio of signal to noise.
        left: share of the signal's variance that is left there, within (0, 1).
    """

    published: int
    own: int
    left: float


def times_of(published: Iterable[int], alpha_bar: NDArray[np.float64]) -> list[Time]:
    """Each published time with the target's own, in the order given; several may share one.

    Raises:
        InputError: a time is not on the published schedule.
    """
    asked = list(published)
    own = own_times(asked, alpha_bar).tolist()
    return [Time(time, t, float(alpha_bar[t])) for time, t in zip(asked, own, strict=True)]


def distinct(times: Iterable[Time]) -> list[Time]:
    """The times without those whose own time came before: a target of few times repeats itself."""
    return list({time.own: time for time in reversed(list(times))}.values())[::-1]


def log_snr(alpha_bar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the signal's over the noise's variance at each time, ``(times,)``."""
    ratio: NDArray[np.float64] = np.log(alpha_bar) - np.log1p(-alpha_bar)
    return ratio


def own_times(published: Sequence[int], alpha_bar: NDArray[np.float64]) -> NDArray[np.int64]:
    """The target's times at which as much signal is left as at the published ones, by log-SNR; int64 ``(n,)``.

    Not by t / T: at t = 100, a linear schedule of 1000 times has lost 10 % of the signal's variance, a cosine
    schedule 3 %. A share beyond the target's schedule becomes its first or last time.

    Raises:
        InputError: a time is not on the published schedule.
    """
    asked = np.asarray(published, dtype=np.int64)
    if outside := [int(t) for t in asked if not 0 <= t < len(PUBLISHED)]:
        raise InputError(
            f"expected diffusion times from 0 to {len(PUBLISHED) - 1}, which refer to the linear schedule of "
            f"{len(PUBLISHED)} times that attacks are published for, got {outside}"
        )
    apart = np.abs(log_snr(PUBLISHED)[asked][:, None] - log_snr(alpha_bar)[None, :])
    found: NDArray[np.int64] = apart.argmin(axis=1)
    return found


def noisy(x: torch.Tensor, eps: torch.Tensor, left: float) -> torch.Tensor:
    """Records of which the share ``left`` of the signal's variance is left (Ho et al., equation 4)."""
    found: torch.Tensor = left**0.5 * x + (1 - left) ** 0.5 * eps
    return found


def record_noise(rng: RecordRng, record: int, time: int, draw: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The standard normal noise of one record at one published time."""
    return rng.record(record, "noise", time, draw).standard_normal(shape, dtype=np.float32)


def chunk_noise(rng: RecordRng, chunk: Chunk, time: int, draw: int, view: View) -> torch.Tensor:
    """The noise of each record of a chunk, ``(len(chunk), *shape)``, on the view's device."""
    ids: list[int] = chunk.ids.tolist()
    # A padded chunk repeats a record, whose noise need not be drawn again.
    drawn = {i: record_noise(rng, i, time, draw, chunk.x.shape[1:]) for i in dict.fromkeys(ids)}
    return on_device(np.stack([drawn[i] for i in ids]), view)


def on_device(values: NDArray[np.float32], view: View) -> torch.Tensor:
    """The rows where the view computes, laid out as networks like them."""
    import torch

    from bench.devices import to_device

    return to_device(torch.from_numpy(values), view.device)


def predicted(view: View, x: torch.Tensor, time: Time, labels: NDArray[np.int64] | None) -> torch.Tensor:
    """The noise that the target sees in each row of ``x`` ``(n, *shape)`` at one time, without gradients."""
    import torch

    found = []
    with torch.no_grad():
        for start in range(0, len(x), ROWS):
            rows = slice(start, start + ROWS)
            t = torch.full((len(x[rows]),), time.own, dtype=torch.int64, device=x.device)
            found.append(view.predict_noise(x[rows], t, None if labels is None else labels[rows]).float())
    return torch.cat(found)


def norm_power(wrong: torch.Tensor, power: int = 2) -> NDArray[np.float64]:
    """Each row's sum of absolute values to a power, float64 ``(n,)``."""
    found: NDArray[np.float64] = wrong.flatten(1).double().abs().pow(power).sum(dim=1).cpu().numpy()
    return found
