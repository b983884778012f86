"""Images as records: decoded one by one, prepared all alike, and only then stacked.

Preparation is crop, then resize, then grey, in this order. It is the same function for a data set's own images and for
those that a user brings for single roles, so members and non-members never differ by how they were prepared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, PluginError
from bench.records import Records, Schema

Image = NDArray[np.uint8]  # (channels, height, width)


class ImageRequest(Protocol):
    """How images are prepared; the matrix's data-set entry has these fields."""

    @property
    def crop(self) -> int | None: ...
    @property
    def resize(self) -> int | tuple[int, int] | None: ...
    @property
    def grey(self) -> bool: ...


@dataclass(frozen=True)
class ImageOptions:
    """How images are prepared, outside of a matrix; by default they stay as they are."""

    crop: int | None = None
    resize: int | tuple[int, int] | None = None
    grey: bool = False


@dataclass(frozen=True)
class Pictures:
    """What a loader returns for images that may differ in size: decoded only once it is known how to prepare them.

    Attributes:
        names: what errors call each image, such as its path; record i is the i-th of them.
        read: position -> uint8 ``(channels, height, width)``; raises InputError where the image is damaged.
        labels: int64 ``(n,)`` from 0 to below ``classes``, or None.
        classes: number of classes, None without labels.

    Raises:
        PluginError: names, labels and classes do not fit together.
    """

    names: Sequence[str]
    read: Callable[[int], Image]
    labels: NDArray[np.int64] | None = None
    classes: int | None = None

    def __post_init__(self) -> None:
        if (self.labels is None) != (self.classes is None):
            raise PluginError(f"expected labels with their number of classes, or neither, got {self.classes} classes")
        if self.labels is not None and self.labels.shape != (len(self.names),):
            raise PluginError(f"expected a label for each of {len(self.names)} pictures, got {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.names)

    def records(self, request: ImageRequest, ids: NDArray[np.int64]) -> Records:
        """The images with these ids, decoded and prepared one at a time; an id is a position.

        Raises:
            InputError: images are damaged, smaller than the crop, or of different sizes; names all of them.
        """
        x = _stacked([self.names[i] for i in ids], lambda i: self.read(int(ids[i])), request)
        labels = None if self.labels is None else self.labels[ids]
        return Records(ids, x, labels, Schema("image", x.shape[1:], self.classes))


def prepared(records: Records, request: ImageRequest) -> Records:
    """Records whose images were cropped, resized and turned to grey as asked; the same object where nothing was.

    Raises:
        InputError: the records are no images, or the crop is larger than they are.
    """
    asked = [key for key in ("crop", "resize", "grey") if getattr(request, key)]
    if not asked:
        return records
    if records.schema.kind != "image":
        raise InputError(f"expected images to {' and '.join(asked)}, got {records.schema}; leave {asked} out")
    if request.crop is not None and request.crop > min(records.schema.shape[1:]):
        raise InputError(_too_small(request.crop, records.schema.shape))
    x = _stacked([f"record {i}" for i in records.ids], lambda i: records.x[i], request)
    return Records(records.ids, x, records.labels, replace(records.schema, shape=x.shape[1:]))


def prepare(image: Image, request: ImageRequest) -> Image:
    """One image, cropped to its centre, resized, and turned to grey.

    Resizing is Pillow's bilinear filter, whose support grows with the scale (no aliasing), and ignores the aspect
    ratio. Grey is the luma of ITU-R BT.601, (19595 R + 38470 G + 7471 B + 32768) >> 16.

    Raises:
        InputError: the crop is larger than the image.
    """
    from PIL import Image as Pillow

    if request.crop is not None:
        top, left = ((side - request.crop) // 2 for side in image.shape[1:])
        if min(top, left) < 0:
            raise InputError(_too_small(request.crop, image.shape))
        image = image[:, top : top + request.crop, left : left + request.crop]
    height, width = (request.resize,) * 2 if isinstance(request.resize, int) else request.resize or image.shape[1:]
    grey = request.grey and len(image) > 1
    if (height, width) == image.shape[1:] and not grey:
        return image
    pillow = Pillow.fromarray(np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)))
    pillow = pillow.resize((width, height), Pillow.Resampling.BILINEAR)
    return as_array(pillow.convert("L") if grey else pillow)


def as_array(pillow: Any) -> Image:
    """A Pillow image of mode ``L`` or ``RGB`` as uint8 ``(channels, height, width)``."""
    values: Image = np.asarray(pillow, dtype=np.uint8)
    return np.ascontiguousarray(values[None] if values.ndim == 2 else values.transpose(2, 0, 1))


def _stacked(names: Sequence[str], read: Callable[[int], Image], request: ImageRequest) -> Image:
    """Prepared images in one array, filled as they come, so that never more than one is held beside it.

    Raises:
        InputError: names every image that is damaged or too small, or the first of each size.
    """
    stack: Image | None = None
    sizes: dict[tuple[int, ...], str] = {}
    problems: list[str] = []
    for i, name in enumerate(names):
        try:
            image = prepare(read(i), request)
        except InputError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
            continue
        sizes.setdefault(image.shape, name)
        if stack is None:
            stack = np.empty((len(names), *image.shape), np.uint8)
        if len(sizes) == 1:
            stack[i] = image
    if len(sizes) > 1:
        examples = [f"{_size(shape)} {name}" for shape, name in list(sizes.items())[:3]]
        problems.append(
            f"expected images of one size, got {len(sizes)} sizes ({'; '.join(examples)}{'; …' * (len(sizes) > 3)}): "
            "set `resize` (and `grey` where some are grey)"
        )
    if stack is None and not problems:
        problems.append("expected at least one image, got none")
    if problems or stack is None:
        raise InputError(problems)
    return stack


def _too_small(crop: int, shape: tuple[int, ...]) -> str:
    return f"expected images of at least {crop} x {crop} to `crop`, got {_size(shape)}; crop to less"


def _size(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{height} x {width}" + (" grey" if channels == 1 else "")
