"""Opacus' per-record gradient hooks, made safe for any memory layout; imported only where training happens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from opacus.grad_sample import GradSampleHooks


class RecordHooks(GradSampleHooks):  # type: ignore[misc]
    """``GradSampleHooks`` that keep activations in row-major order.

    Opacus 1.6 unfolds a convolution's input by its strides as if it were row-major (``unfold2d``): from the
    channels-last tensors of this suite it computes wrong gradients, without an error.
    """

    def capture_activations_hook(
        self, module: torch.nn.Module, forward_input: Sequence[torch.Tensor], forward_output: torch.Tensor
    ) -> None:
        super().capture_activations_hook(module, [x.contiguous() for x in forward_input], forward_output)
