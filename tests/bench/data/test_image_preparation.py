"""Crop, resize and grey against plain loops and torch; pictures of several sizes; what is damaged is named."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data.images import ImageOptions, Pictures, prepare, prepared
from bench.errors import InputError, PluginError
from bench.records import Records, Schema
from bench.rng import generator


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return generator(seed, "test images").integers(0, 256, shape, np.uint8)


def triangle_weights(size: int, out: int) -> NDArray[np.float64]:
    """Bilinear interpolation whose triangle is as wide as the scale, written out: ``(out, size)``, rows sum to 1."""
    scale = size / out
    reach = max(scale, 1.0)
    weights = np.zeros((out, size))
    for i in range(out):
        centre = (i + 0.5) * scale
        for j in range(size):
            weights[i, j] = max(0.0, 1 - abs(j + 0.5 - centre) / reach)
        weights[i] /= weights[i].sum()
    return weights


def test_the_crop_is_the_centre() -> None:
    image = noise(3, 7, 10)
    found = prepare(image, ImageOptions(crop=4))
    for y, x in itertools.product(range(4), range(4)):  # 3 rows to spare: 1 above, 2 below; 6 columns: 3 on each side
        assert np.array_equal(found[:, y, x], image[:, y + 1, x + 3])
    assert prepare(image, ImageOptions(crop=7)).shape == (3, 7, 7)


@pytest.mark.parametrize("size", [(5, 4), (4, 6), (7, 13), (20, 30), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_equals_a_plain_loop(channels: int, size: tuple[int, int]) -> None:
    image = noise(channels, 10, 13)
    rows, columns = triangle_weights(10, size[0]), triangle_weights(13, size[1])
    expected = np.stack([rows @ channel.astype(float) @ columns.T for channel in image])
    found = prepare(image, ImageOptions(resize=size))
    assert found.dtype == np.uint8
    assert found.shape == (channels, *size)
    assert np.abs(found - expected).max() <= 1.01  # Pillow rounds once per axis: at most half a step each, and 1/256


@pytest.mark.parametrize("side", [8, 14, 28, 40])
def test_resize_equals_torchs_antialiased_one(side: int) -> None:
    import torch

    image = noise(3, 28, 28, seed=1)
    batch = torch.from_numpy(image.astype(np.float32))[None]
    expected = torch.nn.functional.interpolate(batch, (side, side), mode="bilinear", antialias=True)[0].numpy()
    assert np.abs(prepare(image, ImageOptions(resize=side)) - expected).max() <= 1.01


def test_grey_is_the_luma_of_bt_601() -> None:
    image = noise(3, 9, 8)
    image[:, 0, 0] = 255
    found = prepare(image, ImageOptions(grey=True))
    assert found.shape == (1, 9, 8)
    for y, x in itertools.product(range(9), range(8)):
        red, green, blue = (int(value) for value in image[:, y, x])
        assert abs(int(found[0, y, x]) - (0.299 * red + 0.587 * green + 0.114 * blue)) <= 0.51
    assert found[0, 0, 0] == 255
    grey = noise(1, 9, 8)
    assert np.array_equal(prepare(grey, ImageOptions(grey=True)), grey)


def test_the_order_is_crop_resize_grey() -> None:
    image = noise(3, 20, 24)
    step = prepare(prepare(prepare(image, ImageOptions(crop=11)), ImageOptions(resize=(5, 6))), ImageOptions(grey=True))
    assert np.array_equal(prepare(image, ImageOptions(11, (5, 6), True)), step)
    other = prepare(prepare(image, ImageOptions(resize=(15, 16))), ImageOptions(crop=11))
    assert not np.array_equal(prepare(image, ImageOptions(crop=11, resize=(15, 16)))[:, :11, :11], other)


def images(n: int, *shape: int) -> Records:
    return Records(np.arange(3, 3 + n), noise(n, *shape), np.arange(n) % 2, Schema("image", shape, 2))


def test_records_keep_their_ids_and_labels() -> None:
    before = images(5, 3, 12, 10)
    after = prepared(before, ImageOptions(crop=8, resize=(6, 4), grey=True))
    assert after.schema == Schema("image", (1, 6, 4), 2)
    assert np.array_equal(after.ids, before.ids)
    assert np.array_equal(after.labels, before.labels)
    for was, now in zip(before.x, after.x, strict=True):
        assert np.array_equal(now, prepare(was, ImageOptions(8, (6, 4), True)))
    assert prepared(before, ImageOptions()) is before


def test_what_cannot_be_prepared_is_refused() -> None:
    table = Records(np.arange(2), np.zeros((2, 3), np.float32), None, Schema("table", (3,)))
    with pytest.raises(InputError, match="expected images to crop and grey, got table 3"):
        prepared(table, ImageOptions(crop=2, grey=True))
    with pytest.raises(InputError, match="at least 11 x 11 to `crop`, got 12 x 10; crop to less"):
        prepared(images(2, 3, 12, 10), ImageOptions(crop=11))


SIZES = [(3, 6, 8), (3, 9, 5), (3, 6, 8), (3, 7, 7)]


def pictures(sizes: list[tuple[int, ...]], damaged: tuple[int, ...] = (), **more: Any) -> Pictures:
    def read(i: int) -> NDArray[np.uint8]:
        if i in damaged:
            raise InputError("it is damaged")
        return noise(*sizes[i], seed=i)

    return Pictures([f"{i}.png" for i in range(len(sizes))], read, **more)


def ids(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize("options", [ImageOptions(resize=4), ImageOptions(crop=5), ImageOptions(5, (3, 4), True)])
def test_pictures_of_several_sizes_become_records(options: ImageOptions) -> None:
    found = pictures(SIZES, labels=ids(0, 1, 2, 1), classes=3).records(options, ids(0, 1, 3))
    assert found.ids.tolist() == [0, 1, 3]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 1]
    assert found.schema.classes == 3
    for i, x in zip(found.ids, found.x, strict=True):
        assert np.array_equal(x, prepare(noise(*SIZES[i], seed=int(i)), options))


def test_only_the_chosen_pictures_are_decoded() -> None:
    assert len(pictures(SIZES, damaged=(1, 3)).records(ImageOptions(), ids(0, 2))) == 2


def test_sizes_that_differ_are_shown_and_what_to_do() -> None:
    message = r"got 3 sizes \(6 x 8 0.png; 9 x 5 1.png; 7 x 7 3.png\): set `resize`"
    with pytest.raises(InputError, match=message):
        pictures(SIZES).records(ImageOptions(), ids(0, 1, 2, 3))
    with pytest.raises(InputError, match=r"2 sizes \(6 x 8 0.png; 6 x 8 grey 1.png\).*`grey` where some are grey"):
        pictures([(3, 6, 8), (1, 6, 8)]).records(ImageOptions(), ids(0, 1))


def test_every_damaged_picture_is_named() -> None:
    with pytest.raises(InputError) as caught:
        pictures(SIZES, damaged=(0, 2)).records(ImageOptions(crop=6), ids(0, 1, 2, 3))
    assert caught.value.problems == (
        "0.png: it is damaged",
        "1.png: expected images of at least 6 x 6 to `crop`, got 9 x 5; crop to less",
        "2.png: it is damaged",
    )


def test_no_pictures() -> None:
    with pytest.raises(InputError, match="expected at least one image, got none"):
        pictures([]).records(ImageOptions(), ids())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": ids(0, 0, 0), "classes": 1}, r"a label for each of 4 pictures, got \(3,\)"),
        ({"labels": ids(0, 0, 0, 0)}, "labels with their number of classes, or neither, got None"),
        ({"classes": 2}, "labels with their number of classes, or neither, got 2"),
    ],
)
def test_labels_fit_the_pictures(more: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        pictures(SIZES, **more)
