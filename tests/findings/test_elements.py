"""Photos filed under elements: the table, its views, and who may change it."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.errors import DatasetHeldError, UsageError
from pipeline.dataset.beside import ELEMENTS, elements_url, find_element_faults
from pipeline.dataset.commit_log import read_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.sql import query
from pipeline.dataset.verify import verify
from pipeline.findings.areas import parse_area
from pipeline.findings.element_rules import ElementRule, ElementRules
from pipeline.findings.elements import remove_elements, set_elements
from tests.helpers.scored_photos import photo, score_archives, zip_photos
from tests.helpers.small_dataset import write_dataset

HOSTILE = "</script><img src=x onerror=alert(1)>=cmd()\u202e'\""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Photos a.jpg (three cracks), bb.jpg, ccc.jpg (one crack), and the failed no.jpg and nope.jpg."""
    return write_dataset(str(tmp_path / "out"))


def rules_of(*rows: tuple[str, str], polygon: str = "", own: str = "Inspector") -> ElementRules:
    """Rules of patterns and spans."""
    area = parse_area(polygon) if polygon else None
    columns = ["structure", "span", "element", "face", own]
    return ElementRules(
        columns,
        [
            ElementRule(f"row {n}", pattern, area, dict.fromkeys(columns, "") | {"span": span, own: HOSTILE})
            for n, (pattern, span) in enumerate(rows, 1)
        ],
    )


def test_photos_are_filed_by_the_first_rule_that_fits(layout: Layout) -> None:
    """The others are told, and so are rules that count for none; any text stays as it is."""
    filed = set_elements(layout.url, rules_of(("a*", "1"), ("a.jpg", "2"), ("*c.jpg", "1"), ("no*", "3")))
    assert (filed.photos, filed.elements, filed.unmatched, filed.unplaced) == (4, 2, ["bb.jpg"], 0)
    assert [rule.where for rule in filed.idle] == ["row 2"]
    found = query(layout.url, "SELECT image, span, face, Inspector FROM elements ORDER BY image").to_pylist()
    assert [(row["image"], row["span"], row["face"]) for row in found] == [
        ("a.jpg", "1", None), ("ccc.jpg", "1", None), ("no.jpg", "3", None), ("nope.jpg", "3", None),
    ]  # fmt: skip
    assert {row["Inspector"] for row in found} == {HOSTILE}
    counted = query(layout.url, "SELECT span, count(*) AS n FROM findings GROUP BY span ORDER BY span").to_pylist()
    assert counted[0] == {"span": "1", "n": 4}
    assert find_element_faults(layout) == []
    assert not any(check.broken for check in verify(layout.url, lambda _done, _all: None))


def test_the_table_has_the_declared_columns(layout: Layout) -> None:
    """And those of the office's own behind them, as text."""
    set_elements(layout.url, rules_of(("*", "1"), own="Bauteil-Nr. (SIB)"))
    table = read_table(elements_url(layout))
    assert [*table.schema][: len(ELEMENTS)] == [*ELEMENTS]
    assert table.column_names[len(ELEMENTS) :] == ["Bauteil-Nr. (SIB)"]
    assert query(layout.url, 'SELECT DISTINCT "Bauteil-Nr. (SIB)" AS n FROM findings').to_pylist() == [{"n": HOSTILE}]


def test_the_next_call_replaces_it_and_removal_leaves_nothing(layout: Layout, tmp_path: Path) -> None:
    """The committed files stay as they are."""
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    set_elements(layout.url, rules_of(("*", "1")))
    set_elements(layout.url, rules_of(("a.jpg", "2")))
    assert query(layout.url, "SELECT span FROM elements").to_pylist() == [{"span": "2"}]
    assert remove_elements(layout.url)
    assert not remove_elements(layout.url)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_run_at_work_is_not_disturbed(layout: Layout) -> None:
    """As long as another process holds the dataset, nothing is set or removed."""
    set_elements(layout.url, rules_of(("a.jpg", "2")))
    before = storage.read_bytes(elements_url(layout))
    with hold(layout, "run", lambda _holder: None):
        with pytest.raises(DatasetHeldError):
            set_elements(layout.url, rules_of(("*", "1")))
        with pytest.raises(DatasetHeldError):
            remove_elements(layout.url)
    assert storage.read_bytes(elements_url(layout)) == before


def test_photos_are_found_on_the_map(tmp_path: Path) -> None:
    """By their position in EXIF; one at 0, 0 has none."""
    photos = {
        "in.png": photo(9, place=(48.5, 11.5)),
        "out.png": photo(9, place=(48.5, 12.5)),
        "null.png": photo(9, place=(0, 0)),
        "none.png": photo(9),
    }
    layout = score_archives(tmp_path / "out", zip_photos(tmp_path / "one.zip", photos))
    around = rules_of(("", "7"), polygon="POLYGON ((-1 -1, 12 -1, 12 49, -1 49, -1 -1))")
    filed = set_elements(layout.url, around)
    assert (filed.photos, filed.unmatched, filed.unplaced) == (1, ["none.png", "null.png", "out.png"], 2)
    assert query(layout.url, "SELECT image, span FROM elements").to_pylist() == [{"image": "in.png", "span": "7"}]


def test_rules_for_no_photo_are_refused(layout: Layout, tmp_path: Path) -> None:
    """The message shows how names of photos look, and how many have a position; nothing is written."""
    with pytest.raises(UsageError) as refused:
        set_elements(layout.url, rules_of(("x*", "1")))
    assert str(refused.value) == (
        f"No photo of {layout.url} fits a rule. Its first is bb.jpg in file:///photos/one.zip; expected a name or a "
        "glob that matches it, or a polygon around it."
    )
    with pytest.raises(UsageError, match=r" Of its 5 photos, 0 have a position\.$"):
        set_elements(layout.url, rules_of(("", "1"), polygon="POLYGON ((0 0, 1 0, 1 1, 0 0))"))
    assert not (tmp_path / "out" / "elements.parquet").exists()


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    """It says so, and leaves nothing there."""
    for call in (
        lambda: set_elements(str(tmp_path / "x"), rules_of(("*", "1"))),
        lambda: remove_elements(str(tmp_path / "x")),
    ):
        with pytest.raises(UsageError, match="There is no dataset at "):
            call()
    assert not (tmp_path / "x").exists()
