"""The first source of a photo's scale that answers counts; what is wrong gives none."""

import math
import pickle
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.decode import Photo
from pipeline.images.scale_facts import ScaleFacts
from pipeline.measurement.scale import Scale, ScaleRow, ScaleRule, ScaleTable, find_focal_px, find_scale
from tests.helpers.exif_blocks import Tags, Value, rationals
from tests.images.test_scale_facts import (
    DIGITAL_ZOOM,
    DJI,
    FOCAL_LENGTH,
    FOCAL_LENGTH_35MM,
    FOCAL_PLANE,
    FOCAL_PLANE_UNIT,
    FULL_SIZE,
    HEIGHT,
    PICTURE,
    SUBJECT_DISTANCE,
    WIDTH,
    make_photo,
)

ARCHIVE, IMAGE = "s3://inspections/tonight.zip", "pier-7/DJI_0417.JPG"

LENS = ScaleFacts(full_width_px=4000, full_height_px=3000, calibrated_focal_px=3000)
LASER = replace(LENS, laser_distance_m=6.0)
"""Two millimetres to a pixel of the full picture."""

ON_FILM: Tags = {**FULL_SIZE, FOCAL_LENGTH_35MM: Value(3, (24,))}
ON_SENSOR: Tags = {
    **FULL_SIZE,
    FOCAL_LENGTH: rationals((88, 10)),
    FOCAL_PLANE: rationals((41455, 10)),
    FOCAL_PLANE_UNIT: Value(3, (3,)),
}
LASER_ONLY = {name: DJI[name] for name in ("drone-dji:LRFStatus", "drone-dji:LRFTargetDistance")}


NO_RULE, COARSE = ScaleRule(), ScaleRule(use_coarse=True)


def scale_of(facts: ScaleFacts, rule: ScaleRule = NO_RULE, width_px: int = 4000) -> Scale | None:
    """Find the scale of a photo of the archive."""
    return find_scale(facts, width_px, rule, ARCHIVE, IMAGE)


def scale_in(photo: Photo, rule: ScaleRule = NO_RULE) -> tuple[Any, str] | None:
    """Find the scale of a decoded photo."""
    return scale_of(photo.scale_facts, rule, photo.pixels.shape[1])


def table_of(*rows: tuple[str, float | None, float | None]) -> ScaleTable:
    """Make a table of images, millimetres to a pixel and distances."""
    return ScaleTable([ScaleRow(*row) for row in rows])


@pytest.mark.parametrize(
    ("details", "properties", "focal_px"),
    [
        (FULL_SIZE, DJI, 3678.87),
        (FULL_SIZE, {**DJI, "drone-dji:DewarpData": ""}, 3666.666504),
        (ON_SENSOR, LASER_ONLY, 8.8 * 414.55),
        (ON_FILM, LASER_ONLY, 24 * 5472 / 36),
        ({FOCAL_LENGTH_35MM: Value(3, (24,))}, LASER_ONLY, 24 * 5472 / 36),
        ({**ON_SENSOR, **ON_FILM}, DJI, 3678.87),
        ({**ON_SENSOR, **ON_FILM}, LASER_ONLY, 8.8 * 414.55),
    ],
    ids=["DewarpData", "CalibratedFocalLength", "sensor", "film", "film, no size", "all", "sensor before film"],
)
def test_the_laser_and_a_focal_length_give_a_scale(details: Tags, properties: dict[str, str], focal_px: float) -> None:
    """Distance over focal length, the best that there is; the photo is 54 of 5472 pixels wide."""
    scale = scale_in(make_photo(details, properties))

    assert scale == (pytest.approx(5400 / focal_px * 5472 / 54), "laser")


def test_the_ladder_has_an_order() -> None:
    """Given, table by scale, table by distance, the map, laser, and coarse if asked for."""
    facts = replace(LASER, subject_distance_m=9.0)
    by_scale, by_distance, other = (table_of(row) for row in (("*", 0.5, 9), ("*", None, 3), ("other.jpg", 0.5, None)))

    assert scale_of(facts, ScaleRule(0.25, by_scale, use_coarse=True)) == (0.25, "given")
    assert scale_of(facts, ScaleRule(table=by_scale, use_coarse=True)) == (0.5, "table")
    assert scale_of(facts, ScaleRule(table=by_distance, use_coarse=True)) == (1.0, "table")
    assert scale_of(replace(facts, map_mm_per_px=0.75), ScaleRule(table=by_distance)) == (1.0, "table")
    assert scale_of(replace(facts, map_mm_per_px=0.75), ScaleRule(table=other)) == (0.75, "georeference")
    assert scale_of(facts, ScaleRule(table=other, use_coarse=True)) == (2.0, "laser")
    assert scale_of(replace(facts, laser_distance_m=None), COARSE) == (3.0, "coarse")
    assert scale_of(replace(facts, laser_distance_m=None)) is None


