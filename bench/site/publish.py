"""Writes several boards as one site: one folder, complete or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jinja2 import TemplateRuntimeError

from bench.board.names import slug
from bench.board.rows import Board
from bench.board.site.entry import Compared, Entry
from bench.board.site.links import ASSETS, ATTACKS, GROUPS, INDEX, METHOD
from bench.board.site.write import write_site
from bench.board.write import foreign, replaced
from bench.compare.marks import cannot, marks
from bench.compare.printable import printable
from bench.compare.run import compare_boards
from bench.errors import BenchError, InputError
from bench.published.read import Published, read_published
from bench.site.examine import Examined
from bench.site.exposures import exposure_entries
from bench.site.files import finish_files, write_files
from bench.site.pictures import published_pictures
from bench.site.titles import titles
from bench.verify.recompute import FAILURES, said
from bench.version import __version__

SIGN = "site.json"
"""The file by which a folder is known to be a site: what it is made of."""

WHAT = "a site"
"""What a folder with ``SIGN`` holds, for messages."""

FORMAT = 1
"""Version of ``site.json``."""

FIXED = frozenset({INDEX, ATTACKS, METHOD, GROUPS, ASSETS, SIGN})
"""What every site consists of, beside a folder for each board."""

LONGEST = 1000
"""Characters of a problem, which may quote a long text, on a page."""

UNTOLD = "told where this site was made, and not here, since it may name records"
"""What pages without records say in place of a problem."""

PAGE_FAILURES = (*FAILURES, TemplateRuntimeError)
"""What making the pages raises where a board holds what no run would give: in templates, what is not there."""

_SLUG = re.compile(r"(?:[a-z0-9_-]*-)?[0-9a-f]{10}")


@dataclass(frozen=True, eq=False)
class Baseline:
    """What boards are compared with.

    Attributes:
        published: the opened board; ``name`` is what visitors may know it as.
        across_versions: compare although package versions differ, and say so.
    """

    published: Published
    name: str
    across_versions: bool = False

    def against(self, folder: Path, board: Board, name: str) -> Compared:
        """The marks on a board whose files of numbers lie in a folder."""
        try:
            found = compare_boards(
                self.published,
                read_published(folder),
                across_versions=self.across_versions,
                names=(self.name, name),
            )
        except BenchError as error:
            said = str(error).replace(f"{self.published.folder}/", "").replace(f"{folder}/", "")
            return cannot(self.name, said)
        return marks(found, [row.place for row in board.rows], self.name)


@dataclass(frozen=True)
class Site:
    """A site that was written.

    Attributes:
        folder: where it lies.
        boards: how many; ``rows`` in all of them.
        notes: what a publisher has to know besides, a line each.
    """

    folder: Path
    boards: int
    rows: int
    notes: tuple[str, ...] = field(default=())


def publish(
    boards: Sequence[Examined],
    out: Path,
    name: str | None = None,
    baseline: Baseline | None = None,
    without_records: bool = False,
) -> Site:
    """Write the site of all boards that could be computed again.

    Args:
        boards: in the order of the site; one whose ``board`` is None is left out.
        out: the site's folder; an older site is replaced, files that are no part of it are kept.
        name: of the site; that of a single board, else ``leakboard``, unless given.
        baseline: what each board is compared with.
        without_records: leave out all that shows real records or names members.

    Raises:
        InputError: ``out`` is a file, holds something and no site, or cannot be written; a board cannot be drawn, or
            there is none.
    """
    shown = [(examined, examined.board) for examined in boards if examined.board is not None]
    if not shown:
        raise InputError("expected a board that can be computed again from its scores, got none: no site was written")
    check_place(out)
    called = titles([(examined.name, examined.path) for examined, _ in shown])
    folders = [slug(title) for title in called]
    notes: list[str] = []
    try:
        with replaced(out, own=FIXED | _folders(out) | set(folders), sign=SIGN, what=WHAT) as fresh:
            entries = []
            for (examined, board), title, folder in zip(shown, called, folders, strict=True):
                (fresh / folder).mkdir()
                try:
                    entry, told = _entry(examined, board, title, fresh / folder, baseline, without_records)
                except FAILURES as error:
                    raise _refused(examined, error) from error
                entries.append(entry)
                notes += [f"{title}: {line}" for line in told]
            written = name or (called[0] if len(called) == 1 else "leakboard")
            try:
                write_site(entries, fresh, written)
            except PAGE_FAILURES:
                _blame([examined for examined, _ in shown], entries, written)
                raise
            (fresh / SIGN).write_text(json.dumps(_note(entries, written), indent=1, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise _unwritable(out, error) from error
    return Site(out.resolve(), len(entries), sum(len(entry.board.rows) for entry in entries), tuple(notes))


def _refused(examined: Examined, error: Exception) -> InputError:
    """What no score can tell, such as the course of a training, is taken as it was published, and may be anything."""
    return InputError(
        f"{examined.path}: expected a board whose files can be written and drawn: {said(error)}; leave it out, or ask "
        "whoever made it for another copy"
    )


def _blame(boards: Sequence[Examined], entries: Sequence[Entry], name: str) -> None:
    """Find the board that pages cannot be made of, by writing a site of each alone.

    Raises:
        InputError: naming the first such board; where each of them can be shown alone, the fault is none of theirs.
    """
    for examined, entry in zip(boards, entries, strict=True):
        with TemporaryDirectory() as alone:
            try:
                write_site([entry], Path(alone), name)
            except PAGE_FAILURES as error:
                raise _refused(examined, error) from error


def check_place(out: Path) -> None:
    """Whether a site may be written there, before the time is spent to make it.

    Raises:
        InputError: ``out`` is a file, holds something and no site, or cannot be written.
    """
    try:
        place = out.resolve()
        foreign(place, FIXED, SIGN, WHAT)
        # Whether it can be written is tried: permissions do not say it, of /proc say. Folders that lack are made later.
        above = next(folder for folder in place.parents if folder.exists())
        with TemporaryDirectory(prefix=f".{place.name}.", dir=above):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        raise _unwritable(out, error) from error


def _unwritable(out: Path, error: Exception) -> InputError:
    return InputError(f"--out {out}: expected a folder that can be written: {error}; name another place")


def _entry(
    examined: Examined,
    board: Board,
    title: str,
    folder: Path,
    baseline: Baseline | None,
    without_records: bool,
) -> tuple[Entry, list[str]]:
    """Write a board's files; its entry, and what the publisher has to know."""
    write_files(examined, board, folder)
    compared = None if baseline is None else baseline.against(folder, board, title)
    drawn, told = published_pictures(board, examined.published.folder, folder, without_records)
    finish_files(examined, board, folder, without_records)
    entry = Entry(
        board,
        title,
        drawn,
        exposures=() if without_records else exposure_entries(board, examined.published),
        files=f"{folder.name}/",
        verified=examined.verified,
        compared=compared,
        problems=_told(examined, without_records),
        without_records=without_records,
    )
    return entry, [*told, *([f"compared with {compared.base}: {compared.summary}"] if compared is not None else [])]


