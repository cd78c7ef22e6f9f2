"""XMP says what EXIF leaves out, by the same rules, and never fails a photo."""

import io
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from pipeline.images.decode import decode
from pipeline.images.exif import PhotoFacts, read_facts
from pipeline.images.xmp import MAX_PACKET_BYTES, read_properties
from tests.helpers.exif_blocks import ascii_text, degrees, make_exif, rationals
from tests.helpers.hostile_photos import encode
from tests.images.test_exif import PICTURE, check_credible

NAMESPACES = {
    "exif": "http://ns.adobe.com/exif/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "drone-dji": "http://www.dji.com/drone-dji/1.0/",
}

PLACE = {"exif:GPSLatitude": "41,30.6S", "exif:GPSLongitude": "8,15W"}
ALL = {
    **PLACE, "exif:GPSAltitude": "25/2", "exif:GPSAltitudeRef": "1",
    "exif:DateTimeOriginal": "2024-05-01T10:20:30+02:00",
    "tiff:Make": "Canon", "tiff:Model": "Canon EOS R5", "exif:FocalLength": "88/10",
}  # fmt: skip
FACTS = PhotoFacts(datetime(2024, 5, 1, 10, 20, 30), -41.51, -8.25, -12.5, "Canon EOS R5", 8.8)  # noqa: DTZ001

Packer = Callable[[dict[str, str]], str]


def pack_as_attributes(properties: dict[str, str]) -> str:
    """Write a packet as Adobe's and DJI's programs do."""
    return _wrap(
        "<rdf:Description rdf:about='' " + " ".join(f"{k}={quoteattr(v)}" for k, v in properties.items()) + "/>"
    )


def pack_as_elements(properties: dict[str, str]) -> str:
    """Write a packet as exiftool does."""
    elements = "\n ".join(f"<{name}>{escape(text)}</{name}>" for name, text in properties.items())
    return _wrap(f"<rdf:Description rdf:about=''>\n {elements}\n</rdf:Description>")


def pack_with_other_prefixes(properties: dict[str, str]) -> str:
    """Write a packet whose prefixes are not the usual ones."""
    packet = pack_as_elements(properties)
    for place, prefix in enumerate([*NAMESPACES, "rdf", "x"]):
        packet = packet.replace(f"<{prefix}:", f"<p{place}:").replace(f"</{prefix}:", f"</p{place}:")
        packet = packet.replace(f"xmlns:{prefix}=", f"xmlns:p{place}=").replace(f" {prefix}:about", f" p{place}:about")
    return packet


def _wrap(description: str) -> str:
    names = "".join(f" xmlns:{prefix}='{name}'" for prefix, name in NAMESPACES.items())
    return (
        "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        f"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'{names}>{description}</rdf:RDF></x:xmpmeta>"
        f"{' ' * 100}\n<?xpacket end='w'?>"
    )


def read(packet: str | bytes, exif: bytes = b"") -> PhotoFacts:
    """Decode a JPEG with a packet."""
    data = packet.encode() if isinstance(packet, str) else packet
    return decode(encode(PICTURE, "JPEG", xmp=data, exif=exif)).facts


@pytest.mark.parametrize("pack", [pack_as_attributes, pack_as_elements, pack_with_other_prefixes])
def test_a_packet_is_read_in_every_way_to_write_it(pack: Packer) -> None:
    """As attributes, as elements, and with any prefix."""
    assert read(pack(ALL)) == FACTS


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "TIFF", "WEBP", "AVIF"])
def test_a_packet_is_found_in_every_form_of_photo(form: str) -> None:
    """Each has its own place for it."""
    packet, options = pack_as_attributes(ALL).encode(), dict[str, Any]()
    if form == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        options = {"pnginfo": text}
    elif form == "TIFF":
        options = {"tiffinfo": {700: packet}}
    else:
        options = {"xmp": packet}
    with Image.open(io.BytesIO(encode(PICTURE, form, **options))) as image:
        image.load()
        assert read_facts(image) == FACTS


@pytest.mark.parametrize("key", ["xmp", "XML:com.adobe.xmp"])
@pytest.mark.parametrize("packet", [pack_as_elements(ALL), pack_as_elements(ALL).encode()])
def test_a_packet_may_be_text_or_bytes(key: str, packet: str | bytes) -> None:
    """Pillow has had it under both names."""
    assert read_properties({key: packet}) == ALL


def test_each_fact_comes_from_exif_where_it_has_one() -> None:
    """A position of EXIF's stays, and XMP says when and with what."""
    gps = {1: ascii_text("N"), 2: degrees(47, 30, 36), 3: ascii_text("E"), 4: degrees(9, 0, 0), 6: rationals((5, 1))}
    exif = make_exif({272: ascii_text("FC6310")}, {}, gps)

    facts = read(pack_as_attributes(ALL), exif)

    assert facts == PhotoFacts(FACTS.captured_at, 47.51, 9.0, 5.0, "FC6310", 8.8)


