"""Names of pictures: what they say is read back, whatever a tool puts around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.findings.picture_names import PictureName, parse_facts, parse_name
from pipeline.labels.boxes import Box

PIXELS = st.integers(0, 999_999_999)
NAMES = st.builds(
    PictureName,
    st.integers(0, 2**64 - 1).map("{:016x}".format),
    st.sampled_from(["tile", "photo"]),
    st.builds(Box, PIXELS, PIXELS, PIXELS.map(lambda side: side + 1), PIXELS.map(lambda side: side + 1)).filter(
        lambda box: max(box) <= 999_999_999
    ),
    st.none(),
    st.none(),
)
PICKED = st.builds(
    lambda name, weight: name._replace(pick="random", weight=weight), NAMES, st.integers(1, 10**9).map(lambda n: n / 64)
) | st.builds(lambda name: name._replace(pick="worst"), NAMES)


@given(NAMES | PICKED)
def test_a_name_reads_back(name: PictureName) -> None:
    """Also behind a number or the hash of an upload, in a folder, and before the endings that tools add."""
    for text in (f"0001_{name.stem}.png", f"tiles/ab12cd34-0001_{name.stem}.png", f"7_{name.stem}_png.rf.0f1e.jpg"):
        assert parse_name(text) == name
    assert parse_facts(name.to_facts()) == name


def test_an_example() -> None:
    """As the module writes it."""
    name = PictureName("2f1c9ab04d5e7788", "tile", Box(50, 100, 256, 256), "random", 12.5)
    assert name.stem == "2f1c9ab04d5e7788_tile_100_50_256_256_random_12.5"


@pytest.mark.parametrize(
    "text",
    [
        "DJI_0001.JPG",
        "2f1c9ab04d5e7788.png",
        "2f1c9ab04d5e7788_tile_1_2_0_4.png",
        "a2f1c9ab04d5e7788_tile_1_2_3_4.png",
        "2f1c9ab04d5e7788_tile_1_2_3_9999999999.png",
    ],
)
def test_other_names_say_nothing(text: str) -> None:
    """Photos of others, boxes without an extent, and longer ids or numbers."""
    assert parse_name(text) is None


@pytest.mark.parametrize(
    "change", [{"image_id": 5}, {"subject": "crack"}, {"left_px": "x"}, {"width_px": 0}, {"top_px": None}]
)
def test_other_facts_say_nothing(change: dict[str, object]) -> None:
    """Values that a task of others may have."""
    facts = PictureName("2f1c9ab04d5e7788", "tile", Box(50, 100, 256, 256)).to_facts()
    assert parse_facts(facts) is not None
    assert parse_facts(facts | change) is None
