"""Mask files: whatever the format, depth and palette, what is over 0 is marked, and nothing else."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.core.errors import DataError
from pipeline.images.decode import decode
from pipeline.labels.mask_files import Mask, read_mask

FIELD = Path(__file__).parents[2].parent / "shared" / "field" / "masks-16-bit"

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@st.composite
def truths(draw: st.DrawFn) -> Mask:
    """Draw which pixels are crack, at most half of them."""
    truth = draw(npst.arrays(np.bool_, draw(SHAPES)))
    return truth if truth.mean() <= 0.5 else ~truth


def levels_of(truth: Mask, level: int, dtype: str = "u1") -> NDArray[Any]:
    """Return a level where a mask is true, 0 elsewhere."""
    return np.where(truth, level, 0).astype(dtype)


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's
    """Return an image as a file."""
    data = io.BytesIO()
    image.save(data, file_format, **options)
    return data.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def make_png(samples: NDArray[Any], bits: int, colour_type: int, *chunks: bytes) -> bytes:
    """Return a PNG of any kind: samples of shape (H, W, channels), in the specification's numbers."""
    height, width, _ = samples.shape
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + pack(row, bits) for row in samples)
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pack(row: NDArray[Any], bits: int) -> bytes:
    """Return samples of a row as bytes, the first in the highest bits."""
    if bits == 16:
        return row.astype(">u2").tobytes()
    whole = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - bits :]
    return np.packbits(whole).tobytes()


def make_bmp(indices: NDArray[Any], bits: int, palette: list[tuple[int, int, int]]) -> bytes:
    """Return a BMP of palette indices, shape (H, W), whose palette has only the colours that it needs."""
    height, width = indices.shape
    row_bytes = (width * bits + 31) // 32 * 4
    rows = b"".join(pack(row, bits).ljust(row_bytes, b"\0") for row in indices[::-1])
    colours = b"".join(bytes([blue, green, red, 0]) for red, green, blue in palette)
    offset = 14 + 40 + len(colours)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(rows), 0, 0, len(palette), 0)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + colours + rows


def make_tiff(samples: NDArray[Any], order: str, photometric: int, bits: int = 16) -> bytes:
    """Return an uncompressed TIFF of one strip, shape (H, W, channels), in either byte order."""
    height, width, channels = samples.shape
    body = samples.astype(f"{order}u{bits // 8}").tobytes()
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, bits if channels == 1 else None),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 8),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(body)),
    ]
    directory_at = 8 + len(body) + len(body) % 2
    bits_at = directory_at + 2 + 12 * len(entries) + 4
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        if value is None:
            directory += struct.pack(f"{order}HHII", tag, kind, count, bits_at)
        else:
            directory += struct.pack(f"{order}HHI{'H2x' if kind == 3 else 'I'}", tag, kind, count, value)
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, directory_at)
    return (start + body).ljust(directory_at, b"\0") + directory + bytes(4) + struct.pack(f"{order}4H", *[bits] * 4)


def with_channels(truth: Mask, channels: int, level: int, dtype: str) -> NDArray[Any]:
    """Return samples of which the first channel has a level where a mask is true, the others nothing."""
    samples = np.zeros((*truth.shape, channels), dtype)
    samples[..., 0] = levels_of(truth, level, dtype)
    return samples


@given(truth=truths(), data=st.data(), bits=st.sampled_from([1, 2, 4, 8, 16]))
@settings(deadline=None, max_examples=60)
def test_grey_pngs(truth: Mask, data: st.DataObject, bits: int) -> None:
    """Every level over 0 is crack in every depth that a PNG has."""
    level = data.draw(st.integers(1, (1 << bits) - 1))
    assert (read_mask(make_png(levels_of(truth, level, "u2")[..., None], bits, 0)) == truth).all()


