"""The part of ``bench board`` that publishes a site."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import InputError

if TYPE_CHECKING:
    from bench.board.rows import Board
    from bench.board.site.entry import Compared
    from bench.board.write import Marking
    from bench.site.publish import Baseline

DEFAULT_OUT = Path("site")


def is_matrix(path: Path) -> bool:
    """Whether an argument of ``bench board`` is a matrix file; else it is a published board, or nothing.

    >>> is_matrix(Path("study.yaml")), is_matrix(Path("board.zip"))
    (True, False)
    """
    kind = path.suffix.lower()
    return kind in (".yaml", ".yml") or (kind != ".zip" and path.is_file())


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """SIGTERM ends the block as an error does, exit code 143, so that half of a site is removed and not left beside."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set what a signal does
        return

    def end(number: int, frame: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_ready(paths: Sequence[Path], compare: Path | None, out: Path) -> None:
    """Whether boards can be opened and a site be written, before the time is spent to make it.

    Raises:
        InputError: one of the boards, or what lies at ``out``, cannot be read or replaced.
        MissingError: there is no board at one of the paths.
    """
    from bench.published.open import open_results
    from bench.site.publish import check_place

    check_place(out)
    for path in (*paths, *([compare] if compare is not None else [])):
        with open_results(path):
            pass


def write_site(
    paths: Sequence[Path],
    out: Path,
    name: str | None,
    compare: Path | None,
    across_versions: bool,
    without_records: bool,
) -> int:
    """Verify published boards, write the site of them, and return the exit code: 1 if anything is wrong with one.

    Raises:
        InputError: one of the boards, or what lies at ``out``, cannot be read or replaced; no site is written then.
        MissingError: there is no board at one of the paths.
    """
    from bench.cli.verify import print_problems, printable
    from bench.published.open import open_results
    from bench.site.examine import examine
    from bench.site.publish import publish

    with ExitStack() as opened:
        boards = [(path, opened.enter_context(open_results(path))) for path in paths]
        baseline = None if compare is None else open_baseline(compare, across_versions, opened)
        examined = []
        for path, published in boards:
            print(f"verifying {path}", file=sys.stderr)
            examined.append(examine(path, published))
        wrong = [each for each in examined if each.report.problems]
        for each in wrong:
            print_problems(each.path, each.report)
        for each in wrong:
            said = "left out of the site" if each.board is None else "in the site without the badge 'verified'"
            print(f"{each.path}: {said}, since verifying it found problems", file=sys.stderr)
        if all(each.board is None for each in examined):
            print("no site was written, since no board could be computed again", file=sys.stderr)
            return 1
        site = publish(examined, out, name, baseline, without_records)
    for line in site.notes:
        print(printable(line), file=sys.stderr)
    print(f"\nThe site: {site.folder / 'index.html'} ({_counted(site.boards, 'board')}, {_counted(site.rows, 'row')})")
    return 1 if wrong else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def open_baseline(path: Path, across_versions: bool, opened: ExitStack) -> Baseline:
    """The baseline of ``--compare``, for as long as ``opened`` lives."""
    from bench.published.open import open_results
    from bench.site.publish import Baseline

    return Baseline(opened.enter_context(open_results(path)), path.resolve().name, across_versions)


def marking(baseline: Baseline, board_name: str) -> Marking:
    """Compares a board that is being written with a baseline, and says what came of it."""
    from bench.cli.verify import printable

    def marked(board: Board, folder: Path) -> Compared:
        found = baseline.against(folder, board, board_name)
        print(printable(f"compared with {found.base}: {found.summary}"), file=sys.stderr)
        return found

    return marked


def check_baseline(compare: Path | None, written: Sequence[Path]) -> None:
    """Whether the baseline is none of the boards that this very command replaces.

    Raises:
        InputError: it is one.
    """
    if compare is not None and any(compare.resolve() == folder.resolve() for folder in written):
        raise InputError(
            f"--compare: expected another board than {compare}, which this command writes again: keep the old one "
            "first, with `bench board MATRIX --baseline FOLDER` or --bundle"
        )