def test_the_time_of_a_change_counts_last() -> None:
    """A stitched photo was changed long after it was taken, which only its XMP may say."""
    changed = make_exif(base={306: ascii_text("2025:03:03 12:00:00")})
    packet = pack_as_attributes({"exif:DateTimeOriginal": "2024-05-01T10:20:30"})
    assert read(packet, changed).captured_at == datetime(2024, 5, 1, 10, 20, 30)  # noqa: DTZ001 - EXIF has no zone
    assert read(pack_as_attributes({}), changed).captured_at == datetime(2025, 3, 3, 12)  # noqa: DTZ001


def test_facts_of_tiff_ep_are_in_the_first_directory() -> None:
    """Scanners and RAW converters write them there."""
    block = make_exif(base={36867: ascii_text("2024:05:01 10:20:30"), 37386: rationals((24, 1))})
    facts = read(pack_as_attributes({}), block)
    assert (facts.captured_at, facts.focal_length_mm) == (datetime(2024, 5, 1, 10, 20, 30), 24)  # noqa: DTZ001


@pytest.mark.parametrize(
    "gps",
    [
        {2: degrees(47, 30, 36), 4: degrees(9, 0, 0)},
        {1: ascii_text("N"), 2: degrees(0, 0, 0), 3: ascii_text("E"), 4: degrees(0, 0, 0)},
        {1: ascii_text("N"), 2: degrees(47, 30, 36), 6: rationals((2**32 - 12_500, 1000))},
    ],
)
def test_exif_without_a_credible_position_is_silent(gps: dict[int, Any]) -> None:
    """Coordinates come as a pair from one of the two, never one from each."""
    facts = read(pack_as_attributes(ALL), make_exif(gps=gps))

    assert facts == FACTS


@pytest.mark.parametrize(
    ("latitude", "found"),
    [("41,30.6S", -41.51), ("41,30,36S", -41.51), ("41,30.6N", 41.51), ("41,30.600000 n", 41.51), ("041,30.6N", 41.51),
     ("41.51S", -41.51)],
)  # fmt: skip
def test_coordinates_are_read_with_their_letter(latitude: str, found: float) -> None:
    """Degrees and minutes, or seconds, too, as the XMP specification has them."""
    facts = read(pack_as_elements({**PLACE, "exif:GPSLatitude": latitude}))

    assert (facts.latitude, facts.longitude) == pytest.approx((found, -8.25))


@pytest.mark.parametrize(
    "latitude",
    ["", "41,30.6", "41.51", "41,30.6E", "41,61N", "91,0N", "41,30,36,1N", "-41,30.6N", "N", ",N", "nanN", "41,30.6N,"],
)
def test_a_coordinate_that_cannot_be_read_is_no_position(latitude: str) -> None:
    """One alone is none, either."""
    assert read(pack_as_elements({**PLACE, "exif:GPSLatitude": latitude})) == PhotoFacts()


@pytest.mark.parametrize("name", ["drone-dji:GpsLongitude", "drone-dji:GpsLongtitude"])
def test_djis_signed_decimals_are_a_position(name: str) -> None:
    """The second spelling is DJI's own."""
    packet = {"drone-dji:GpsLatitude": "-41.510000", name: "+8.25", "drone-dji:AbsoluteAltitude": "+123.40"}

    assert read(pack_as_attributes(packet)) == PhotoFacts(latitude=-41.51, longitude=8.25, altitude_m=123.4)


@pytest.mark.parametrize(
    ("latitude", "longitude"), [("+0.000000", "+0.000000"), ("91", "8"), ("41.5", ""), ("41.5", "nan")]
)
def test_what_a_drone_without_a_fix_writes_is_no_position(latitude: str, longitude: str) -> None:
    """By the same rules as EXIF."""
    packet = {"drone-dji:GpsLatitude": latitude, "drone-dji:GpsLongitude": longitude}

    assert read(pack_as_attributes({**packet, "drone-dji:AbsoluteAltitude": "99999"})) == PhotoFacts()


@pytest.mark.parametrize(
    ("times", "day"),
    [
        ({"exif:DateTimeOriginal": "2024-05-01T10:20:30", "xmp:CreateDate": "2024-05-02T10:20:30"}, 1),
        ({"exif:DateTimeOriginal": "0000-00-00T00:00:00", "xmp:CreateDate": "2024-05-02T10:20:30.5Z"}, 2),
        ({"photoshop:DateCreated": "2024-05-03T10:20:30", "xmp:CreateDate": "2024-05-02T10:20:30"}, 3),
        ({"photoshop:DateCreated": "2024-05-03", "xmp:CreateDate": "2024-05-02T10:20:30"}, 2),
        ({"photoshop:DateCreated": "2024-05-03", "xmp:CreateDate": "2024"}, None),
        ({"xmp:ModifyDate": "2024-05-04T10:20:30"}, None),
    ],
)
def test_the_best_time_with_a_clock_counts(times: dict[str, str], day: int | None) -> None:
    """A day alone is no time, and the time of a change is no time of capture."""
    expected = None if day is None else datetime(2024, 5, day, 10, 20, 30)  # noqa: DTZ001

    assert read(pack_as_elements(times)) == PhotoFacts(captured_at=expected)


