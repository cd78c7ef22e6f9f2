"""A JPEG is decoded only if it is whole, and whole JPEGs of every kind are decoded."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pipeline.core.errors import DataError
from pipeline.images.decode import decode
from pipeline.images.jpeg import check_jpeg, mend, strip_padding
from pipeline.images.jpeg_structure import find_end, read_header
from pipeline.images.lost_sectors import SECTOR_BYTES
from tests.helpers.damaged_jpegs import (
    DAMAGES,
    damage,
    differs_visibly,
    draw_wall,
    encode_all_ways,
    has_warnings,
)

FIELD = Path(__file__).parents[2].parent / "shared/field/jpeg"
WALL = draw_wall()
WHOLE = encode_all_ways(WALL)
WARNED = "The photo is damaged or cut short: {}. Copy it again from the camera, or leave it out."
PREMATURE = WARNED.format("Corrupt JPEG data: premature end of data segment")
SCANS_MISSING = "The photo is cut short: its last scans are missing. Copy it again from the camera, or leave it out."


def _failure(data: bytes) -> DataError:
    with pytest.raises(DataError) as caught:
        decode(data)
    assert caught.value.stage == "decode"
    return caught.value


def _scans(data: bytes) -> int:
    """Return where the first scan begins, behind its header."""
    return read_header(data).segments[-1].end


def _insert(data: bytes, segment: bytes) -> bytes:
    """Insert a segment, or other bytes, behind the first segment of a JPEG."""
    first = read_header(data).segments[0]
    return data[: first.end] + segment + data[first.end :]


BASELINE = WHOLE["baseline 4:2:0"]
NEW_JFIF = b"\xff\xe0\0\x10JFIF\0\7\7\0\0\1\0\1\0\0"
HARMLESS = {
    "unknown JFIF version": _insert(BASELINE, NEW_JFIF),
    "junk in the header": _insert(BASELINE, b"junk"),
    "zeros in the header": _insert(BASELINE, bytes(90)),
    "fill bytes": _insert(BASELINE, b"\xff\xff\xff"),
    "a long segment of zeros": _insert(BASELINE, b"\xff\xe1\xff\xff" + bytes(65_533)),
    "zeros before the end": BASELINE[:-2] + bytes(9_000) + b"\xff\xd9",
    "fill bytes before the end": BASELINE[:-2] + b"\xff\xff\xff\xd9",
    "trailing data": BASELINE + b"\xff\xd8thermal" * 9_000,
    "trailing zeros": BASELINE + bytes(1 << 16),
    "a second photo": BASELINE + WHOLE["progressive grey"],
}
"""What harms no pixel to a JPEG that has it."""


@pytest.mark.parametrize("name", WHOLE)
def test_whole_jpegs_are_decoded(name: str) -> None:
    """Order of scans, sampling and restart markers fail no photo, and the pixels are Pillow's."""
    with Image.open(io.BytesIO(WHOLE[name])) as image:
        assert np.array_equal(decode(WHOLE[name]).pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", DAMAGES)
@settings(max_examples=150)
@given(name=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_damage_that_can_be_known_is_never_scored(kind: str, name: str, data: st.DataObject) -> None:
    """A damaged JPEG fails, or looks as before, or libjpeg-turbo itself has nothing to say of it."""
    damaged = damage(WHOLE[name], kind, lambda low, high: data.draw(st.integers(low, high)))  # type: ignore[arg-type]
    try:
        pixels = decode(damaged).pixels
    except DataError as error:
        assert error.kind in {"truncated_image", "unsupported_format"}  # noqa: PT017 - either outcome is right
    else:
        is_same = not differs_visibly(pixels, decode(WHOLE[name]).pixels)
        assert is_same or not (has_warnings(damaged) or kind.startswith("cut"))


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("missing_bytes", [1, 2])
def test_a_missing_mark_of_the_end_fails_no_photo(name: str, missing_bytes: int) -> None:
    """Without its last byte or two a JPEG has all its pixels."""
    assert np.array_equal(decode(WHOLE[name][:-missing_bytes]).pixels, decode(WHOLE[name]).pixels)


@pytest.mark.parametrize("name", WHOLE)
def test_one_more_missing_byte_fails(name: str) -> None:
    """The last byte of the scans holds pixels, with and without the mark of the end."""
    cut = WHOLE[name][:-3]
    assert str(_failure(cut)) == PREMATURE
    assert str(_failure(cut + b"\xff\xd9")) == PREMATURE


@pytest.mark.parametrize("name", [name for name in WHOLE if "progressive" in name])
def test_a_photo_without_its_last_scans_fails(name: str) -> None:
    """A progressive JPEG that was cut between two scans decodes without a warning, blurred."""
    data = WHOLE[name]
    starts = [at for at in range(_scans(data), len(data) - 2) if data[at : at + 2] == b"\xff\xda"]
    assert len(starts) > 3
    for start in starts:
        assert str(_failure(data[:start] + b"\xff\xd9")) == SCANS_MISSING


def test_a_photo_without_the_scan_of_a_colour_fails() -> None:
    """A baseline JPEG may have a scan for each component; without the last one its colours are wrong."""
    whole = _split_scans(WHOLE["baseline 4:4:4"])
    last = whole.rindex(b"\xff\xda")
    assert decode(whole).pixels.shape == (208, 272, 3)
    assert str(_failure(whole[:last] + b"\xff\xd9")) == SCANS_MISSING


def _split_scans(data: bytes) -> bytes:
    """Make a baseline JPEG whose three components are those of three grey ones, in scans of their own."""
    grey = io.BytesIO()
    WALL.convert("L").save(grey, "JPEG", quality=88)
    single = grey.getvalue()
    segments = {segment.marker: segment for segment in read_header(single).segments}
    tables = b"".join(single[s.start : s.end] for s in read_header(single).segments if s.marker in {0xDB, 0xC4})
    scan = single[segments[0xDA].end : -2]
    frame = struct.pack(">BBHBHHB", 0xFF, 0xC0, 17, 8, 208, 272, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    scans = b"".join(b"\xff\xda\0\x08\1" + bytes([number, 0, 0, 63, 0]) + scan for number in (1, 2, 3))
    assert data.startswith(b"\xff\xd8")
    return b"\xff\xd8" + tables + frame + scans + b"\xff\xd9"


@pytest.mark.parametrize("name", HARMLESS)
def test_what_harms_no_pixel_fails_no_photo(name: str) -> None:
    """Versions, notes, padding and data behind the end are no pixels."""
    assert np.array_equal(decode(HARMLESS[name]).pixels, decode(BASELINE).pixels)


def test_a_second_photo_does_not_hide_the_missing_scans_of_the_first() -> None:
    """The scans of a preview behind the end are not the photo's."""
    whole = WHOLE["progressive 4:2:0"]
    cut = whole[: whole.rindex(b"\xff\xda")] + b"\xff\xd9"
    assert str(_failure(cut + whole)) == SCANS_MISSING


@pytest.mark.parametrize("first", [NEW_JFIF, b"junk"])
def test_a_harmless_warning_hides_no_damage(first: bytes) -> None:
    """libjpeg-turbo tells its first warning alone."""
    whole = _insert(WHOLE["baseline 4:2:0"], first)
    assert str(_failure(whole[: len(whole) // 2] + b"\xff\xd9")) == PREMATURE


def test_a_lost_sector_fails_even_if_its_zeros_are_valid_code() -> None:
    """Zeros that begin and end with a sector are no picture; libjpeg-turbo takes some of them for one."""
    silent = 0
    for whole in (WHOLE["baseline 4:4:4"], WHOLE["baseline 4:2:2"], WHOLE["baseline 4:2:0"]):
        for start in range(SECTOR_BYTES * 2, len(whole) - SECTOR_BYTES, SECTOR_BYTES):
            if whole[start - 1] and whole[start + SECTOR_BYTES]:
                damaged = whole[:start] + bytes(SECTOR_BYTES) + whole[start + SECTOR_BYTES :]
                silent += not has_warnings(damaged)
                assert _failure(damaged).kind == "truncated_image"
    assert silent > 0, "the law is not tested if libjpeg-turbo warns of every sector"


def test_even_pictures_have_zeros_and_are_whole() -> None:
    """A picture of one colour is thousands of zeros, wherever they begin and end."""
    for height_px in range(2_000, 2_064, 8):
        buffer = io.BytesIO()
        Image.new("L", (4_096, height_px), 128).save(buffer, "JPEG", optimize=True)
        assert bytes(SECTOR_BYTES) in buffer.getvalue()
        assert decode(buffer.getvalue()).pixels.shape == (height_px, 4_096, 3)


@pytest.mark.parametrize(
    ("patched", "found"),
    [
        ({"components": 2}, "a JPEG of 2 components"),
        ({"bits": 12}, "a JPEG of 12 bits a sample"),
        ({"marker": 0xC3}, "a JPEG of the lossless process"),
        ({"marker": 0xC5}, "a JPEG of the hierarchical process"),
        ({"marker": 0xF7}, "a JPEG of the JPEG-LS process"),
    ],
)
def test_jpegs_of_rare_kinds_fail_by_name(patched: dict[str, int], found: str) -> None:
    """What no decoder here takes is `unsupported_format`, not damage, and certainly a JPEG."""
    data = bytearray(WHOLE["baseline 4:4:4"])
    start = data.index(b"\xff\xc0")
    data[start + 1] = patched.get("marker", 0xC0)
    data[start + 4] = patched.get("bits", 8)
    if patched.get("components") == 2:
        data[start + 9] = 2
        data[start + 2 : start + 4] = b"\0\x0e"
        del data[start + 16 : start + 19]

    failure = _failure(bytes(data))

    assert failure.kind == "unsupported_format"
    assert str(failure) == f"The photo is {found}, which is not decoded. Convert it to JPEG, PNG or TIFF."


@pytest.mark.parametrize("sampling", [(0x31, 0x11, 0x11), (0x11, 0x22, 0x22), (0x22, 0x21, 0x12)])
def test_unusual_sampling_is_decoded(sampling: tuple[int, ...]) -> None:
    """Sampling that TurboJPEG has no name for is Pillow's to decode."""
    data = bytearray(WHOLE["baseline 4:4:4"])
    start = data.index(b"\xff\xc0")
    data[start + 11 : start + 20 : 3] = bytes(sampling)

    assert decode(bytes(data)).pixels.shape == (208, 272, 3)


@pytest.mark.parametrize("marker", [b"Exif\0\0", b"Adobe"])
def test_a_segment_that_has_lost_its_marker_is_damage(marker: bytes) -> None:
    """It may say how colours or rows are stored."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    buffer = io.BytesIO()
    WALL.convert("CMYK").save(buffer, "JPEG", exif=exif)
    data = bytearray(b"\xff\xd8\xff\xfe\0\4ok" + buffer.getvalue()[2:])
    data[data.index(marker) - 4] = 0

    assert _failure(bytes(data)).kind == "truncated_image"


def test_arithmetic_code_that_ends_early_fails() -> None:
    """A decoder takes zeros for what is missing, so the mark of the end must not be added to it."""
    data = bytearray(BASELINE[:-2])
    data[data.index(b"\xff\xc0") + 1] = 0xC9
    header = read_header(bytes(data))
    assert header.frame is not None
    assert header.frame.is_arithmetic
    assert mend(bytes(data), header) == data
    assert mend(bytes(data) + b"\xff\xd9trailing", header).endswith(b"\xff\xd9")
    assert _failure(bytes(data)).kind == "truncated_image"


def test_a_comment_between_scans_is_no_end() -> None:
    """Its bytes may look like the mark of the end, or like a scan."""
    whole = WHOLE["progressive 4:4:4"]
    second = whole.index(b"\xff\xda", _scans(whole))
    for comment in (b"\xff\xd9", b"\xff\xda\0\x08\1\1\0\0\x3f\0"):
        segment = b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment
        assert np.array_equal(decode(whole[:second] + segment + whole[second:]).pixels, decode(whole).pixels)
    last = whole.rindex(b"\xff\xda")
    false_scan = b"\xff\xfe\0\x0c\xff\xda\0\x08\1\1\0\0\x3f\0"
    assert str(_failure(whole[:last] + false_scan + b"\xff\xd9")) == SCANS_MISSING


def test_zeros_behind_the_end_are_no_lost_sectors() -> None:
    """Cameras pad to a cluster before a second photo."""
    fill = (-len(BASELINE) - 4) % SECTOR_BYTES
    whole = _insert(BASELINE, b"\xff\xfe" + struct.pack(">H", 2 + fill) + b"x" * fill)
    assert len(whole) % SECTOR_BYTES == 0
    assert np.array_equal(decode(whole + bytes(8 * SECTOR_BYTES) + BASELINE).pixels, decode(BASELINE).pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_missing_end_fails_no_photo_in_any_colour_space(mode: str) -> None:
    """Pillow, which decodes CMYK, would refuse it."""
    buffer = io.BytesIO()
    WALL.convert(mode).save(buffer, "JPEG")
    whole = buffer.getvalue()
    assert np.array_equal(decode(whole[:-2]).pixels, decode(whole).pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_damage_is_found_in_every_colour_space(mode: str) -> None:
    """Grey and CMYK are checked like RGB."""
    buffer = io.BytesIO()
    WALL.convert(mode).save(buffer, "JPEG")
    whole = buffer.getvalue()

    check_jpeg(whole)
    assert str(_failure(whole[: len(whole) // 2] + b"\xff\xd9")) == PREMATURE
    with pytest.raises(DataError):
        check_jpeg(whole[: len(whole) // 2] + b"\xff\xd9")


@given(st.binary(max_size=400) | st.builds(lambda cut: WHOLE["baseline grey"][:cut], st.integers(0, 700)))
def test_headers_of_any_bytes_are_read(data: bytes) -> None:
    """Segments never overlap nor leave the file, and what is mended stays a JPEG or as it was."""
    end = 2
    header = read_header(data)
    for segment in header.segments:
        assert end <= segment.start < segment.end <= len(data)
        end = segment.end
    assert 0 <= find_end(data, header) <= len(data)
    assert mend(data, header) == data or mend(data, header).startswith(b"\xff\xd8")


def test_a_stuffed_zero_is_no_padding() -> None:
    """A zero behind 0xFF belongs to it (T.81, F.1.2.3)."""
    assert strip_padding(b"scan\xff\0\0\0\xff\xd9") == b"scan\xff\0\xff\xd9"
    assert strip_padding(b"scan\0\0\xff\xd9") == b"scan\xff\xd9"


@pytest.mark.skipif(not FIELD.is_dir(), reason="the files from the field are not here")
def test_files_from_the_field() -> None:
    """Half a photo fails, whole ones are decoded, and two components are named."""
    kinds = {}
    for file in sorted(FIELD.iterdir()):
        try:
            kinds[file.name] = str(decode(file.read_bytes()).pixels.shape)
        except DataError as error:
            kinds[file.name] = error.kind
    assert kinds == {
        "j01-no-eoi.jpg": "(300, 420, 3)",
        "j09-progressive-half-then-eoi.jpg": "truncated_image",
        "j19-two-components.jpg": "unsupported_format",
        "m01-whole-crack-below.jpg": "(900, 450, 3)",
        "m02-half-then-eoi.jpg": "truncated_image",
        "m04-sound.jpg": "(900, 450, 3)",
    }
