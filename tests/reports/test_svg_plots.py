"""Places of marks in plots."""

from datetime import UTC, datetime
from math import cos, radians

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reports import svg_plots
from pipeline.reports.crack_stats import ClassTotals
from pipeline.reports.dataset_stats import Dot

DAY_S = 86400.0
PLACED = st.builds(Dot, st.floats(11, 11.1), st.floats(48, 48.1), st.integers(1, 99), st.floats(0, 1), st.just("a.jpg"))
DATED = st.builds(Dot, st.floats(0, 2e9), st.floats(0, 1), st.just(1), st.floats(0, 1), st.just("a.jpg"))


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60))
def test_bars_stand_on_the_axis_and_none_is_lost(counts: list[int]) -> None:
    """One photo among millions still has a bar; no bar leaves the plot."""
    plot = svg_plots.draw_histogram(counts)
    assert len(plot.marks) == sum(count > 0 for count in counts)
    for bar in plot.marks:
        assert bar.height_px >= 1
        assert bar.y_px + bar.height_px == pytest.approx(plot.height_px - svg_plots.FEET_PX, abs=0.11)
        assert svg_plots.PAD_PX <= bar.x_px <= svg_plots.WIDTH_PX - svg_plots.PAD_PX


def test_bars_say_what_they_count() -> None:
    """Their titles have the count and the bounds."""
    assert [bar.title for bar in svg_plots.draw_histogram([2, 0, 0, 1]).marks] == [
        "2 photos from 0 to 0.25", "1 photo from 0.75 to 1",
    ]  # fmt: skip


@given(st.lists(PLACED, min_size=1, max_size=30))
def test_no_dot_leaves_the_plan(dots: list[Dot]) -> None:
    """There is room for dots at the edge and for the scale below."""
    plot = svg_plots.draw_plan(dots, 0)
    assert plot is not None
    for mark in plot.marks:
        assert svg_plots.PAD_PX - 0.1 <= mark.x_px <= svg_plots.WIDTH_PX - svg_plots.PAD_PX + 0.1
        assert svg_plots.PAD_PX - 0.1 <= mark.y_px <= plot.height_px - svg_plots.PAD_PX - svg_plots.FEET_PX + 1
    assert 0 < plot.across[0].place_px <= svg_plots.WIDTH_PX / 4


def test_a_plan_is_true_to_scale_with_north_up() -> None:
    """A square of a hundred metres is a square, and its scale bar is as long as it says."""
    degree_m = radians(1) * svg_plots.EARTH_RADIUS_M
    north, east = 100 / degree_m, 100 / degree_m / cos(radians(60))
    corners = [Dot(20 + x * east, 60 + y * north, 1, 0.5, "") for x in (0, 1) for y in (0, 1)]
    plot = svg_plots.draw_plan(corners, 3)
    assert plot is not None
    south_west, north_west, south_east, _ = plot.marks
    side_px = south_east.x_px - south_west.x_px
    assert south_west.y_px - north_west.y_px == pytest.approx(side_px, rel=0.01)
    assert plot.across[0].label == "20 m"
    assert plot.across[0].place_px == pytest.approx(side_px / 5, rel=0.01)
    assert plot.note == "3 photos far away from all others not drawn."


