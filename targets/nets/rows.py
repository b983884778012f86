"""Rows of a table as networks give them: values that are numbers, and values that together are one category."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import log_softmax, one_hot

from bench.records import Schema
from targets.base import Draw

LEAST = 1e-30  # of a uniform draw before its logarithm: float32 draws include an exact 0


@dataclass(frozen=True)
class RowLayout:
    """Which of an encoded row's values are what.

    Attributes:
        width: values of a row.
        numbers: the places of numeric values.
        choices: the places of each categorical column, one value per category.
    """

    width: int
    numbers: tuple[int, ...]
    choices: tuple[slice, ...]


def row_layout(schema: Schema) -> RowLayout:
    """The layout of a table's rows; where no columns are named, every value is a number.

    >>> row_layout(Schema("table", (3,)))
    RowLayout(width=3, numbers=(0, 1, 2), choices=())
    """
    if not schema.columns:
        return RowLayout(schema.shape[0], tuple(range(schema.shape[0])), ())
    spans = schema.spans()
    return RowLayout(
        schema.shape[0],
        tuple(span.start for column, span in spans if not column.categories),
        tuple(span for column, span in spans if column.categories),
    )


def soft_choices(raw: torch.Tensor, layout: RowLayout) -> torch.Tensor:
    """Rows ``(rows, values)`` with the probabilities of each category in place of its logits; numbers as they are."""
    rows = raw.clone()
    for span in layout.choices:
        rows[:, span] = torch.softmax(raw[:, span], dim=1)
    return rows


def drawn_choices(raw: torch.Tensor, layout: RowLayout, draw: Draw, temperature: float = 1.0) -> torch.Tensor:
    """Rows with one category drawn by its probability in place of each column's logits, exactly one-hot.

    The largest of logits plus Gumbel noise is such a draw; its gradient is that of their softmax at this temperature
    (straight-through Gumbel-softmax: Jang, Gu and Poole, ICLR 2017, equations 1 and 2 and section 2.2).
    """
    if not layout.choices:
        return raw.clone()
    gumbel = -torch.log(-torch.log(draw.uniform(*raw.shape).clamp_min(LEAST)))
    rows = raw.clone()
    for span in layout.choices:
        soft = torch.softmax((raw[:, span] + gumbel[:, span]) / temperature, dim=1)
        hard = one_hot(soft.argmax(dim=1), span.stop - span.start).to(soft.dtype)
        rows[:, span] = hard + (soft - soft.detach())
    return rows


def choice_losses(raw: torch.Tensor, x: torch.Tensor, layout: RowLayout) -> torch.Tensor:
    """Cross-entropy ``(rows,)`` in nats of one-hot rows ``x`` under these logits, summed over columns."""
    losses = raw.new_zeros(len(raw))
    for span in layout.choices:
        losses = losses - (x[:, span] * log_softmax(raw[:, span], dim=1)).sum(dim=1)
    return losses
