"""A TIFF has the brightness that its tags mean, or fails by name."""

import io
import struct
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import DataError
from pipeline.images.decode import decode
from tests.helpers.damaged_jpegs import draw_wall
from tests.helpers.tiff_forms import (
    BLACK_IS_ZERO,
    CMYK,
    FLOAT,
    PALETTE,
    RGB,
    UNSIGNED,
    WHITE_IS_ZERO,
    YCBCR,
    Form,
    make_tiff_of,
)

FIELD = Path(__file__).parents[2].parent / "shared/field/tiff-png"
GREY = np.tile(np.linspace(0, 255, 37).astype(np.uint8), (23, 1))
GREY[10:13] = 40  # a crack
DECODED = {
    WHITE_IS_ZERO: (1, 2, 4, 8, 16),
    BLACK_IS_ZERO: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    CMYK: (8, 16),
    YCBCR: (8,),
}


def _failure(data: bytes) -> DataError:
    with pytest.raises(DataError) as caught:
        decode(data)
    return caught.value


def _assert_upright(data: bytes, bits: int) -> None:
    """Check that a TIFF of `GREY` comes out as such, within a level of its own depth."""
    pixels = decode(data).pixels
    assert pixels.shape == (*GREY.shape, 3)
    assert np.abs(pixels.astype(int) - GREY[..., None]).max() <= 128 / (2 ** min(bits, 8) - 1) + 2


@pytest.mark.parametrize(("photometric", "bits"), [(kind, bits) for kind, depths in DECODED.items() for bits in depths])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflated", [False, True])
def test_usual_tiffs_are_decoded(photometric: int, bits: int, order: Literal["<", ">"], deflated: bool) -> None:  # noqa: FBT001
    """Every usual photometric interpretation and depth is upright: cracks are dark.

    But for negatives of 16 bits in big-endian order, which Pillow does not know: they fail by name.
    """
    data = make_tiff_of(GREY, Form(photometric, bits, order=order, deflated=deflated))
    if (photometric, bits, order) == (WHITE_IS_ZERO, 16, ">"):
        assert _failure(data).kind == "unsupported_format"
    else:
        _assert_upright(data, bits)


def _exists(form: Form) -> bool:
    """Tell whether there is such a TIFF: palettes of at most 256 colours, floats as numpy has them."""
    is_palette, is_float = form.photometric == PALETTE, form.sample_format == FLOAT
    return not (is_palette and form.bits > 8) and not (is_float and form.bits not in {16, 32, 64})


@settings(max_examples=500)
@given(
    st.builds(
        Form,
        photometric=st.sampled_from([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 32844, 32845, 99]),
        bits=st.sampled_from([1, 2, 4, 8, 10, 12, 14, 16, 24, 32, 64]),
        sample_format=st.integers(1, 6),
        planar=st.booleans(),
        order=st.sampled_from("<>"),
        big=st.booleans(),
        deflated=st.booleans(),
        rows_per_strip=st.integers(1, 30),
    ).filter(_exists)
)
def test_a_tiff_is_upright_or_fails_by_name(form: Form) -> None:
    """Whatever its photometric interpretation, depth, sample format, planes and byte order."""
    data = make_tiff_of(GREY, form)
    try:
        decode(data)
    except DataError as error:
        assert error.kind == "unsupported_format"  # noqa: PT017 - either outcome is right
    else:
        assert form.sample_format == UNSIGNED
        _assert_upright(data, form.bits)


def test_packed_12_bit_levels_have_their_own_white() -> None:
    """White is 2^12 - 1, not 2^16 - 1."""
    _assert_upright(make_tiff_of(GREY, Form(BLACK_IS_ZERO, 12)), 12)


@pytest.mark.parametrize(
    ("form", "found"),
    [
        (
            Form(BLACK_IS_ZERO, 16, sample_format=2),
            "BlackIsZero with 1 sample a pixel, signed, of 16 bits",
        ),
        (
            Form(BLACK_IS_ZERO, 32, sample_format=3),
            "BlackIsZero with 1 sample a pixel, floating-point, of 32 bits",
        ),
        (
            Form(WHITE_IS_ZERO, 16, planar=True),
            "WhiteIsZero with 1 sample a pixel in planes, unsigned, of 16 bits",
        ),
        (Form(8, 8), "CIELab with 3 samples a pixel, unsigned, of 8 bits"),
        (Form(99, 8), "PhotometricInterpretation 99 with 1 sample a pixel, unsigned, of 8 bits"),
    ],
)
def test_other_kinds_are_named(form: Form, found: str) -> None:
    """The message says what the TIFF holds and what to do."""
    failure = _failure(make_tiff_of(GREY, form))
    assert failure.kind == "unsupported_format"
    assert str(failure) == (
        f"The photo is a TIFF of {found}, which is not decoded. Save it as TIFF or PNG of 8 bits, grey or RGB."
    )


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(Form(BLACK_IS_ZERO, 8, more=((266, 3, (2,)),)), id="bits in reverse"),
        pytest.param(Form(BLACK_IS_ZERO, 1, more=((259, 3, (4,)),)), id="fax code"),
        pytest.param(Form(RGB, 8, more=((259, 3, (50001,)),)), id="WebP"),
        pytest.param(Form(BLACK_IS_ZERO, 12, more=((259, 3, (7,)),)), id="JPEG of 12 bits"),
        pytest.param(Form(PALETTE, 8, more=((320, 3, tuple(range(256)) * 3),)), id="palette of 8 bits"),
    ],
)
def test_kinds_that_pillow_gets_wrong_fail_by_name(form: Form) -> None:
    """It reverses no bits, hears of no damage in fax codes, and takes dim palettes for black."""
    assert _failure(make_tiff_of(GREY, form)).kind == "unsupported_format"


