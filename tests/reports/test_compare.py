"""Two datasets compared: the table, the page, and the agreement on the same photos."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import UsageError
from pipeline.dataset.commit_log import read_table
from pipeline.dataset.layout import Layout
from pipeline.reports.compare import CompareConfig, Comparison, compare
from pipeline.reports.photo_matching import Rule
from tests.helpers.scored_photos import photo, score_archives, zip_photos

HOSTILE = "<script>alert(1)</script>.png"
BEFORE = {HOSTILE: 26, "fallen.png": 230, "same.png": 51, "gone.png": 200, "crossing.png": 120}
AFTER = {HOSTILE: 230, "fallen.png": 26, "same.png": 52, "new.png": 200, "crossing.png": 130}


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, Layout]:
    """Two inspections: archives and times differ, but most photos have the same names and places."""
    folder = tmp_path_factory.mktemp("years")
    made = []
    for year, levels in ((2025, BEFORE), (2026, AFTER)):
        photos = {}
        for number, (name, level) in enumerate(levels.items()):
            at = datetime(year, 5, 1, 9) + timedelta(minutes=number)  # noqa: DTZ001 - EXIF has no zone
            place = (48.1 + (number if name != "new.png" else 100) * 1e-3, 11.5)
            photos[name] = photo(level, at, place)
        photos["broken.png"] = b"no photo"
        made.append(score_archives(folder / f"out-{year}", zip_photos(folder / f"{year}.zip", photos)))
    return made[0], made[1]


def comparison_of(years: tuple[Layout, Layout], folder: Path, rule: Rule = Rule()) -> tuple[Comparison, pa.Table, str]:  # noqa: B008 - it is frozen
    """The comparison, its table and its page."""
    found = compare(CompareConfig(years[0].url, years[1].url, str(folder / "made"), rule))
    return found, read_table(found.table_url), storage.read_bytes(found.page_url).decode()


def test_photos_of_one_name_are_compared(years: tuple[Layout, Layout], tmp_path: Path) -> None:
    """Each photo has a row, risen scores come first, and the page shows both sides."""
    found, table, page = comparison_of(years, tmp_path)
    assert found.counts == {
        "rose": 1, "fell": 1, "same": 2, "new": 1, "gone": 1, "failed": 1, "unclear": 0}  # fmt: skip
    assert table.schema.equals(table_schemas.CHANGES)
    assert [(row["change"], row["image_b"] or row["image_a"]) for row in table.to_pylist()] == [
        ("rose", HOSTILE), ("fell", "fallen.png"), ("new", "new.png"), ("gone", "gone.png"),
        ("same", "crossing.png"), ("same", "same.png"), ("failed", "broken.png"),
    ]  # fmt: skip
    agreed = found.agreement
    assert (agreed.both, agreed.only_a, agreed.only_b, agreed.neither) == (0, 1, 2, 1)
    assert page.count('class="card" id="pair-') == 2
    assert page.count('class="heat" src="data:image/png;base64,') == 4
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_photos_of_one_place_are_compared(years: tuple[Layout, Layout], tmp_path: Path) -> None:
    """Their names do not matter; failed photos have no place."""
    found, table, page = comparison_of(years, tmp_path, Rule("place", 3))
    assert found.counts["unclear"] == 2
    assert (found.counts["new"], found.counts["gone"]) == (1, 1)
    assert max(table["distance_m"].drop_null().to_pylist()) < 1
    assert "at most 3 m apart" in page
    assert "Distance, m" in page


def test_exchanged_sides_exchange_the_kinds(years: tuple[Layout, Layout], tmp_path: Path) -> None:
    """Rose becomes fell, and new becomes gone."""
    there, _, _ = comparison_of(years, tmp_path)
    back, table, _ = comparison_of(years[::-1], tmp_path)
    assert back.agreement.kappa == there.agreement.kappa
    assert {table["image_b"][0].as_py(), table["image_a"][1].as_py()} == {"fallen.png", HOSTILE}


def test_a_dataset_is_the_same_as_itself(years: tuple[Layout, Layout], tmp_path: Path) -> None:
    """Nothing has changed."""
    found, table, page = comparison_of((years[0], years[0]), tmp_path)
    assert (found.counts["same"], found.counts["failed"], table.num_rows) == (5, 1, 6)
    assert found.agreement.share == 1
    assert "No score rose or fell" in page


def test_a_margin_of_nothing_is_refused() -> None:
    """With it every photo would have risen and fallen."""
    with pytest.raises(UsageError) as refused:
        CompareConfig("a", "b", "c", margin=0)
    assert str(refused.value) == "The margin is 0; expected more than 0, at most 1. Give another --margin."


def test_a_dataset_is_no_place_for_a_comparison(years: tuple[Layout, Layout]) -> None:
    """Neither of the two: every file in a dataset has its meaning."""
    a, b = years
    for folder in (a.url, f"{b.url}/made"):
        with pytest.raises(UsageError, match="lies in the dataset"):
            compare(CompareConfig(a.url, b.url, folder))
