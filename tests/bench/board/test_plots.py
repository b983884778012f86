"""Pictures of a board: what is on them, read from the figures before they are saved."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bench.board import plots, plots_roc, plots_scatter, plots_training
from bench.board.kid_axis import kid_ticks
from bench.board.palette import style
from bench.board.plots import legend_label, write_png
from bench.board.plots_roc import RocLine, draw_roc, mean_roc
from bench.board.plots_scatter import Point, draw_scatter
from bench.board.plots_sheets import Pair, draw_pairs, draw_sheet
from bench.board.plots_training import Course, draw_training, thinned
from bench.metrics.roc import tpr_at_fpr
from bench.rng import generator

NASTY = "<script>alert('$x_y$')</script>"
LINES = {"real records": 0.2, "untrained": 310.0}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would be saved."""
    figures: list[Figure] = []
    for module in (plots_roc, plots_scatter, plots_training):
        monkeypatch.setattr(module, "save", lambda figure, path: figures.append(figure))
    monkeypatch.setattr(plots_scatter, "save_svg", lambda figure, path: None)
    return figures


# looks


def test_forty_attacks_look_different() -> None:
    looks = [style(index) for index in range(56)]
    assert len({(look.colour, look.line) for look in looks}) == 56
    assert len({(look.colour, look.mark) for look in looks}) == 56
    for one, other in itertools.pairwise(looks):
        assert not set(one) & set(other)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (-2, 60, [0, 5, 10, 20, 50]),
        (-30, 60, [-20, -10, -5, 0, 5, 10, 20, 50]),
        (-2, 7780 * 1.6, [0, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]),
        (-2, 2e6, [0, 10, 100, 1000, 10000, 100000, 1000000]),
    ],
)
def test_ticks_of_a_kid_reach_its_end(low: float, high: float, ticks: list[int]) -> None:
    assert kid_ticks(low, high) == ticks


# PNG


def test_a_plot_has_few_colours_and_white_stays_white(tmp_path: Path) -> None:
    figure, axes = plots.one_plot("a plot", (3, 2))
    axes.plot([0, 1], [0, 1], color="#0072B2", linewidth=3)
    plots.save(figure, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.mode == "P"
        rgb = np.asarray(image.convert("RGB"))
    assert tuple(rgb[0, 0]) == (255, 255, 255)
    assert len(np.unique(rgb.reshape(-1, 3), axis=0)) <= plots.COLOURS
    assert np.abs(rgb.astype(int) - (0, 0x72, 0xB2)).sum(axis=2).min() == 0


def test_a_thin_line_among_many_pale_colours_keeps_its_own(tmp_path: Path) -> None:
    pale = generator(0, "pale").integers(230, 256, (200, 200, 3)).astype(np.uint8)
    pale[50:, 50:] = 255
    pale[7] = (213, 94, 0)
    write_png(pale, tmp_path / "p.png", plots.COLOURS)
    with Image.open(tmp_path / "p.png") as image:
        rgb = np.asarray(image.convert("RGB")).astype(int)
        assert image.mode == "P"
    assert np.abs(rgb - pale).max() <= 20
    assert (rgb[7] == (213, 94, 0)).all()


def test_records_keep_every_colour(tmp_path: Path) -> None:
    many = generator(0, "colours").integers(0, 256, (40, 40, 3)).astype(np.uint8)
    few = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    for name, pixels in (("many", many), ("few", few)):
        write_png(pixels, tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as image:
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels)


def test_sheet_places_every_record(tmp_path: Path) -> None:
    sheet = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 4, 5), np.uint8) + 100
    draw_sheet(tmp_path / "s.png", sheet)
    with Image.open(tmp_path / "s.png") as picture:
        image = np.asarray(picture.convert("RGB"))[..., 0]
    assert image.shape == (2 * 5 - 1, 8 * 6 - 1)
    assert [image[0, 0], image[0, 6], image[5, 0], image[5, 6]] == [100, 101, 108, 109]
    assert image[4].max() == 0


# privacy against quality


POINTS = (
    Point("none", 0.9, 20.0, (0.85, 0.95), (18.0, 22.0), 0),
    Point(NASTY, 0.7, 60.0, (0.6, 0.8), None, 1),
    Point("_beaten", 0.95, 70.0, None, None, 2),
    Point("gone", 0.5, 300.0, None, None, 3, useless=True),
)


def test_the_front_passes_through_what_is_useful_and_not_beaten(kept: list[Figure]) -> None:
    draw_scatter(Path("x.png"), "digits / dcgan", POINTS, LINES)
    (axes,) = kept[0].axes
    (front,) = [line for line in axes.lines if line.get_label() == "Pareto front"]
    drawn = np.stack([np.asarray(each, dtype=float) for each in front.get_data()], axis=1)
    assert drawn[1:-1].tolist() == [[0.7, 60.0], [0.9, 20.0]]
    assert (drawn[0, 0], drawn[-1, 1]) == (0.7, 20.0)
    assert (drawn[0, 1], drawn[-1, 0]) == (axes.get_ylim()[1], axes.get_xlim()[1])
    assert axes.get_ylim()[1] > 310  # the reference line is in the picture
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["Pareto front", "none", NASTY, " _beaten", "gone (useless samples)"]