def test_a_rung_that_cannot_answer_leaves_it_to_the_next() -> None:
    """A distance of the table without a focal length, and a laser that points at the sky."""
    table = table_of(("*", None, 3))
    assert scale_of(replace(LASER, calibrated_focal_px=None), ScaleRule(table=table)) is None
    assert scale_of(replace(LASER, laser_distance_m=900, subject_distance_m=9.0), COARSE) == (3.0, "coarse")


def test_the_autofocus_counts_only_if_asked_for() -> None:
    """It is a guess."""
    details = {**ON_FILM, SUBJECT_DISTANCE: rationals((7, 2))}

    assert scale_in(make_photo(details)) is None
    assert scale_in(make_photo(details), COARSE) == (pytest.approx(3500 / (24 * 54 / 36)), "coarse")


@pytest.mark.parametrize(
    ("details", "properties"),
    [
        (None, None),
        (FULL_SIZE, LASER_ONLY),
        (FULL_SIZE, {name: text for name, text in DJI.items() if name not in LASER_ONLY}),
        (FULL_SIZE, {**DJI, "drone-dji:LRFStatus": "TooFar"}),
        (FULL_SIZE, {**DJI, "drone-dji:LRFTargetDistance": "0.0"}),
        (FULL_SIZE, {**DJI, "drone-dji:LRFTargetDistance": "0.04"}),
        (FULL_SIZE, {**DJI, "drone-dji:LRFTargetDistance": "501"}),
        (FULL_SIZE, {**DJI, "drone-dji:LRFTargetDistance": "nan"}),
        ({**FULL_SIZE, DIGITAL_ZOOM: rationals((2, 1))}, DJI),
        (ON_FILM, {**DJI, "drone-dji:DewarpData": "", "drone-dji:CalibratedFocalLength": "1000"}),
        ({**ON_SENSOR, FOCAL_PLANE_UNIT: Value(3, (2,))}, DJI),
        ({**FULL_SIZE, FOCAL_LENGTH_35MM: Value(3, (5,))}, LASER_ONLY),
        ({**FULL_SIZE, FOCAL_LENGTH_35MM: Value(3, (1200,))}, LASER_ONLY),
        ({**ON_SENSOR, FOCAL_PLANE_UNIT: Value(3, (1,))}, LASER_ONLY),
    ],
    ids=["nothing", "no focal length", "no distance", "no echo", "zero", "too close", "too far", "not a number",
         "digital zoom", "another zoom", "unit contradicts", "too wide", "too long", "no unit"],
)  # fmt: skip
def test_what_is_missing_or_wrong_gives_no_scale(details: Tags | None, properties: dict[str, str] | None) -> None:
    """Never a wrong one."""
    assert scale_in(make_photo(details, properties)) is None


def test_a_crop_has_no_scale_of_its_own() -> None:
    """Nobody knows of which pixels its focal length speaks; what the user gives still counts."""
    crop = make_photo(ON_FILM, DJI, PICTURE.crop((0, 0, 36, 36)))

    assert scale_in(crop) is None
    assert scale_in(crop, ScaleRule(0.25)) == (0.25, "given")


def test_a_photo_that_was_resized_together_with_its_exif_goes_by_the_film() -> None:
    """Its calibration is of the picture before that, as the optical centre tells."""
    details = {WIDTH: Value(4, (54,)), HEIGHT: Value(4, (36,)), FOCAL_LENGTH_35MM: Value(3, (24,))}

    assert scale_in(make_photo(details, DJI)) == (pytest.approx(5400 / 36), "laser")


LENSES = st.builds(
    ScaleFacts,
    laser_distance_m=st.floats(0.05, 500),
    full_width_px=st.integers(100, 20_000),
    full_height_px=st.integers(100, 20_000),
    focal_length_35mm=st.floats(11, 1_000),
)


