"""The report in a real browser: it shows the figures of SQL, and everything answers to mouse and keys."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query
from pipeline.reports.compare import CompareConfig, compare
from pipeline.reports.dataset_stats import EVERY_CRACK, CrackRule
from pipeline.reports.report import ReportConfig, write_report
from tests.helpers.browser import Browser, open_chromium, read_console, take_screenshot
from tests.helpers.scored_photos import photo, score_archives, zip_photos

pytestmark = pytest.mark.ray  # takes seconds to minutes, like those tests

HOSTILE = "<script>document.title='taken over'</script>.png"
BEGAN_AT = datetime(2026, 5, 12, 9)  # noqa: DTZ001 - EXIF has no zone
MANY = {
    f"span/{number:03d}.png": photo(3 * number, BEGAN_AT + timedelta(minutes=number), (48.1 + number / 1e4, 11.5))
    for number in range(80)
}
OTHERS = {HOSTILE: photo(255), "sky.png": photo(40, red=250), "broken.png": b"no photo", "empty.png": b""}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Eighty-four photos of two archives; one has a hostile name, one is out of domain, and two failed."""
    folder = tmp_path_factory.mktemp("report")
    return score_archives(
        folder / "out", zip_photos(folder / "span.zip", MANY), zip_photos(folder / "others.zip", OTHERS)
    )


