"""Growth of cracks between two datasets: the table, the page, and what is said where nothing can be told."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core.table_schemas import CRACK_CHANGES
from pipeline.dataset.commit_log import read_table
from pipeline.dataset.layout import Layout
from pipeline.reports.compare import CompareConfig, Comparison, compare
from pipeline.reports.crack_growth import REASONS
from tests.helpers.browser import open_chromium, read_console
from tests.helpers.crack_inspections import DEEP, Photo, inspect, write_inspections
from tests.helpers.scored_photos import photo, score_archives, zip_photos
from tests.helpers.warped_photos import draw_surface


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Layout]:
    """Two inspections."""
    return write_inspections(tmp_path_factory.mktemp("years"))


@pytest.fixture(scope="module")
def compared(years: tuple[Layout, Layout], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Their comparison."""
    a, b = years
    return compare(CompareConfig(a.url, b.url, str(tmp_path_factory.mktemp("made"))))


def read_page(comparison: Comparison) -> str:
    """Read the page."""
    return storage.read_bytes(comparison.page_url).decode()


def test_each_crack_has_its_change(compared: Comparison) -> None:
    """Those of two photos that show different places have none, but a reason."""
    table = read_table(compared.cracks_url)
    assert table.schema.equals(CRACK_CHANGES)
    assert [(row["image_b"], row["change"], row["cracks_a"], row["cracks_b"]) for row in table.to_pylist()] == [
        ("pier.png", "new", [], [2]),
        ("pier.png", "longer", [0], [0]),
        ("pier.png", "gone", [2], []),
        ("pier.png", "same", [1], [1]),
        ("deck.png", "unknown", [0], [0]),
    ]
    assert compared.growth.counts == {
        "new": 1, "longer": 1, "wider": 0, "gone": 1, "same": 1, "unclear": 0, "outside": 0, "unknown": 1}  # fmt: skip
    assert table["reason"].to_pylist() == [None] * 4 + [REASONS["few_matches"]]


def test_growth_is_in_pixels_and_millimetres_of_showna(compared: Comparison) -> None:
    """By the scale of A; an unknown width is null and has its reason, never 0."""
    _, longer, _, same, _ = read_table(compared.cracks_url).to_pylist()
    assert longer["longer_by_px"] == pytest.approx(np.hypot(100, 90), abs=6)
    assert longer["wider_by_px"] == pytest.approx(3, abs=0.6)
    assert (longer["mm_per_px"], longer["scale_source"]) == (0.5, "given")
    for name in ("longer_by", "wider_by"):
        assert longer[f"{name}_mm"] == pytest.approx(longer[f"{name}_px"] / 2)
    assert longer["length_mm_a"] == pytest.approx(longer["length_px_a"] / 2)
    assert (same["width_status_a"], same["crack_width_px_p50_a"], same["wider_by_px"]) == ("too_thin", None, None)
    assert 0.5 < longer["overlap"] < 1
    assert 0 < longer["registration_error_px"] < 2


def test_the_page_shows_both_photos_with_their_lines(compared: Comparison) -> None:
    """What is new in red, what grew in orange with its new part in red; what could not be compared by its reason."""
    page = read_page(compared)
    assert page.count('<article class="card" id="growth-') == 1
    section = page[page.index('<section id="growth">') : page.index('<section id="all">')]
    drawn = [word.split('"')[0] for word in section.split('<path class="crack ')[1:]]
    assert drawn == ["same", "gone", "longer", "same", "longer", "new", "new"]
    assert "1 new, 1 longer, 1 gone, 1 same" in section
    assert "mm (given)" in section
    assert "too thin → too thin" in section
    assert REASONS["few_matches"] in section


def test_the_scale_of_b_counts_where_a_has_none(years: tuple[Layout, Layout], tmp_path: Path) -> None:
    """Per pixel of A, which shows the place larger; what was new is gone."""
    a, b = years
    back = compare(CompareConfig(b.url, a.url, str(tmp_path / "made")))
    rows = read_table(back.cracks_url).to_pylist()
    assert {row["change"] for row in rows} == {"new", "gone", "same", "unknown"}
    assert rows[0]["scale_source"] == "given"
    assert rows[0]["mm_per_px"] == pytest.approx(0.5 / 0.93, rel=0.05)


