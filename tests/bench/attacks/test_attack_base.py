"""The door of every attack: sorts, chunks, pads, and checks what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.attacks.base import CHUNK, Attack, Chunk, Knowledge, TrialSpec
from bench.devices import Device
from bench.errors import AccessError, PluginError
from bench.records import Records, Schema
from bench.release import View
from bench.rng import RecordRng

SCHEMA = Schema("table", (2,))
VIEW = View("samples", SCHEMA, Device(), samples=lambda: np.zeros((1, 2), np.float32))


class Fake(Attack):
    """Does what a test asks for, and notes what it was given."""

    name = "fake"
    access = "samples"
    answer: ClassVar[Callable[..., Any]]

    def __init__(self, answer: Callable[..., Any]) -> None:
        super().__init__()
        self.calls: list[NDArray[np.int64]] = []
        self.prepared: list[NDArray[np.int64]] = []
        self.answers = answer

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> str:
        self.prepared.append(candidates.ids)
        return "state"

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> Any:
        assert state == "state"
        assert chunk.x.shape == (len(chunk.ids), 2)
        assert np.array_equal(chunk.x[:, 0], chunk.ids.astype(np.float32))
        self.calls.append(chunk.ids.copy())
        return self.answers(chunk.ids, chunk.x, rng)

    def diagnostics(self, state: Any) -> dict[str, float]:
        return {"seen": float(len(self.calls))}


def candidates(ids: list[int]) -> Records:
    x = np.stack([np.array(ids), -np.array(ids)], axis=1).astype(np.float32)
    return Records(np.array(ids, np.int64), x, None, SCHEMA)


def judge(attack: Attack, ids: list[int], **chunk: int) -> NDArray[np.float64]:
    return attack.score(candidates(ids), VIEW, Knowledge(), RecordRng(0), **chunk).scores


@settings(deadline=None)
@given(st.lists(st.integers(0, 9999), unique=True, min_size=1, max_size=40), st.integers(1, 50))
def test_scores_come_back_in_the_order_of_the_candidates(ids: list[int], chunk: int) -> None:
    scores = judge(Fake(lambda ids, x, rng: ids * 2.0), ids, chunk=chunk)
    assert scores.dtype == np.float64
    assert scores.tolist() == [2.0 * i for i in ids]


@settings(deadline=None)
@given(st.lists(st.integers(0, 9999), unique=True, min_size=1, max_size=40), st.integers(1, 50))
def test_every_call_has_the_same_shape_and_the_padding_repeats_the_last(ids: list[int], chunk: int) -> None:
    attack = Fake(lambda ids, x, rng: ids)
    judge(attack, ids, chunk=chunk)
    padded = np.concatenate(attack.calls)
    assert {len(call) for call in attack.calls} == {chunk}
    assert padded[: len(ids)].tolist() == sorted(ids)
    assert set(padded[len(ids) :].tolist()) <= {max(ids)}
    assert [p.tolist() for p in attack.prepared] == [sorted(ids)]


def test_no_candidate_beyond_a_multiple_of_the_chunk_is_dropped() -> None:
    ids = list(range(2 * CHUNK + 3))
    assert judge(Fake(lambda ids, x, rng: ids), ids).tolist() == ids


def test_randomness_follows_the_record() -> None:
    def answer(ids: NDArray[np.int64], x: Any, rng: RecordRng) -> NDArray[np.float64]:
        return rng.uniform(ids, "noise")

    forward, backward = judge(Fake(answer), [1, 2, 3, 4], chunk=3), judge(Fake(answer), [4, 3, 2, 1], chunk=2)
    assert np.array_equal(forward, backward[::-1])
    assert judge(Fake(answer), [3])[0] == forward[2]


def test_no_candidates_no_scores() -> None:
    empty = Records(np.zeros(0, np.int64), np.zeros((0, 2), np.float32), None, SCHEMA)
    assert Fake(lambda ids, x, rng: ids).score(empty, VIEW, Knowledge(), RecordRng(0)).scores.shape == (0,)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    attack = Fake(lambda ids, x, rng: np.where(ids == 5, bad, 0.0))
    with pytest.raises(PluginError, match=r"expected finite scores, got 1 that are not \(record 5 first\)"):
        judge(attack, [9, 5, 2])


def test_a_score_that_is_not_finite_in_the_padding_alone_is_no_fault() -> None:
    def answer(ids: NDArray[np.int64], x: Any, rng: RecordRng) -> NDArray[np.float64]:
        scores = ids.astype(float)
        scores[1:][ids[1:] == ids[:-1]] = np.nan
        return scores

    assert judge(Fake(answer), [1, 2, 3], chunk=5).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("answer", "shape"),
    [
        (lambda ids, x, rng: ids[:-1], r"\(3,\)"),
        (lambda ids, x, rng: ids[:, None], r"\(4, 1\)"),
        (lambda ids, x, rng: 1.0, r"\(\)"),
        (lambda ids, x, rng: np.concatenate([ids, ids]), r"\(8,\)"),
    ],
    ids=["too few", "column", "scalar", "too many"],
)
def test_another_number_of_scores_is_refused(answer: Callable[..., Any], shape: str) -> None:
    with pytest.raises(PluginError, match=rf"expected one score per candidate, \(4,\), got shape {shape}"):
        judge(Fake(answer), [1, 2, 3], chunk=4)


def test_diagnostics_are_passed_on() -> None:
    scored = Fake(lambda ids, x, rng: ids).score(candidates([1, 2, 3]), VIEW, Knowledge(), RecordRng(0), chunk=2)
    assert scored.diagnostics == {"seen": 2.0}


def test_touching_more_than_declared_raises() -> None:
    class Greedy(Fake):
        def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> str:
            return str(view.networks)

    with pytest.raises(AccessError, match="declared access 'samples', but it asked for 'white_box'"):
        judge(Greedy(lambda ids, x, rng: ids), [1])


def test_not_applicable_says_why() -> None:
    class Images(Attack):
        """Judges images by their discriminator."""

        name = "images"
        access = "white_box"
        data = frozenset({"image"})
        needs_roles = frozenset({"discriminator", "encoder"})

    trial = TrialSpec(SCHEMA, 10, {}, {"name": "vae"}, (), 0, 100)
    image = TrialSpec(Schema("image", (1, 8, 8)), 10, {}, {"name": "vae"}, (), 0, 100)
    attack = Images()
    roles = frozenset({"discriminator", "encoder", "generator"})
    assert attack.not_applicable(trial, roles) == "images judges image records, not table records"
    assert attack.not_applicable(image, roles) is None
    missing = "images needs the target's discriminator, and vae has none"
    assert attack.not_applicable(image, frozenset({"encoder"})) == missing