def test_useless_samples_alone_have_no_front(kept: list[Figure]) -> None:
    draw_scatter(Path("x.png"), "digits / dcgan", POINTS[3:], {})
    assert "Pareto front" not in [text.get_text() for text in kept[0].axes[0].get_legend().get_texts()]


def test_the_svg_is_for_papers_safe_and_the_same_each_time(tmp_path: Path) -> None:
    files = [draw_scatter(tmp_path / f"{name}.png", NASTY, POINTS, LINES) for name in ("a", "b")]
    text = files[0].read_text("utf-8")
    assert files[1].read_text("utf-8") == text
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert not re.search("<script|dc:date", text)
    found = [element.text for element in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert found.count(NASTY) == 2  # title and legend: text, and no formula either
    assert "untrained" in found


# ROC


def test_mean_roc_attains_what_the_exact_curve_does() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    member = np.arange(300) < 100
    scores = np.round(rng.normal(size=(2, 300)) + member, 1)  # with ties
    fpr, tpr = mean_roc(scores, member)
    assert (fpr[0], fpr[-1], tpr[-1]) == (0, 1, 1)
    for k in (10, 37, 100):
        exact = [tpr_at_fpr(run, member, k / 200) for run in scores]
        assert tpr[k] == pytest.approx(np.mean([point.tpr for point in exact if point]), abs=1e-12)


def test_a_roc_of_forty_attacks_names_all_and_marks_what_was_realised(kept: list[Figure]) -> None:
    member = np.arange(60) < 20
    realised = [((0.01, 0.2), (0.001, 0.1)), ((0.01, 0.0), None), (None, None)]
    lines = [
        RocLine(f"attack {i}", generator(i, "roc").normal(size=(1, 60)) + member, member, i, realised[min(i, 2)])
        for i in range(40)
    ]
    draw_roc(Path("x.png"), "digits / dcgan / none", lines)
    (axes,) = kept[0].axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["chance", *(f"attack {i}" for i in range(40))]
    marks = [line for line in axes.lines if line.get_marker() not in ("None", None, "")]
    # What has no true positives stands at the end of the logarithmic axis.
    floor = 0.5 / 40
    found = [tuple(float(each[0]) for each in line.get_data()) for line in marks]
    assert found == [(floor, 0.2), (floor, 0.1), (floor, floor)]
    assert [line.get_markerfacecolor() for line in marks] == [style(0).colour, "white", style(1).colour]
    chance = next(line for line in axes.lines if line.get_label() == "chance")
    np.testing.assert_array_equal(*chance.get_data())


def test_a_perfect_attack_has_its_realised_marks(kept: list[Figure]) -> None:
    member = np.arange(60) < 20
    line = RocLine("knows", np.where(member, 1.0, 0.0)[None], member, 0, [(0.0, 1.0), None])
    draw_roc(Path("x.png"), "digits / dcgan / none", [line])
    (axes,) = kept[0].axes
    (mark,) = [each for each in axes.lines if each.get_marker() not in ("None", None, "")]
    assert [float(each[0]) for each in mark.get_data()] == [axes.get_xlim()[0], 1.0]
    assert not mark.get_clip_on()  # half of it lies outside of the axes


# training


def test_thinned_keeps_the_mean_and_nan() -> None:
    step, mean = thinned(np.arange(800.0))
    assert len(step) == 80
    np.testing.assert_allclose(step, mean)
    assert np.isnan(thinned(np.array([1.0, np.nan]))[1]).tolist() == [False, True]


def test_thinned_averages_what_is_finite_in_a_stretch() -> None:
    values = np.arange(160.0)
    values[[0, 3, 158, 159]] = np.nan
    step, mean = thinned(values)
    assert (mean[0], mean[1]) == (1.0, 2.0)
    assert np.isnan(mean[-1])
    known = np.isfinite(mean)
    np.testing.assert_array_equal(step[known], mean[known])  # the middle of the steps that were averaged
    assert (step[-1], len(step)) == (158.5, 80)


def course(seed: int, steps: int = 400, **changed: object) -> Course:
    values = generator(seed, "course").normal(1, 0.1, steps)
    history = {"loss/generator": values, "loss/discriminator": values[::2], "grad_norm/generator": values}
    return Course(**{"seed": seed, "history": history, **changed})  # type: ignore[arg-type]


def crosses(figure: Figure) -> list[list[float]]:
    return [[float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "x"] for axes in figure.axes]


def test_a_blow_up_in_the_last_steps_is_drawn_to_its_end(kept: list[Figure]) -> None:
    losses = np.concatenate([np.ones(1480), np.linspace(2, 400, 14), np.full(6, np.nan)])
    draw_training(Path("x.png"), "digits", [Course(0, {"loss/g": losses, "loss/d": losses[::2]}, 1495)], {})
    for axes, value in zip(kept[0].axes, (400.0, losses[1492]), strict=True):
        (cross,) = [line for line in axes.lines if line.get_marker() == "x"]
        assert (float(cross.get_xdata()[0]), float(cross.get_ydata()[0])) == (1494.0, value)
        (curve,) = [line for line in axes.lines if len(line.get_xdata()) > 2]
        assert (curve.get_xdata()[-1], curve.get_ydata()[-1]) == (1494.0, value)
        assert (np.diff(curve.get_xdata()) > 0).all()
        assert axes.get_ylim()[1] >= value


def upright(figure: Figure) -> list[list[float]]:
    """Where the dotted lines of diverged trainings stand, panel by panel."""
    return [
        [float(line.get_xdata()[0]) for line in axes.lines if list(line.get_ydata()) == [0, 1]] for axes in figure.axes
    ]


def test_every_seed_is_drawn_over_its_own_steps_and_a_divergence_is_marked(kept: list[Figure]) -> None:
    lost = course(1, 100, diverged_step=100, snapshots=(50,), snapshot_kid=(900.0,))
    good = course(0, 400, snapshots=(200, 400), snapshot_kid=(60.0, 20.0))
    draw_training(Path("x.png"), "digits / dcgan / none", [good, lost, Course(2, note="failed, no history")], LINES)
    (figure,) = kept
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "loss\ngenerator", "loss\ndiscriminator", "KID x 1000\nof snapshots", "grad norm\ngenerator",
    ]  # fmt: skip
    for axes in (figure.axes[0], figure.axes[1]):  # also where a phase ran on every second step only
        ends = [float(np.nanmax(line.get_xdata())) for line in axes.lines if len(line.get_xdata()) > 2]
        assert ends == pytest.approx([400, 100], rel=0.02)
    assert upright(figure) == [[100.0]] * 4
    assert [len(each) for each in crosses(figure)] == [1, 1, 0, 1]
    kids = [list(line.get_ydata()) for line in figure.axes[2].lines if line.get_marker() in "os"]
    assert kids == [[60.0, 20.0], [900.0]]
    level = {float(line.get_ydata()[0]) for line in figure.axes[2].lines if list(line.get_xdata()) == [0, 1]}
    assert level == {0.2, 310.0}
    assert figure.axes[2].get_yscale() == "symlog"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "seed 0", "seed 1, diverged at step 100 (x)", "seed 2, failed, no history",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("courses", "panels"),
    [
        ([Course(0, {"loss/g": np.array([np.nan])}, 1)], 1),
        ([Course(0, {"loss/g": np.array([2.0])}, 1)], 1),
        ([Course(0, {"loss/g": np.array([1.0, np.inf, np.nan])}, 3), course(1)], 4),
        ([Course(0, {"loss/g": np.array([1.0] * 50 + [1e300, -1e300, 1e308])}, 53)], 1),
        ([Course(0, {}, None, (10, 20), (5.0, -0.1))], 1),
        ([course(seed) for seed in range(12)], 3),
    ],
    ids=["nothing finite", "one step", "inf", "huge", "snapshots alone", "twelve seeds"],
)
def test_odd_trainings_are_drawn_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, courses: list[Course], panels: int
) -> None:
    saved: list[Figure] = []
    real: Callable[[Figure, Path], None] = plots.save
    monkeypatch.setattr(plots_training, "save", lambda f, p: (saved.append(f), real(f, p)))
    with np.errstate(all="raise", under="ignore"):
        draw_training(tmp_path / "x.png", "digits", courses, {})
    assert len(saved[0].axes) == panels
    with Image.open(tmp_path / "x.png") as image:
        assert min(image.size) > 100
    for axes in saved[0].axes:
        assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()


