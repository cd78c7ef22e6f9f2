"""`decode` gives upright RGB for every kind of photo, and a `DataError` for every kind of damage."""

import io
import struct
import subprocess
import sys
import zlib
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipeline.core.errors import DataError, Kind
from pipeline.images.decode import MAX_PIXELS, Photo, decode, decode_with_pillow, resize
from pipeline.images.exif import PhotoFacts
from tests import ROOT
from tests.helpers import heic_photos
from tests.helpers.hostile_photos import BROKEN, HEIGHT_PX, SLIM, SOUND, WIDTH_PX, encode, make_png, make_png_header
from tests.images.test_exif import with_exif

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
LOSSY = 6
"""How far JPEG and WebP may move a level of an even colour."""


def _halves(left: tuple[int, ...] = RED, right: tuple[int, ...] = BLUE, mode: str = "RGB") -> Image.Image:
    """Return a picture whose halves differ in colour; 32 high, 48 wide, so that no test confuses two sides."""
    image = Image.new(mode, (48, 32), left)
    image.paste(right, (24, 0, 48, 32))
    return image


def _assert_halves(photo: Photo, left: tuple[int, ...] = RED, right: tuple[int, ...] = BLUE, within: int = 0) -> None:
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.shape == (32, 48, 3)
    assert np.abs(photo.pixels[8:24, 8].astype(int) - left).max() <= within
    assert np.abs(photo.pixels[8:24, 40].astype(int) - right).max() <= within


def _kind(data: bytes, max_pixels: int = MAX_PIXELS) -> Kind:
    with pytest.raises(DataError) as caught:
        decode(data, max_pixels)
    assert caught.value.stage == "decode"
    return caught.value.kind


LOSSLESS = {
    "png": encode(_halves(), "PNG"),
    "png_palette": encode(_halves().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "tiff": encode(_halves(), "TIFF"),
    "tiff_lzw": encode(_halves(), "TIFF", compression="tiff_lzw"),
    "tiff_pages": encode(_halves(), "TIFF", save_all=True, append_images=[_halves(WHITE, WHITE)]),
    "bmp": encode(_halves(), "BMP"),
    "webp": encode(_halves(), "WEBP", lossless=True),
    "webp_animated": encode(_halves(), "WEBP", lossless=True, save_all=True, append_images=[_halves(WHITE, WHITE)]),
    "gif": encode(_halves(), "GIF"),
    "jpeg2000": encode(_halves(), "JPEG2000"),
    "jpeg2000_codestream": encode(_halves(), "JPEG2000", no_jp2=True),
    "gif_animated": encode(_halves(), "GIF", save_all=True, append_images=[_halves(WHITE, WHITE)]),
}
LOSSY_FILES = {
    "jpeg": encode(_halves(), "JPEG", quality=95, subsampling=0),
    "jpeg_progressive": encode(_halves(), "JPEG", quality=95, progressive=True),
    "jpeg_trailing_garbage": encode(_halves(), "JPEG", quality=95) + b"garbage" * 100,
    "avif": encode(_halves(), "AVIF", quality=95, subsampling="4:4:4"),
    "avif_sequence": encode(
        _halves(), "AVIF", quality=95, subsampling="4:4:4", save_all=True, append_images=[_halves(WHITE, WHITE)]
    ),
    "webp_lossy": encode(_halves(), "WEBP", quality=95),
    "mpo": encode(_halves(), "MPO", save_all=True, append_images=[_halves(WHITE, WHITE)], quality=95),
}


@pytest.mark.parametrize("data", LOSSLESS.values(), ids=LOSSLESS)
def test_lossless_files_keep_their_colours(data: bytes) -> None:
    """Red is left and blue is right, exactly; of several pages or frames the first counts."""
    _assert_halves(decode(data))


@pytest.mark.parametrize("data", LOSSY_FILES.values(), ids=LOSSY_FILES)
def test_lossy_files_keep_their_colours_nearly(data: bytes) -> None:
    """Red is left and blue is right, within what the compression changes."""
    _assert_halves(decode(data), within=2 * LOSSY)


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "1"), ("TIFF", "1"), ("BMP", "1")])
def test_grey_becomes_three_equal_channels(form: str, mode: str) -> None:
    """Black stays black and white stays white, in one bit or eight."""
    photo = decode(encode(_halves((0,), (255,), mode="L").convert(mode), form))

    _assert_halves(photo, (0, 0, 0), WHITE, within=LOSSY)
    assert (photo.pixels == photo.pixels[..., :1]).all()


