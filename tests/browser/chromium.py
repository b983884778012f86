"""A headless Chromium for the tests of pages and for the scripts that look at pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Opens = Callable[..., Any]
"""Gives an empty page of a context with these options of ``Browser.new_context``, which no test has at this time."""

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",  # without it Chromium does not start as root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowserError(RuntimeError):
    """There is nothing to open pages with; the message says what to install."""


def executable() -> str:
    """The path of Chromium: of ``LEAKBOARD_CHROMIUM``, else the first of ``NAMES`` that is installed.

    Raises:
        NoBrowserError: there is none.
    """
    given = os.environ.get("LEAKBOARD_CHROMIUM", "")
    if given and shutil.which(given) is None:
        raise NoBrowserError(f"expected LEAKBOARD_CHROMIUM to be the path of Chromium, got {given!r}")
    found = given or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise NoBrowserError(
            f"expected Chromium to open pages with, found none of {', '.join(NAMES)}: install it "
            "(Debian: `apt-get install chromium`), or set LEAKBOARD_CHROMIUM to its path"
        )
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium.

    Raises:
        NoBrowserError: Chromium or the package playwright is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NoBrowserError(
            "expected the package playwright: `pip install playwright`, or the extra `test`"
        ) from error
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
