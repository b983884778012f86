"""Writes the pages of a site."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.board.site import attacks, group, leaderboard, method
from bench.board.site.entry import Entry
from bench.board.site.links import ASSETS, ATTACKS, GROUPS, INDEX, METHOD, group_file

OWN_ASSETS = Path(__file__).parent.parent / "assets"


def write_site(entries: Sequence[Entry], folder: Path, name: str) -> None:
    """Every page and what the pages load; files of numbers and pictures are there already.

    Args:
        entries: the boards, each with a title of its own; the first row of the first is the first of the site.
        folder: an existing folder.
        name: of the site.
    """
    pages = {
        INDEX: leaderboard.page(entries, name),
        ATTACKS: attacks.page(entries, name),
        METHOD: method.page(entries, name),
        **{
            group_file(entry, row.place): group.page(entry, row, name, len(entries) > 1)
            for entry in entries
            for row in entry.board.rows
        },
    }
    (folder / GROUPS).mkdir(exist_ok=True)
    for file, text in pages.items():
        (folder / file).write_text(text, encoding="utf-8")
    (folder / ASSETS).mkdir(exist_ok=True)
    for asset in sorted(OWN_ASSETS.iterdir()):
        if asset.is_file():
            shutil.copyfile(asset, folder / ASSETS / asset.name)
