"""The columns of the leaderboard's page: what each is called, what it says, and which end of it is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.board.columns import ACCESS_COLUMNS
from bench.board.site.entry import Entry


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: unique; ``head`` its title, ``meaning`` a sentence or two for those who do not know it.
        kind: how it is sorted and aligned.
        better: the better end, or empty.
        shown: whether it stands in the table until somebody hides it.
        fixed: whether it cannot be hidden.
        drawn: whether its figures are drawn too.
        plain: the column of ``leaderboard.csv`` that it shows as it is, with so many decimals; None where it is more.
            The page's script makes its cells, so it is hidden at first.
    """

    key: str
    head: str
    meaning: str
    kind: Literal["number", "text"] = "text"
    better: Literal["lower", "higher", ""] = ""
    shown: bool = True
    fixed: bool = False
    drawn: bool = False
    plain: tuple[str, int] | None = None


_BOARD = Column("board", "board", "The board that the row comes from; ranks are within it.")
_CHANGE = Column("change", "since the baseline", "What became worse or better than in the baseline.")


def columns(entries: Sequence[Entry]) -> list[Column]:
    """The columns of a site; one that says the same in every row is hidden at first, as its words stand above."""
    rows = [row for entry in entries for row in entry.board.rows]
    measures = list(dict.fromkeys(m for entry in entries for m in entry.board.measures))
    equal = any(entry.board.at_equal_kid for entry in entries)
    compared = any(entry.compared for entry in entries)
    claims = any(row.measured["claim_unit"] is not None for row in rows)
    return [
        Column(
            "rank", "rank",
            "1 + the rows of the same data set and board that leak significantly less. Rows with one rank are not told "
            "apart. A row whose samples are useless, or with a diverged run, has none.",
            "number", "lower",
        ),
        *([_BOARD] if len(entries) > 1 else []),
        Column("dataset", "data set", "The records.", shown=len({row.dataset for row in rows}) > 1),
        Column("target", "target", "The generative model and its recipe.", shown=len({row.target for row in rows}) > 1),
        Column("defense", "defense", "What was done against leakage, in the order given.", fixed=True),
        Column("verdict", "verdict", "What the row says first; the whole sentence is under the table and on its page."),
        *([_CHANGE] if compared else []),
        Column(
            "auc", "AUC",
            "Probability that a member scores above a non-member, by the worst attack: .5 is chance, 1 complete "
            "leakage. The thick bar is the 95 % interval over records (of these models), the thin one over training "
            "runs, which needs three of them; the dotted line is chance.",
            "number", "lower", fixed=True, drawn=True,
        ),
        Column(
            "attack", "worst attack, threat model",
            "The attack that tells most, what it touches of the model, and what it knows besides.", fixed=True,
        ),
        Column(
            "tpr", "TPR at 1 % FPR",
            "Share of the members that the worst attack finds when it accuses at most one non-member in a hundred.",
            "number", "lower",
        ),
        *(Column(m.column, m.head, m.explanation, "number", "lower", drawn=True) for m in measures),
        *(
            [
                Column(
                    "equal_kid", "undefended at equal KID",
                    "AUC of the undefended training, stopped where its samples were first as good as the row's. A "
                    "defense should leak less than that, which costs nothing.",
                    "number",
                )
            ]
            if equal
            else []
        ),
        Column(
            "epsilon", "epsilon",
            "Differential privacy that the defense claims, with its delta and unit; and the certified lower bound, "
            "where coins decided who is a member.",
            "number", "lower", shown=claims,
        ),
        Column("seeds", "runs", "Completed training runs.", "number"),
        Column("flags", "flags", "What a reader has to know beside the figures."),
        *_plain(max((measure.digits for measure in measures), default=1)),
    ]  # fmt: skip


def _plain(digits: int) -> list[Column]:
    """Columns of the CSV file as they stand there; hidden until somebody asks for them."""
    return [
        *(
            _of_csv(f"auc_{level}", f"AUC, {said}", f"AUC of the worst attack with {said} access.", "lower", 3)
            for level, said in ((level, level.replace("_", " ")) for level in ACCESS_COLUMNS)
        ),
        _of_csv(
            "accuracy", "accuracy", "Share of members among the |M| highest scores of the worst attack.", "lower", 3
        ),
        _of_csv("fid", "FID", "Fréchet distance to held-out real records.", "lower", 1),
        _of_csv("precision", "precision", "Share of samples that lie among real records.", "higher", 3),
        _of_csv("recall", "recall", "Share of real records that lie among samples.", "higher", 3),
        _of_csv("density", "density", "How densely real records surround the samples.", "higher", 3),
        _of_csv("coverage", "coverage", "Share of real records with a sample nearby.", "higher", 3),
        _of_csv("utility", "utility", "Accuracy on real rows of a classifier trained on samples.", "higher", 3),
        _of_csv(
            "diverged_runs",
            "diverged runs",
            "Training runs that ended in a loss that is not finite, or beyond the target's limit.",
            "lower",
            0,
        ),
        _of_csv("collapsed_runs", "collapsed runs", "Training runs whose samples cover few modes.", "lower", 0),
        _of_csv("quality_spread", "quality spread", "How much sample quality differs between runs.", "lower", digits),
        _of_csv("loss_oscillation", "loss oscillation", "How much the losses swing.", "lower", 2),
        _of_csv(
            "smallest_detectable_auc", "detectable AUC", "Smallest AUC that these records tell from .5.", "lower", 3
        ),
        _of_csv("train_s", "training, s", "Seconds of training, mean over runs.", "lower", 1),
        _of_csv("peak_mem_mib", "memory, MiB", "Highest resident memory.", "lower", 0),
    ]


def _of_csv(key: str, head: str, meaning: str, better: Literal["lower", "higher"], digits: int) -> Column:
    return Column(key, head, meaning, "number", better, shown=False, plain=(key, digits))