@pytest.mark.parametrize(("form", "big_endian"), [("PNG", False), ("TIFF", False), ("TIFF", True)])
def test_16_bit_grey_is_scaled(form: str, big_endian: bool) -> None:  # noqa: FBT001 - a parameter
    """Levels of 0 … 65535 are scaled to 0 … 255, not clipped."""
    levels = np.zeros((32, 48), ">u2" if big_endian else "<u2")
    levels[:, :24], levels[:, 24:] = 100 * 257, 65535

    photo = decode(encode(Image.fromarray(levels), form))

    _assert_halves(photo, (100, 100, 100), WHITE)


def test_16_bit_colour_keeps_its_colours() -> None:
    """A PNG of 16 bits a channel, which Pillow cannot write, is decoded to 8 bits."""
    row = b"\0" + struct.pack(">3H", 65535, 0, 0) * 24 + struct.pack(">3H", 0, 0, 65535) * 24
    data = make_png(make_png_header(32, 48, 16, 2), (b"IDAT", zlib.compress(row * 32)))

    _assert_halves(decode(data))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_parts_are_laid_on_white(mode: str) -> None:
    """The colour under a transparent part does not show."""
    opaque = _halves((0, 0, 0), (80, 80, 80))
    alpha = _halves((0,), (255,), mode="L")
    if mode == "P":
        palette = _halves((0,), (1,), mode="P")
        palette.putpalette([0, 0, 0, 80, 80, 80])
        data = encode(palette, "PNG", transparency=b"\0\xff")
    elif mode == "RGB":
        data = encode(opaque, "PNG", transparency=(0, 0, 0))
    else:
        opaque.putalpha(alpha)
        data = encode(opaque.convert(mode), "PNG")

    _assert_halves(decode(data), WHITE, (80, 80, 80))


@pytest.mark.parametrize("bits", [4, 8])
def test_a_bmp_that_pillow_misreads_fails_by_name(bits: int) -> None:
    """With a palette of black and white alone, Pillow takes its pixels for single bits."""
    data = bytearray(encode(_halves((0,), (255,), mode="L"), "BMP"))
    data[28:30] = struct.pack("<H", bits)
    data[46:50] = struct.pack("<I", 2)
    data[58:62] = b"\xff\xff\xff\0"

    with pytest.raises(DataError) as caught:
        decode(bytes(data))

    assert str(caught.value) == (
        f"The photo is a BMP of {bits} bits with a palette of few greys, which is not decoded. Convert it to JPEG, PNG "
        "or TIFF."
    )


def test_cmyk_becomes_rgb() -> None:
    """No ink is white and full black ink is black, in Adobe's inverted levels, which Pillow writes."""
    photo = decode(encode(_halves((0, 0, 0, 0), (0, 0, 0, 255), mode="CMYK"), "JPEG", quality=95))

    _assert_halves(photo, WHITE, (0, 0, 0), within=LOSSY)


def test_cmyk_without_adobe_s_marker_is_read_as_adobe_writes_it() -> None:
    """Levels are inverted in practice, also in files that have lost the marker."""
    data = encode(_halves((0, 0, 0, 0), (0, 0, 0, 255), mode="CMYK"), "JPEG", quality=95)
    start = data.index(b"\xff\xee")
    plain = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4]) :]

    _assert_halves(decode(plain), WHITE, (0, 0, 0), within=LOSSY)


