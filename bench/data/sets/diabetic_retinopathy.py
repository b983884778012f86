"""Diabetic retinopathy: photographs of the retina, graded by how far the disease has gone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.data.base import Dataset, read_npz
from bench.data.files import find_images, missing_files, read_image
from bench.data.images import Image, ImageOptions, Pictures, prepare
from bench.errors import InputError

LEVELS = 5  # 0 none, 1 mild, 2 moderate, 3 severe, 4 proliferative
CSV = "trainLabels.csv"
PARTS = ("train", "val", "test")
SIDE = 64
WAYS = (
    "fetch the images and trainLabels.csv by hand from https://www.kaggle.com/c/diabetic-retinopathy-detection/data, "
    "or the small retinamnist.npz from https://medmnist.com, and name the folder or the npz as `path`"
)


class DiabeticRetinopathy(Dataset):
    """Your own copy of Kaggle's photographs of the retina, or MedMNIST's retinamnist.npz, labelled by level.

    Records are sorted by file name, after those below `minimum_level` were left out; label 0 is that level. LOGAN
    used the levels from moderate on (2). The cut to the fundus and `side` belong to the loader: records of your own
    for single roles must have been prepared like that.
    """

    name = "diabetic_retinopathy"
    paper = "Kaggle and EyePACS, Diabetic Retinopathy Detection, 2015; Hayes et al., LOGAN, PoPETs 2019, section 5"

    class Options(Dataset.Options):
        path: str
        """Folder of the images, or retinamnist.npz; relative to the matrix file."""
        labels: str | None = None
        """CSV with the columns image (file name without its ending) and level; else trainLabels.csv in or beside it."""
        minimum_level: Annotated[int, Field(ge=0, lt=LEVELS)] = 0
        """Only images of at least this level: 0 none, 1 mild, 2 moderate, 3 severe, 4 proliferative."""
        fundus: bool = True
        """Whether to cut photographs to the bounding box of the fundus, the bright disc on black."""
        threshold: Annotated[float, Field(gt=0, lt=1)] = 0.1
        """A pixel belongs to the fundus where its grey value exceeds this share of the image's brightest."""
        side: Annotated[int, Field(gt=0)] | None = None
        """Pixels a side to resize to, after the cut; without one 64 for photographs, and the npz as it is."""

    options: Options

    def load(self, base_dir: Path) -> Pictures:
        path = base_dir / self.options.path
        if path.suffix == ".npz" and path.is_file():
            return self._from_npz(path)
        if path.suffix == ".npz" or not path.is_dir():
            raise missing_files(self.name, "a folder of images or retinamnist.npz", [path], WAYS)
        found = find_images(path)
        files = {Path(name).stem: path / name for name in found}
        if len(files) < len(found):
            raise InputError(f"{path}: expected each image once, got {len(found) - len(files)} names twice")
        if not files:
            raise missing_files(self.name, "images", [path], WAYS)
        levels = _read_levels(self._csv(base_dir, path))
        _check_same(path, files, levels)
        names = sorted(name for name in files if levels[name] >= self.options.minimum_level)
        kept = [files[name] for name in names]
        labels = np.array([levels[name] for name in names], dtype=np.int64)
        return self._pictures([str(file) for file in kept], labels, lambda i: self._photograph(kept[i]))

    def _from_npz(self, path: Path) -> Pictures:
        """MedMNIST's archive: its images were cut and resized already; train, val, test in this order."""
        arrays = read_npz(path)
        needed = [f"{part}_{what}" for part in PARTS for what in ("images", "labels")]
        if absent := [name for name in needed if name not in arrays]:
            raise InputError(f"{path}: expected the arrays of retinamnist.npz, but {', '.join(absent)} are not there")
        x = [arrays[f"{part}_images"] for part in PARTS]
        y = [arrays[f"{part}_labels"] for part in PARTS]
        problems = []
        for part, images, levels in zip(PARTS, x, y, strict=True):
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*x[0].shape[1:3], 3):
                shape = f"{images.dtype} {images.shape}"
                problems.append(f"{path}: expected {part}_images as uint8 (n, side, side, 3), got {shape}")
            if levels.size != len(images) or not np.issubdtype(levels.dtype, np.integer):
                shape = f"{levels.dtype} {levels.shape}"
                problems.append(f"{path}: expected {part}_labels as {len(images)} integers, got {shape}")
            elif levels.size and not 0 <= levels.min() <= levels.max() < LEVELS:
                problems.append(f"{path}: expected {part}_labels from 0 to {LEVELS - 1}, got {np.unique(levels)[:20]}")
        if problems:
            raise InputError(problems)
        images, levels = np.concatenate(x), np.concatenate([part.ravel() for part in y]).astype(np.int64)
        kept = np.flatnonzero(levels >= self.options.minimum_level)
        names = [f"{path}: image {i}" for i in kept]
        size = ImageOptions(resize=self.options.side)
        return self._pictures(names, levels[kept], lambda i: prepare(images[kept[i]].transpose(2, 0, 1), size))

    def _photograph(self, file: Path) -> Image:
        image = read_image(file, colour=True)
        if self.options.fundus:
            image = cut_to_fundus(image, self.options.threshold)
        return prepare(image, ImageOptions(resize=self.options.side or SIDE))

    def _pictures(self, names: list[str], levels: NDArray[np.int64], read: Callable[[int], Image]) -> Pictures:
        lowest = self.options.minimum_level
        if not names:
            raise InputError(f"{self.name}: expected images of level {lowest} or above, got none")
        return Pictures(names, read, levels - lowest, LEVELS - lowest)

    def _csv(self, base_dir: Path, folder: Path) -> Path:
        """The file of the levels."""
        given = self.options.labels
        places = [base_dir / given] if given is not None else [folder / CSV, folder.parent / CSV]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise missing_files(self.name, "a CSV with the columns image and level", places, WAYS)
        return found


