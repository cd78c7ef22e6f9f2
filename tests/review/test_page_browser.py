"""The page to judge on in a real browser: keys, what is kept, saved and taken back, hostile names, screen readers."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset.layout import Layout
from pipeline.findings.verdict_files import read_verdicts
from pipeline.review.tile_folder import ReviewConfig, review
from tests.helpers.browser import Browser, open_chromium, read_console
from tests.helpers.scored_photos import photo, score_archives, zip_photos

pytestmark = pytest.mark.ray  # takes seconds to minutes, like those tests

HOSTILE = "<script>document.title='taken over'</script><img src=x onerror=alert(1)>\u202e.png"
SHOWN = HOSTILE.replace("\u202e", "\\u202e")
COMMENT = '=HYPERLINK("http://x"), "said" <b>\tÜ'
NAME = "@A. Meier"
PLACES = 24


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Four photos of six tiles; two cracks run through the first tile of one, whose name is hostile."""
    folder = tmp_path_factory.mktemp("scored")
    photos = {HOSTILE: photo(140), "a.png": photo(250), "=b.png": photo(120), "sub/c.png": photo(10)}
    return score_archives(folder / "out", zip_photos(folder / "x.zip", photos), cracks={HOSTILE: 2})


@pytest.fixture(scope="module")
def folder(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a review of all tiles."""
    folder = tmp_path_factory.mktemp("looked") / "looked-at"
    review(ReviewConfig(layout.url, str(folder), 100, "random", page=True), lambda _done, _all: None)
    return folder


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of the module."""
    with open_chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(opened: Browser, folder: Path) -> Iterator[Browser]:
    """The page just opened, nothing judged; the console stays empty."""
    opened.get((folder / "review.html").as_uri())
    opened.execute_script("localStorage.clear()")
    opened.refresh()
    yield opened
    assert read_console(opened) == []


def press(browser: Browser, *keys: str) -> None:
    """Press keys, wherever the focus is."""
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def text(browser: Browser, *ids: str) -> list[str]:
    """The texts of elements by their ids."""
    get = "return arguments[0].map(id => document.getElementById(id).textContent)"
    found: list[str] = browser.execute_script(get, ids)
    return found


def said(browser: Browser) -> str:
    """What a screen reader hears."""
    return text(browser, "said")[0]


def places_of(browser: Browser) -> list[dict[str, Any]]:
    """The data of the page."""
    found = browser.execute_script("return document.getElementById('review').textContent")
    places: list[dict[str, Any]] = json.loads(found)["places"]
    return places


def wait_for(browser: Browser, words: str) -> None:
    """Wait until the page says these words."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 60).until(lambda _: words in said(browser))


def go_to(browser: Browser, number: int) -> None:
    """Go to a place by keys, from the first one."""
    from selenium.webdriver.common.keys import Keys

    press(browser, *[Keys.ARROW_RIGHT] * number)


def save_by_picker(browser: Browser, form: str = "csv") -> str:
    """Save with a File System Access of ours, which keeps what is written; return that."""
    browser.execute_script(
        """
        window.asked = window.asked || 0;
        window.showSaveFilePicker = async ({ suggestedName }) => {
          window.asked += 1;
          return { name: suggestedName, createWritable: async () => ({
            write: async (text) => { window.written = text; }, close: async () => { window.isClosed = true; } }) };
        };
        document.getElementById("format").value = arguments[0];
        """,
        form,
    )
    press(browser, "s")
    wait_for(browser, f"saved as verdicts.{form}")
    written: str = browser.execute_script("return window.written")
    return written


def test_keys_judge_and_move_on(browser: Browser) -> None:
    """1, 0 and ? answer, and the next place is announced; arrows move; n finds what is open; u steps back."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    assert text(browser, "count") == ["0 of 24 places judged"]
    press(browser, "1", "0", "?")
    assert text(browser, "count") == ["3 of 24 places judged"]
    assert said(browser).startswith("Unclear. Place 4 of 24, not judged: ")
    press(browser, Keys.ARROW_LEFT)
    assert said(browser).startswith("Place 3 of 24, unclear: ")
    pressed = 'return [...document.querySelectorAll("[data-verdict]")].map(e => e.ariaPressed)'
    assert browser.execute_script(pressed) == ["false", "false", "true"]
    press(browser, "1", Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert said(browser).startswith("Place 2 of 24, no crack: ")
    press(browser, "n")
    assert said(browser).startswith("Place 4 of 24, not judged: ")
    press(browser, "u")
    assert said(browser).startswith("Undone. Place 3 of 24, unclear: ")
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    assert said(browser).startswith("Undone. Place 3 of 24, not judged: ")
    press(browser, "u", "u", "u")
    assert said(browser) == "There is nothing to undo."
    assert text(browser, "count") == ["0 of 24 places judged"]
    press(browser, Keys.ARROW_LEFT)
    assert said(browser) == "This is the first place."


def test_the_last_answer_says_so(browser: Browser) -> None:
    """And stays there."""
    press(browser, *"0" * PLACES)
    assert said(browser).startswith("No crack. All places are judged: save them. Place 24 of 24, no crack: ")


def test_hostile_names_are_shown_and_not_run(browser: Browser) -> None:
    """As text, with what would turn the line around made visible; comments too."""
    number = next(n for n, place in enumerate(places_of(browser)) if place["image"] == HOSTILE)
    go_to(browser, number)
    assert text(browser, "place-name") == [SHOWN]
    assert said(browser).endswith(SHOWN)
    assert browser.title == "Crack review: out"
    assert browser.execute_script("return document.querySelectorAll('#stage script, #stage b').length") == 0


def test_what_was_said_is_saved_as_verdicts_take_it(browser: Browser, tmp_path: Path) -> None:
    """A table or JSON; cells that a spreadsheet would run are guarded, and both read back the same."""
    from selenium.webdriver.common.keys import Keys

    press(browser, "s")
    assert said(browser) == "Nothing is judged yet."
    browser.find_element("id", "who").send_keys(NAME)
    browser.execute_script("document.getElementById('stage').focus()")
    press(browser, "c")
    browser.execute_script("document.activeElement.value = arguments[0]", COMMENT)
    press(browser, Keys.ENTER, "1", "0")
    rows = list(csv.DictReader(io.StringIO(save_by_picker(browser))))
    assert [row["verdict"] for row in rows] == ["crack", "no_crack"]
    assert [row["comment"] for row in rows] == [f"'{COMMENT}", ""]
    assert [row["by"] for row in rows] == [f"'{NAME}"] * 2
    assert all(row["subject"] == "tile" and row["pick"] == "random" and row["weight"] == "1" for row in rows)
    assert all(not row["image"].startswith("=") for row in rows)
    save_by_picker(browser)
    assert browser.execute_script("return [window.asked, window.isClosed]") == [1, True]
    table = (tmp_path / "verdicts.csv", browser.execute_script("return window.written"))
    records = (tmp_path / "verdicts.json", save_by_picker(browser, "json"))
    read = []
    for path, content in (table, records):
        path.write_text(content, encoding="utf-8")
        read.append([one._replace(where="") for one in read_verdicts(path.as_uri()).said])
    assert read[0] == read[1]
    assert (read[0][0].verdict, read[0][0].by, read[0][0].comment) == ("crack", NAME, COMMENT)
    places = places_of(browser)
    assert [one.image for one in read[0]] == [place["image"] for place in places[:2]]
    assert [one.image_id for one in read[0]] == [place["image_id"] for place in places[:2]]


def test_without_file_access_it_is_a_download_which_comes_back(browser: Browser, tmp_path: Path) -> None:
    """By the field for files; what is about other places, or was judged later here, is left out and told."""
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    browser.execute_script("delete window.showSaveFilePicker; window.showSaveFilePicker = undefined")
    press(browser, "1", "0", "?", "s")
    wait_for(browser, "3 verdicts saved as verdicts.csv. They have no name")
    from selenium.webdriver.support.wait import WebDriverWait

    file = tmp_path / "verdicts.csv"
    WebDriverWait(browser, 60).until(lambda _: file.exists() and file.read_text().count("\n") == 4)
    file.write_text(file.read_text() + file.read_text().splitlines()[1].replace("tile,", "tile,9", 1) + "\n")
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    assert text(browser, "count", "unsaved") == ["0 of 24 places judged", ""]
    press(browser, "0")
    browser.find_element("id", "saved").send_keys(str(file))
    wait_for(browser, "2 verdicts taken from verdicts.csv")
    assert "1 place had the same or a later one; 1 row about other places left out. Place 4 of 24" in said(browser)
    assert text(browser, "count") == ["3 of 24 places judged"]
    press(browser, "u")
    assert text(browser, "count") == ["1 of 24 places judged"]


def test_a_dropped_file_is_taken_and_a_wrong_one_is_told(browser: Browser) -> None:
    """JSON, CSV as a spreadsheet saves it, and what is neither; an answer that there is not is left out."""
    drop = """
        const transfer = new DataTransfer();
        transfer.items.add(new File([arguments[1]], arguments[0]));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
    """
    place = places_of(browser)[1]
    keys = dict(zip(("left_px", "top_px", "width_px", "height_px"), place["box"], strict=True))
    row = {"image_id": place["image_id"], **keys, "verdict": "unclear", "comment": COMMENT}
    row |= {"by": "x", "judged_at": "2026-11-30T12:00:00Z"}
    browser.execute_script(drop, "broken.json", "[{")
    wait_for(browser, "broken.json cannot be read: ")
    browser.execute_script(drop, "other.csv", "path,label\na.png,1\n")
    wait_for(browser, "other.csv has no verdict about a place of this page.")
    browser.execute_script(drop, "perhaps.json", json.dumps([row | {"verdict": "constructor"}]))
    wait_for(browser, "perhaps.json has no verdict")
    lines = io.StringIO()
    table = csv.writer(lines, delimiter=";", lineterminator="\r\n")
    table.writerows([[*row], [f"'{value}" if value == COMMENT else value for value in row.values()]])
    browser.execute_script(drop, "verdicts.csv", "\ufeff" + lines.getvalue())
    wait_for(browser, "1 verdict taken from verdicts.csv. Place 1 of 24")
    go_to(browser, 1)
    assert browser.execute_script("return document.getElementById('comment').value") == COMMENT
    assert browser.execute_script("return document.querySelectorAll('#stage b').length") == 0


def test_work_is_kept_in_the_browser(browser: Browser) -> None:
    """Verdicts, comment, name and place are there when the page is opened again; undo begins anew."""
    browser.find_element("id", "who").send_keys("Ann")
    browser.find_element("id", "comment").send_keys("rust")
    browser.execute_script("document.getElementById('stage').focus()")
    press(browser, "1", "0")
    browser.refresh()
    assert said(browser).startswith("Your work is still here: 2 verdicts. Place 3 of 24, not judged: ")
    assert browser.execute_script("return document.getElementById('who').value") == "Ann"
    assert text(browser, "unsaved") == ["2 not saved as a file yet"]
    go_back = "document.getElementById('previous').click(); document.getElementById('previous').click()"
    browser.execute_script(go_back)
    assert browser.execute_script("return document.getElementById('comment').value") == "rust"


def test_it_works_where_the_browser_keeps_nothing(browser: Browser) -> None:
    """As in a mail: it says so, and the file is still saved."""
    deny = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": deny})
    browser.refresh()
    press(browser, "1")
    assert text(browser, "unsaved") == [
        "1 not saved as a file yet (this browser keeps nothing: save before you close the page)"
    ]
    assert save_by_picker(browser).count("\n") == 2
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": added["identifier"]})


def wait_for_pictures(browser: Browser, part: str) -> list[str]:
    """Wait until both pictures come from there; return their sources."""
    from selenium.webdriver.support.wait import WebDriverWait

    sources = (
        "return [...document.querySelectorAll('.pictures img')].map(e => e.complete && e.naturalWidth ? e.src : '')"
    )
    WebDriverWait(browser, 60).until(lambda opened: all(part in src for src in opened.execute_script(sources)))
    found: list[str] = browser.execute_script(sources)
    return found


def test_full_pictures_come_from_the_folder(browser: Browser) -> None:
    """The tile and its surroundings, with the tile framed in them; only a few places are in the page at once."""
    tile, around = wait_for_pictures(browser, "file:///")
    assert tile.endswith("/tiles/0001.png")
    assert around.endswith("/around/0001.jpg")
    assert not browser.find_element("id", "small").is_displayed()
    [place] = places_of(browser)[:1]
    frame, shown = (browser.find_element("css selector", f"#around {part}").rect for part in (".frame", "img"))
    assert frame["width"] / shown["width"] == pytest.approx(place["box"][2] / place["around"][2], abs=0.02)
    left = (place["box"][0] - place["around"][0]) / place["around"][2]
    assert (frame["x"] - shown["x"]) / shown["width"] == pytest.approx(left, abs=0.02)
    assert browser.execute_script("return document.images.length") == 11


def test_lines_are_drawn_on_demand(browser: Browser) -> None:
    """By the key l, over the tile and its surroundings, and told in words."""
    number = next(n for n, place in enumerate(places_of(browser)) if place["cracks"])
    go_to(browser, number)
    paths = browser.find_elements("css selector", "#tile path, #around path")
    assert len(paths) == 4
    assert not any(path.is_displayed() for path in paths)
    press(browser, "l")
    assert all(path.is_displayed() for path in paths)
    assert "Crack 0: width 1.5 px. Crack 1: width unknown." in said(browser)
    press(browser, "l")
    assert not paths[0].is_displayed()


def test_a_page_from_a_mail_shows_small_pictures(opened: Browser, folder: Path, tmp_path: Path) -> None:
    """Without the folder beside it, it says why they are small, and can be judged on."""
    alone = tmp_path / "review.html"
    alone.write_bytes((folder / "review.html").read_bytes())
    opened.get(alone.as_uri())
    opened.execute_script("localStorage.clear()")
    opened.refresh()
    wait_for_pictures(opened, "data:image/jpeg")
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(opened, 60).until(lambda browser: browser.find_element("id", "small").is_displayed())
    press(opened, "1")
    assert said(opened).startswith("Crack. Place 2 of 24")
    assert all("ERR_FILE_NOT_FOUND" in line for line in read_console(opened))


def test_crops_have_no_surroundings(opened: Browser, layout: Layout, tmp_path: Path) -> None:
    """Neither in the page nor in the folder: no picture is larger than a tile."""
    made = tmp_path / "crops"
    review(ReviewConfig(layout.url, str(made), 6, "random", page=True, crop_only=True), lambda _done, _all: None)
    assert sorted(path.name for path in made.iterdir()) == ["review.csv", "review.html", "tiles"]
    opened.get((made / "review.html").as_uri())
    assert opened.find_elements("id", "around") == []
    assert all(place["small"][1] is None and place["around"] == place["box"] for place in places_of(opened))
    press(opened, "1", "l")
    assert text(opened, "count") == ["1 of 6 places judged"]
    assert read_console(opened) == []


def test_keys_alone_are_enough(browser: Browser) -> None:
    """Tab reaches every field and button in the order of the page; a button answers to the blank; keys can be off."""
    from selenium.webdriver.common.keys import Keys

    reached = []
    for _ in range(17):
        press(browser, Keys.TAB)
        reached.append(
            browser.execute_script("const e = document.activeElement; return e.id || e.dataset.verdict || e.className")
        )
    order = [
        "skip",
        "who",
        "format",
        "save",
        "saved",
        "keys",
        "crack",
        "no_crack",
        "unclear",
        "comment",
        "next",
        "open",
        "lines",
    ]
    assert [name for name in reached if name in order] == order
    browser.execute_script("document.querySelector('[data-verdict=unclear]').focus()")
    press(browser, Keys.SPACE)
    assert said(browser).startswith("Unclear. Place 2 of 24")
    focused = "return document.activeElement.dataset.verdict"
    assert browser.execute_script(focused) == "unclear"
    browser.find_element("id", "keys").click()
    press(browser, "1")
    assert text(browser, "count") == ["1 of 24 places judged"]


NEED_A_NAME = {"button", "textbox", "combobox", "checkbox", "progressbar", "navigation", "group", "region", "image"}


def test_a_screen_reader_finds_names_roles_and_what_changed(browser: Browser) -> None:
    """The tree of accessibility: everything that acts has a name, answers form a group, and changes are announced."""
    press(browser, "1")
    nodes = [
        node for node in browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"] if not node["ignored"]
    ]
    by_role = dict[str, list[str]]()
    for node in nodes:
        by_role.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in NEED_A_NAME & by_role.keys():
        assert all(name.strip() for name in by_role[role]), role
    assert {"Crack 1", "No crack 0", "Unclear ?", "Undo u", "Save s"} <= {*by_role["button"]}
    assert {"What does the tile show?", "Move and look"} <= {*by_role["group"]}
    assert "Places judged" in by_role["progressbar" if "progressbar" in by_role else "ProgressIndicator"]
    [status] = [node for node in nodes if node["role"]["value"] == "status"]
    assert {"name": "live", "value": {"type": "token", "value": "polite"}} in status["properties"]
    assert any("Place 2 of 24" in name for name in by_role["StaticText"])