def test_reversed_bits_of_deflated_strips_are_no_damage() -> None:
    """Their checksum is that of the bits in the usual order."""
    reverse = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    data = make_tiff_of(GREY, Form(BLACK_IS_ZERO, 8, deflated=True, rows_per_strip=23, more=((266, 3, (2,)),)))
    size = struct.unpack("<I", _values(data, 279))[0]
    _assert_upright(data[:8] + data[8 : 8 + size].translate(reverse) + data[8 + size :], 8)


def test_inks_other_than_cmyk_fail_by_name() -> None:
    """A separation of other inks looks like CMYK and has other colours."""
    assert _failure(make_tiff_of(GREY, Form(CMYK, more=((332, 3, (2,)),)))).kind == "unsupported_format"


def test_ycbcr_that_is_subsampled_without_jpeg_fails_by_name() -> None:
    """Pillow would read its blocks as pixels."""
    assert _failure(make_tiff_of(GREY, Form(YCBCR, more=((530, 3, (2, 2)),)))).kind == "unsupported_format"


def test_big_endian_bigtiff_fails_by_name() -> None:
    """Pillow reads only little-endian ones."""
    _assert_upright(make_tiff_of(GREY, Form(RGB, big=True)), 8)
    failure = _failure(make_tiff_of(GREY, Form(RGB, big=True, order=">")))
    assert str(failure) == "The photo is a big-endian BigTIFF, which is not decoded. Save it as TIFF or PNG."


def test_a_damaged_deflated_strip_fails() -> None:
    """Libtiff stops before the checksum of a strip, so that changed pixels would pass."""
    data = bytearray(make_tiff_of(GREY, Form(BLACK_IS_ZERO, deflated=True, rows_per_strip=23)))
    size = struct.unpack("<I", _values(bytes(data), 279))[0]
    data[8 + size - 1] ^= 1

    failure = _failure(bytes(data))

    assert failure.kind == "truncated_image"
    assert str(failure) == (
        "The photo is damaged: Error -3 while decompressing data: incorrect data check in a part of the TIFF."
    )


def test_missing_strips_fail() -> None:
    """Pillow leaves the rows of strips that no tag names black."""
    whole = make_tiff_of(GREY, Form(BLACK_IS_ZERO, rows_per_strip=5))
    fewer = bytearray(whole)
    for tag in (273, 279):
        count = whole.rindex(struct.pack("<HHI", tag, 4, 5)) + 4
        fewer[count : count + 4] = struct.pack("<I", 3)

    _assert_upright(whole, 8)
    assert str(_failure(bytes(fewer))) == "The photo is damaged: parts of the TIFF are missing."


def _values(data: bytes, tag: int) -> bytes:
    """Return the four bytes in the entry of a tag."""
    first = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, first)[0]
    entries = [data[first + 2 + 12 * number :][:12] for number in range(count)]
    return next(entry[8:] for entry in entries if struct.unpack_from("<H", entry)[0] == tag)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_damage_in_a_jpeg_inside_a_tiff_is_found(mode: str) -> None:
    """Libtiff keeps the warnings of libjpeg to itself."""
    buffer = io.BytesIO()
    draw_wall().convert(mode).save(buffer, "TIFF", compression="jpeg", quality=90)
    whole = buffer.getvalue()
    assert decode(whole).pixels.shape == (208, 272, 3)
    found = 0
    for at in range(1_000, 6_000, 500):  # in the first strip
        damaged = whole[:at] + b"\xff\xd9" + whole[at + 2 :]
        found += _is_damaged(damaged)
    assert found == 10


def _is_damaged(data: bytes) -> bool:
    try:
        decode(data)
    except DataError as error:
        return error.kind == "truncated_image"
    return False


def test_camera_raw_is_no_usual_tiff() -> None:
    """A DNG has a small preview as its first page, which is not the photo."""
    preview = make_tiff_of(GREY, Form(RGB, more=((254, 4, (1,)), (330, 4, (8,)))))
    failure = _failure(preview)
    assert failure.kind in {"unsupported_format", "truncated_image"}
    assert "camera RAW" in str(failure)


def test_the_second_page_counts_if_the_first_is_a_thumbnail() -> None:
    """Scanners write a thumbnail first, marked as reduced."""
    small, large = Image.new("L", (10, 8), 50), Image.new("L", (60, 40), 200)
    buffer = io.BytesIO()
    small.save(buffer, "TIFF", save_all=True, append_images=[large], tiffinfo={254: 1})
    data = bytearray(buffer.getvalue())
    second = data.rindex(struct.pack("<HHI", 254, 4, 1)) + 8
    data[second : second + 4] = bytes(4)
    assert decode(bytes(data)).pixels.shape == (40, 60, 3)


@pytest.mark.skipif(not FIELD.is_dir(), reason="the files from the field are not here")
@pytest.mark.parametrize("name", ["t04-white-is-zero-16.tif", "t21-12-bit-packed.tif"])
def test_files_from_the_field(name: str) -> None:
    """They look like the reference."""
    reference = decode((FIELD / "t00-reference.png").read_bytes()).pixels.astype(int)
    assert np.abs(decode((FIELD / name).read_bytes()).pixels - reference).max() <= 1
