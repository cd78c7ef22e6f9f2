"""A photo says of its scale what its camera wrote, and nothing that it cannot know."""

from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.xml import parse_xml
from pipeline.images.decode import Photo, decode
from pipeline.images.exif import Metadata
from pipeline.images.scale_facts import ScaleFacts, parse_scale_facts
from tests.helpers.exif_blocks import Tags, Value, ascii_text, make_exif, rationals
from tests.helpers.hostile_photos import encode
from tests.images.test_xmp import pack_as_attributes

PICTURE = Image.new("RGB", (54, 36))

ORIENTATION, SUBJECT_DISTANCE, FOCAL_LENGTH, WIDTH, HEIGHT = 274, 0x9206, 0x920A, 0xA002, 0xA003
FOCAL_PLANE, FOCAL_PLANE_UNIT, DIGITAL_ZOOM, FOCAL_LENGTH_35MM = 0xA20E, 0xA210, 0xA404, 0xA405

FULL_SIZE: Tags = {WIDTH: Value(4, (5472,)), HEIGHT: Value(4, (3648,))}

DEWARP = "2018-09-04;3678.870000000000,3671.840000000000,10.100000000000,27.290000000000,-0.268652,0.114663,0,0,-0.035"
"""Of a Phantom 4 RTK."""

DJI = {
    "drone-dji:LRFStatus": "Normal",
    "drone-dji:LRFTargetDistance": "+5.400",
    "drone-dji:GimbalPitchDegree": "-24.50",
    "drone-dji:CalibratedFocalLength": "3666.666504",
    "drone-dji:CalibratedOpticalCenterX": "2736.000000",
    "drone-dji:CalibratedOpticalCenterY": "1824.000000",
    "drone-dji:DewarpData": DEWARP,
}


def make_photo(
    details: Tags | None = None,
    properties: dict[str, str] | None = None,
    picture: Image.Image = PICTURE,
    orientation: int = 1,
) -> Photo:
    """Decode a JPEG with these tags of the Exif directory and these properties of XMP."""
    packet = pack_as_attributes(properties or {}).encode()
    exif = make_exif({ORIENTATION: Value(3, (orientation,))}, details)
    return decode(encode(picture, "JPEG", exif=exif, xmp=packet))


def read(details: Tags | None = None, properties: dict[str, str] | None = None, orientation: int = 1) -> ScaleFacts:
    """Read the facts of such a photo."""
    return make_photo(details, properties, orientation=orientation).scale_facts


def test_a_drone_says_all() -> None:
    """Its laser, its calibration, its gimbal and its lens, for the picture as it was before it was shrunk."""
    details = {
        **FULL_SIZE,
        FOCAL_LENGTH: rationals((88, 10)), FOCAL_LENGTH_35MM: Value(3, (24,)), DIGITAL_ZOOM: rationals((1, 1)),
        SUBJECT_DISTANCE: rationals((7, 2)), FOCAL_PLANE: rationals((4145, 1)), FOCAL_PLANE_UNIT: Value(3, (3,)),
    }  # fmt: skip

    assert read(details, DJI) == ScaleFacts(
        laser_distance_m=5.4,
        subject_distance_m=3.5,
        full_width_px=5472,
        full_height_px=3648,
        calibrated_focal_px=3678.87,
        focal_length_mm=8.8,
        focal_plane_px_per_mm=414.5,
        focal_length_35mm=24,
        digital_zoom=1,
        gimbal_pitch_deg=-24.5,
    )


def test_a_photo_without_metadata_knows_its_size_alone() -> None:
    """Focal lengths in pixels, of whatever source, hold for it."""
    assert decode(encode(PICTURE, "PNG")).scale_facts == ScaleFacts(full_width_px=54, full_height_px=36)


@pytest.mark.parametrize("status", ["", "TooClose", "TooFar", "NoSignal", "0"])
def test_a_laser_that_does_not_vouch_for_its_distance_has_none(status: str) -> None:
    """DJI's rangefinder says Normal where it has measured."""
    assert read(FULL_SIZE, {**DJI, "drone-dji:LRFStatus": status}).laser_distance_m is None
    assert read(FULL_SIZE, {**DJI, "drone-dji:LRFStatus": "Normal"}).laser_distance_m == 5.4


@pytest.mark.parametrize("text", ["0", "0.000", "-1", "nan", "inf", "", "near", "5,4"])
def test_a_distance_that_is_none_is_unknown(text: str) -> None:
    """Zero is what the laser writes without an echo."""
    assert read(FULL_SIZE, {**DJI, "drone-dji:LRFTargetDistance": text}).laser_distance_m is None


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, 3678.87),
        ({"DewarpData": ""}, 3666.666504),
        ({"DewarpData": DEWARP.replace(";", ",")}, 3666.666504),
        ({"DewarpData": "2024-01-01;0.0,0.0,0.0,0.0,0,0,0,0,0"}, 3666.666504),
        ({"DewarpData": "2018-09-04;nan,3671.84"}, 3666.666504),
        ({"DewarpData": "2018-09-04;3678.87"}, 3666.666504),
        ({"DewarpData": "2018-09-04;3678.87,10.1,27.29"}, 3666.666504),
        ({"DewarpData": "", "DewarpDataK6": "3700.5,3700.5,0,0,0,0,0,0,0,0,0,0"}, 3700.5),
        ({"DewarpData": "", "CalibratedFocalLength": "0"}, None),
        ({"DewarpData": "", "CalibratedFocalLength": "wide"}, None),
        ({"CalibratedOpticalCenterX": "1368", "CalibratedOpticalCenterY": "912"}, None),
        ({"CalibratedOpticalCenterX": "", "CalibratedOpticalCenterY": ""}, 3678.87),
    ],
)
def test_the_best_calibration_that_is_one_counts(changes: dict[str, str], found: float | None) -> None:
    """Measured, then designed; one whose centre is not in the middle of the picture is of another size or lens."""
    properties = {**DJI, **{f"drone-dji:{name}": text for name, text in changes.items()}}

    assert read(FULL_SIZE, properties).calibrated_focal_px == found


