"""Statistics of cracks whose figures are all known beforehand, and what is said of them.

Crack n of a photo is 20.5 + n px long and 1.5 + 2 n px wide (p95); every second one is too thin to say.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import Connection
from pipeline.reports import crack_stats, dataset_stats
from pipeline.reports.crack_stats import CrackTotals
from pipeline.reports.dataset_stats import EVERY_CRACK, CrackRule
from tests.helpers.small_dataset import ok, with_cracks, write_dataset

SCALED = [[with_cracks(ok("a.jpg"), 3, mm_per_px=0.4), with_cracks(ok("bb.jpg"), 2, mm_per_px=0.1)]]
MIXED = [[with_cracks(ok("a.jpg"), 3, mm_per_px=0.4), with_cracks(ok("bb.jpg"), 2), with_cracks(ok("ccc.jpg"), 0)]]


@contextmanager
def opened(layout: Layout, rule: CrackRule = EVERY_CRACK) -> Iterator[Connection]:
    """The photos and cracks of a dataset."""
    with dataset_stats.open_photos(layout, None, rule) as photos:
        yield photos


def totals_of(layout: Layout, rule: CrackRule = EVERY_CRACK) -> CrackTotals:
    """The totals of a dataset with cracks."""
    with opened(layout, rule) as photos:
        totals = crack_stats.count_cracks(photos, rule)
    assert totals is not None
    return totals


def test_totals_are_in_metres_where_all_have_a_scale(tmp_path: Path) -> None:
    """Widths are p95; each photo's scale is its own."""
    totals = totals_of(write_dataset(str(tmp_path), SCALED))
    assert (totals.cracks, totals.photos, totals.unit, totals.unknown) == (5, 2, "mm", {"too_thin": 2})
    assert totals.length_px == pytest.approx(20.5 + 21.5 + 22.5 + 20.5 + 21.5)
    assert totals.length_mm == pytest.approx(0.4 * (20.5 + 21.5 + 22.5) + 0.1 * (20.5 + 21.5))
    assert totals.widest_px == 3.5
    assert totals.widest_mm == pytest.approx(1.4)
    assert crack_stats.describe_totals(totals) == (
        "5 in 2 photos, 0.03 m, the widest 1.40 mm (scale given by you); 2 have no width."
    )


def test_totals_are_in_pixels_where_one_has_no_scale(tmp_path: Path) -> None:
    """Millimetres and pixels do not add up."""
    totals = totals_of(write_dataset(str(tmp_path), MIXED))
    assert (totals.unit, totals.length_mm, totals.sources) == ("px", None, {"given": 3})
    assert crack_stats.describe_totals(totals) == "5 in 2 photos, 106 px, the widest 3.5 px; 2 have no width."


@pytest.mark.parametrize(
    ("rule", "counted", "narrower", "unscaled"),
    [
        (CrackRule(), 5, 0, 0),
        (CrackRule(from_mm=0.6), 2, 0, 1),
        (CrackRule(from_mm=0.61), 1, 1, 1),
        (CrackRule(from_px=1.5), 3, 0, 0),
        (CrackRule(from_px=2), 1, 2, 0),
        (CrackRule(from_mm=0.6, from_px=2), 2, 1, 0),
    ],
)
def test_every_crack_counts_is_narrower_unscaled_or_unknown(
    rule: CrackRule, counted: int, narrower: int, unscaled: int, tmp_path: Path
) -> None:
    """At a threshold a crack counts; in pixels those with a scale count, too, unless they have their own threshold."""
    totals = totals_of(write_dataset(str(tmp_path), MIXED), rule)
    assert (totals.cracks, totals.narrower, totals.unscaled) == (counted, narrower, unscaled)
    unknown = 2 if rule.is_set else 0
    assert totals.cracks + totals.narrower + totals.unscaled + unknown == 5


def test_what_does_not_count_is_told(tmp_path: Path) -> None:
    """How many are left out, and why."""
    rule = CrackRule(from_mm=0.61)
    totals = totals_of(write_dataset(str(tmp_path), MIXED), rule)
    assert " ".join(crack_stats.explain_totals(totals, rule)) == (
        "Only cracks from 0.61 mm on count here; 1 narrower one is left out. 1 more is left out for lack of a scale; "
        "--from-px compares such cracks in pixels. 2 cracks have no width: 2 too thin to say (under half a pixel). "
        "They are left out, too, however wide they really are. The scale is given by you (1 crack). Millimetres are no "
        "better than their scale."
    )