_TO_STORED: dict[int, Image.Transpose | None] = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_come_upright(form: str, orientation: int) -> None:
    """Each of the eight EXIF orientations gives the same upright photo and keeps the other facts."""
    upright = _halves()
    upright.paste((0, 255, 0), (0, 0, 12, 16))  # a green corner tells all eight apart
    method = _TO_STORED[orientation]
    stored = upright if method is None else upright.transpose(method)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Maker"
    sampling: Any = {"JPEG": {"subsampling": 0}, "AVIF": {"subsampling": "4:4:4"}}.get(form, {})
    options = {"quality": 95} | sampling if sampling else {}

    photo = decode(encode(stored, form, exif=exif, **options))

    assert photo.pixels.shape == (32, 48, 3)
    assert np.abs(photo.pixels.astype(int) - np.asarray(upright)).mean() < LOSSY
    assert photo.facts.camera == "Maker"


def test_broken_exif_of_a_turned_photo_fails_no_photo() -> None:
    """The photo is decoded even if Pillow could not write its EXIF again."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    raw = bytearray(exif.tobytes())
    raw[8:10] = b"\2\0" if raw[6:8] == b"II" else b"\0\2"  # claims a second entry that is not there

    assert decode(encode(_halves(), "JPEG", exif=bytes(raw))).pixels.shape[2] == 3


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty_file"),
        (b"A list of bridges.\n" * 50, "not_an_image"),
        (b"\0" * 5_000, "not_an_image"),
        (b"%PDF-1.7", "not_an_image"),
        (b"\0\0\0 ftypisom\0\0\2\0isomiso2", "not_an_image"),
        (encode(_halves(), "PPM"), "unsupported_format"),
        (encode(_halves(), "ICO"), "unsupported_format"),
    ],
)
def test_files_that_are_no_photos_fail_by_kind(data: bytes, kind: Kind) -> None:
    """Empty files, other files, and formats that crackscan does not read have kinds that can be counted."""
    assert _kind(data) == kind


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9, 0.98])
def test_a_jpeg_cut_short_is_no_photo(share: float, progressive: bool) -> None:  # noqa: FBT001 - a parameter
    """Pillow could fill the missing part with grey, which looks like sound concrete; `decode` fails instead."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    data = encode(Image.fromarray(noise), "JPEG", progressive=progressive)

    assert _kind(data[: int(share * len(data))]) == "truncated_image"


@pytest.mark.parametrize("data", [heic_photos.UPRIGHT, heic_photos.TURNED], ids=["upright", "turned"])
def test_heic_photos_come_upright_with_their_facts(data: bytes) -> None:
    """What every iPhone writes is turned once, by the container, and not again by its EXIF."""
    photo = decode(data)

    found = photo.pixels[[4, 28, 16], [4, 4, 40]].astype(int)
    assert np.abs(found - [(0, 255, 0), RED, BLUE]).max() <= 2 * LOSSY
    assert photo.facts == PhotoFacts(
        captured_at=datetime(2026, 3, 4, 5, 6, 7),  # noqa: DTZ001 - EXIF has no zone
        latitude=47.5,
        longitude=8.25,
        camera="Apple iPhone 15",
    )