@given(truth=truths(), level=st.integers(1, 65535), alpha=st.integers(0, 65535), colour_type=st.sampled_from([2, 4, 6]))
@example(truth=np.array([[True, False]]), level=1, alpha=1, colour_type=6)
@settings(deadline=None, max_examples=60)
def test_colours_and_alpha_of_16_bits(truth: Mask, level: int, alpha: int, colour_type: int) -> None:
    """No bit of a sample is lost, nor of an alpha that is the same everywhere."""
    samples = with_channels(truth, {2: 3, 4: 2, 6: 4}[colour_type], level, "u2")
    if colour_type > 2:
        samples[..., -1] = alpha or 1
    assert (read_mask(make_png(samples, 16, colour_type)) == truth).all()


@given(truth=truths(), data=st.data(), bits=st.sampled_from([1, 2, 4, 8]))
@settings(deadline=None, max_examples=100)
def test_palettes(truth: Mask, data: st.DataObject, bits: int) -> None:
    """In a palette the index counts, whatever the colours: index 0 may be white and a crack black."""
    index = data.draw(st.integers(1, (1 << bits) - 1))
    colour = st.sampled_from([(0, 0, 0), (255, 255, 255), (128, 0, 0), (7, 7, 7), (0, 0, 1)])
    palette = data.draw(st.lists(colour, min_size=index + 1, max_size=1 << bits))
    indices = levels_of(truth, index)
    png = make_png(indices[..., None], bits, 3, chunk(b"PLTE", bytes(np.ravel(palette).tolist())))
    assert (read_mask(png) == truth).all()
    if bits != 2:
        assert (read_mask(make_bmp(indices, bits, palette)) == truth).all()


@given(
    truth=truths(), mode=st.sampled_from(["1", "L", "P", "LA", "RGB", "RGBA", "I;16", "I", "F", "PA"]), data=st.data()
)
@settings(deadline=None, max_examples=150)
def test_whatever_pillow_writes(truth: Mask, mode: str, data: st.DataObject) -> None:
    """A mask comes back from every mode and format, compressed or not."""
    highest = {"1": 255, "I;16": 65535, "I": 2**31 - 1, "F": 2**20}.get(mode, 255)
    level = 255 if mode == "1" else data.draw(st.integers(1, highest))
    if mode in {"I;16", "I", "F"}:
        image = Image.fromarray(levels_of(truth, level, {"I;16": "u2", "I": "i4", "F": "f4"}[mode]))
    elif mode in {"P", "PA"}:
        image = Image.frombytes("P", truth.shape[::-1], levels_of(truth, level).tobytes())
        image.putpalette(data.draw(st.binary(min_size=768, max_size=768)))
        image = image.convert(mode) if mode == "PA" else image
    else:
        image = Image.fromarray(levels_of(truth, level)).convert(mode)
    formats = {
        "PNG": {"1", "L", "P", "LA", "RGB", "RGBA", "I;16"},
        "TIFF": {"1", "L", "P", "LA", "RGB", "RGBA", "I;16", "I", "F", "PA"},
        "BMP": {"1", "L", "P", "RGB", "RGBA"},
        "GIF": {"1", "L", "P"},
    }
    file_format = data.draw(st.sampled_from([name for name, modes in formats.items() if mode in modes]))
    compression = data.draw(st.sampled_from(["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"]))
    options: dict[str, Any] = {"TIFF": {"compression": compression}}
    if file_format == "GIF":
        options["GIF"] = {"optimize": False}
    assert (read_mask(encode(image, file_format, **options.get(file_format, {}))) == truth).all()


@given(
    truth=truths(),
    level=st.integers(1, 65535),
    order=st.sampled_from(["<", ">"]),
    photometric=st.sampled_from([1, 2]),
)
@settings(deadline=None, max_examples=60)
def test_tiffs_of_16_bits(truth: Mask, level: int, order: str, photometric: int) -> None:
    """Grey and colours of 16 bits keep their low bytes in both byte orders."""
    samples = with_channels(truth, {1: 1, 2: 3}[photometric], level, "u2")
    assert (read_mask(make_tiff(samples, order, photometric)) == truth).all()