@pytest.mark.parametrize(
    "structure",
    [
        "<s:{name} rdf:parseType='Resource'><s:{field}>{text}</s:{field}></s:{name}>",
        "<s:{name}><rdf:Description><s:{field}>{text}</s:{field}></rdf:Description></s:{name}>",
        "<s:{name}><rdf:Description s:{field}='{text}'/></s:{name}>",
        "<s:{name} s:{field}='{text}'/>",
    ],
)
def test_skydios_structures_are_read_in_every_way_to_write_them(structure: str) -> None:
    """As resources, as descriptions, and as attributes."""
    fields = [("CalibratedFocalLength", "X", "2376.5625"), ("CalibratedOpticalCenter", "X", "2027.5"),
              ("CameraOrientationNED", "Pitch", "-12.5")]  # fmt: skip
    body = "".join(structure.format(name=name, field=field, text=text) for name, field, text in fields)
    packet = (
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"<rdf:Description xmlns:s='https://www.skydio.com/drone-skydio/1.0/'>{body}</rdf:Description></rdf:RDF>"
    )
    metadata = Metadata({}, {WIDTH: 4056, HEIGHT: 3040}, {}, {"xmp": packet})

    facts = parse_scale_facts(metadata, 3040, 4056)

    assert (facts.calibrated_focal_px, facts.gimbal_pitch_deg) == (2376.5625, -12.5)


@pytest.mark.parametrize(
    ("unit", "found"),
    [(None, 1000 / 25.4), (2, 1000 / 25.4), (3, 100), (4, 1000), (5, 1_000_000), (1, None), (0, None), (9, None)],
)
def test_the_pixels_of_a_sensor_come_by_their_unit(unit: int | None, found: float | None) -> None:
    """The inch unless EXIF says otherwise; a unit that nobody knows gives none."""
    details = {FOCAL_PLANE: rationals((1000, 1))} | ({} if unit is None else {FOCAL_PLANE_UNIT: Value(3, (unit,))})
    assert read(details).focal_plane_px_per_mm == (None if found is None else pytest.approx(found))


@pytest.mark.parametrize("tag", [SUBJECT_DISTANCE, FOCAL_LENGTH, FOCAL_PLANE, DIGITAL_ZOOM, FOCAL_LENGTH_35MM])
@pytest.mark.parametrize("value", [rationals((0, 1)), rationals((1, 0)), rationals((-5, 1)), ascii_text("?")])
def test_tags_that_say_nothing_are_unknown(tag: int, value: Value) -> None:
    """Zero is EXIF's own word for that."""
    assert read({tag: value}) == ScaleFacts(full_width_px=54, full_height_px=36)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("is_swapped", [False, True])
def test_the_full_size_is_that_of_the_upright_picture(orientation: int, is_swapped: bool) -> None:  # noqa: FBT001
    """However the photo is turned, and whether its EXIF was turned with it."""
    sides = [Value(4, (3648 if is_swapped else 5472,)), Value(4, (5472 if is_swapped else 3648,))]
    facts = read(dict(zip((WIDTH, HEIGHT), sides, strict=True)), orientation=orientation)

    size = (facts.full_width_px, facts.full_height_px)
    assert size == pytest.approx((5472, 3648) if orientation <= 4 else (3648, 5472))


def test_a_crop_does_not_know_what_it_is_a_part_of() -> None:
    """Its shape is another than EXIF says, so focal lengths in pixels mean nothing."""
    facts = make_photo(FULL_SIZE, DJI, PICTURE.crop((0, 0, 36, 36))).scale_facts

    assert (facts.full_width_px, facts.full_height_px, facts.calibrated_focal_px) == (None, None, None)


def test_xmp_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For when and where it was taken, and for its scale."""
    parsed: list[bytes] = []

    def parse(data: bytes) -> Element:
        parsed.append(data)
        return parse_xml(data)

    monkeypatch.setattr("pipeline.images.xmp.parse_xml", parse)

    read(FULL_SIZE, DJI)

    assert len(parsed) == 1


TAGS = st.sampled_from([*FULL_SIZE, SUBJECT_DISTANCE, FOCAL_LENGTH, FOCAL_PLANE, FOCAL_PLANE_UNIT])
VALUES = st.one_of(st.floats(), st.integers(), st.text(max_size=9), st.binary(max_size=9), st.none())
TEXTS = st.sampled_from(["", "0", "-0", "nan", "1e999", "1e308", "-5", ";", ",", ";,", "1;2,2", "Normal", "x"])


@given(st.dictionaries(TAGS, VALUES), st.dictionaries(st.sampled_from([*DJI]), TEXTS | st.floats().map(str)))
def test_nonsense_in_every_tag_is_no_fact(details: dict[int, object], properties: dict[str, str]) -> None:
    """Every fact is None or a number that can be; nothing raises."""
    metadata = Metadata({}, details, {}, {"xmp": pack_as_attributes(properties)})
    facts = vars(parse_scale_facts(metadata, 3, 4)).copy()

    pitch_deg = facts.pop("gimbal_pitch_deg")
    assert pitch_deg is None or abs(pitch_deg) <= 180
    assert all(fact is None or fact > 0 for fact in facts.values())