@given(st.lists(DATED, min_size=1, max_size=30))
def test_no_dot_leaves_the_timeline_and_time_has_ticks(dots: list[Dot]) -> None:
    """From a second to decades."""
    plot = svg_plots.draw_timeline(dots)
    assert plot is not None
    assert 1 <= len(plot.across) <= 9
    for place in [mark.x_px for mark in plot.marks] + [tick.place_px for tick in plot.across]:
        assert svg_plots.PAD_PX - 0.1 <= place <= svg_plots.WIDTH_PX - svg_plots.PAD_PX + 0.1


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.0, ["12 May 2026 09:00"]),
        (30.0, ["09:00:00", "09:00:10", "09:00:20", "09:00:30"]),
        (3 * 3600.0, ["12 May 09:00", "12 May 10:00", "12 May 11:00", "12 May 12:00"]),
        (2 * DAY_S, ["12 May 12:00", "13 May 00:00", "13 May 12:00", "14 May 00:00"]),
    ],
)
def test_ticks_stand_at_round_moments(seconds: float, labels: list[str]) -> None:
    """Whole minutes, hours or days, depending on the span."""
    first = datetime(2026, 5, 12, 9, tzinfo=UTC).timestamp()
    plot = svg_plots.draw_timeline([Dot(first, 0.5, 1, 0.5, ""), Dot(first + seconds, 0.5, 1, 0.5, "")])
    assert plot is not None
    assert [tick.label for tick in plot.across] == labels


def test_nothing_to_draw_is_no_plot() -> None:
    """The page leaves it out."""
    assert svg_plots.draw_plan([], 0) is None
    assert svg_plots.draw_timeline([]) is None


def test_a_dot_says_how_many_photos_it_is() -> None:
    """And names the worst of them."""
    titles = [svg_plots.draw_timeline([Dot(0, 0.5, count, 0.5, "a.jpg")]) for count in (1, 2, 3)]
    assert [plot.marks[0].title for plot in titles if plot] == [
        "a.jpg: score 0.50", "a.jpg and 1 other: score 0.50", "a.jpg and 2 others: score 0.50",
    ]  # fmt: skip


def test_differences_have_fallen_on_the_left_and_risen_on_the_right() -> None:
    """Differences around 0 are neither; -1 and 1 are in the plot."""
    plot = svg_plots.draw_differences(np.array([-1.0, 0.0, 0.01, 0.5, 1.0]))
    assert [bar.colour for bar in plot.marks] == [svg_plots.FELL, svg_plots.ALIKE, svg_plots.ROSE, svg_plots.ROSE]
    assert [bar.title.split(" from")[0] for bar in plot.marks] == ["1 photo", "2 photos", "1 photo", "1 photo"]
    assert [tick.label for tick in plot.across] == ["-1", "-0.5", "0", "+0.5", "+1"]
    assert svg_plots.draw_differences(np.array([])).marks == []


def test_bars_of_cracks_are_as_high_as_their_lengths() -> None:
    """In millimetres where all have a scale; a class without cracks has no bar, one with a short crack has."""
    classes = [
        ClassTotals("thin", 2, 10.0, 400.0, "#123456"), ClassTotals("none", 0, 0.0, None),
        ClassTotals("wide", 1, 99.0, 200.0), ClassTotals("short", 1, 1.0, 0.1),
    ]  # fmt: skip
    plot = svg_plots.draw_cracks(classes, {0.0: "0", 0.5: "half"})
    assert [mark.title for mark in plot.marks] == [
        "thin: 2 cracks, 0.40 m", "wide: 1 crack, 0.20 m", "short: 1 crack, 0.00 m",
    ]  # fmt: skip
    assert [mark.colour for mark in plot.marks] == ["#123456", svg_plots.ALIKE, svg_plots.ALIKE]
    heights = [mark.height_px for mark in plot.marks]
    assert heights == [plot.height_px - svg_plots.FEET_PX - svg_plots.PAD_PX, heights[0] / 2, 1]
    assert [(tick.place_px, tick.label) for tick in plot.across] == [(30, "0"), (320, "half")]
    assert svg_plots.draw_cracks(classes[1:2], {}).marks == []


@given(st.floats(1e-3, 1e6))
def test_a_scale_bar_is_round_and_at_least_two_fifths(value: float) -> None:
    """Its first digit is 1, 2 or 5, and the rest are zeros."""
    found = svg_plots.round_down(value)
    assert 0.39 * value < found <= value * (1 + 1e-9)
    assert f"{found:.6e}"[:8] in {"1.000000", "2.000000", "5.000000"}