@pytest.fixture(scope="module")
def opened(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of the module."""
    page = tmp_path_factory.mktemp("page") / "report.html"
    write_report(ReportConfig(layout.url, str(page), top=12))
    with open_chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.get(page.as_uri())
        yield browser


@pytest.fixture
def browser(opened: Browser) -> Iterator[Browser]:
    """A report just opened; the console stays empty."""
    opened.refresh()
    yield opened
    assert read_console(opened) == []


def texts(browser: Browser, selector: str) -> list[str]:
    """The texts of elements."""
    return [element.text for element in browser.find_elements("css selector", selector)]


def names(browser: Browser) -> list[str]:
    """Photos in the rows of the table that are drawn."""
    return texts(browser, "#photos tbody tr:not(.space) td:first-child")


def press(browser: Browser, *keys: str) -> None:
    """Press keys, wherever the focus is."""
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def test_counts_are_those_of_sql(layout: Layout, browser: Browser) -> None:
    """Headline, archives, failures and table all count the same photos."""
    sql = """SELECT count(*), count(*) FILTER (status = 'failed'), count(*) FILTER (crack_tiles > 0), sum(tiles),
             sum(crack_tiles) FROM images"""
    photos, failed, cracked, tiles, crack_tiles = query(layout.url, sql).to_pylist()[0].values()
    assert texts(browser, ".figures dd") == [
        f"{100 * cracked / (photos - failed):.1f} %\n{cracked} of {photos - failed} scored",
        f"{100 * crack_tiles / tiles:.1f} %\n{crack_tiles} of {tiles}",
        f"{photos}\n2 archives",
        f"{failed}\nnot scored",
        "1\nlook at them yourself",
    ]
    assert texts(browser, "#found") == [f"{photos} of {photos} photos"]
    assert texts(browser, "#archives tbody td:nth-child(2)") == ["4", "80"]
    assert texts(browser, "#failures tbody td:nth-child(1)") == ["empty_file", "not_an_image"]
    assert len(browser.find_elements("css selector", "#worst .card")) == 12


def test_hostile_names_are_shown_and_not_run(browser: Browser) -> None:
    """In the first row and the first card."""
    assert names(browser)[0] == HOSTILE
    assert texts(browser, "#worst .name")[0] == HOSTILE
    assert browser.title == "Crack report: out"


def test_a_click_on_a_heading_sorts(layout: Layout, browser: Browser) -> None:
    """The table has the order of SQL; a second click reverses it, and failed photos stay last."""
    [score] = [
        button for button in browser.find_elements("css selector", "#photos th button") if "Score" in button.text
    ]
    for order, spoken in (("DESC", "descending"), ("ASC", "ascending")):
        score.click()
        sql = f"SELECT image FROM images WHERE status = 'ok' ORDER BY crack_score {order} LIMIT 10"
        assert names(browser)[:10] == query(layout.url, sql)["image"].to_pylist()
        assert texts(browser, f'th[aria-sort="{spoken}"]') == [f"Score {'↓' if order == 'DESC' else '↑'}"]


def test_search_and_filters_narrow_the_table(browser: Browser) -> None:
    """By name, by score, by archive and by state; together."""
    search = browser.find_element("id", "search")
    search.send_keys("SPAN/07")
    assert texts(browser, "#found") == ["10 of 84 photos"]
    assert names(browser) == [f"span/07{digit}.png" for digit in range(9, -1, -1)]
    browser.find_element("id", "least").send_keys("0.9")
    assert names(browser) == ["span/079.png", "span/078.png", "span/077.png"]
    search.clear()
    browser.find_element("id", "least").clear()
    state = next(
        select for select in browser.find_elements("css selector", "#filters select") if "State" in select.text
    )
    state.send_keys("failed: empty_file")
    assert names(browser) == ["empty.png"]


def test_only_visible_rows_are_drawn(browser: Browser) -> None:
    """A page with many thousands of rows opens at once; scrolling draws the others."""
    assert len(names(browser)) < 60
    browser.execute_script("document.querySelector('.scroller').scrollTop = 1e6")
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert names(browser)[-1] == "empty.png"
    assert len(names(browser)) < 60


def test_a_card_opens_by_mouse_and_keys(browser: Browser) -> None:
    """Large view, next and previous photo, heat on and off; closing returns the focus to the card."""
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    shown = "return document.querySelector('#viewer').open && document.querySelector('#viewer h2').textContent"
    cards = browser.find_elements("css selector", "#worst button.view")
    browser.execute_script("arguments[0].focus()", cards[1])
    press(browser, Keys.ENTER)
    assert browser.execute_script(shown) == "span/079.png"
    assert len(browser.find_elements("css selector", "#viewer .large img")) == 3
    press(browser, Keys.ARROW_RIGHT)
    assert browser.execute_script(shown) == "span/078.png"
    press(browser, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert browser.execute_script(shown) == HOSTILE
    heat = browser.find_element("css selector", "#viewer .heat")
    assert heat.is_displayed()
    press(browser, "h")
    assert not heat.is_displayed()
    press(browser, Keys.ESCAPE)
    assert browser.execute_script(shown) is False
    focused = "return document.activeElement === arguments[0]"  # after the dialog's close event, a moment later
    assert WebDriverWait(browser, 10).until(lambda opened: opened.execute_script(focused, cards[0]))
    browser.find_element("css selector", "#photos td .link").click()
    assert browser.execute_script(shown) == HOSTILE


def test_a_slash_searches_and_a_dot_leads_to_its_row(browser: Browser) -> None:
    """Keys and plan lead into the table."""
    press(browser, "/", "s", "k", "y")
    assert names(browser) == ["sky.png"]
    dot = browser.find_elements("css selector", ".plot.tall circle")[-1]
    browser.execute_script("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", dot)
    assert names(browser) == ["span/079.png"]


def test_screen_readers_have_texts(browser: Browser) -> None:
    """Pictures have alternative texts; plots, fields and buttons have names."""
    for selector, attribute in (("img", "alt"), ("svg", "aria-label"), ("button.view", "aria-label")):
        elements = browser.find_elements("css selector", selector)
        assert elements
        assert all(element.get_attribute(attribute) for element in elements), selector
    unnamed = "return [...document.querySelectorAll('input, select')].filter(e => !e.ariaLabel && !e.labels.length)"
    assert browser.execute_script(unnamed) == []


def test_it_is_drawn_light_dark_and_on_paper(browser: Browser) -> None:
    """As large as the window, not blank, and light or dark as it should be."""
    light, dark = take_screenshot(browser), take_screenshot(browser, dark=True)
    paper = take_screenshot(browser, dark=True, media="print")
    assert light.shape == dark.shape
    assert light.shape[0] > 600
    assert light.shape[1] > 1200
    assert min(image.std() for image in (light, dark, paper)) > 5
    assert dark.mean() < 80
    assert min(light.mean(), paper.mean()) > 200
    assert not browser.find_element("css selector", "nav").is_displayed()
    take_screenshot(browser)


def test_nothing_is_fetched(browser: Browser) -> None:
    """The page is one file; as a mail attachment it looks the same."""
    fetched = "return performance.getEntriesByType('resource').filter(entry => !entry.name.startsWith('data:')).length"
    assert browser.execute_script(fetched) == 0


def test_a_page_without_measured_cracks_has_none(browser: Browser) -> None:
    """Heat and scores, as ever."""
    for selector in ("#cracks", "#crack-table", "svg.heat", ".legend.widths"):
        assert browser.find_elements("css selector", selector) == []
    assert texts(browser, "#worst .heat-switch") == ["Heat h"]


@pytest.fixture(scope="module")
def cracked(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Three photos with three cracks, one and none; all have a scale."""
    folder = tmp_path_factory.mktemp("cracked")
    photos = {HOSTILE: photo(140), "few.png": photo(150), "none.png": photo(250)}
    archive = zip_photos(folder / "one.zip", photos)
    scale = dict.fromkeys(photos, 0.1)
    return score_archives(folder / "out", archive, cracks={HOSTILE: 3, "few.png": 1}, mm_per_px=scale)


def open_cracked(opened: Browser, layout: Layout, page: Path, rule: CrackRule = EVERY_CRACK) -> Browser:
    """Open the report of a dataset with cracks."""
    write_report(ReportConfig(layout.url, str(page), rule=rule))
    opened.get(page.as_uri())
    return opened


def test_the_table_of_cracks_sorts_by_a_click(opened: Browser, cracked: Layout, tmp_path: Path) -> None:
    """Widest first; numbers begin with the largest, names with the first, and unknown widths stay last."""
    browser = open_cracked(opened, cracked, tmp_path / "report.html")
    widths, lengths = "#crack-table td:nth-child(4)", "#crack-table td:nth-child(3)"
    assert texts(browser, widths) == ["0.35", "0.15", "0.15", "-"]
    headings = {text.split(" p95")[0]: number for number, text in enumerate(texts(browser, "#crack-table th"))}
    buttons = browser.find_elements("css selector", "#crack-table th button")
    buttons[headings["Width"]].click()
    assert texts(browser, widths) == ["0.35", "0.15", "0.15", "-"]
    assert texts(browser, '#crack-table th[aria-sort="descending"]') == ["Width p95, mm ↓"]
    buttons[headings["Width"]].click()
    assert texts(browser, widths) == ["0.15", "0.15", "0.35", "-"]
    buttons[0].click()
    assert texts(browser, "#crack-table td:first-child") == [HOSTILE] * 3 + ["few.png"]
    assert texts(browser, '#crack-table th[aria-sort="ascending"]') == ["Photo ↑"]
    assert set(texts(browser, lengths)) == {"0.00"}
    assert texts(browser, "#crack-table td:nth-child(8)").count("width too thin to say (under half a pixel)") == 1
    assert read_console(browser) == []


def test_lines_are_drawn_and_can_be_switched_off(opened: Browser, cracked: Layout, tmp_path: Path) -> None:
    """Over the photos, thin, dashed where the width is unknown; by a button and a key, also in the large view."""
    browser = open_cracked(opened, cracked, tmp_path / "report.html")
    lines = browser.find_elements("css selector", "#worst .card svg.heat path")
    assert len(lines) == 4
    assert [line.get_attribute("class") for line in lines[:2]] == ["crack unknown", "crack mm-0.1-0.2"]
    assert [line.value_of_css_property("stroke-width") for line in lines] == ["1.6px"] * 4
    assert lines[0].value_of_css_property("stroke-dasharray") != lines[1].value_of_css_property("stroke-dasharray")
    box, inside = lines[2].rect, browser.find_element("css selector", "#worst .card .stack").rect
    assert inside["x"] <= box["x"] < box["x"] + box["width"] <= inside["x"] + inside["width"]
    assert texts(browser, "#worst .legend span") == [
        "Width (p95)", "0.1 to 0.2 mm", "0.3 to 0.5 mm", "width unknown",
    ]  # fmt: skip
    switch = browser.find_element("css selector", "#worst .heat-switch")
    switch.click()
    assert not any(line.is_displayed() for line in lines)
    assert switch.get_attribute("aria-pressed") == "false"
    press(browser, "l")
    assert all(line.is_displayed() for line in lines)
    browser.find_element("css selector", "#worst button.view").click()
    assert len(browser.find_elements("css selector", "#viewer .large svg.heat path")) == 3
    press(browser, "l")
    assert not browser.find_element("css selector", "#viewer svg.heat").is_displayed()
    assert read_console(browser) == []


def test_a_threshold_shows_the_wide_cracks_alone(opened: Browser, cracked: Layout, tmp_path: Path) -> None:
    """In figures, cards and both tables; a page of datasets without cracks has none of it."""
    browser = open_cracked(opened, cracked, tmp_path / "report.html", CrackRule(from_mm=0.2))
    assert texts(browser, ".figures dt")[:3] == ["Cracks from 0.2 mm on", "Length of cracks", "Widest crack"]
    assert texts(browser, ".figures dd")[0] == "1\nin 1 photo"
    assert texts(browser, "#crack-table td:nth-child(4)") == ["0.35"]
    assert len(browser.find_elements("css selector", "#worst .card svg.heat path")) == 1
    assert names(browser) == [HOSTILE, "none.png", "few.png"]
    assert "2 narrower ones are left out." in browser.find_element("id", "cracks").text
    take_screenshot(browser, dark=True)
    assert read_console(browser) == []


def test_a_comparison_shows_both_sides(opened: Browser, layout: Layout, tmp_path: Path) -> None:
    """Its page has cards of pairs, a large view with two pictures, and a table with filters."""
    later = {"span/001.png": photo(250), "span/002.png": photo(6), "new.png": photo(9), HOSTILE: photo(0)}
    other = score_archives(tmp_path / "later", zip_photos(tmp_path / "later.zip", later))
    comparison = compare(CompareConfig(layout.url, other.url, str(tmp_path / "made")))
    opened.get(comparison.page_url)
    assert texts(opened, ".figures dd")[:5] == ["1", "1", "1", "1\nonly in B", "81\nonly in A"]
    assert names(opened)[:2] == ["span/001.png", HOSTILE]
    opened.find_elements("css selector", "button.view")[1].click()
    assert len(opened.find_elements("css selector", "#viewer[open] .stack")) == 2
    opened.find_element("css selector", "#viewer .close").click()
    opened.find_elements("css selector", "#photos th button")[4].click()
    assert texts(opened, "#photos tbody tr:first-child td:nth-child(5)") == ["+0.969"]
    assert read_console(opened) == []
