"""What a step costs: seconds, and memory sampled while it runs."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

from bench.devices import Device

INTERVAL_S = 0.05


class Meter:
    """Measures wall time and peak memory between entering and leaving.

    The resident memory is sampled during the step, because the high-water mark of a reused worker depends on what
    ran before.
    """

    def __init__(self, device: Device) -> None:
        import psutil

        self.device = device
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._peak = 0
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while True:
            self._peak = max(self._peak, self._process.memory_info().rss)
            if self._stop.wait(INTERVAL_S):
                return

    def __enter__(self) -> Self:
        self.device.reset_peak_memory()
        self._start = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.device.synchronize()
        self.wall_s = time.perf_counter() - self._start
        self._stop.set()
        self._thread.join()

    def cost(self, items: int, precision: str) -> dict[str, Any]:
        """The figures as JSON, fields of ``bench.results.Cost``."""
        return {
            "wall_s": self.wall_s,
            "peak_mem_mib": self._peak / 2**20,
            "gpu_peak_mem_mib": self.device.peak_memory_mib(),
            "items": items,
            "device": self.device.kind,
            "precision": precision,
        }