def test_without_a_threshold_unknown_widths_count_as_a_pixel(tmp_path: Path) -> None:
    """The page says so."""
    told = crack_stats.explain_totals(totals_of(write_dataset(str(tmp_path), MIXED)), EVERY_CRACK)
    assert told[0].endswith("Where photos are put in order, they count as 1 px wide.")
    assert told[1] == (
        "The scale is given by you (3 cracks). 2 cracks have no scale. Millimetres are no better than their scale."
    )


def test_classes_and_directions_hold_all_cracks_that_count(tmp_path: Path) -> None:
    """By width the last class is that of unknown widths."""
    with opened(write_dataset(str(tmp_path), SCALED)) as photos:
        totals = crack_stats.count_cracks(photos, EVERY_CRACK)
        assert totals is not None
        by_width = crack_stats.count_by_width(photos, totals)
        by_direction = crack_stats.count_by_direction(photos)
    assert {one.label: one.cracks for one in by_width if one.cracks} == {
        "0.1 to 0.2 mm": 1, "0.5 to 1.0 mm": 1, "1.0 mm and over": 1, "width unknown": 2,
    }  # fmt: skip
    assert {one.label: one.cracks for one in by_direction if one.cracks} == {"10 to 20°": 5}
    for classes in (by_width, by_direction):
        assert sum(one.length for one in classes) == pytest.approx(totals.length_mm)


def test_the_list_begins_with_the_widest_and_says_why_widths_are_unknown(tmp_path: Path) -> None:
    """Wider in millimetres, where all have a scale; photos unlike the training data come last."""
    unlike = with_cracks(ok("dddd.jpg"), 1, mm_per_px=9) | {"domain_score": 0.9}
    card = {"threshold": 0.5, "domain_threshold": 0.5}
    with opened(write_dataset(str(tmp_path), [*SCALED, [unlike]], card=card)) as photos:
        listed = crack_stats.list_cracks(photos)
        short = crack_stats.list_cracks(photos, 2)
        totals = crack_stats.count_cracks(photos, EVERY_CRACK)
    assert [(row["image"], row["crack"], row["notes"]) for row in listed] == [
        ("a.jpg", 2, ""),
        ("a.jpg", 0, ""),
        ("bb.jpg", 0, ""),
        ("bb.jpg", 1, "width too thin to say (under half a pixel)"),
        ("a.jpg", 1, "width too thin to say (under half a pixel)"),
        ("dddd.jpg", 0, "in a photo unlike the training data"),
    ]
    assert len(short) == 2
    assert totals is not None
    assert totals.out_of_domain == 1
    assert totals.widest_mm == pytest.approx(1.4)


def test_lines_come_with_their_measures_the_widest_last(tmp_path: Path) -> None:
    """Only those that count."""
    layout = write_dataset(str(tmp_path), MIXED)
    for rule, titles in (
        (EVERY_CRACK, ["Crack 1: 0.01 m, width unknown, too thin to say (under half a pixel), 14°",
                       "Crack 0: 0.01 m, width 0.60 mm, 12°", "Crack 2: 0.01 m, width 1.40 mm, 14°"]),
        (CrackRule(from_mm=1), ["Crack 2: 0.01 m, width 1.40 mm, 14°"]),
    ):  # fmt: skip
        with opened(layout, rule) as photos:
            [first] = [row for row in dataset_stats.list_photos(photos, 9).to_pylist() if row["image"] == "a.jpg"]
            lines = crack_stats.read_lines(photos, [first["image_id"]])[first["image_id"]]
        assert [one.title for one in lines] == titles
        assert lines[-1].lines[0].tolist() == [[10, 3], [30, 7.5]]
        assert lines[-1].width_class.label == "1.0 mm and over"


def test_a_photo_is_described_by_what_counts(tmp_path: Path) -> None:
    """With the source of its scale, or in pixels."""
    with opened(write_dataset(str(tmp_path), MIXED), CrackRule(from_px=2)) as photos:
        told = {
            row["image"]: crack_stats.describe_photo(row) for row in dataset_stats.list_photos(photos, 9).to_pylist()
        }
    assert told == {
        "a.jpg": "1 crack, 0.01 m, the widest 1.40 mm (scale given by you)",
        "bb.jpg": "no crack counted",
        "ccc.jpg": "no crack counted",
    }


def test_older_datasets_have_no_cracks(tmp_path: Path) -> None:
    """Their photos keep the order of their scores."""
    with opened(write_dataset(str(tmp_path), [[ok("a.jpg"), ok("bb.jpg")]], schema_version=2)) as photos:
        assert crack_stats.count_cracks(photos, EVERY_CRACK) is None
        rows = dataset_stats.list_photos(photos, 9).to_pylist()
    assert [row["crack_score"] for row in rows] == sorted((row["crack_score"] for row in rows), reverse=True)
    assert {crack_stats.describe_photo(row) for row in rows} == {""}
