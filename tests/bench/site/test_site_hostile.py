"""Nothing that a stranger wrote runs, or is even there, in a site that shows a stranger's board."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from planted_board import quality
from published_boards import edit_json, planted, problems, rehash
from site_of import files_in, site_of

from bench.board.draw import write_plots
from bench.board.rows import build
from bench.board.write import write_board
from bench.errors import InputError
from bench.site import raster
from bench.site.raster import take_over

MARK = "planted-by-a-stranger"
SCRIPT = f"<script>/* {MARK} */</script>"


def test_pages_pictures_and_scripts_of_a_board_are_not_copied(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = [
        *("index.html", "attacks.html", "method.html", "trials/x.html", "assets/site.css", "assets/table.js"),
        *("plots/scatter-digits.svg", "plots/x.svg", "plots/x.html", "leaderboard.md", "leaderboard.txt"),
        *("matrix.yaml", "references.bib", "scores/x.html", "splits/x.js", "exposure/x.svg", "evil.html"),
    ]
    for name in planted:
        (theirs / name).parent.mkdir(exist_ok=True)
        (theirs / name).write_text(SCRIPT)
    comment = PngImagePlugin.PngInfo()
    comment.add_text("Comment", SCRIPT)
    for path in (theirs / "plots").glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
        picture.save(path, pnginfo=comment)
        path.write_bytes(path.read_bytes() + SCRIPT.encode())
    rehash(theirs)
    assert len([name for name in files_in(theirs) if MARK.encode() in (theirs / name).read_bytes()]) > 20
    monkeypatch.setattr("bench.site.pictures.write_plots", write_plots)  # the drawing itself, this once
    out = site_of(theirs, out=tmp_path / "site").folder
    held = {name: (out / name).read_text() for name in files_in(out) if MARK.encode() in (out / name).read_bytes()}
    assert {Path(name).suffix for name in held} <= {".html"}  # as text, where the pages say what was wrong
    assert not [name for name, page in held.items() if SCRIPT in page]
    for kind in ("samples", "training", "roc", "scatter"):
        assert [name for name in files_in(out) if f"plots/{kind}" in name], kind


def test_a_label_is_text_and_leaves_no_folder(theirs: Path, tmp_path: Path) -> None:
    def rename(folder: Path) -> None:
        payload = json.loads((folder / "leaderboard.json").read_text())
        payload["name"] = f"../../{SCRIPT}"
        (folder / "leaderboard.json").write_text(json.dumps(payload))
        rehash(folder)

    rename(theirs)
    out = site_of(theirs, out=tmp_path / "in" / "site").folder
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["site"]
    pages = [path.read_text() for path in out.rglob("*.html")]
    assert len(pages) == 5
    assert any(MARK in page for page in pages)
    assert not any(f"<script>/* {MARK}" in page for page in pages)


def test_no_spreadsheet_computes_a_label(tmp_path: Path) -> None:
    """An honest board with such labels verifies, and all of its tables hold them as text."""
    label, reason = "=HYPERLINK(1)", "\t@SUM(1)"
    made = planted()

    def renamed(parts: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(replace(part, defense=label) if part.defense == "dropout" else part for part in parts)

    found = replace(
        made,
        trials=tuple(replace(t, quality=quality(-1.5)) for t in renamed(made.trials)),
        cells=tuple(replace(c, reason=reason) if c.reason else c for c in renamed(made.cells)),
        snapshots=renamed(made.snapshots),
    )
    folder = write_board(build(found), tmp_path / "board").folder
    text = [path.read_text() for path in folder.glob("*.csv")]
    cells = [each for table in text for row in csv.reader(io.StringIO(table)) for each in row]
    assert {each for each in cells if each.startswith("'")} == {"'=HYPERLINK(1)", "'@SUM(1)"}
    computed = [each for each in cells if each.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert computed  # negative numbers, which are no text
    assert all(float(each) < 0 for each in computed)
    assert problems(folder) == []
    payload = json.loads((folder / "leaderboard.json").read_text())
    assert [row["defense"] for row in payload["leaderboard"]] == ["none", label]


def test_links_out_of_the_folder_are_not_followed(theirs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("L", (3, 3), 77).save(secret)
    target = next((theirs / "plots").glob("samples-*.png"))
    target.unlink()
    os.symlink(secret, target)
    site = site_of(theirs, out=tmp_path / "site")
    assert not list(site.folder.glob(f"*/plots/{target.name}"))
    assert [note for note in site.notes if "got a link" in note]


def test_a_board_names_no_other_files(theirs: Path, tmp_path: Path) -> None:
    """The names of files are this code's own, whatever a board calls them."""
    edit_json(theirs, lambda payload: payload["exposures"][0].update(file="../../stolen.npz"))
    out = site_of(theirs, out=tmp_path / "in" / "site").folder
    assert not list(tmp_path.rglob("stolen*"))
    assert len(list(out.glob("*/exposure/*.npz"))) == 2


def test_a_bundle_is_published_without_what_it_must_not_hold(theirs: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("index.html", SCRIPT)
        archive.write(theirs / "leaderboard.json", "leaderboard.json")
    with pytest.raises(InputError, match="expected files of the kinds"):
        site_of(tmp_path / "b.zip", out=tmp_path / "site")
    assert not (tmp_path / "site").exists()


# pictures


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pixels_are_taken_over(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        picture = Image.new(mode, (5, 4), 300)
    else:
        picture = Image.linear_gradient("L").resize((5, 4)).convert(mode)
    picture.save(tmp_path / "a.png")
    take_over(tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as old, Image.open(tmp_path / "b.png") as new:
        assert new.format == "PNG"
        assert new.convert("RGBA").tobytes() == old.convert("RGBA").tobytes()


def test_what_is_no_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "fine.png")
    content = (tmp_path / "fine.png").read_bytes()
    for name, wrong in {"svg": b"<svg/>", "cut": content[: len(content) // 2], "empty": b""}.items():
        (tmp_path / f"{name}.png").write_bytes(wrong)
        with pytest.raises(InputError, match=rf"{name}\.png: expected a PNG, which cannot be decoded"):
            take_over(tmp_path / f"{name}.png", tmp_path / "out.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "jpeg.png", format="JPEG")
    with pytest.raises(InputError, match="cannot be decoded"):
        take_over(tmp_path / "jpeg.png", tmp_path / "out.png")
    monkeypatch.setattr(raster, "MAX_PIXELS", 1599)
    with pytest.raises(InputError, match="expected at most 1599 pixels, got 1600"):
        take_over(tmp_path / "fine.png", tmp_path / "out.png")
    monkeypatch.setattr(raster, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="expected a picture of at most 10 bytes"):
        take_over(tmp_path / "fine.png", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
