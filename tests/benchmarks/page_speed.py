"""How fast the pages of a large site open, sort and filter in Chromium: ``python tests/benchmarks/page_speed.py``.

Writes a site with thousands of planted attack rows into a temporary folder, opens it from the disk in a fresh context
for every run, and prints each run and the medians, in milliseconds. A figure ends where the second frame after the act
has begun, so that the first one was painted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
for folder in (HERE.parents[1], HERE.parent / "browser", HERE.parent / "bench" / "board"):
    sys.path.insert(0, str(folder))

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from bench.board.rows import Board

ATTACKS = 20
"""Attacks on each row of the leaderboard."""

MEMBERS, NONMEMBERS = 20, 40
"""Candidates of an attack: few, since no figure of a page depends on how many there are."""

MEASURES = ("index: open", "index: sort", "index: filter", "attacks: open", "attacks: sort", "attacks: filter")

# Time from the start of the navigation to the second frame in which there are rows.
OPENED = """
() => new Promise((resolve) => {
  const look = () => {
    const row = document.querySelector(".board tbody tr, #attack-table tbody tr");
    if (document.readyState !== "complete" || !row) { requestAnimationFrame(look); return; }
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now())));
  };
  look();
})
"""

# Time from an act to the second frame after it.
ACTED = """
([selector, letters]) => new Promise((resolve) => {
  const element = document.querySelector(selector);
  const start = performance.now();
  if (letters === null) element.click();
  else { element.value = letters; element.dispatchEvent(new Event("input", { bubbles: true })); }
  requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - start)));
})
"""


def large(rows: int, targets: int) -> Board:
    """A board with about so many attack rows, a leaderboard row for each ``ATTACKS`` of them, over so many targets."""
    from planted_board import cell, results, trial

    from bench.board.rows import build

    defenses = [f"defense_{i % 17}(strength={i})" for i in range(max(1, rows // ATTACKS))]
    access = ("samples", "white_box", "latent", "decision")
    size = {"members": MEMBERS, "nonmembers": NONMEMBERS}
    places = [(defense, f"target_{i % targets}") for i, defense in enumerate(defenses)]
    trials = tuple(trial(defense, target=target, sheet=None, history={}) for defense, target in places)
    cells = tuple(
        cell(f"attack_{a}", defense, target=target, shift=((i * 7 + a) % 30) / 15, access=access[a % 4], **size)
        for i, (defense, target) in enumerate(places)
        for a in range(ATTACKS)
    )
    return build(results(trials, cells, settings={"sets": [10], "resamples": 40}))


def measure(browser: Browser, folder: Path) -> list[float]:
    """Milliseconds of each of ``MEASURES``, in a context that has nothing cached."""
    found = []
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    for page_name, table in (("index", "#leaderboard"), ("attacks", "#attack-table")):
        page = context.new_page()
        page.goto((folder / f"{page_name}.html").as_uri(), wait_until="commit")
        found.append(float(page.evaluate(OPENED)))
        for selector, letters in ((f"{table} th[data-key=auc] button", None), (f"{table} [data-search]", "7")):
            found.append(float(page.evaluate(ACTED, [selector, letters])))
        page.close()
    context.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the pages of a large site open, sort and filter.")
    parser.add_argument("--rows", type=int, default=10_000, help="attack rows of the site (10,000)")
    parser.add_argument("--targets", type=int, default=10, help="targets, and so heat maps, of the site (10)")
    parser.add_argument("--runs", type=int, default=5, help="times that each page is opened (5)")
    given = parser.parse_args()
    if given.rows < ATTACKS or min(given.runs, given.targets) < 1:
        parser.error(f"expected --rows of at least {ATTACKS}, --targets and --runs of at least 1")
    from chromium import NoBrowserError, chromium

    from bench.board.site.entry import Entry
    from bench.board.site.write import write_site

    try:
        with chromium() as browser, tempfile.TemporaryDirectory() as scratch:
            board = large(given.rows, given.targets)
            write_site([Entry(board, "planted")], Path(scratch), "planted")
            size = {name: (Path(scratch) / f"{name}.html").stat().st_size / 2**20 for name in ("index", "attacks")}
            cores = len(os.sched_getaffinity(0))
            rows = f"{len(board.attacks):,} attack rows, {len(board.rows):,} rows of the leaderboard"
            print(f"Chromium {browser.version}, {cores} cores; {rows}")
            print(f"index.html {size['index']:.1f} MiB, attacks.html {size['attacks']:.1f} MiB; milliseconds")
            print(f"{'run':<8}{''.join(f'{name:>17}' for name in MEASURES)}")
            runs = []
            for run in range(given.runs):
                runs.append(measure(browser, Path(scratch)))
                print(f"{run + 1:<8}{''.join(f'{value:17.0f}' for value in runs[-1])}", flush=True)
            print(f"{'median':<8}{''.join(f'{statistics.median(each):17.0f}' for each in zip(*runs, strict=True))}")
    except NoBrowserError as error:
        sys.exit(f"page_speed: {error}")


if __name__ == "__main__":
    main()