def _told(examined: Examined, without_records: bool) -> tuple[str, ...]:
    """What was wrong with a board, a line each, as pages may say it: what differs may be the id of a record."""
    problems = examined.report.problems
    if without_records:
        return (UNTOLD,) * len(problems)
    return tuple(printable(line)[:LONGEST] for line in problems)


def _note(entries: Sequence[Entry], name: str) -> dict[str, Any]:
    """The content of ``site.json``: no time, so that the same boards give the same bytes."""
    return {
        "format": FORMAT,
        "name": name,
        "leakboard": __version__,
        "boards": [
            {
                "title": entry.title,
                "name": entry.board.results.name,
                "folder": entry.files.removesuffix("/"),
                "rows": len(entry.board.rows),
                "verified": None if entry.verified is None else asdict(entry.verified),
                "without_records": entry.without_records,
            }
            for entry in entries
        ],
    }


def _folders(out: Path) -> frozenset[str]:
    """The folders of the boards of an older site; only names that a site gives to folders."""
    try:
        boards = json.loads((out / SIGN).read_text("utf-8"))["boards"]
        found = [board["folder"] for board in boards]
    except (OSError, ValueError, LookupError, TypeError):
        return frozenset()
    return frozenset(name for name in found if isinstance(name, str) and _SLUG.fullmatch(name))
