"""What attacks on diffusion models share: times by the ratio of signal to noise, noise by record, bounded passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusion_cases import RNG, Gaussian, gaussian_noise, gaussian_records, view_of

from bench.attacks._diffusion import (
    PUBLISHED,
    ROWS,
    Time,
    chunk_noise,
    distinct,
    log_snr,
    noisy,
    norm_power,
    on_device,
    own_times,
    predicted,
    record_noise,
    times_of,
)
from bench.attacks.base import Chunk
from bench.errors import InputError
from bench.rng import RecordRng
from targets.nets.diffusion import alpha_bar

# --- times ------------------------------------------------------------------------------------------------------------


def test_published_times_are_the_papers_own_on_the_papers_schedule() -> None:
    assert own_times(range(1000), alpha_bar("linear", 1000)).tolist() == list(range(1000))


@pytest.mark.parametrize("times", [50, 1000])
def test_times_are_matched_by_the_nearest_log_snr(times: int) -> None:
    left, published = alpha_bar("cosine", times), [0, 7, 100, 300, 650, 999]
    found = own_times(published, left)
    for t, own in zip(published, found.tolist(), strict=True):
        wanted = math.log(PUBLISHED[t] / (1 - PUBLISHED[t]))
        distances = [abs(math.log(a / (1 - a)) - wanted) for a in left.tolist()]
        assert distances[own] == min(distances)


def test_equal_noise_is_not_an_equal_share_of_the_time() -> None:
    (own,) = own_times([100], alpha_bar("cosine", 1000))
    assert own > 190  # t / T would be 100, where a cosine schedule has lost a third as much signal
    assert alpha_bar("cosine", 1000)[own] == pytest.approx(PUBLISHED[100], rel=0.002)


def test_noise_beyond_the_schedule_is_its_end() -> None:
    left = np.array([0.9, 0.5])
    assert own_times([0, 999], left).tolist() == [0, 1]


@pytest.mark.parametrize("times", [[1000], [100, -1]])
def test_times_off_the_published_schedule_are_refused(times: list[int]) -> None:
    with pytest.raises(InputError, match=r"diffusion times from 0 to 999.*got \[(1000|-1)\]"):
        own_times(times, PUBLISHED)


def test_log_snr_is_zero_where_half_is_left() -> None:
    assert log_snr(np.array([0.5, 0.2])).tolist() == pytest.approx([0, math.log(0.25)])


def test_times_keep_what_is_left_at_the_targets_own() -> None:
    left = np.array([0.99, 0.9, 0.5])
    assert times_of([100, 0, 900], left) == [Time(100, 1, 0.9), Time(0, 0, 0.99), Time(900, 2, 0.5)]


def test_times_that_became_the_same_are_visited_once() -> None:
    times = times_of([0, 1, 2, 100, 101, 400], np.array([0.99, 0.9, 0.5]))
    assert [(t.published, t.own) for t in distinct(times)] == [(0, 0), (100, 1), (400, 2)]
    assert distinct([]) == []


# --- records under noise ----------------------------------------------------------------------------------------------


def test_noisy_records_keep_unit_variance() -> None:
    x, eps = torch.ones(3), torch.full((3,), 2.0)
    assert torch.allclose(noisy(x, eps, 0.64), torch.full((3,), 0.8 + 0.6 * 2))


def test_noise_follows_the_record_its_time_and_its_draw_alone() -> None:
    candidates = gaussian_records(4)
    view = view_of(Gaussian(), {}, candidates.schema)
    ids = np.array([103, 100, 103], dtype=np.int64)
    found = chunk_noise(RNG, Chunk(ids, candidates.floats()[:3], None), 50, 1, view)
    assert found.dtype == torch.float32
    for row, record in zip(found.numpy(), ids.tolist(), strict=True):
        assert np.array_equal(row, record_noise(RNG, record, 50, 1, (1, 8, 8)))
    others = [record_noise(rng, 103, *key, (1, 8, 8)) for rng, key in [(RNG, (50, 0)), (RNG, (51, 1))]]
    others.append(record_noise(RecordRng(1), 103, 50, 1, (1, 8, 8)))
    assert not any(np.array_equal(found[0].numpy(), other) for other in others)


# --- the denoiser's answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, ROWS, 2 * ROWS + 3])
def test_passes_of_bounded_size_answer_every_row_with_its_own_label(rows: int) -> None:
    candidates = gaussian_records(rows, classes=4)
    view = view_of(Gaussian(conditional=True), {}, candidates.schema)
    asked: list[int] = []
    ask = view.predict_noise
    view.predict_noise = lambda x, t, labels=None: asked.append(len(x)) or ask(x, t, labels)  # type: ignore[method-assign, func-returns-value]
    time = times_of([200], Gaussian().alpha_bar())[0]
    assert candidates.labels is not None
    found = predicted(view, on_device(candidates.floats(), view), time, candidates.labels)
    x = candidates.floats().astype(np.float64)
    wanted = [gaussian_noise(row, time.left, int(y)) for row, y in zip(x, candidates.labels, strict=True)]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assert found.dtype == torch.float32
    assert sum(asked) == rows
    assert max(asked) <= ROWS


def test_answers_hold_no_gradients() -> None:
    candidates = gaussian_records(2)
    view = view_of(Gaussian(), {}, candidates.schema)
    x = on_device(candidates.floats(), view).requires_grad_()
    assert not predicted(view, x, Time(0, 0, 0.99), None).requires_grad


@pytest.mark.parametrize("power", [1, 2, 4])
def test_norm_powers_are_sums_over_values(power: int) -> None:
    wrong = np.random.default_rng(0).normal(size=(3, 2, 2, 5)).astype(np.float32)
    wanted = [sum(abs(float(value)) ** power for value in row.flat) for row in wrong]
    np.testing.assert_allclose(norm_power(torch.from_numpy(wrong), power), wanted, rtol=1e-12)