def test_a_loss_before_a_divergence_does_not_flatten_the_others(kept: list[Figure]) -> None:
    wild = Course(0, {"loss/g": np.array([1.0] * 60 + [1e6, 1e8])}, 62)
    draw_training(Path("x.png"), "digits", [wild, Course(1, {"loss/g": np.linspace(1, 0, 62)})], {})
    assert kept[0].axes[0].get_yscale() == "symlog"
    draw_training(Path("x.png"), "digits", [course(0)], {})
    assert {axes.get_yscale() for axes in kept[1].axes} == {"linear"}


def test_a_label_that_a_legend_would_leave_out_is_shown() -> None:
    assert (legend_label("_x"), legend_label("x_")) == (" _x", "x_")


def test_pairs_hold_each_member_above_its_sample(tmp_path: Path) -> None:
    grey = [np.full((1, 6, 9), level, np.uint8) for level in (10, 60, 110, 160)]
    draw_pairs(tmp_path / "p.png", [Pair(grey[0], grey[1], "a $x$"), Pair(grey[2], grey[3], "b")])
    with Image.open(tmp_path / "p.png") as picture:
        image = np.asarray(picture.convert("L")).astype(int)
    centres = {level: np.argwhere(image == level).mean(axis=0) for level in (60, 110, 160)}
    member = np.argwhere((image == 10) & (np.arange(image.shape[1]) > 60))  # letters have that grey too
    (row, column) = np.median(member, axis=0)
    assert row < centres[60][0] - 30
    assert abs(column - centres[60][1]) < 12
    assert centres[110][0] < centres[160][0] - 30
    assert centres[110][1] > column + 60
