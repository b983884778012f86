"""One Chromium for all tests, a site of planted results, and pages that fail their test when anything is amiss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from filelock import FileLock
from planted_site import write
from playwright.sync_api import Browser, BrowserContext, Page

Opens = Callable[..., Any]
"""Makes a page in a context of its own, with the options of ``Browser.new_context``."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def site(shared: Path) -> Path:
    """The folder of a board with its pages, written once for all workers; no test may change it."""
    folder = shared / "planted-site"
    with FileLock(shared / "planted-site.lock"):
        if not (folder / "index.html").exists():
            write(folder)
    return folder


@pytest.fixture
def opens(browser: Browser, site: Path) -> Opens:
    """For a test that needs several pages, or other settings than ``page`` has."""

    @contextmanager
    def opens(**options: Any) -> Iterator[Page]:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        seen = watched(context, site)
        try:
            yield context.new_page()
        finally:
            context.close()
        assert seen == []

    return opens


@pytest.fixture
def page(opens: Opens) -> Iterator[Page]:
    """An empty page; an error in it, or a request of anything but the site's own files, fails the test at its end."""
    with opens() as made:
        yield made


def watched(context: BrowserContext, site: Path) -> list[str]:
    """What goes wrong in the pages of a context, as it happens: errors, and requests that leave the site's folder."""
    seen: list[str] = []
    own = (f"{site.as_uri()}/", "data:", "about:blank")
    context.on("console", lambda said: seen.append(f"console: {said.text}") if said.type == "error" else None)
    context.on("weberror", lambda error: seen.append(f"error: {error.error}"))
    context.on("request", lambda sent: None if sent.url.startswith(own) else seen.append(f"request: {sent.url}"))
    context.on("requestfailed", lambda sent: seen.append(f"failed: {sent.url}: {sent.failure}"))
    return seen
