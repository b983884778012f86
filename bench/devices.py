"""The one module that names a device: where tensors live, in which arithmetic, and what the device used.

Every other module takes a ``Device`` as an argument and never asks which kind it is.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from bench.errors import InputError

if TYPE_CHECKING:
    import torch

DeviceKind = Literal["cpu", "cuda", "mps"]
Precision = Literal["float32", "bf16"]
KINDS: tuple[DeviceKind, ...] = get_args(DeviceKind)
DEFAULT: DeviceKind = "cpu"


@dataclass(frozen=True)
class Device:
    """A place to compute and the arithmetic to use there.

    Attributes:
        kind: ``cpu``, ``cuda`` or ``mps``; part of a step's identity, since arithmetic differs between kinds.
        index: which GPU; never part of an identity.
        precision: ``float32``, or ``bf16`` autocast for the non-private part of training.
    """

    kind: DeviceKind = "cpu"
    index: int = 0
    precision: Precision = "float32"

    @property
    def name(self) -> str:
        """The name that torch takes."""
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind

    def autocast(self) -> AbstractContextManager[None]:
        """Mixed precision where asked; private networks are trained outside it, in float32."""
        import torch

        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.kind, dtype=torch.bfloat16)

    def synchronize(self) -> None:
        """Wait until queued work is done, so that a timing means something."""
        import torch

        if self.kind == "cuda":
            torch.cuda.synchronize(self.index)
        elif self.kind == "mps":
            torch.mps.synchronize()

    def reset_peak_memory(self) -> None:
        """Start a new measurement of the GPU's peak memory."""
        import torch

        if self.kind == "cuda":
            torch.cuda.reset_peak_memory_stats(self.index)

    def peak_memory_mib(self) -> float | None:
        """Highest GPU memory since the last reset, MiB; None where the device keeps no such count."""
        import torch

        if self.kind == "cuda":
            return torch.cuda.max_memory_allocated(self.index) / 2**20
        return None


def available(kind: DeviceKind) -> bool:
    """Whether a device of this kind can be used here."""
    import torch

    if kind == "cuda":
        return torch.cuda.is_available()
    if kind == "mps":
        return torch.backends.mps.is_available()
    return True


def count(kind: DeviceKind) -> int:
    """How many devices of this kind there are (cores do not count as devices: 1 for the CPU)."""
    import torch

    return max(1, torch.cuda.device_count()) if kind == "cuda" else 1


def of_worker(kind: DeviceKind, worker: int) -> Device:
    """The device of one worker: GPUs are dealt out in turn."""
    return Device(kind, worker % count(kind))


def default_workers(kind: DeviceKind) -> int:
    """One worker per core this process may use, or per GPU."""
    if kind != "cpu":
        return count(kind)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def require(kind: DeviceKind) -> None:
    """Check that the asked kind of device is there.

    Raises:
        InputError: it is not.
    """
    if not available(kind):
        raise InputError(
            f"expected a {kind} device because the run asks for `device: {kind}`, but torch sees none here; "
            "install a torch build with support for it, or run with --device cpu"
        )


def single_thread() -> None:
    """One thread for this process's tensor work: workers share the cores, one each."""
    import torch

    torch.set_num_threads(1)


def deterministic() -> None:
    """Ask for deterministic kernels where the device offers them; float32 products stay float32."""
    import torch

    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def generator_device(device: Device) -> str:
    """Where a generator for this device has to live."""
    return "cpu" if device.kind == "mps" else device.name


def to_device(tensor: torch.Tensor, device: Device) -> torch.Tensor:
    """The tensor on the device; images are laid out channels-last, which is faster for convolutions."""
    import torch

    if tensor.dim() == 4:
        return tensor.to(device.name, memory_format=torch.channels_last)
    return tensor.to(device.name)
