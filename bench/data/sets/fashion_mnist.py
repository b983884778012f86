"""Fashion-MNIST: 70,000 pictures of clothes from idx files."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import model_validator

from bench.data.base import Dataset
from bench.data.idx import load_below, load_idx
from bench.records import Records

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
WAYS = (
    "install the Debian package dataset-fashion-mnist, or set `root` and `download: true`, or fetch the four "
    "*-ubyte.gz files by hand from https://github.com/zalandoresearch/fashion-mnist and name their folder as `root`"
)


class FashionMNIST(Dataset):
    """70,000 grey 28x28 pictures of clothes: the 60,000 training records, then the 10,000 test records."""

    name = "fashion_mnist"
    paper = "Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset, arXiv:1708.07747, 2017"

    class Options(Dataset.Options):
        root: str | None = None
        """Folder of the idx files, or one with torchvision's FashionMNIST/raw below it; relative to the matrix file.

        Without one, the folder of the Debian package dataset-fashion-mnist."""
        download: bool = False
        """Whether torchvision may fetch the files to the root where they are not there."""

        @model_validator(mode="after")
        def _a_place_to_download_to(self) -> Self:
            if self.download and self.root is None:
                raise ValueError("expected a `root` to download to, got none")
            return self

    options: Options

    def load(self, base_dir: Path) -> Records:
        if self.options.root is None:
            return load_idx(self.name, [DEBIAN_FOLDER], WAYS)
        root = base_dir / self.options.root
        return load_below(self.name, root, "FashionMNIST", WAYS, may_download=self.options.download)