def test_other_photos_within_a_packet_say_nothing() -> None:
    """Photoshop keeps the descriptions of what it put together."""
    inner = "<rdf:Description exif:DateTimeOriginal='2001-01-01T00:00:00' tiff:Model='Other'/>"
    pantry = f"<xmp:Pantry><rdf:Bag><rdf:li>{inner}</rdf:li></rdf:Bag></xmp:Pantry>"

    assert read(_wrap(f"<rdf:Description tiff:Make='DJI'>{pantry}</rdf:Description>")) == PhotoFacts(camera="DJI")


def test_several_descriptions_are_one() -> None:
    """Each namespace may have its own; the first that sets a property counts."""
    names = ("tiff:Make='DJI' tiff:Model=' '", "tiff:Make='Other' tiff:Model='FC6310'")

    assert read(_wrap("".join(f"<rdf:Description {name}/>" for name in names))).camera == "DJI FC6310"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0\0\0",
        b"<x:xmpmeta>",
        b"no XML",
        pack_as_attributes(ALL)[:-200].encode(),
        b"<!DOCTYPE x [<!ENTITY a 'DJI'>]>" + _wrap("<rdf:Description tiff:Make='&a;'/>").encode(),
        b"<?xml version='1.0' encoding='klingon'?><a/>",
        b"<?xml version='1.0' encoding='shift_jis'?><a/>",
        b"<a>" * 1_000 + b"</a>" * 1_000,
    ],
)
def test_a_packet_that_is_none_fails_no_photo(packet: bytes) -> None:
    """What EXIF says is kept."""
    assert read(packet, make_exif({272: ascii_text("FC6310")})) == PhotoFacts(camera="FC6310")


def test_a_packet_may_end_in_padding() -> None:
    """Of NULs, too."""
    assert read(pack_as_elements(ALL).encode() + b"\n\0\0\0") == FACTS


def test_a_packet_over_the_limit_is_not_read() -> None:
    """A photo with a megabyte of history takes no longer than another."""
    packet = pack_as_elements(ALL)

    assert read_properties({"xmp": packet + " " * (MAX_PACKET_BYTES - len(packet.encode()))}) == ALL
    assert read_properties({"xmp": packet + " " * (MAX_PACKET_BYTES - len(packet.encode()) + 1)}) == {}


def test_a_packet_is_read_only_where_exif_leaves_something_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo of which EXIF says all takes no longer for its packet, unless a drone wrote it."""

    def fail(_: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("pipeline.images.xmp.parse_xml", fail)
    gps = {1: ascii_text("N"), 2: degrees(47, 30, 36), 3: ascii_text("E"), 4: degrees(9, 0, 0), 6: rationals((5, 1))}
    details = {0x9003: ascii_text("2024:05:01 10:20:30"), 0x920A: rationals((88, 10))}

    packet = pack_as_elements(ALL).replace("/drone-", "/plane-")
    facts = read(packet, make_exif({272: ascii_text("FC6310")}, details, gps))

    assert facts == PhotoFacts(datetime(2024, 5, 1, 10, 20, 30), 47.51, 9.0, 5.0, "FC6310", 8.8)  # noqa: DTZ001


NAMES = [*ALL, "photoshop:DateCreated", "xmp:CreateDate", "exif:DateTimeDigitized", "drone-dji:GpsLatitude",
         "drone-dji:GpsLongitude", "drone-dji:AbsoluteAltitude"]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from([*ALL.values(), "0,0N", "0,0E", "+0.0", "1/0", "nan", "0000-00-00T00:00:00", "99999", "\u202e"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufffe\uffff")),
)


def read_packet(packet: bytes) -> PhotoFacts:
    """Read facts from a packet, without a file around it."""
    image = Image.new("RGB", (1, 1))
    image.info["xmp"] = packet
    with warnings.catch_warnings(action="ignore"):  # as `decode` does
        return read_facts(image)


@given(
    st.dictionaries(st.sampled_from(NAMES), TEXTS),
    st.sampled_from([pack_as_attributes, pack_as_elements, pack_with_other_prefixes]),
)
def test_nonsense_in_every_property_makes_no_fact_that_cannot_be(properties: dict[str, str], pack: Packer) -> None:
    """Nor does it raise."""
    check_credible(read_packet(pack(properties).encode()))


SOUND = pack_as_attributes(ALL).encode()


@given(st.integers(0, len(SOUND)), st.dictionaries(st.integers(0, len(SOUND) - 1), st.integers(0, 255), max_size=6))
def test_damaged_packets_make_no_fact_that_cannot_be(length: int, damage: dict[int, int]) -> None:
    """Cut short, and with bytes changed."""
    packet = bytearray(SOUND)
    for place, byte in damage.items():
        packet[place] = byte

    check_credible(read_packet(bytes(packet)))
    check_credible(read_packet(bytes(packet[:length])))