def test_the_limit_leaves_pairs_out(years: tuple[Layout, Layout], tmp_path: Path) -> None:
    """Those with shorter cracks; the page says so. An older table of cracks does not stay behind."""
    a, b = years
    some = compare(CompareConfig(a.url, b.url, str(tmp_path), crack_pairs=1))
    assert ([pair.names["image_b"] for pair in some.growth.pairs], some.growth.left) == (["pier.png"], 1)
    assert "1 more pair with cracks was not compared" in read_page(some)
    none = compare(CompareConfig(a.url, b.url, str(tmp_path), crack_pairs=0))
    assert (none.growth.pairs, none.growth.left) == ([], 2)
    assert not storage.exists(none.cracks_url)


def test_progress_counts_photos(years: tuple[Layout, Layout], tmp_path: Path) -> None:
    """Both of each pair."""
    a, b = years
    told: list[tuple[int, int]] = []
    compare(CompareConfig(a.url, b.url, str(tmp_path)), lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_photos_that_cannot_be_read_any_more_say_so(tmp_path: Path) -> None:
    """Nothing is claimed of their cracks."""
    photos = {"a.png": Photo(draw_surface(), (DEEP,))}
    a, b = inspect(tmp_path, 2025, photos, None), inspect(tmp_path, 2026, photos, None)
    (tmp_path / "2026.zip").unlink()
    found = compare(CompareConfig(a.url, b.url, str(tmp_path / "made")))
    [pair] = found.growth.pairs
    assert pair.reason is not None
    assert pair.reason.startswith("B: ")
    assert found.growth.counts["unknown"] == 1
    assert found.growth.compared == 0
    assert pair.reason[:20] in read_page(found)


def test_one_shownin_two_datasets_shows_no_growth(years: tuple[Layout, Layout], tmp_path: Path) -> None:
    """Two models on the same photos: what one of them does not see did not grow."""
    found = compare(CompareConfig(years[0].url, years[0].url, str(tmp_path)))
    assert (found.growth.pairs, found.growth.unmeasured) == ([], "")
    assert 'id="growth"' not in read_page(found)


def test_datasets_without_cracks_say_so(years: tuple[Layout, Layout], tmp_path: Path) -> None:
    """Those that older versions wrote, or `--no-cracks`."""
    old = score_archives(tmp_path / "old", zip_photos(tmp_path / "old.zip", {"pier.png": photo(51)}))
    found = compare(CompareConfig(old.url, years[1].url, str(tmp_path / "made")))
    assert found.growth.unmeasured == "A"
    assert "Cracks were not measured in A, so it cannot be told which grew." in read_page(found)
    assert not storage.exists(found.cracks_url)
    assert found.growth.to_table().equals(pa.Table.from_pylist([], CRACK_CHANGES))


@pytest.mark.ray  # takes seconds, like those tests
def test_the_page_works_in_a_browser(compared: Comparison, tmp_path: Path) -> None:
    """Lines lie over both photos and can be switched off; the table of cracks sorts by growth."""
    with open_chromium(tmp_path) as browser:
        browser.get(storage.local_path(compared.page_url).as_uri())
        card = browser.find_element("css selector", "#growth-0")
        photos, lines = (card.find_elements("css selector", part) for part in ("img", "svg.heat"))
        for shown, line in zip(photos, lines, strict=True):
            assert line.rect == pytest.approx(shown.rect, abs=1)
        assert len({round(each.rect["y"]) for each in photos}) == 1
        browser.find_element("css selector", "#growth .heat-switch").click()
        assert not any(each.is_displayed() for each in lines)
        for heading in browser.find_elements("css selector", "#crack-changes th button"):
            if heading.text == "Longer by":
                heading.click()
        first = browser.find_element("css selector", "#crack-changes tbody tr")
        assert "longer" in first.text
        assert read_console(browser) == []