@pytest.mark.parametrize("data", [heic_photos.UPRIGHT, encode(_halves(), "AVIF"), encode(_halves(), "JPEG2000")])
def test_photos_of_phones_and_scanners_have_a_limit_too(data: bytes) -> None:
    """Their size is known before a pixel is decoded."""
    assert _kind(data, 32 * 48 - 1) == "too_many_pixels"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_heic_cut_short_is_no_photo(share: float) -> None:
    """Half a HEIC fails as damaged, not as something else."""
    assert _kind(heic_photos.UPRIGHT[: int(share * len(heic_photos.UPRIGHT))]) == "truncated_image"


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "WEBP", "GIF", "AVIF", "JPEG2000"])
def test_other_photos_cut_short_fail_too(form: str) -> None:
    """Half a file fails in every format."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    data = encode(Image.fromarray(noise), form)

    assert _kind(data[: len(data) // 2]) == "truncated_image"


def test_the_largest_photo_that_is_allowed() -> None:
    """A photo of exactly the limit is decoded; above it, the message says what to do."""
    assert decode(LOSSLESS["png"], 32 * 48).pixels.shape == (32, 48, 3)

    with pytest.raises(DataError) as caught:
        decode(LOSSLESS["png"], 32 * 48 - 1)

    assert caught.value.kind == "too_many_pixels"
    assert str(caught.value) == (
        "The photo is 48 x 32 = 1,536 pixels; at most 1,535 are decoded. Raise --max-pixels to score it."
    )


@pytest.mark.parametrize("name", SOUND)
def test_odd_but_sound_photos_are_decoded(name: str) -> None:
    """Unusual formats, metadata and trailing bytes fail no sound photo."""
    assert decode(SOUND[name]).pixels.shape == (HEIGHT_PX, WIDTH_PX, 3)


@pytest.mark.parametrize("name", SLIM)
def test_the_slimmest_photos_are_decoded(name: str) -> None:
    """Photos of one pixel, one row or one column are decoded."""
    height_px, width_px = map(int, name.removesuffix(".png").split("x"))

    assert decode(SLIM[name]).pixels.shape == (height_px, width_px, 3)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_photos_fail_by_kind(name: str) -> None:
    """Each raises a `DataError` of its kind."""
    data, kind = BROKEN[name]

    assert _kind(data) == kind


_MEMORY = """
import resource, sys
from tests.helpers.hostile_photos import BROKEN
from tests.images.test_decode import make_large_photos
from pipeline.images.decode import decode
from pipeline.core.errors import DataError
files = [data for data, _ in BROKEN.values()] if sys.argv[1] == "broken" else make_large_photos()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for data in files:
    try:
        decode(data)
    except DataError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024))
"""

LARGER_PX = (3_000, 5_000)


def make_large_photos() -> list[bytes]:
    """Return photos of 15 megapixels in the modes whose conversion takes most memory, small as files."""
    levels = np.zeros(LARGER_PX, np.uint16)
    grey = Image.fromarray(levels.astype(np.uint8))
    alpha = grey.convert("RGBA")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    images = [Image.fromarray(levels), grey.convert("1"), grey.convert("P"), alpha]
    files = [encode(image, "PNG", compress_level=1) for image in images]
    return [*files, encode(grey.convert("RGB"), "JPEG", exif=turned), encode(grey.convert("CMYK"), "JPEG")]


def _memory_bytes(files: str) -> int:
    """Decode in a separate process, and return by how much its memory grew."""
    command = [sys.executable, "-c", _MEMORY, files]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.ray
def test_broken_photos_take_little_memory() -> None:
    """`decode` refuses bombs before it unpacks them: a GIF of 43 bytes would take 4 GB, a TIFF of 2 MB as much."""
    assert _memory_bytes("broken") < 150 << 20


@pytest.mark.ray
def test_decoding_takes_little_more_than_its_result() -> None:
    """Pillow keeps at most 4 bytes a pixel beside the 3 of the result, so 200 megapixels take 1.4 GB."""
    assert _memory_bytes("larger") < 7 * LARGER_PX[0] * LARGER_PX[1] + (60 << 20)


@pytest.mark.ray
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the limit")
def test_a_small_limit_does_not_hold_for_other_pictures() -> None:
    """The same process can still open larger pictures, such as crack maps and figures."""
    large = encode(Image.new("L", (500, 500)), "PNG")
    assert _kind(large, max_pixels=1_000) == "too_many_pixels"
    with Image.open(io.BytesIO(large)) as image:
        assert image.size == (500, 500)


def test_too_little_memory_fails_the_photo() -> None:
    """The kind is `too_large`, not damage; the process survives."""
    code = (
        "import resource\n"
        "from pipeline.core.errors import DataError\n"
        "from pipeline.images.decode import decode\n"
        "from tests.images.test_decode import make_large_photos\n"
        "data = make_large_photos()[-1]\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (30 << 20),) * 2)\n"
        "try: decode(data)\n"
        "except DataError as error: print(error.kind)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.stdout == "too_large\n", run.stderr


HEIC_FILES = {"heic": heic_photos.UPRIGHT, "heic_turned": heic_photos.TURNED}
FUZZED = (
    LOSSLESS
    | LOSSY_FILES
    | HEIC_FILES
    | {"exif": with_exif(base={ExifTags.Base.Orientation: 6}, gps={1: "N", 2: (1, 2, 3)})}
)
EXTREMES = [0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a damaged file: flipped bytes, extreme numbers, pieces of other files, repeated parts, a missing end."""
    data = bytearray(FUZZED[draw(st.sampled_from(sorted(FUZZED)))])
    for _ in range(draw(st.integers(1, 4))):
        place, length = draw(st.integers(0, len(data) - 1) | st.integers(0, 200)), draw(st.integers(1, 64))
        match draw(st.sampled_from(["flip", "extreme", "extreme", "splice", "repeat"])):
            case "flip":
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "extreme":
                size, order = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from(["little", "big"]))
                number = draw(st.sampled_from(EXTREMES)) % (1 << 8 * size)
                data[place : place + size] = number.to_bytes(size, order)  # type: ignore[arg-type]  # drawn
            case "splice":
                other = FUZZED[draw(st.sampled_from(sorted(FUZZED)))]
                start = draw(st.integers(0, len(other) - 1))
                data[place : place + draw(st.sampled_from([0, length]))] = other[start : start + length]
            case _:
                data[place:place] = data[place : place + length] * draw(st.integers(1, 20))
    return bytes(data[: draw(st.just(len(data)) | st.integers(0, len(data)))])


