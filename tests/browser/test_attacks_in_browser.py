"""The page of attacks in a real browser, opened from the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from planted_board import cell, controls, idle, results, trial
from playwright.sync_api import Browser, Error, Page, Request

from bench.board.rows import build
from bench.board.site import attacks
from bench.board.site.entry import Entry

ASSETS = Path(attacks.__file__).parents[1] / "assets"
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attacks")
    cells: list[Any] = [
        cell("alpha", shift=1.0),
        cell("beta", shift=2.0, access="white_box", adaptive=True),
        cell("gamma", shift=0.0, knowledge="reference"),
        idle("beta", "failed", "out of memory", EVIL, access="white_box"),
        cell("gamma", EVIL, shift=-0.5, knowledge="reference"),
        *controls(),
    ]
    board = build(results((trial(), trial(EVIL)), tuple(cells), lines=(), settings={"sets": [10], "resamples": 20}))
    (folder / "attacks.html").write_text(attacks.page([Entry(board, "planted")], "Site"), "utf-8")
    copytree(ASSETS, folder / "assets")
    return folder


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 390, "height": 844}) as context:
        yield context.new_page()


@pytest.fixture
def page(tab: Page, site: Path) -> Iterator[Page]:
    troubles: list[str] = []

    def asked(request: Request) -> None:
        if not request.url.startswith(("file:", "about:", "data:")):
            troubles.append(request.url)

    def failed(error: Error) -> None:
        troubles.append(str(error))

    tab.on("pageerror", failed)
    tab.on("request", asked)
    tab.goto("about:blank")
    tab.goto((site / "attacks.html").as_uri())
    yield tab
    tab.remove_listener("pageerror", failed)
    tab.remove_listener("request", asked)
    assert troubles == []


def shown(page: Page) -> list[tuple[str, str]]:
    """Defense and attack of the rows of the table."""
    return [
        (row.locator("[data-key=defense]").inner_text(), row.locator("th").inner_text().split("\n")[0])
        for row in page.locator("#attack-table tbody tr").all()
    ]


def test_all_rows_stand_in_the_table_and_labels_are_text(page: Page) -> None:
    page.locator("[data-facet=control]").select_option("yes")
    assert [attack for _, attack in shown(page)] == [
        *("alpha", "beta", "gamma", "beta", "gamma", "constant", "random", "oracle", "blind"),
    ]
    assert page.locator("img").count() == 0
    failed = page.locator("#attack-table tbody tr").nth(3)
    assert failed.locator("[data-key=defense] a").inner_text() == EVIL
    assert failed.locator("[data-key=auc]").inner_text() == "–"  # noqa: RUF001
    assert "out of memory" in failed.locator("[data-key=status]").inner_text()


def test_controls_are_left_out_until_they_are_asked_for(page: Page) -> None:
    assert [attack for _, attack in shown(page)] == ["alpha", "beta", "gamma", "beta", "gamma"]
    assert page.locator("[data-count]").inner_text() == "5 of 5 rows"
    page.locator("[data-facet=control]").select_option("alone")
    assert [attack for _, attack in shown(page)] == ["constant", "random", "oracle", "blind"]
    assert page.locator("[data-count]").inner_text() == "4 of 9 rows"
    assert "control=alone" in page.url
    page.locator("[data-reset]").click()
    assert len(shown(page)) == 5


def test_the_table_sorts_filters_and_searches(page: Page) -> None:
    page.locator("#attack-table th[data-key=auc] button").click()
    assert [attack for _, attack in shown(page)] == [
        "gamma",
        "gamma",
        "alpha",
        "beta",
        "beta",
    ]  # the failed one stands last
    page.locator("[data-facet=knowledge]").select_option("reference")
    assert [attack for _, attack in shown(page)] == ["gamma", "gamma"]
    page.locator("[data-search]").fill("onerror")
    assert shown(page) == [(EVIL, "gamma")]
    page.locator("[data-reset]").click()
    page.locator("[data-search]").fill("MEMORY")
    assert shown(page) == [(EVIL, "beta")]


def test_the_same_figures_stand_in_the_table_and_in_the_heat_map(page: Page) -> None:
    heads = page.locator(".heat thead th").all_inner_texts()[1:]
    heat = {}
    for row in page.locator(".heat tbody tr:has(th[scope=row])").all():
        for defense, own in zip(heads, row.locator("td").all(), strict=True):
            text = own.locator("a").inner_text().split(":")[0] if own.locator("a").count() else ""
            heat[row.locator("th").inner_text().split("\n")[0], defense] = text.removesuffix("\n")
    for row in page.locator("#attack-table tbody tr").all():
        key = (row.locator("th").inner_text().split("\n")[0], row.locator("[data-key=defense]").inner_text())
        assert heat[key] == row.locator("[data-key=auc]").inner_text()
    assert heat["alpha", EVIL] == ""


def test_a_heat_map_is_one_stop_and_arrows_move_in_it(page: Page) -> None:
    # alpha, gamma (samples) and beta (white box) against none and the hostile defense, which alpha did not judge.
    def focused() -> str:
        return str(page.evaluate("document.activeElement.closest('tr').cells[0].firstChild.textContent"))

    page.locator(".heat td a").first.focus()
    assert focused() == "alpha"
    page.keyboard.press("ArrowRight")
    assert focused() == "alpha"  # nothing was asked for there
    page.keyboard.press("ArrowDown")
    assert focused() == "gamma"
    page.keyboard.press("End")
    assert "over records" in page.locator(".tipbox").inner_text()
    page.keyboard.press("ArrowDown")
    assert focused() == "beta"
    assert "failed: out of memory" in page.locator(".tipbox").inner_text()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    assert focused() == "alpha"
    assert page.locator(".heat td a[tabindex='0']").count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.heat') === null")


def test_columns_can_be_shown_and_hidden(page: Page) -> None:
    assert page.locator("#attack-table td[data-key=accuracy]").first.is_hidden()
    page.locator("#attack-table summary").click()
    page.locator("[data-column=accuracy]").check()
    assert page.locator("#attack-table td[data-key=accuracy]").first.is_visible()
    page.locator("[data-column=low]").uncheck()
    assert page.locator("#attack-table td[data-key=low]").first.is_hidden()


def test_the_page_does_not_scroll_sideways_on_a_phone(page: Page) -> None:
    page.locator("[data-facet=control]").select_option("yes")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_without_scripts_the_heat_map_and_the_file_are_there(browser: Browser, site: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        plain = context.new_page()
        plain.goto((site / "attacks.html").as_uri())
        assert plain.locator("noscript a").get_attribute("href") == "attacks.csv"
        assert plain.locator(".heat td a").first.is_visible()
        assert plain.locator("#attack-table .controls").is_hidden()