@given(LENSES, st.integers(1, 5_000), st.integers(2, 8))
def test_the_scale_is_inverse_to_the_width(facts: ScaleFacts, width_px: int, times: int) -> None:
    """A photo of half the width has twice as many millimetres to a pixel."""
    large, small = (scale_of(facts, width_px=width_px * factor) for factor in (times, 1))

    assert large is not None
    assert small is not None
    assert small.mm_per_px == pytest.approx(large.mm_per_px * times)


@given(LENSES, st.integers(1, 5_000))
def test_a_turned_picture_has_the_same_scale(facts: ScaleFacts, width_px: int) -> None:
    """Width and height change places, pixels stay."""
    assert facts.full_width_px
    assert facts.full_height_px
    turned = replace(facts, full_width_px=facts.full_height_px, full_height_px=facts.full_width_px)
    height_px = width_px * facts.full_height_px / facts.full_width_px

    assert find_focal_px(turned, height_px) == pytest.approx(find_focal_px(facts, width_px))  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("details", [ON_FILM, ON_SENSOR, FULL_SIZE], ids=["film", "sensor", "calibration"])
def test_a_turned_photo_has_the_same_scale(orientation: int, details: Tags) -> None:
    """By its EXIF, or because a program turned the pixels and left EXIF as it was."""
    properties = DJI if details is FULL_SIZE else LASER_ONLY
    upright = scale_in(make_photo(details, properties))
    assert upright is not None

    by_exif = make_photo(details, properties, orientation=orientation)
    by_program = make_photo(details, properties, PICTURE.transpose(Image.Transpose.ROTATE_90))

    assert scale_in(by_exif) == (pytest.approx(upright[0]), "laser")
    assert scale_in(by_program) == (pytest.approx(upright[0]), "laser")


@given(
    st.builds(ScaleFacts, **{field.name: st.none() | st.floats(0, exclude_min=True) for field in fields(ScaleFacts)})
)
def test_whatever_a_photo_says_a_scale_can_be(facts: ScaleFacts) -> None:
    """It is finite and positive, or there is none."""
    scale = scale_of(facts, COARSE)

    assert scale is None or 0 < scale.mm_per_px < math.inf


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (IMAGE, True), ("pier-7/*", True), ("*.JPG", True), ("*/DJI_041?.JPG", True), ("*/DJI_041[67].JPG", True),
        ("*/tonight.zip/*", True), (f"{ARCHIVE}/{IMAGE}", True), (f"{ARCHIVE}/*", True), ("*", True),
        ("DJI_0417.JPG", False), ("*.jpg", False), ("pier-8/*", False), (ARCHIVE, False), ("pier-7", False),
    ],
)  # fmt: skip
def test_a_row_names_photos_as_the_columns_do(pattern: str, matches: bool) -> None:  # noqa: FBT001
    """By `image`, or by `archive`/`image`."""
    assert (scale_of(LENS, ScaleRule(table=table_of((pattern, 0.5, None)))) is not None) == matches


def test_a_name_with_brackets_is_a_name_too() -> None:
    """Cameras and people write them."""
    rule = ScaleRule(table=table_of(("DJI [1].JPG", 0.5, None)))

    assert find_scale(LENS, 4000, rule, ARCHIVE, "DJI [1].JPG") == (0.5, "table")
    assert find_scale(LENS, 4000, rule, ARCHIVE, "DJI 1.JPG") == (0.5, "table")


PATTERNS = st.sampled_from(["a", "b", "a*", "*b", "*", "[ab]", "z/a", "?/b"])


@given(st.lists(PATTERNS, max_size=8), st.sampled_from(["a", "b", "ab", "c"]))
def test_the_first_row_that_matches_counts(patterns: list[str], image: str) -> None:
    """Whether it is a name or a glob; also after a journey to a worker."""
    table = table_of(*((pattern, float(place + 1), None) for place, pattern in enumerate(patterns)))
    expected = [p for p, name in enumerate(patterns, 1) if fnmatchcase(image, name) or fnmatchcase(f"z/{image}", name)]

    for each in (table, pickle.loads(pickle.dumps(table))):  # noqa: S301 - our own
        row = each.find("z", image)
        assert (row and row.mm_per_px) == (expected[0] if expected else None)
