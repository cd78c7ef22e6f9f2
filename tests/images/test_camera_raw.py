"""Camera RAW is developed with the extra, and one clear failure without it."""

import struct

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.images import camera_raw
from pipeline.images.decode import decode
from tests.helpers.tiff_forms import Form, make_tiff_of

pytest.importorskip("rawpy", reason="the extra `raw` is not installed")

GREY = np.full((120, 180), 190, np.uint8)
GREY[20:30] = 20  # a crack in the upper part, along a row

_SENSOR, _BAYER = 32803, ((33421, 3, (2, 2)), (33422, 1, (0, 1, 1, 2)))
_MAKE, _MODEL = (271, 2, tuple(b"Maker\0")), (272, 2, tuple(b"X100\0"))


def _make_dng(orientation: int = 1, filters: tuple[tuple[int, int, tuple[int, ...]], ...] = _BAYER) -> bytes:
    version, turned = (50706, 1, (1, 4, 0, 0)), (274, 3, (orientation,))
    tags = ((254, 4, (0,)), version, *filters, _MAKE, _MODEL, turned)
    return make_tiff_of(GREY, Form(_SENSOR, 16, rows_per_strip=len(GREY), more=tags))


def _failure(data: bytes, max_pixels: int = 1 << 20) -> DataError:
    with pytest.raises(DataError) as caught:
        decode(data, max_pixels)
    return caught.value


def test_a_dng_is_developed() -> None:
    """The crack is dark, where it was, and the facts are those of the EXIF."""
    photo = decode(_make_dng())

    assert photo.pixels.shape == (120, 180, 3)
    assert photo.pixels[22:28].mean() + 80 < photo.pixels[50:100].mean()
    assert photo.facts.camera == "Maker X100"


def test_a_camera_without_colours_gives_grey() -> None:
    """A sensor without filters has one level a pixel."""
    pixels = decode(_make_dng(filters=())).pixels
    assert pixels.shape == (120, 180, 3)
    assert (pixels == pixels[..., :1]).all()


def test_a_turned_dng_comes_upright() -> None:
    """Orientation 6: the upper rows were taken at the right."""
    photo = decode(_make_dng(6))

    assert photo.pixels.shape == (180, 120, 3)
    assert photo.pixels[:, 92:98].mean() + 80 < photo.pixels[:, 20:70].mean()


def test_a_large_dng_is_refused_before_it_is_developed() -> None:
    """The limit is that of every photo."""
    failure = _failure(_make_dng(), 21_599)
    assert failure.kind == "too_many_pixels"
    assert str(failure) == (
        "The photo is 180 x 120 = 21,600 pixels; at most 21,599 are decoded. Raise --max-pixels to score it."
    )


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_dng_cut_short_is_no_photo(share: float) -> None:
    """It has lost its directory, which stands at its end."""
    data = _make_dng()
    assert _failure(data[: int(share * len(data))]).kind == "truncated_image"


def test_a_dng_without_all_its_levels_fails() -> None:
    """LibRaw would fill the missing rows."""
    data = _make_dng()
    start = data.rindex(struct.pack("<HHI", 273, 4, 1)) + 8
    moved = data[:start] + struct.pack("<I", len(data) - 1_000) + data[start + 4 :]

    failure = _failure(moved)

    assert failure.kind == "truncated_image"
    assert str(failure) == "The photo, a camera RAW file, is damaged or cut short: Input/output error."


def test_a_file_that_only_begins_like_camera_raw_fails_by_name() -> None:
    """LibRaw does not know it."""
    failure = _failure(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))
    assert failure.kind == "unsupported_format"
    assert str(failure) == (
        "The photo is a Canon CR2 RAW file that LibRaw cannot read: Unsupported file format or not RAW file. Convert "
        "it to JPEG or TIFF."
    )


def test_without_the_extra_the_failure_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without the extra learns its name."""
    monkeypatch.setattr(camera_raw, "find_spec", lambda _: None)
    failure = _failure(_make_dng())
    assert failure.kind == "unsupported_format"
    assert str(failure) == (
        "The photo is a camera RAW file, which is not decoded. Install the extra: pip install 'crackscan[raw]'; or "
        "convert the photo to JPEG or TIFF."
    )
