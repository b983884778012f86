"""How different two images look, in place of LPIPS: local edges, whatever their contrast, at several scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import InputError

if TYPE_CHECKING:
    import torch

FAINT = 0.1  # contrast, in [-1, 1] pixels, below which edges fade into none: the grain of flat areas is not seen
SMALLEST = 4  # pixels a side of the coarsest scale
EDGES = 3  # pixels a side that an edge needs


def features(x: torch.Tensor) -> list[torch.Tensor]:
    """Local edges at each scale, ``(rows, 3 * channels, height - 2, width - 2)``, of length 0 to below 1 per pixel.

    At each pixel of each scale of the image (halved by 2x2 means until a side would fall below 4): half the
    differences across and down, and the difference to the mean of the four neighbours; all channels' together are
    divided by their length, as LPIPS divides its networks' features. Differentiable, flat areas included.

    Args:
        x: ``(rows, channels, height, width)`` in [-1, 1].

    Raises:
        InputError: the images have fewer than 3 pixels a side.
    """
    import torch
    from torch.nn.functional import avg_pool2d

    if x.dim() != 4 or min(x.shape[2:]) < EDGES:
        raise InputError(
            f"expected images of at least {EDGES}x{EDGES} pixels to compare edges of, got {tuple(x.shape)}"
        )
    scales = []
    while True:
        left, right = x[:, :, 1:-1, :-2], x[:, :, 1:-1, 2:]
        above, below = x[:, :, :-2, 1:-1], x[:, :, 2:, 1:-1]
        spot = x[:, :, 1:-1, 1:-1] - (left + right + above + below) / 4
        edges = torch.cat([(right - left) / 2, (below - above) / 2, spot], dim=1)
        scales.append(edges / (edges.square().sum(dim=1, keepdim=True) + FAINT**2).sqrt())
        if min(x.shape[2:]) < 2 * SMALLEST:
            return scales
        x = avg_pool2d(x, 2)


def distance(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
    """Half the squared difference of two images' features, ``(rows,)`` from 0 to 2: the mean over pixels and scales.

    Where both images have strong edges it is one minus the cosine between them; LPIPS (Zhang et al., CVPR 2018,
    equation 1) is the same mean over the features of a trained network, which would have to be downloaded and costs
    more than the generators that are searched here.
    """
    scales = [(p - q).square().sum(dim=1).mean(dim=(1, 2)) / 2 for p, q in zip(a, b, strict=True)]
    total = scales[0]
    for other in scales[1:]:
        total = total + other
    return total / len(scales)
