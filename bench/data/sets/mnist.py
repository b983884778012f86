"""MNIST: 70,000 digits from idx files."""

from __future__ import annotations

from pathlib import Path

from bench.data.base import Dataset
from bench.data.idx import load_below
from bench.records import Records

WAYS = (
    "set `download: true`, or fetch the four *-ubyte.gz files by hand from "
    "https://ossci-datasets.s3.amazonaws.com/mnist/ and name their folder as `root`"
)


class MNIST(Dataset):
    """70,000 grey 28x28 digits: the 60,000 training records, then the 10,000 test records."""

    name = "mnist"
    paper = "LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE, 1998"

    class Options(Dataset.Options):
        root: str = "data"
        """Folder of the idx files, or one with torchvision's MNIST/raw below it; relative to the matrix file."""
        download: bool = False
        """Whether torchvision may fetch the files to the root where they are not there."""

    options: Options

    def load(self, base_dir: Path) -> Records:
        root = base_dir / self.options.root
        return load_below(self.name, root, "MNIST", WAYS, may_download=self.options.download)
