"""Photographs of the retina with their CSV of levels, and MedMNIST's npz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import assert_keeps_the_contract, noise, save_image, truncate
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from bench.data.images import ImageOptions
from bench.data.sets.diabetic_retinopathy import DiabeticRetinopathy, cut_to_fundus
from bench.data.split import make_split
from bench.errors import InputError, MissingFilesError
from bench.matrix import SplitOptions
from bench.records import Records

LEVELS = {"10_left": 0, "10_right": 2, "9_left": 4, "9_right": 1, "13_left": 2, "13_right": 3}


def photograph(seed: int, height: int = 60, width: int = 90, radius: float = 22) -> NDArray[np.uint8]:
    """A bright disc right of the centre, on a background that is nearly black: ``(height, width, 3)``."""
    y, x = np.mgrid[:height, :width]
    disc = (y - 30) ** 2 + (x - 55) ** 2 <= radius**2
    image = noise(height, width, 3, seed=seed) % 8
    image[disc] = 100 + noise(height, width, 3, seed=seed)[disc] // 2
    return image


def write_photographs(folder: Path, levels: dict[str, int] = LEVELS, csv: str = "trainLabels.csv") -> None:
    for seed, name in enumerate(levels):
        save_image(folder / f"{name}.png", photograph(seed, width=90 + seed))
    rows = "".join(f"{name},{level}\n" for name, level in levels.items())
    (folder / csv).write_text("image,level\n" + rows, "utf-8")


def load(base_dir: Path, **options: Any) -> Records:
    pictures = DiabeticRetinopathy(path="eyes", **options).load(base_dir)
    return pictures.records(ImageOptions(), np.arange(len(pictures), dtype=np.int64))


def test_photographs_sorted_by_name_with_their_levels(tmp_path: Path) -> None:
    write_photographs(tmp_path / "eyes")
    found = load(tmp_path)
    assert found.schema.shape == (3, 64, 64)
    assert found.schema.classes == 5
    assert found.labels is not None
    assert found.labels.tolist() == [0, 2, 2, 3, 4, 1]  # 10_left, 10_right, 13_left, 13_right, 9_left, 9_right
    assert_keeps_the_contract(DiabeticRetinopathy(path="eyes"), tmp_path)


def test_from_a_level_on(tmp_path: Path) -> None:
    write_photographs(tmp_path / "eyes")
    everything, found = load(tmp_path), load(tmp_path, minimum_level=2)
    assert np.array_equal(found.x, everything.x[[1, 2, 3, 4]])
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 1, 2]
    assert found.schema.classes == 3
    with pytest.raises(ValidationError, match="less than 5"):
        DiabeticRetinopathy(path="eyes", minimum_level=5)


def test_the_cut_is_the_box_around_the_disc(tmp_path: Path) -> None:
    image = photograph(0)
    cut = cut_to_fundus(np.moveaxis(image, -1, 0), 0.1)
    assert np.array_equal(cut, np.moveaxis(image[8:53, 33:78], -1, 0))  # 30 +- 22 and 55 +- 22
    dark = (image // 8).astype(np.uint8)  # the threshold is relative: a darker photograph is cut alike
    assert cut_to_fundus(np.moveaxis(dark, -1, 0), 0.1).shape == cut.shape
    write_photographs(tmp_path / "eyes")
    pixels = Image.fromarray(image[8:53, 33:78]).resize((20, 20), Image.Resampling.BILINEAR)
    assert np.array_equal(load(tmp_path, side=20).x[0], np.moveaxis(np.asarray(pixels), -1, 0))
    whole = Image.fromarray(image).resize((20, 20), Image.Resampling.BILINEAR)
    assert np.array_equal(load(tmp_path, side=20, fundus=False).x[0], np.moveaxis(np.asarray(whole), -1, 0))


def test_the_csv_beside_the_folder_or_of_any_name(tmp_path: Path) -> None:
    write_photographs(tmp_path / "eyes")
    here = load(tmp_path)
    (tmp_path / "eyes" / "trainLabels.csv").rename(tmp_path / "trainLabels.csv")
    assert load(tmp_path).fingerprint() == here.fingerprint()
    (tmp_path / "trainLabels.csv").rename(tmp_path / "levels.csv")
    assert load(tmp_path, labels="levels.csv").fingerprint() == here.fingerprint()
    message = (
        rf"a CSV with the columns image and level in {tmp_path}/eyes/trainLabels.csv or {tmp_path}/trainLabels.csv"
    )
    with pytest.raises(MissingFilesError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,level\na,1\n", r"expected the columns image and level, got \['name', 'level'\]"),
        ("", r"expected the columns image and level, got None"),
        ("image,level\na,5\n", ":2: expected a level from 0 to 4, got '5'"),
        ("image,level\na,1\nb,\n", ":3: expected a level from 0 to 4, got ''"),
        ("image,level\na\n", ":2: expected a level from 0 to 4, got ''"),
        ("image,level\na,1\na,2\n", ":3: expected each image once, got 'a' again"),
        ("image,level\n,1\n", ":2: expected the name of an image, got none"),
        ("image,level\na,1\nb,2\n", r"but 6 are not in the CSV \(10_left first\)"),
        ("image,level\n\u00e4,1\n", "codec can't decode"),
    ],
)
def test_a_csv_that_does_not_fit(tmp_path: Path, text: str, message: str) -> None:
    write_photographs(tmp_path / "eyes")
    (tmp_path / "eyes" / "trainLabels.csv").write_text(text, "latin-1")
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_levels_without_an_image(tmp_path: Path) -> None:
    write_photographs(tmp_path / "eyes")
    (tmp_path / "eyes" / "9_left.png").unlink()
    with pytest.raises(
        InputError, match=r"every image of the CSV there, but 1 are not \(9_left first\); give as `labels`"
    ):
        load(tmp_path)
    save_image(tmp_path / "eyes" / "more" / "10_left.png", photograph(0))
    with pytest.raises(InputError, match="expected each image once, got 1 names twice"):
        load(tmp_path)


def test_damaged_and_black_photographs_are_named(tmp_path: Path) -> None:
    write_photographs(tmp_path / "eyes")
    truncate(tmp_path / "eyes" / "9_left.png")
    save_image(tmp_path / "eyes" / "10_right.png", np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    black, damaged = caught.value.problems
    assert "10_right.png: expected a photograph, got a black image" in black
    assert "9_left.png: expected an image file, but it cannot be decoded" in damaged


def test_files_that_are_not_here(tmp_path: Path) -> None:
    ways = "found none; fetch the images and trainLabels.csv by hand from https://www.kaggle.com/c/diabetic-ret"
    for path in ("eyes", "retinamnist.npz"):
        with pytest.raises(MissingFilesError, match=rf"in {tmp_path}/{path}, {ways}"):
            DiabeticRetinopathy(path=path).load(tmp_path)
    (tmp_path / "eyes").mkdir()
    with pytest.raises(MissingFilesError, match=rf"expected images in {tmp_path}/eyes, {ways}"):
        load(tmp_path)


def medmnist(**changes: Any) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for seed, (part, n) in enumerate((("train", 9), ("val", 3), ("test", 5))):
        arrays[f"{part}_images"] = noise(n, 28, 28, 3, seed=seed)
        arrays[f"{part}_labels"] = (np.arange(n, dtype=np.uint8) % 5)[:, None]
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


def test_retinamnist_in_its_own_order_and_size(tmp_path: Path) -> None:
    arrays = medmnist()
    np.savez(tmp_path / "retinamnist.npz", **arrays)
    dataset = DiabeticRetinopathy(path="retinamnist.npz", minimum_level=2)
    all_nine = SplitOptions(members=3, nonmembers=2, reference=2, validation=1, holdout=1)
    split = make_split(dataset.load(tmp_path), all_nine, tmp_path)
    images = np.concatenate([arrays[f"{part}_images"] for part in ("train", "val", "test")])
    levels = np.concatenate([arrays[f"{part}_labels"] for part in ("train", "val", "test")]).ravel()
    assert np.array_equal(split.records.x, np.moveaxis(images[levels >= 2], -1, 1))
    assert split.records.labels is not None
    assert np.array_equal(split.records.labels + 2, levels[levels >= 2])
    assert split.records.schema.classes == 3
    assert_keeps_the_contract(dataset, tmp_path)
    larger = DiabeticRetinopathy(path="retinamnist.npz", side=32).load(tmp_path)
    assert larger.records(ImageOptions(), np.arange(3)).schema.shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_labels": None}, "expected the arrays of retinamnist.npz, but val_labels are not there"),
        (
            {"val_images": noise(3, 28, 28)},
            r"expected val_images as uint8 \(n, side, side, 3\), got uint8 \(3, 28, 28\)",
        ),
        ({"val_images": noise(3, 64, 64, 3)}, "expected val_images as uint8"),
        ({"train_labels": np.zeros((8, 1), int)}, r"expected train_labels as 9 integers, got int64 \(8, 1\)"),
        ({"test_labels": np.full((5, 1), 5)}, "expected test_labels from 0 to 4, got "),
    ],
)
def test_a_retinamnist_that_does_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "retinamnist.npz", **medmnist(**changes))
    with pytest.raises(InputError, match=message):
        DiabeticRetinopathy(path="retinamnist.npz").load(tmp_path)


def test_a_truncated_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "retinamnist.npz", **medmnist())
    truncate(tmp_path / "retinamnist.npz")
    with pytest.raises(
        InputError, match=r"retinamnist\.npz: expected an npz archive of plain arrays, but it is damaged"
    ):
        DiabeticRetinopathy(path="retinamnist.npz").load(tmp_path)
    np.savez(tmp_path / "retinamnist.npz", **medmnist(**{f"{p}_labels": np.zeros((n, 1), int) for p, n in
                                                        (("train", 9), ("val", 3), ("test", 5))}))  # fmt: skip
    with pytest.raises(InputError, match="expected images of level 1 or above, got none"):
        DiabeticRetinopathy(path="retinamnist.npz", minimum_level=1).load(tmp_path)
