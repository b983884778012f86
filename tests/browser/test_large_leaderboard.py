"""A leaderboard with more rows than are shown at first: what is left out at the start is never lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Opens
from planted_board import cell, results, trial
from playwright.sync_api import Browser, Page, expect

from bench.board.rows import build
from bench.board.site.entry import AT_FIRST, Entry
from bench.board.site.write import write_site

ROWS = "#leaderboard tbody tr"
MANY = AT_FIRST + 13


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's ``index.html``; the AUC of each row is its own."""
    folder = tmp_path_factory.mktemp("large")
    defenses = [f"defense_{index}" for index in range(MANY)]
    trials = tuple(trial(defense, sheet=None, history={}) for defense in defenses)
    cells = tuple(
        cell("alpha", defense, shift=index / 20, members=20, nonmembers=40) for index, defense in enumerate(defenses)
    )
    board = build(results(trials, cells, settings={"sets": [10], "resamples": 40}))
    write_site([Entry(board, "planted")], folder, "planted")
    return folder / "index.html"


@pytest.fixture
def wide(browser: Browser, large: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(large.as_uri())
    yield page
    context.close()


def test_the_first_rows_are_shown_and_the_button_shows_the_others(wide: Page) -> None:
    expect(wide.locator(ROWS)).to_have_count(AT_FIRST)
    assert wide.locator("[data-count]").inner_text() == f"{MANY} of {MANY} rows, the first {AT_FIRST} shown"
    assert not wide.locator(".unscripted").is_visible()
    button = wide.locator("#leaderboard [data-more]")
    button.click()
    expect(wide.locator(f"{ROWS}:visible")).to_have_count(MANY)
    assert not button.is_visible()
    assert wide.evaluate(f"document.activeElement.closest('tr') === document.querySelectorAll('{ROWS}')[{AT_FIRST}]")


def test_only_a_large_site_leaves_out_what_is_not_in_view(wide: Page, opens: Opens, site: Path) -> None:
    """Else a picture of a whole page would have holes."""
    laid_out = "(selector) => getComputedStyle(document.querySelector(selector)).contentVisibility"
    assert wide.evaluate(laid_out, ".verdicts > dd") == wide.evaluate(laid_out, ".charts figure") == "auto"
    with opens() as small:
        small.goto((site / "index.html").as_uri())
        assert small.evaluate(laid_out, ".verdicts > dd") == small.evaluate(laid_out, ".charts figure") == "visible"
        small.goto((site / "attacks.html").as_uri())
        assert small.evaluate(laid_out, ".heat") == "visible"


def test_all_rows_are_sorted_and_searched_not_only_those_shown(wide: Page) -> None:
    last = wide.evaluate("JSON.parse(document.getElementById('leaderboard-rows').textContent).at(-1).id")
    assert wide.locator(f"[id='{last}']").count() == 0
    for _ in ("lowest first", "highest first"):
        wide.locator("#leaderboard th[data-key='auc'] button").click()
    figures = [float(text.split()[0]) for text in wide.locator(f"{ROWS} td[data-key='auc']").all_inner_texts()]
    assert len(figures) == AT_FIRST
    assert figures == sorted(figures, reverse=True)
    wide.locator("[data-search]").fill(f"defense_{MANY - 1}")
    expect(wide.locator(f"{ROWS}:visible")).to_have_count(1)


def test_a_link_to_a_row_far_down_shows_it(wide: Page, large: Path) -> None:
    facts = wide.evaluate("JSON.parse(document.getElementById('leaderboard-rows').textContent).map((row) => row.id)")
    wide.goto("about:blank")
    wide.goto(f"{large.as_uri()}#{facts[-1]}")
    expect(wide.locator(f"[id='{facts[-1]}']")).to_be_in_viewport()


def test_without_scripts_all_rows_are_there(browser: Browser, large: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(large.as_uri())
        assert page.locator(f"{ROWS}:visible").count() == MANY
        assert not page.locator(".unscripted").is_visible()


def test_where_the_script_is_lost_the_page_says_that_rows_are_missing(browser: Browser, large: Path) -> None:
    with browser.new_context() as context:
        context.route("**/table.js", lambda route: route.abort())
        page = context.new_page()
        page.goto(large.as_uri())
        assert page.locator(f"{ROWS}:visible").count() == AT_FIRST
        assert page.locator(".unscripted").inner_text().startswith(f"The other {MANY - AT_FIRST} rows")