def test_compressed_colours_of_16_bits() -> None:
    """The bytes that libtiff unpacks are in the machine's order; the low ones count there, too."""
    truth = np.eye(9, dtype=np.bool_)
    deep = make_tiff(with_channels(truth, 3, 1, "u2"), "<", 2)
    body = zlib.compress(deep[8 : 8 + truth.size * 6])
    packed = deep[:8] + body.ljust(truth.size * 6, b"\0") + deep[8 + truth.size * 6 :]
    at = packed.index(struct.pack("<HHIHxx", 259, 3, 1, 1))
    packed = packed[:at] + struct.pack("<HHIHxx", 259, 3, 1, 8) + packed[at + 12 :]
    assert (read_mask(packed) == truth).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_white_is_zero(bits: int) -> None:
    """Where a TIFF says that 0 is white, its highest level is the black background."""
    truth = np.eye(9, dtype=np.bool_)
    highest = (1 << bits) - 1
    assert (read_mask(make_tiff(np.where(truth, highest - 1, highest)[..., None], "<", 0, bits)) == truth).all()


def test_numbers_below_zero() -> None:
    """They are no crack; the same bits without a sign are."""
    truth = np.eye(9, dtype=np.bool_)
    signed = np.where(truth, 3, -1).astype("i4")
    assert (read_mask(encode(Image.fromarray(signed), "TIFF")) == truth).all()
    unsigned = make_tiff(levels_of(truth, 2**32 - 1, "u4")[..., None], "<", 1, 32)
    assert (read_mask(unsigned) == truth).all()
    nothing = np.where(truth, 0.5, np.nan).astype("f4")
    assert (read_mask(encode(Image.fromarray(nothing), "TIFF")) == truth).all()


@pytest.mark.parametrize("level", [2, 3])
def test_a_transparent_level(level: int) -> None:
    """One grey level or one index may be transparent: it is not marked."""
    truth = np.eye(9, dtype=np.bool_)
    samples = np.where(truth, 1, level)[..., None]
    transparent = chunk(b"tRNS", struct.pack(">H", level))
    assert (read_mask(make_png(samples, 2, 0, transparent)) == truth).all()
    palette = chunk(b"PLTE", bytes(12)) + chunk(b"tRNS", bytes([255] * level + [0]))
    assert (read_mask(make_png(samples, 2, 3, palette)) == truth).all()


def rgba(truth: Mask, crack: tuple[int, ...], ground: tuple[int, ...]) -> bytes:
    """Return a PNG with one colour on another."""
    return encode(Image.fromarray(np.where(truth[..., None], crack, ground).astype(np.uint8)), "PNG")


def test_transparent_pixels() -> None:
    """Colour that nobody sees is no crack, whatever stands under it."""
    truth = np.eye(9, dtype=np.bool_)
    for ground in ((0, 0, 0, 0), (255, 255, 255, 0), (0, 0, 0, 255)):
        assert (read_mask(rgba(truth, (255, 0, 0, 255), ground)) == truth).all()
    for nothing in ((0, 0, 0, 0), (255, 255, 255, 0), (0, 0, 0, 255)):
        assert not read_mask(rgba(truth, nothing, nothing)).any()


@pytest.mark.parametrize(("crack", "ground"), [((0, 0, 0, 255), (0, 0, 0, 0)), ((255, 0, 0, 0), (0, 0, 0, 0))])
def test_black_on_transparent_is_refused(crack: tuple[int, ...], ground: tuple[int, ...]) -> None:
    """It may be a crack, or the valid part of a photo without one."""
    with pytest.raises(DataError) as caught:
        read_mask(rgba(np.eye(9, dtype=np.bool_), crack, ground))
    assert caught.value.kind == "unsupported_format"
    assert str(caught.value) == (
        "The mask cannot be understood. All that is visible in it is black, and other parts are transparent. Save it "
        "as a PNG in grey, 0 where there is no crack."
    )