@pytest.mark.ray
@settings(max_examples=1_000)
@given(damaged())
def test_damage_is_a_photo_or_a_data_error(data: bytes) -> None:
    """Whatever the damage, `decode` returns a photo within the limit or raises a `DataError`."""
    try:
        photo = decode(data, max_pixels=100_000)
    except DataError as error:
        assert error.stage == "decode"  # noqa: PT017 - either outcome is right
    else:
        height_px, width_px, channels = photo.pixels.shape
        assert photo.pixels.dtype == np.uint8
        assert channels == 3
        assert 1 <= height_px * width_px <= 100_000


@st.composite
def jpegs(draw: st.DrawFn) -> bytes:
    """Draw a JPEG as cameras and programs write them: sampling, quality, order, orientation, incomplete blocks."""
    seed, height, width = draw(st.integers(0, 99)), draw(st.integers(1, 70)), draw(st.integers(1, 70))
    levels = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    image = Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = draw(st.integers(1, 8))
    sampling: dict[str, Any] = draw(st.sampled_from([*({"subsampling": way} for way in range(3)), {"keep_rgb": True}]))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=draw(st.integers(5, 100)), exif=exif, progressive=draw(st.booleans()),
               restart_marker_blocks=draw(st.integers(0, 3)), **sampling)  # fmt: skip
    return file.getvalue()


@given(jpegs())
def test_libjpeg_turbo_gives_pillow_s_pixels(data: bytes) -> None:
    """Every level is the same, so the choice of decoder moves no score and is in no fingerprint."""
    with Image.open(io.BytesIO(data)) as image:
        expected = decode_with_pillow(image)
    assert np.array_equal(decode(data).pixels, expected)


def test_pillow_decodes_what_libjpeg_turbo_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond TurboJPEG, such as unusual sampling, is no damage."""

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("tjDecompressHeader3(): Could not determine subsampling level of JPEG image")

    monkeypatch.setattr("simplejpeg.decode_jpeg", refuse)
    _assert_halves(decode(encode(_halves(), "JPEG")), within=LOSSY)


def test_resize_returns_fitting_pixels_as_they_are() -> None:
    """Pixels of the right size are neither copied nor filtered."""
    pixels = np.zeros((5, 7, 3), np.uint8)

    assert resize(pixels, 5, 7) is pixels


def test_resize_averages_what_it_shrinks() -> None:
    """The filter is antialiased: fine stripes become grey, not black or white."""
    pixels: NDArray[np.uint8] = np.zeros((64, 64, 3), np.uint8)
    pixels[:, ::2] = 255

    small = resize(pixels, 8, 16)

    assert small.shape == (8, 16, 3)
    assert small.dtype == np.uint8
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() < 20
