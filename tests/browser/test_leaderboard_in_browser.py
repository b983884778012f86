"""The leaderboard as a reader uses it: sorted, filtered, searched, linked, by mouse and by keyboard."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, expect

from bench.board.words import EMPTY

ROWS = "#leaderboard tbody tr"


def opened(page: Page, site: Path, state: str = "") -> Page:
    page.goto(f"{(site / 'index.html').as_uri()}{state}")
    return page


def column(page: Page, key: str) -> list[str]:
    """The first line of each shown cell of a column."""
    cells = page.locator(f"{ROWS} [data-key='{key}']").all()
    return [cell.inner_text().strip().split("\n")[0] for cell in cells]


def figures(page: Page, key: str) -> list[float]:
    return [float(text.replace(",", "")) for text in column(page, key) if text != EMPTY]


def state_of(page: Page) -> dict[str, str]:
    _, _, state = page.url.partition("#?")
    return {key: values[0] for key, values in parse_qs(state).items()}


def head(page: Page, key: str) -> str:
    return f"#leaderboard thead th[data-key='{key}']"


def test_a_click_on_a_heading_sorts_and_a_third_one_restores(page: Page, site: Path) -> None:
    opened(page, site)
    before = column(page, "defense")
    button = page.locator(f"{head(page, 'auc')} button")
    button.click()
    expect(page.locator(head(page, "auc"))).to_have_attribute("aria-sort", "ascending")
    rising = figures(page, "auc")
    assert len(set(rising)) > 2
    assert rising == sorted(rising)
    button.click()
    expect(page.locator(head(page, "auc"))).to_have_attribute("aria-sort", "descending")
    assert figures(page, "auc") == sorted(rising, reverse=True)
    assert column(page, "auc")[-1] == EMPTY  # what has no figure stands last either way
    button.click()
    assert page.locator(head(page, "auc")).get_attribute("aria-sort") is None
    assert column(page, "defense") == before


def test_every_column_sorts_by_the_keyboard(page: Page, site: Path) -> None:
    opened(page, site)
    keys = [th.get_attribute("data-key") for th in page.locator("#leaderboard thead th[data-key]:visible").all()]
    assert len(keys) > 8
    for key in keys:
        assert key
        page.locator(f"{head(page, key)} button").focus()
        page.keyboard.press("Enter")
        assert page.locator(head(page, key)).get_attribute("aria-sort") in ("ascending", "descending")
        assert state_of(page)["sort"].lstrip("-") == key
    assert page.locator("#leaderboard thead th[aria-sort]").count() == 1


def test_where_more_is_better_the_first_click_puts_the_highest_first(page: Page, site: Path) -> None:
    opened(page, site, "#?show=coverage")
    page.locator(f"{head(page, 'coverage')} button").click()
    shown = figures(page, "coverage")
    assert len(shown) > 2
    assert all(0 <= figure <= 1 for figure in shown)
    assert shown == sorted(shown, reverse=True)
    assert state_of(page)["sort"] == "-coverage"


def test_filters_and_search_narrow_the_rows(page: Page, site: Path) -> None:
    opened(page, site)
    every = page.locator(ROWS).count()
    datasets = column(page, "dataset")
    page.select_option("[data-facet='dataset']", datasets[0])
    assert set(column(page, "dataset")) == {datasets[0]}
    assert 0 < page.locator(ROWS).count() < every
    expect(page.locator("[data-count]")).to_contain_text(f"{page.locator(ROWS).count()} of {every} rows")
    page.locator("[data-reset]").click()
    assert page.locator(ROWS).count() == every
    page.locator("[data-search]").fill("DROPOUT")
    assert all("dropout" in defense.lower() for defense in column(page, "defense"))
    assert page.locator(ROWS).count() > 0
    page.locator("[data-search]").fill("no such thing")
    assert page.locator(ROWS).count() == 0
    expect(page.locator("[data-count]")).to_contain_text(f"0 of {every} rows")


def test_lines_between_ranks_lie_between_the_rows_that_are_shown(page: Page, site: Path) -> None:
    opened(page, site)

    def shown() -> list[tuple[tuple[str, str], bool]]:
        rows = page.locator(ROWS).all()
        ranks, datasets = column(page, "rank"), column(page, "dataset")
        lines = ["first" in (row.get_attribute("class") or "").split() for row in rows]
        return [((dataset, rank), line) for dataset, rank, line in zip(datasets, ranks, lines, strict=True)]

    def lines_are_right() -> bool:
        rows = shown()
        return all(line == (place == 0 or rows[place - 1][0] != group) for place, (group, line) in enumerate(rows))

    every = shown()
    assert lines_are_right()
    (tied,) = [place for place, (_, line) in enumerate(every) if not line and every[place][0][1] == "1"][:1]
    name = column(page, "target")[tied]
    page.select_option("[data-facet='target']", name)  # leaves out the first row of its rank
    assert len(shown()) < len(every)
    assert lines_are_right()


def test_flags_can_be_asked_for_and_ruled_out(page: Page, site: Path) -> None:
    opened(page, site)
    every = page.locator(ROWS).count()
    page.select_option("[data-facet='flags']", "quality_gone")
    with_it = page.locator(ROWS).count()
    assert page.locator(f"{ROWS} td[data-key='flags']:has-text('quality_gone')").count() == with_it > 0
    page.select_option("[data-facet='flags']", "!quality_gone")
    assert page.locator(ROWS).count() == every - with_it
    assert page.locator(f"{ROWS} td[data-key='flags']:has-text('quality_gone')").count() == 0


def test_the_access_chooses_which_attack_a_row_shows(page: Page, site: Path) -> None:
    opened(page, site)
    attacks = column(page, "attack")
    page.select_option("[data-facet='access']", "samples")
    threats = page.locator(f"{ROWS} td[data-key='attack'] > span:visible").all_inner_texts()
    assert threats
    assert all("samples access" in threat for threat in threats)
    assert column(page, "attack") != attacks
    page.locator(f"{head(page, 'auc')} button").click()
    assert figures(page, "auc") == sorted(figures(page, "auc"))
    expect(page.locator("#access-note")).to_be_visible()
    page.locator("[data-reset]").click()
    assert column(page, "attack") == attacks
    expect(page.locator("#access-note")).to_be_hidden()


def test_a_view_can_be_linked(page: Page, site: Path) -> None:
    opened(page, site)
    page.locator(f"{head(page, 'auc')} button").click()
    page.select_option("[data-facet='flags']", "!quality_gone")
    page.locator("[data-search]").fill("d")
    page.locator(".controls summary").click()
    page.locator("[data-column='seeds']").uncheck()
    page.locator("[data-column='coverage']").check()
    said = state_of(page)
    assert said == {"sort": "auc", "flags": "!quality_gone", "q": "d", "hide": "seeds", "show": "coverage"}
    shown = column(page, "defense")
    url = page.url
    page.goto("about:blank")
    page.goto(url)
    assert column(page, "defense") == shown
    assert state_of(page) == said
    assert page.locator("[data-search]").input_value() == "d"
    expect(page.locator(head(page, "seeds"))).to_be_hidden()
    expect(page.locator(head(page, "coverage"))).to_be_visible()
    page.evaluate("location.hash = '#?sort=-auc'")
    page.wait_for_function("document.querySelector('th[data-key=auc]').ariaSort === 'descending'")
    assert page.locator("[data-search]").input_value() == ""


@pytest.mark.parametrize("state", ["#?sort=nothing&dataset=nowhere&hide=defense&q=", "#?%%%", "#?sort=&&&=", "#plain"])
def test_an_address_that_means_nothing_shows_everything(page: Page, site: Path, state: str) -> None:
    opened(page, site)
    every = page.locator(ROWS).count()
    page.goto("about:blank")
    opened(page, site, state)
    assert page.locator(ROWS).count() == every
    expect(page.locator(head(page, "defense"))).to_be_visible()


def test_a_flag_is_explained_on_hover_and_on_focus(page: Page, site: Path) -> None:
    opened(page, site)
    tip = page.locator(".tipbox")
    flag = page.locator(f"{ROWS} .flag").first
    flag.hover()
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("Here:")
    page.locator("h1").hover()
    expect(tip).to_be_hidden()
    flag.focus()
    expect(tip).to_be_visible()
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.locator(f"{ROWS} .chip").first.focus()
    expect(tip).to_contain_text("AUC")
    box = tip.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1440


def test_a_text_goes_with_the_pointer_after_a_click_and_can_be_reached(page: Page, site: Path) -> None:
    opened(page, site)
    tip = page.locator(".tipbox")
    page.locator(f"{head(page, 'auc')} button").click()
    expect(tip).to_be_visible()
    page.locator("h1").hover()
    expect(tip).to_be_hidden()
    page.locator(f"{ROWS} .flag").first.hover()
    box = tip.bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2, steps=10)
    page.wait_for_timeout(400)  # longer than it would stay if the pointer were elsewhere
    expect(tip).to_be_visible()


def test_a_link_within_the_page_keeps_the_view(page: Page, site: Path) -> None:
    opened(page, site, "#?sort=-auc")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#?sort=-auc'")
    expect(page.locator(head(page, "auc"))).to_have_attribute("aria-sort", "descending")


def test_a_point_tells_its_row_and_leads_to_its_page(page: Page, site: Path) -> None:
    opened(page, site)
    point = page.locator(".point").first
    label = point.get_attribute("aria-label") or ""
    point.hover()
    expect(page.locator(".tipbox")).to_contain_text("AUC")
    assert page.locator(".tipbox").inner_text() == label
    page.locator("[data-search]").fill("no such thing")
    assert page.locator(".point:not(.out)").count() == 0
    page.locator("[data-search]").fill("")
    assert page.locator(".point.out").count() == 0
    point.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/trials/*.html")
    expect(page.locator("h1")).to_contain_text(label.split("\n")[0])


def test_a_menu_of_columns_closes_on_escape(page: Page, site: Path) -> None:
    opened(page, site)
    page.locator(".controls summary").click()
    expect(page.locator("[data-column='rank']")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[data-column='rank']")).to_be_hidden()


def test_on_a_phone_rows_are_cards_that_can_be_sorted(page: Page, site: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, site)
    expect(page.locator("#leaderboard thead")).to_be_hidden()
    page.select_option("[data-sort]", "-auc")
    assert figures(page, "auc") == sorted(figures(page, "auc"), reverse=True)
    card = page.locator(ROWS).first
    box = card.bounding_box()
    assert box
    assert box["width"] <= 390
    label = card.locator("td[data-key='auc']").evaluate("cell => getComputedStyle(cell, '::before').content")
    assert "AUC \u2193" in label  # which end is better
    threat = card.locator("td[data-key='attack']")
    expect(threat).to_be_visible()  # the threat model is always there
    expect(threat).to_contain_text("access")


def test_on_paper_all_rows_and_no_controls(page: Page, site: Path) -> None:
    opened(page, site)
    every = page.locator(ROWS).count()
    page.emulate_media(media="print")
    expect(page.locator(".controls")).to_be_hidden()
    expect(page.locator("nav")).to_be_hidden()
    assert page.locator(ROWS).count() == every
