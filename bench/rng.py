"""Named random generators: every draw of the suite comes from one of these.

A generator is derived from a root seed and a purpose, so two purposes never share a stream and adding a draw in
one place changes no other. There is no global state.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Purpose = str | int


def derive_seed(seed: int, *purpose: Purpose) -> int:
    """A 63-bit seed for ``purpose`` under the root ``seed``.

    >>> derive_seed(0, "split") == derive_seed(0, "split")
    True
    >>> derive_seed(0, "split") == derive_seed(0, "weights")
    False
    """
    text = "\x1f".join([str(int(seed)), *(f"{type(p).__name__}:{p}" for p in purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: Purpose) -> np.random.Generator:
    """A numpy generator of its own for ``purpose``."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *purpose)))


def torch_generator(seed: int, *purpose: Purpose, device: str = "cpu") -> torch.Generator:
    """A torch generator of its own for ``purpose``, living on ``device``."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *purpose))


class RecordRng:
    """Randomness keyed by record id: a record's draws do not depend on the other candidates or their order.

    Args:
        seed: the root seed.
        purpose: what the draws are for, part of every stream's name.
    """

    def __init__(self, seed: int, *purpose: Purpose) -> None:
        self.seed = derive_seed(seed, *purpose)

    def shared(self, *purpose: Purpose) -> np.random.Generator:
        """A generator for draws that are the same for all records (a projection, a fold assignment)."""
        return generator(self.seed, "shared", *purpose)

    def record(self, record_id: int, *purpose: Purpose) -> np.random.Generator:
        """A generator that belongs to one record."""
        return generator(self.seed, "record", int(record_id), *purpose)

    def uniform(self, ids: NDArray[np.int64], *purpose: Purpose) -> NDArray[np.float64]:
        """One draw from U[0, 1) per record id, shape ``(len(ids),)``."""
        return np.array([self.record(int(i), *purpose).random() for i in ids], dtype=np.float64)
