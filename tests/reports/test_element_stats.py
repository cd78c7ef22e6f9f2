"""Parts of structures: their figures, their findings, and what changed at them."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query
from pipeline.findings.element_rules import PARTS, ElementRule, ElementRules
from pipeline.findings.elements import set_elements
from pipeline.reports import crack_stats, dataset_stats, element_stats
from pipeline.reports.dataset_stats import EVERY_CRACK, CrackRule
from pipeline.reports.element_stats import compare_elements
from tests.helpers.small_dataset import write_dataset
from tests.helpers.verdict_rows import judge

CONFIRMED = CrackRule(confirmed=True)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """a.jpg with three cracks at span 10, ccc.jpg with one at span 9; bb.jpg is over the threshold, two failed."""
    return write_dataset(str(tmp_path / "out"))


def file(layout: Layout) -> None:
    """File a.jpg and ccc.jpg."""
    rules = [
        ElementRule("row", pattern, None, dict.fromkeys(PARTS, "") | {"structure": "B", "span": span})
        for pattern, span in (("a*", "10"), ("c*", "9"))
    ]
    set_elements(layout.url, ElementRules(PARTS, rules))


def id_of(layout: Layout, image: str) -> str:
    """The id of a photo."""
    [row] = query(layout.url, f"SELECT image_id FROM images WHERE image = '{image}'").to_pylist()
    return str(row["image_id"])


def sections(layout: Layout, rule: CrackRule = EVERY_CRACK) -> dict[str, list[tuple[Any, ...]]]:
    """Findings of each part: kind, crack and state."""
    with dataset_stats.open_photos(layout, None, rule) as photos:
        found = element_stats.list_sections(photos, rule)
    return {
        section.totals.title: [(row["kind"], row["crack"], row["state"]) for row in section.findings]
        for section in found
    }


def test_without_elements_and_verdicts_there_is_nothing(layout: Layout) -> None:
    """The page stays as it was."""
    assert sections(layout) == {}


def test_findings_come_element_by_element(layout: Layout) -> None:
    """Span 9 before span 10, photos without an element last; the widest crack first."""
    file(layout)
    assert sections(layout) == {
        "B / 9": [("crack", 0, "open")],
        "B / 10": [("crack", 2, "open"), ("crack", 0, "open"), ("crack", 1, "open")],
        "Without an element": [("photo", None, "open")],
    }


def test_verdicts_decide_what_counts(layout: Layout) -> None:
    """A rejected crack counts nowhere but as rejected; with `confirmed`, only confirmed ones do."""
    file(layout)
    a = id_of(layout, "a.jpg")
    judge(layout, a, "crack", cracks=[0], comment="=cmd()")
    judge(layout, a, "no_crack", cracks=[2])
    with dataset_stats.open_photos(layout, None) as photos:
        nine, ten, _ = element_stats.count_by_element(photos)
        totals = crack_stats.count_cracks(photos, EVERY_CRACK)
        listed = crack_stats.list_cracks(photos)
    assert (nine.open, ten.confirmed, ten.open, ten.rejected, ten.cracks) == (1, 1, 1, 1, 2)
    assert totals is not None
    assert (totals.cracks, totals.rejected, totals.unconfirmed) == (3, 1, 0)
    assert [row["crack"] for row in listed if row["image"] == "a.jpg"] == [0, 1]
    assert listed[0]["notes"] == "confirmed by ann; =cmd()"
    assert sections(layout)["B / 10"] == [("crack", 0, "confirmed"), ("crack", 1, "open"), ("crack", 2, "rejected")]
    assert sections(layout, CONFIRMED) == {"B / 9": [], "B / 10": [("crack", 0, "confirmed")], "Without an element": []}
    with dataset_stats.open_photos(layout, None, CONFIRMED) as photos:
        assert dataset_stats.list_photos(photos, 9)["image"].to_pylist() == ["a.jpg"]
        assert dataset_stats.count_totals(photos).cracked == 1
        confirmed = crack_stats.count_cracks(photos, CONFIRMED)
        assert confirmed is not None
        told = crack_stats.explain_totals(confirmed, CONFIRMED)
    assert told[0] == "Only what somebody confirmed counts here: 2 cracks are unconfirmed and 1 crack was rejected."


def test_verdicts_without_elements_are_one_list(layout: Layout) -> None:
    """Of all photos."""
    judge(layout, id_of(layout, "bb.jpg"), "crack")
    assert list(sections(layout)) == ["Without an element"]
    assert sections(layout)["Without an element"][0] == ("photo", None, "confirmed")
    assert sections(layout, CONFIRMED) == {"Without an element": [("photo", None, "confirmed")]}


def test_a_rejected_photo_comes_last(layout: Layout) -> None:
    """Of those with a score, whatever its score."""
    judge(layout, id_of(layout, "a.jpg"), "no_crack")
    with dataset_stats.open_photos(layout, None) as photos:
        assert dataset_stats.list_photos(photos, 3)["image"].to_pylist() == ["ccc.jpg", "bb.jpg", "a.jpg"]


def change(kind: str, a: str, b: str, **more: float | None) -> dict[str, Any]:
    """A row of `CRACK_CHANGES`."""
    return {"change": kind, "image_id_a": a, "image_id_b": b, **more}


def test_changes_are_told_element_by_element() -> None:
    """A crack is at the element of its photo in B, else of that in A; new length is added up."""
    rows = [
        change("new", "1", "2", length_px_b=5.0, length_mm_b=50.0),
        change("longer", "1", "2", longer_by_px=2.0, longer_by_mm=20.0),
        change("gone", "3", "4"),
        change("new", "5", "6", length_px_b=1.0, length_mm_b=None),
    ]
    nine, ten, rest = compare_elements({"1": "S 10", "3": "S 9", "7": "S 9"}, {"2": "S 10"}, rows)
    assert (nine.title, nine.photos, dict(nine.cracks), nine.grown) == ("S 9", (2, 0), {"gone": 1}, "-")
    assert (ten.photos, dict(ten.cracks), ten.grown) == ((1, 1), {"new": 1, "longer": 1}, "0.07 m")
    assert (rest.title, rest.grown_px, rest.grown) == ("Without an element", 1.0, "1 px")
    assert compare_elements({}, {"2": "S 10"}, rows) == []
