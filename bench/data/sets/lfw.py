"""Labeled Faces in the Wild: 13,233 faces of 5,749 people, in one folder per person."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bench.data.base import Dataset
from bench.data.files import find_images, missing_files, read_image
from bench.data.images import Pictures
from bench.errors import InputError

# Where the archives, torchvision's LFWPeople and scikit-learn's fetch_lfw_people put the folders of the people.
ABOVE = ("", "lfw-py", "lfw_home")
FOLDERS = ("lfw_funneled", "lfw-funneled", "lfw-deepfunneled", "lfw")
FILE = re.compile(r"(?P<person>[^/]+)/(?P=person)_\d{4}\.[a-z]+", re.IGNORECASE)
WAYS = (
    "there is no official download any more: unpack lfw-funneled.tgz or lfw.tgz, for instance from "
    "https://www.kaggle.com/datasets/jessicali9530/lfw-dataset, and name the folder that it lies in as `root`"
)


class LFW(Dataset):
    """Faces in colour, 250x250, labelled by person; `top_classes: 10` keeps the ten people with the most images.

    People are numbered in the order of their names. The images are large: set the split's `resize`, and perhaps `crop`.
    """

    name = "lfw"
    paper = "Huang et al., Labeled Faces in the Wild, technical report 07-49, UMass Amherst, 2007"

    class Options(Dataset.Options):
        root: str = "data"
        """Folder of the people's folders, such as lfw_funneled, or the one above it; relative to the matrix file."""

    options: Options

    def load(self, base_dir: Path) -> Pictures:
        root = base_dir / self.options.root
        known = [root / above / name for above in ABOVE for name in FOLDERS]
        there = [folder for folder in known if folder.is_dir()]
        if len(there) > 1:
            raise InputError(
                f"lfw: expected one version of the images, got {', '.join(map(str, there))}; name one as `root`"
            )
        folder = there[0] if there else root
        paths = [name for name in find_images(folder) if FILE.fullmatch(name)]
        if not paths:
            places = [root, *dict.fromkeys(path.parent / "lfw*" for path in known)]
            raise missing_files(self.name, "files such as <person>/<person>_0001.jpg", places, WAYS)
        people = sorted({path.split("/")[0] for path in paths})
        number = {person: label for label, person in enumerate(people)}
        labels = np.array([number[path.split("/")[0]] for path in paths], dtype=np.int64)
        files = [folder / path for path in paths]
        return Pictures([str(f) for f in files], lambda i: read_image(files[i], colour=True), labels, len(people))