def test_a_palette_that_begins_with_the_crack() -> None:
    """Programs that count colours put any of them first: then white is crack and black is not."""
    truth = np.eye(9, dtype=np.bool_)
    for crack, ground in (((255, 255, 255), (0, 0, 0)), ((255, 0, 0), (0, 0, 0))):
        palette = chunk(b"PLTE", bytes([*crack, *ground]))
        assert (read_mask(make_png(~truth[..., None], 1, 3, palette)) == truth).all()
        assert (read_mask(make_bmp(~truth, 8, [crack, ground])) == truth).all()


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
@pytest.mark.parametrize("quality", [30, 75, 95])
def test_lossy_masks(file_format: str, quality: int) -> None:
    """From half of white on it is crack, since levels over 0 surround every edge."""
    truth = np.eye(64, dtype=np.bool_) | np.eye(64, k=1, dtype=np.bool_)
    options = {"compression": "jpeg"} if file_format == "TIFF" else {}
    data = encode(Image.fromarray(levels_of(truth, 255)), file_format, quality=quality, **options)
    assert (np.asarray(Image.open(io.BytesIO(data))) > 0).sum() > truth.sum()
    assert (read_mask(data) == truth).all()


def test_dark_marks_in_a_jpeg_are_refused() -> None:
    """Crack = 1 is lost in a JPEG; one that is black all over is a photo without a crack."""
    truth = np.zeros((64, 64), np.bool_)
    assert not read_mask(encode(Image.fromarray(levels_of(truth, 255)), "JPEG")).any()
    truth[20:40] = True
    with pytest.raises(
        DataError, match=r"^The mask cannot be understood\. It is a JPEG with levels up to \d+ of 255, "
    ):
        read_mask(encode(Image.fromarray(levels_of(truth, 40)), "JPEG"))


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_other_colours_are_refused(mode: str) -> None:
    """Ink and lightness have another zero."""
    with pytest.raises(DataError, match=rf"It is a TIFF in {mode}; expected numbers, grey, a palette or RGB\."):
        read_mask(encode(Image.new(mode, (9, 9)), "TIFF"))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "BMP", "GIF", "JPEG"])
def test_cut_short(file_format: str) -> None:
    """A mask without its last half is refused wherever it is cut, and never read in part."""
    noise = np.random.default_rng(0).integers(0, 2, (40, 40), dtype=np.uint8) * 255
    data = encode(Image.fromarray(noise), file_format)
    for length in range(0, len(data) // 2, 7):
        with pytest.raises(DataError):
            read_mask(data[:length])


def test_missing_strips() -> None:
    """A TIFF without its lower half is refused; Pillow would fill it with 0, as if nothing were cracked there."""
    whole = make_tiff(np.full((40, 40, 1), 9), "<", 1, 8)
    half = whole.replace(struct.pack("<HHIHxx", 278, 3, 1, 40), struct.pack("<HHIHxx", 278, 3, 1, 20))
    assert read_mask(whole).all()
    with pytest.raises(DataError, match=r"^The photo is damaged: parts of the TIFF are missing\."):
        read_mask(half)


def test_a_changed_byte_of_a_png() -> None:
    """The checksum of its pixels tells."""
    data = bytearray(make_png(np.eye(40)[..., None], 8, 0))
    data[data.index(b"IDAT") + 8] ^= 1
    with pytest.raises(DataError, match="damaged"):
        read_mask(bytes(data))


@given(data=st.binary(max_size=60), start=st.sampled_from([b"", b"BM", b"II*\0", b"\x89PNG\r\n\x1a\n", b"GIF89a"]))
@settings(deadline=None, max_examples=100)
def test_other_bytes(data: bytes, start: bytes) -> None:
    """Bytes that are no mask raise one kind of error."""
    with pytest.raises(DataError):
        read_mask(start + data)


def test_no_mask() -> None:
    """The message says what was found and what was expected."""
    with pytest.raises(DataError) as caught:
        read_mask(b"no picture")
    assert str(caught.value) == (
        "No mask in 10 bytes that begin with b'no picture'; expected PNG, TIFF, BMP, GIF or JPEG."
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "JPEG"])
def test_masks_stand_upright(file_format: str, orientation: int) -> None:
    """A mask turns by its own EXIF as its photo does."""
    truth = np.zeros((16, 24), np.bool_)
    truth[:8, :8] = truth[:8, 8:16] = True
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(levels_of(truth, 255)), file_format, exif=exif)
    assert (read_mask(data) == (decode(data).pixels[..., 0] > 127)).all()
    with Image.open(io.BytesIO(data)) as image:
        assert (read_mask(data) == (np.asarray(ImageOps.exif_transpose(image)) > 127)).all()


