"""Synthetic photos as a camera leaves them: JPEG with EXIF, some rotated, in a folder or an archive."""

import contextlib
import gzip
import io
import math
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from pipeline.synthetic.config import Format
from pipeline.synthetic.noise import Pixels

DESCRIPTION = "SYNTHETIC: drawn by crackscan sample, not a real photograph"
"""EXIF ImageDescription of every picture."""

WALK_STARTED = datetime(2026, 1, 15, 9, 0, 0)  # noqa: DTZ001 - EXIF times carry no zone
"""Start of the made-up walk, and the time of every file in an archive, so that equal samples have equal bytes."""

WALK_ORIGIN = (54.5, 6.5)
"""Latitude and longitude of the start: open sea, so that nobody looks for the bridge."""

ORIENTATIONS = (1, 1, 6, 1, 8, 1, 3, 1)
"""EXIF orientations, which photos take in turn."""

_TO_STORED = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""EXIF orientation to the turn from the upright picture to the stored one."""

AddFile = Callable[[str, bytes], None]
"""Adds one file: its path in the archive, and its bytes."""


def encode(pixels: Pixels, index: int, quality: int) -> bytes:
    """Encode photo number `index` as JPEG, with time, place, camera and orientation in its EXIF.

    Shapes:
        pixels: (H, W, 3), upright
    """
    orientation = ORIENTATIONS[index % len(ORIENTATIONS)]
    picture = Image.fromarray(pixels)
    if orientation in _TO_STORED:
        picture = picture.transpose(_TO_STORED[orientation])
    return encode_jpeg(picture, quality, _make_photo_exif(index, orientation))


def encode_jpeg(picture: Image.Image, quality: int, exif: Image.Exif) -> bytes:
    """Encode a picture as JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def make_exif() -> Image.Exif:
    """Return EXIF that says that crackscan drew the picture."""
    exif = Image.Exif()
    exif[Base.ImageDescription] = DESCRIPTION
    exif[Base.Make] = "crackscan"
    exif[Base.Model] = "SYNTHETIC sample"
    return exif


def _make_photo_exif(index: int, orientation: int) -> Image.Exif:
    """Return the EXIF of one photo of a walk: one photo every 20 seconds and 2 metres, to the north-east."""
    exif = make_exif()
    taken_at = (WALK_STARTED + timedelta(seconds=20 * index)).strftime("%Y:%m:%d %H:%M:%S")
    exif[Base.Orientation] = orientation
    exif[Base.DateTime] = taken_at
    exif.get_ifd(IFD.Exif).update({Base.DateTimeOriginal: taken_at, Base.FocalLength: 24.0})
    north_m, east_m = 1.6 * index + 0.4 * math.sin(index), 1.2 * index + 0.4 * math.cos(2.3 * index)
    latitude = WALK_ORIGIN[0] + north_m / 111_320
    longitude = WALK_ORIGIN[1] + east_m / (111_320 * math.cos(math.radians(WALK_ORIGIN[0])))
    position: dict[int, object] = {
        GPS.GPSLatitudeRef: "N",
        GPS.GPSLatitude: _to_sexagesimal(latitude),
        GPS.GPSLongitudeRef: "E",
        GPS.GPSLongitude: _to_sexagesimal(longitude),
        GPS.GPSAltitudeRef: b"\x00",
        GPS.GPSAltitude: round(12 + 0.3 * math.sin(index / 5), 2),
    }
    exif.get_ifd(IFD.GPSInfo).update(position)
    return exif


def _to_sexagesimal(degrees: float) -> tuple[float, float, float]:
    minutes = degrees % 1 * 60
    return float(int(degrees)), float(int(minutes)), round(minutes % 1 * 60, 4)


def photos_path(folder: Path, kind: Format) -> Path:
    """Return the path of a sample's photos: a folder or an archive."""
    return folder / ("photos" if kind == "folder" else f"photos.{kind}")


@contextlib.contextmanager
def open_photos(path: Path, kind: Format) -> Iterator[AddFile]:
    """Create the folder or archive of the photos; equal files in equal order give equal bytes."""
    if kind == "folder":
        path.mkdir()
        yield lambda name, data: _write_file(path / name, data)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            yield lambda name, data: archive.writestr(zipfile.ZipInfo(name, WALK_STARTED.timetuple()[:6]), data)
    else:
        with _open_tar(path, compressed=kind == "tgz") as tar:
            yield lambda name, data: _add_to_tar(tar, name, data)


def _write_file(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@contextlib.contextmanager
def _open_tar(path: Path, *, compressed: bool) -> Iterator[tarfile.TarFile]:
    with path.open("wb") as raw, contextlib.ExitStack() as stack:
        # Without the name and the time in the gzip header, which would differ from run to run.
        stream = stack.enter_context(gzip.GzipFile("", "wb", 1, raw, mtime=0)) if compressed else raw
        yield stack.enter_context(tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT))


def _add_to_tar(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(data), int((WALK_STARTED - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001
    tar.addfile(member, io.BytesIO(data))
