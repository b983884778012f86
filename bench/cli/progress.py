"""Live progress: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from bench.cli.common import duration
from bench.plan.estimate import History
from bench.plan.graph import Step
from bench.steps.task import Outcome
from bench.store import Store

REPORT_EVERY_S = 20.0  # plain lines about running steps
RESCAN_EVERY_S = 5.0  # how often past costs are read again


class Progress:
    """Counts steps and says when the run will end.

    Args:
        steps: what will be run.
        store: where costs are kept.
        workers: how many steps run at once.
        stream: where it writes; bars only if that is a terminal.
    """

    def __init__(self, steps: Sequence[Step], store: Store, workers: int, stream: TextIO = sys.stderr) -> None:
        self.steps = {step.id: step for step in steps}
        self.open = dict(self.steps)
        self.fraction: dict[str, float] = {}
        self.store, self.workers, self.stream = store, workers, stream
        self.started = self.reported = time.monotonic()
        self.scanned = float("-inf")
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        if stream.isatty():
            self._open_bars()

    def eta(self) -> str:
        """Expected time to the end, with how many steps nothing is known about yet."""
        now = time.monotonic()
        if now - self.scanned > RESCAN_EVERY_S:
            self.history, self.scanned = History(self.store, list(self.steps.values())), now
        left, unknown = 0.0, 0
        for step in self.open.values():
            seconds = self.history.seconds(step)
            unknown += seconds is None
            left += (seconds or 0.0) * (1 - self.fraction.get(step.id, 0.0))
        if not left:
            return "ETA unknown yet"
        return f"ETA {duration(left / self.workers)}" + (f" + {unknown} steps not yet estimated" if unknown else "")

    def step_progress(self, step_id: str, done: int, total: int) -> None:
        """A running step got so far; called from the client's own thread."""
        if step_id not in self.open:
            return
        self.fraction[step_id] = done / max(1, total)
        if self._bars is not None:
            self._bar(step_id, done, total)
        elif time.monotonic() - self.reported > REPORT_EVERY_S:
            self.reported = time.monotonic()
            running = ", ".join(f"{self.open[s].label} {f:.0%}" for s, f in self.fraction.items() if s in self.open)
            self._line(f"running: {running}")

    def step_ended(self, outcome: Outcome) -> None:
        """A step ended: one line, whatever became of it."""
        step_id = f"{outcome.kind}-{outcome.key}"
        self.open.pop(step_id, None)
        self.fraction.pop(step_id, None)
        reason = f": {outcome.reason}" if outcome.reason else ""
        took = f" ({outcome.wall_s:.1f} s)" if outcome.status == "done" else ""
        self._line(f"{outcome.status:7} {outcome.label}{took}{reason}")
        if outcome.traceback:
            self._line(outcome.traceback.rstrip())
        if self._bars is not None:
            if step_id in self._tasks:
                self._bars.remove_task(self._tasks.pop(step_id))
            self._bars.update(self._all, completed=len(self.steps) - len(self.open), description=self.eta())

    def close(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()

    def _line(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
            return
        done = len(self.steps) - len(self.open)
        passed = duration(time.monotonic() - self.started)
        print(f"[{done:>3}/{len(self.steps)} {passed} {self.eta()}] {text}", file=self.stream, flush=True)

    def _open_bars(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(file=self.stream),
        )
        self._bars.start()
        self._all = self._bars.add_task("starting workers", total=len(self.steps))

    def _bar(self, step_id: str, done: int, total: int) -> None:
        if step_id not in self._tasks:
            self._tasks[step_id] = self._bars.add_task(self.open[step_id].label, total=total)
        self._bars.update(self._tasks[step_id], completed=done)
        self._bars.update(self._all, description=self.eta())
