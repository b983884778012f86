"""What the server of federated training sees, round by round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import PluginError

if TYPE_CHECKING:
    from targets.base import Networks


@dataclass(frozen=True)
class Round:
    """What the server sees of one round of federated training; networks are role -> networks, in eval mode.

    Attributes:
        cohort: the clients that took part, at least one.
        aggregate: the global model after the round.
        clients: client -> the model that it sent; None where secure aggregation shows the server their sum alone.

    Raises:
        PluginError: other clients sent models than took part, or secure aggregation over a single client.
    """

    cohort: tuple[int, ...]
    aggregate: Networks
    clients: Mapping[int, Networks] | None = None

    def __post_init__(self) -> None:
        if self.clients is not None and (set(self.clients) != set(self.cohort) or not self.cohort):
            raise PluginError(
                f"expected models of the clients of a cohort, {sorted(self.cohort)}, got {sorted(self.clients)}; leave "
                "out rounds in which nobody took part"
            )
        if self.clients is None and len(set(self.cohort)) < 2:
            raise PluginError(
                f"expected secure aggregation over at least 2 clients, got {self.cohort}: the sum of one is its model"
            )
