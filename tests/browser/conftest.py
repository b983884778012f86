"""One Chromium for all tests, a site of planted results, and pages that fail their test when anything is amiss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chromium import Opens, chromium
from filelock import FileLock
from planted_site import write
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

WIDE: ViewportSize = {"width": 1440, "height": 900}


@dataclass(frozen=True)
class Tab:
    """A page, and what went wrong in it."""

    page: Page
    seen: list[str]


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


@pytest.fixture(scope="session")
def free(browser: Browser) -> dict[str, list[Tab]]:
    """Tabs that no test uses now, by the options that they were made with: a new one costs more than a page in it."""
    return {}


@pytest.fixture
def opens(browser: Browser, site: Path, free: dict[str, list[Tab]]) -> Opens:
    """For a test that needs several pages, or other settings than ``page`` has."""

    @contextmanager
    def opens(**options: Any) -> Iterator[Page]:
        waiting = free.setdefault(repr(sorted(options.items())), [])
        tab = waiting.pop() if waiting else made(browser, site, options)
        try:
            yield tab.page
            tab.page.goto("about:blank")
            tab.page.set_viewport_size(WIDE)
            tab.page.emulate_media(media="null", color_scheme="null")
            tab.page.mouse.move(0, 0)
            assert tab.seen == []
        except BaseException:  # the next test shall not see what this one left
            tab.page.context.close()
            raise
        waiting.append(tab)

    return opens


@pytest.fixture
def page(opens: Opens) -> Iterator[Page]:
    """An empty page; an error in it, or a request of anything but the site's own files, fails the test at its end."""
    with opens() as made:
        yield made


def made(browser: Browser, site: Path, options: dict[str, Any]) -> Tab:
    context = browser.new_context(viewport=WIDE, **options)
    seen = watched(context, site)
    return Tab(context.new_page(), seen)


def watched(context: BrowserContext, site: Path) -> list[str]:
    """What goes wrong in the pages of a context, as it happens: errors, and requests that leave the site's folder."""
    seen: list[str] = []
    own = (f"{site.as_uri()}/", "data:", "about:blank")
    context.on("console", lambda said: seen.append(f"console: {said.text}") if said.type == "error" else None)
    context.on("weberror", lambda error: seen.append(f"error: {error.error}"))
    context.on("request", lambda sent: None if sent.url.startswith(own) else seen.append(f"request: {sent.url}"))
    context.on("requestfailed", lambda sent: seen.append(f"failed: {sent.url}: {sent.failure}"))
    return seen
