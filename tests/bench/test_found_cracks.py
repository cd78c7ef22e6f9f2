"""Finds are held against the true cracks that they are near, whole."""

import numpy as np
import pytest

from tests.bench.found_cracks import FoundCrack, ScoredPhoto, count_per_twelve_megapixels, match_cracks

TRUE = [np.array([[100.0, 100.0], [500.0, 100.0]]), np.array([[100.0, 400.0], [100.0, 600.0]])]


def find(start: tuple[float, float], stop: tuple[float, float], width_px: float | None = 3.0) -> FoundCrack:
    """A straight find."""
    line = np.array([start, stop])
    return FoundCrack([line], float(np.hypot(*(line[1] - line[0]))), width_px)


def test_two_finds_of_one_crack_add_up() -> None:
    """Their lengths are added, their widths weighted by length, and the gap between them is not found."""
    finds = [find((100, 102), (200, 102), 2.0), find((300, 98), (500, 98), 5.0)]
    [first, second], others = match_cracks(TRUE, finds)
    assert first.length_px == pytest.approx(300)
    assert first.width_px == pytest.approx(4)
    assert first.share == pytest.approx(0.75, abs=0.03)
    assert second == (0.0, None, None)
    assert others == []


def test_a_find_of_no_crack_is_off() -> None:
    """One that is mostly elsewhere, though it crosses a crack; what it crosses is near a line all the same."""
    across = find((300, 0), (300, 300))
    [first, _], others = match_cracks(TRUE, [across])
    assert others == [across]
    assert first.length_px is None
    assert 0 < first.share < 0.05


def test_an_unknown_width_is_no_width() -> None:
    """It has no weight beside a known one, and alone is unknown."""
    [first, second], _ = match_cracks(
        TRUE,
        [find((100, 100), (400, 100), None), find((400, 100), (500, 100), 6.0), find((100, 400), (100, 600), None)],
    )
    assert first.width_px == pytest.approx(6)
    assert second.width_px is None
    assert second.length_px == pytest.approx(200)


def test_nothing_found_and_nothing_there() -> None:
    """Neither is an error."""
    found, others = match_cracks(TRUE, [])
    assert [each.share for each in found] == [0, 0]
    assert others == []
    stray = find((0, 0), (50, 0))
    assert match_cracks([], [stray]) == ([], [stray])


def test_finds_are_counted_by_area() -> None:
    """Three on two photos of three megapixels are six on twelve."""
    photos = [ScoredPhoto(3_000_000, ()), ScoredPhoto(3_000_000, ())]
    assert count_per_twelve_megapixels(photos, 3) == pytest.approx(6)
