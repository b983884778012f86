"""Any folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.base import Dataset
from bench.data.files import SUFFIXES, any_colour, find_images, missing_files, read_image
from bench.data.images import Pictures
from bench.errors import InputError


class ImageFolder(Dataset):
    """Your own folder of images (png, jpg, bmp, webp, tif), sorted by path; folders within it are the classes.

    Images in the folder itself have no labels. Where any image is in colour, all are read as colour. Images that
    differ in size need the split's `resize`.
    """

    name = "image_folder"

    class Options(Dataset.Options):
        path: str
        """The folder, relative to the matrix file."""

    options: Options

    def load(self, base_dir: Path) -> Pictures:
        folder = base_dir / self.options.path
        paths = find_images(folder)
        if not paths:
            kinds = ", ".join(suffix.removeprefix(".") for suffix in SUFFIXES)
            raise missing_files(self.name, f"images ({kinds})", [folder], "put them there, or correct `path`")
        labels, classes = _classes(folder, paths)
        files = [folder / path for path in paths]
        colour = any_colour(files)
        return Pictures([str(file) for file in files], lambda i: read_image(files[i], colour), labels, classes)


def _classes(folder: Path, paths: list[str]) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]] | None, int | None]:
    """The label of each image by the folder that it lies in, and how many such folders there are."""
    loose = [path for path in paths if "/" not in path]
    if len(loose) == len(paths):
        return None, None
    if loose:
        raise InputError(
            f"{folder}: expected every image in a folder of its class, or none, but {len(loose)} of {len(paths)} lie "
            f"beside such folders ({loose[0]} first); move them"
        )
    names = sorted({path.split("/")[0] for path in paths})
    number = {name: label for label, name in enumerate(names)}
    return np.array([number[path.split("/")[0]] for path in paths], dtype=np.int64), len(names)
