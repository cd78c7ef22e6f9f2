"""A rehearsal measures until the mean is known well enough, and counts only the whole beginning of its sample."""

import pytest

from pipeline.core.table_schemas import MEMBERS
from pipeline.scoring.estimate import PhotoCost
from pipeline.scoring.rehearsal import LEAST_PHOTOS, MEASURED_S, _Sample

POINTS = [(f"photo-{number}", 1.0) for number in range(2 * LEAST_PHOTOS)]


def make_sample(seconds: list[float]) -> _Sample:
    """A sample of which the first photos took this long."""
    costs = {image_id: PhotoCost(1, 0, each, 0) for (image_id, _), each in zip(POINTS, seconds, strict=False)}
    return _Sample(MEMBERS.empty_table(), POINTS, LEAST_PHOTOS, costs)


@pytest.mark.parametrize(
    ("seconds", "measured_s", "enough"),
    [
        ([1.0] * (LEAST_PHOTOS - 1), MEASURED_S + 1, False),
        ([1.0] * LEAST_PHOTOS, 0.0, True),
        ([1.0, 9.0] * (LEAST_PHOTOS // 2), 0.0, False),
        ([1.0, 9.0] * (LEAST_PHOTOS // 2), MEASURED_S + 1, True),
    ],
    ids=["too few", "alike", "unlike", "long enough"],
)
def test_measuring_ends_when_the_mean_is_known(seconds: list[float], measured_s: float, *, enough: bool) -> None:
    """Not before a few photos are measured; if they are unlike, after some time."""
    assert make_sample(seconds).is_enough(measured_s) is enough


def test_only_the_whole_beginning_counts() -> None:
    """Photos that overtook others would bring more than their share: a large one is drawn several times."""
    sample = make_sample([1.0] * 4)
    sample.points.insert(2, ("large", 0.1))
    assert len(sample.measured) == 2
    sample.costs["large"] = PhotoCost(1, 0, 9.0, 0)
    assert [photo.weight for photo in sample.measured] == [1, 1, 0.1, 1, 1]
