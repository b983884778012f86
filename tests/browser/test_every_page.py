"""Every page of a site: opens from the disk, asks nobody, can be used by everyone, and leads nowhere that is not."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from chromium import Opens
from playwright.sync_api import Page, ViewportSize

KINDS = {
    "leaderboard": "index.html",
    "attacks": "attacks.html",
    "method": "method.html",
    "a trial group": "trials/digits-dcgan-none-*.html",
    "a stack with a claim": "trials/digits-dcgan-dropout*dp_sgd*.html",
    "hostile names": "trials/digits-dcgan-*script*.html",
    "failed trials": "trials/digits-dcgan-raises-*.html",
    "rows of a table": "trials/wine-tvae-none-*.html",
}
SCREENS: tuple[ViewportSize, ...] = (
    {"width": 1440, "height": 900},
    {"width": 1024, "height": 768},
    {"width": 768, "height": 1024},
    {"width": 390, "height": 844},
)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


class Read(HTMLParser):
    """Ids and links of a page as it was written."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.links += [value for key in ("href", "src") if (value := given.get(key)) is not None]


def file_of(site: Path, kind: str) -> Path:
    (found, *_) = sorted(site.glob(KINDS[kind]))
    return found


def faults(page: Page) -> list[str]:
    """What axe-core finds that keeps people from using the page."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    # Not preloaded: axe would fetch the style sheets again, which the page's own policy forbids.
    options = {"preload": False, "resultTypes": ["violations"]}
    found = page.evaluate("async (options) => (await axe.run(options)).violations", options)
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {[node['target'] for node in rule['nodes']][:3]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_from_the_disk_and_can_be_used_by_everyone(opens: Opens, site: Path, kind: str) -> None:
    # That there was no error and no request is asserted by `opens`.
    with opens() as page, opens(java_script_enabled=False) as plain:
        for each in (page, plain):
            each.goto(file_of(site, kind).as_uri())
        assert page.locator("h1").count() == 1
        assert page.locator("h1").inner_text()
        can_be_read_without_scripts(page, plain, kind)
        broken = "[...document.images].filter((each) => each.complete && !each.naturalWidth).map((each) => each.src)"
        assert page.evaluate(broken) == []
        width = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        for screen in SCREENS:
            page.set_viewport_size(screen)
            scrolled, shown = page.evaluate(width)
            assert scrolled <= shown == screen["width"]
            for scheme in SCHEMES if screen in (SCREENS[0], SCREENS[-1]) else ():
                page.emulate_media(color_scheme=scheme)
                assert faults(page) == [], (screen, scheme)


def can_be_read_without_scripts(page: Page, plain: Page, kind: str) -> None:
    assert plain.locator("h1").inner_text() == page.locator("h1").inner_text()
    assert plain.locator("main h2").all_inner_texts() == page.locator("main h2").all_inner_texts()
    if kind == "attacks":  # thousands of rows are left to the script; the heat map has every figure
        assert plain.locator("noscript .alarm").is_visible()
        assert plain.locator("section.heat tbody tr").count() == page.locator("section.heat tbody tr").count() > 5
    else:
        assert plain.locator("tbody tr").count() == page.locator("tbody tr").count() > 0
    # A control that does nothing without scripts is not offered.
    assert plain.locator("input:visible, select:visible, button[data-reset]:visible").count() == 0


def test_names_are_text_and_no_page_is_written_outside(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    names = page.locator("#leaderboard tbody th").all_inner_texts()
    for name in ("<script>alert(1)</script>", "../../up", "Dropout(rate=0.5)", "dropout(rate=0.5)"):
        assert sum(name in shown for shown in names) >= 1, name
    folder = site / "trials"
    assert len(list(folder.iterdir())) == len(names) == len({path.name.lower() for path in folder.iterdir()})


def test_every_link_leads_to_a_file_or_an_id(site: Path) -> None:
    pages = {path: Read(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert len(pages) == 3 + 11
    for path, read in pages.items():
        assert len(read.ids) == len(set(read.ids)), path
        for link in read.links:
            if link.startswith("data:"):
                continue
            there = urlsplit(urljoin(path.as_uri(), link))
            assert there.scheme == "file", f"{path.name} leads away: {link}"
            target = Path(unquote(there.path))
            assert target.is_relative_to(site), f"{path.name} leads out of the folder: {link}"
            assert target.exists(), f"{path.name}: {link} is not there"
            if there.fragment and not there.fragment.startswith("?"):
                assert unquote(there.fragment) in pages[target].ids, f"{path.name}: no such place: {link}"