def cut_to_fundus(image: Image, threshold: float) -> Image:
    """The bounding box of the pixels whose grey value exceeds ``threshold`` x the image's largest.

    Raises:
        InputError: the image is black.
    """
    grey = prepare(image, ImageOptions(grey=True))[0]
    bright = grey > threshold * int(grey.max())
    if not bright.any():
        raise InputError("expected a photograph, got a black image; remove it, or set `fundus: false`")
    rows, columns = (np.flatnonzero(bright.any(axis=axis)) for axis in (1, 0))
    return image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _read_levels(path: Path) -> dict[str, int]:
    """Image name -> level.

    Raises:
        InputError: not such a CSV; names every wrong line.
    """
    levels: dict[str, int] = {}
    problems = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"image", "level"} <= set(rows.fieldnames or ()):
                raise InputError(f"{path}: expected the columns image and level, got {rows.fieldnames}")
            for row in rows:
                image, level = ((row[key] or "").strip() for key in ("image", "level"))
                if not image:
                    problems.append(f"{path}:{rows.line_num}: expected the name of an image, got none")
                elif level not in {str(n) for n in range(LEVELS)}:
                    problems.append(f"{path}:{rows.line_num}: expected a level from 0 to {LEVELS - 1}, got {level!r}")
                elif image in levels:
                    problems.append(f"{path}:{rows.line_num}: expected each image once, got {image!r} again")
                else:
                    levels[image] = int(level)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a CSV with the columns image and level: {error}") from error
    if problems:
        raise InputError(problems)
    return levels


def _check_same(folder: Path, files: Mapping[str, Path], levels: Mapping[str, int]) -> None:
    """Images without a level and levels without an image are more likely a mistake than meant."""
    problems = []
    if unknown := sorted(set(files) - set(levels)):
        problems.append(
            f"{folder}: expected a level for every image, but {len(unknown)} are not in the CSV ({unknown[0]} first)"
        )
    if absent := sorted(set(levels) - set(files)):
        problems.append(
            f"{folder}: expected every image of the CSV there, but {len(absent)} are not ({absent[0]} first); give as "
            "`labels` a CSV of those that are"
        )
    if problems:
        raise InputError(problems)
