"""Synthetic photos decode upright, say that they are synthetic, and repeat byte for byte."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.ExifTags import GPS, IFD, Base

from pipeline.synthetic.config import Format
from pipeline.synthetic.photos import DESCRIPTION, ORIENTATIONS, encode, open_photos, photos_path

FILES = {"synthetic-00000.jpg": b"first", "synthetic-00001.jpg": b"second" * 100}


@pytest.mark.parametrize("index", range(len(ORIENTATIONS)))
def test_a_rotated_photo_comes_back_upright(index: int) -> None:
    """With its EXIF orientation applied, a photo has its bright corner at the top left again."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:16, :24] = 255
    photo = Image.open(io.BytesIO(encode(pixels, index, 95)))
    assert photo.getexif()[Base.Orientation] == ORIENTATIONS[index]
    upright = np.asarray(ImageOps.exif_transpose(photo))
    assert upright.shape == pixels.shape
    assert np.abs(upright.astype(int) - pixels).mean() < 3


def test_exif_tells_time_place_camera_and_that_it_is_synthetic() -> None:
    """Photo 3 is a minute after photo 0, a few metres to the north-east."""
    exifs = [Image.open(io.BytesIO(encode(np.zeros((64, 64, 3), np.uint8), index, 80))).getexif() for index in (0, 3)]
    assert [exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] for exif in exifs] == [
        "2026:01:15 09:00:00",
        "2026:01:15 09:01:00",
    ]
    assert {exif[Base.ImageDescription] for exif in exifs} == {DESCRIPTION}
    assert (exifs[0][Base.Make], exifs[0][Base.Model]) == ("crackscan", "SYNTHETIC sample")
    assert exifs[0].get_ifd(IFD.Exif)[Base.FocalLength] == 24
    places = [exif.get_ifd(IFD.GPSInfo) for exif in exifs]
    assert {(place[GPS.GPSLatitudeRef], place[GPS.GPSLongitudeRef]) for place in places} == {("N", "E")}
    north_m, east_m = (111_320 * (_degrees(places[1][tag]) - _degrees(places[0][tag])) for tag in (2, 4))
    assert 2 < north_m < 8
    assert 0 < east_m < 12
    assert 11 < places[1][GPS.GPSAltitude] < 13


def _degrees(parts: tuple[float, float, float]) -> float:
    return float(parts[0]) + float(parts[1]) / 60 + float(parts[2]) / 3600


@pytest.mark.parametrize("kind", get_args(Format))
def test_every_format_holds_its_files(kind: Format, tmp_path: Path) -> None:
    """Folders and archives hold the files under their names, in the order of addition."""
    path = _pack(tmp_path, kind)
    assert _unpack(path, kind) == FILES


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_an_archive_repeats_exactly(kind: Format, tmp_path: Path) -> None:
    """Archives contain neither the current time nor their own file name."""
    digests = {hashlib.sha256(_pack(tmp_path / name, kind).read_bytes()).hexdigest() for name in ("a", "b")}
    assert len(digests) == 1


def _pack(folder: Path, kind: Format) -> Path:
    folder.mkdir(exist_ok=True)
    path = photos_path(folder, kind)
    with open_photos(path, kind) as add_file:
        for name, data in FILES.items():
            add_file(name, data)
    return path


def _unpack(path: Path, kind: Format) -> dict[str, bytes]:
    if kind == "folder":
        return {file.name: file.read_bytes() for file in sorted(path.iterdir())}
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar]
        return {name: file.read() for name, file in members if file}
