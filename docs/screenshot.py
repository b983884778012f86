"""A picture of a board, such as the README has: ``python docs/screenshot.py results/quickstart docs/leaderboard.png``.

Opens ``index.html`` of a results folder in Chromium and takes the part from its title to the end of the leaderboard.
The PNG has a palette of 256 colours, which keeps it small.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

HEIGHT = 900


def picture(page_file: Path, width: int, scale: float, dark: bool, full_page: bool) -> bytes:
    """PNG of a page, from its title to the end of the leaderboard or all of it."""
    from chromium import chromium

    with chromium() as browser:
        page = browser.new_page(
            viewport={"width": width, "height": HEIGHT},
            device_scale_factor=scale,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        page.goto(page_file.as_uri())
        page.wait_for_load_state("load")
        if full_page:
            return page.screenshot(full_page=True)
        end = page.locator("#leaderboard .scroll").bounding_box()
        if end is None:
            raise ValueError(f"expected a leaderboard in {page_file}, found none: is it of an older version?")
        box = {"x": 0, "y": 0, "width": width, "height": end["y"] + end["height"] + 8}
        return page.screenshot(full_page=True, clip=box)


def main() -> None:
    parser = argparse.ArgumentParser(description="A picture of a board's page.")
    parser.add_argument("results", type=Path, help="folder with an index.html, such as results/quickstart")
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("--width", type=int, default=1440, help="of the window, CSS pixels (1440)")
    parser.add_argument("--scale", type=float, default=1.0, help="pixels of the picture per CSS pixel (1)")
    parser.add_argument("--dark", action="store_true", help="the dark colours")
    parser.add_argument("--full-page", action="store_true", help="the whole page, not the leaderboard alone")
    given = parser.parse_args()
    page_file = (given.results / "index.html").resolve()
    if not page_file.is_file():
        parser.error(f"expected a folder with a board, but there is no {page_file}: write one with `bench board`")
    from chromium import NoBrowserError
    from PIL import Image

    try:
        png = picture(page_file, given.width, given.scale, given.dark, given.full_page)
    except NoBrowserError as error:
        sys.exit(f"screenshot: {error}")
    # Text and lines have few colours: without dithering a palette is exact enough and a third of the size.
    small = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(given.out, optimize=True)
    print(f"{given.out}: {small.width} x {small.height} pixels, {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