@pytest.mark.parametrize("file_format", ["TIFF", "GIF", "PNG"])
def test_several_pages_are_refused(file_format: str) -> None:
    """Nobody knows which one counts."""
    pages = [Image.fromarray(levels_of(np.eye(9, k=k, dtype=np.bool_), 255)) for k in range(3)]
    data = encode(pages[0], file_format, save_all=True, append_images=pages[1:])
    with pytest.raises(DataError) as caught:
        read_mask(data)
    assert str(caught.value) == (
        "The mask cannot be understood. It has 3 pages or frames; expected one. Save it as a PNG in grey, 0 where "
        "there is no crack."
    )


def test_smaller_copies_are_no_pages() -> None:
    """Programs for maps store them behind a picture, for the screen."""
    truth = np.eye(9, dtype=np.bool_)
    small = Image.fromarray(levels_of(truth[::2, ::2], 255))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    whole = Image.fromarray(levels_of(truth, 255))
    assert (read_mask(encode(whole, "TIFF", save_all=True, append_images=[small])) == truth).all()


def test_channels_without_a_meaning_are_refused() -> None:
    """A second channel that is no alpha may be another class."""
    alpha = encode(Image.new("LA", (9, 9), (255, 255)), "TIFF")
    kind = struct.Struct("<HHIHxx")
    data = alpha.replace(kind.pack(338, 3, 1, 2), kind.pack(338, 3, 1, 0))
    assert read_mask(alpha).all()
    with pytest.raises(DataError, match=r"It is a TIFF of 2 channels; expected 1, or one more that is an alpha\."):
        read_mask(data)


def palette_mask(indices: NDArray[Any], colour: tuple[int, int, int], size: int = 256) -> bytes:
    """Return a PNG whose palette has this colour at index 255, if it is so long, and else red."""
    image = Image.frombytes("P", indices.shape[::-1], indices.astype(np.uint8).tobytes())
    image.putpalette(([255, 0, 0] * 255 + [*colour])[: 3 * size])
    return encode(image, "PNG")


VOID = (224, 224, 192)


@pytest.mark.parametrize(("index", "colour", "size"), [(0, VOID, 256), (1, VOID, 256), (1, (0, 0, 0), 256)])
def test_index_255_is_neither_crack_nor_sound(index: int, colour: tuple[int, int, int], size: int) -> None:
    """In the colours of Pascal VOC, and beside other indices, it means that nobody knows, so the mask is refused."""
    indices = np.where(np.eye(9), 255, 0)
    indices[0, 1] = index
    with pytest.raises(DataError) as caught:
        read_mask(palette_mask(indices, colour, size))
    assert str(caught.value) == (
        "The mask cannot be understood. 9 of its pixels have the palette's index 255, which in Pascal VOC and labelme "
        "means neither crack nor sound. Give them index 0, or that of the crack."
    )


@pytest.mark.parametrize(("index", "colour"), [(0, (0, 0, 0)), (0, (255, 255, 255)), (200, (255, 255, 255))])
def test_index_255_may_be_the_crack(index: int, colour: tuple[int, int, int]) -> None:
    """It is where it is the only index but 0, and in a palette of greys, where it is white."""
    indices = np.where(np.eye(9), 255, 0)
    indices[0, 1] = index
    assert (read_mask(palette_mask(indices, colour)) == (indices > 0)).all()


@pytest.mark.skipif(not FIELD.is_dir(), reason="needs the masks of the field in ../shared/field")
def test_masks_of_the_field() -> None:
    """Crack = 1 in 16 bits is marked."""
    for path in sorted((FIELD / "masks").glob("*.png")):
        levels = np.asarray(Image.open(path))
        assert levels.dtype == np.uint16
        assert levels.max() <= 1
        assert (read_mask(path.read_bytes()) == (levels == 1)).all()
