"""A night in the wild: two hundred files as the field sends them, in one zip, each with what must become of it."""

import random
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.helpers import heic_photos
from tests.helpers.damaged_jpegs import DAMAGES, damage, draw_wall, encode_all_ways
from tests.helpers.exif_blocks import Value, ascii_text, degrees, make_exif, rationals
from tests.helpers.hostile_photos import encode, make_png, make_png_header
from tests.helpers.packing import pack_tar, pack_zip
from tests.helpers.tiff_forms import FLOAT, RGB, SIGNED, WHITE_IS_ZERO, Form, make_tiff_of
from tests.helpers.zip_forms import UTF8_FLAG, RawMember, pack_raw_zip

OK = "ok"


class OddFile(NamedTuple):
    """A file of the night."""

    name: str
    """As its row names it."""
    data: bytes
    outcome: str
    """`ok`, a failure kind, or `skipped: ` and the kind under which it is counted; "" for an archive."""
    facts: Mapping[str, Any] = {}
    """Columns of its row that are tested, too."""
    stored_name: bytes | None = None
    """As the zip has it, without the UTF-8 flag; None for its name in UTF-8."""


WALL = draw_wall(1)
JPEG = encode(WALL, "JPEG", quality=88)
GREY = np.asarray(WALL.convert("L"))


def list_odd_files() -> list[OddFile]:
    """List all files, each with a name of its own."""
    return [*_jpegs(), *_other_formats(), *_tiffs(), *_pngs(), *_names(), *_with_exif(), *_left_out(), *_archives()]


def pack_night(files: list[OddFile]) -> bytes:
    """Pack files as zip, in no order; every other one is deflated."""
    shuffled = random.Random(0).sample(files, len(files))
    return pack_raw_zip([
        RawMember(file.stored_name or file.name.encode(), file.data, flags=0 if file.stored_name else UTF8_FLAG,
                  is_deflated=number % 2 == 1)
        for number, file in enumerate(shuffled)
    ])  # fmt: skip


def _jpegs() -> Iterator[OddFile]:
    numbers = random.Random(0)
    for way, data in encode_all_ways(WALL).items():
        yield OddFile(f"whole/{way}.jpg", data, OK)
        yield OddFile(f"whole/{way} without its end.jpg", data[:-2], OK)
        for kind in DAMAGES:
            if kind == "flipped bytes" or (kind == "lost interval" and "restarts" not in way):
                continue  # flipped bytes cannot always be known
            yield OddFile(f"damaged/{way} {kind}.jpg", damage(data, kind, numbers.randint), "truncated_image")
    yield OddFile("whole/trailing.jpg", JPEG + b"\xff\xd8thermal" * 900, OK)
    yield OddFile("whole/padded.jpg", JPEG[:-2] + bytes(2_000) + b"\xff\xd9", OK)
    yield OddFile("whole/cmyk.jpg", encode(WALL.convert("CMYK"), "JPEG"), OK)
    yield OddFile("whole/two.mpo", encode(WALL, "MPO", save_all=True, append_images=[WALL]), OK)


def _other_formats() -> Iterator[OddFile]:
    for form, suffix in (("WEBP", "webp"), ("AVIF", "avif"), ("JPEG2000", "jp2"), ("BMP", "bmp"), ("GIF", "gif")):
        data = encode(WALL, form)
        yield OddFile(f"formats/photo.{suffix}", data, OK)
        yield OddFile(f"formats/cut.{suffix}", data[: len(data) // 2], "truncated_image")
    yield OddFile("formats/phone.heic", heic_photos.TURNED, OK, {"height_px": 32, "camera": "Apple iPhone 15"})
    yield OddFile("formats/cut.heic", heic_photos.UPRIGHT[:600], "truncated_image")
    stubs = {"new.jxl": b"\0\0\0\x0cJXL \r\n\x87\n", "layers.psd": b"8BPS\0\1", "map.svg": b"<svg xmlns='x'/>",
             "light.exr": b"v/1\1", "wide.hdr": b"#?RADIANCE\n", "photo.jxr": b"II\xbc\1", "grey.pgm": b"P5 1 1 255 a",
             "canon.CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(90), "fuji.RAF": b"FUJIFILMCCD-RAW 0201" + bytes(90),
             "olympus.ORF": b"IIRO\x08\0\0\0" + bytes(90), "panasonic.RW2": b"IIU\0" + bytes(90),
             "sigma.x3f": b"FOVb" + bytes(90), "phase.iiq": b"II*\0\x08\0\0\0IIII" + bytes(90)}  # fmt: skip
    for name, data in stubs.items():
        yield OddFile(f"formats/{name}", data, "unsupported_format")
    for name, data in {
        "page.jpg": b"<html>Please log in.</html>",
        "zeros.png": bytes(9_000),
        "film.heic": _MOVIE,
    }.items():
        yield OddFile(f"formats/{name}", data, "not_an_image")
    yield OddFile("formats/empty.jpg", b"", "empty_file")


_MOVIE = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(200)


def _tiffs() -> Iterator[OddFile]:
    for photometric, bits in (
        (0, 1),
        (0, 8),
        (0, 16),
        (1, 4),
        (1, 12),
        (1, 16),
        (2, 8),
        (2, 16),
        (3, 8),
        (5, 8),
        (6, 8),
    ):
        data = make_tiff_of(GREY, Form(photometric, bits, deflated=bits != 12))
        yield OddFile(f"tiff/{photometric} {bits}.tif", data, OK)
    refused = (Form(1, 16, SIGNED), Form(1, 32, FLOAT), Form(1, 32), Form(8, 8), Form(WHITE_IS_ZERO, 16, planar=True))
    for number, form in enumerate(refused):
        yield OddFile(f"tiff/refused {number}.tif", make_tiff_of(GREY, form), "unsupported_format")
    large = make_tiff_of(GREY, Form(RGB, deflated=True))
    yield OddFile("tiff/cut.tiff", large[: len(large) // 2], "truncated_image")


def _pngs() -> Iterator[OddFile]:
    png = encode(WALL, "PNG")
    note = b"\0\0\0\4tEXtnote" + bytes(4)
    yield OddFile("png/note.png", png[:33] + note + png[33:], OK)
    yield OddFile("png/no end.png", png[:-12], OK)
    yield OddFile("png/flipped.png", png[:900] + bytes([png[900] ^ 1]) + png[901:], "truncated_image")
    yield OddFile("png/16 bits.png", encode(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"), OK)
    yield OddFile("png/bomb.png", make_png(make_png_header(50_000, 50_000, 8, 2), (b"IDAT", b"")), "too_many_pixels")


def _names() -> Iterator[OddFile]:
    for suffix in ("jpe", "jfif", "jif", "insp", "JPG", "heic", "dng", "tif", "png", "mpo", "cr3", "psd"):
        yield OddFile(f"names/a JPEG called.{suffix}", JPEG, OK)
    for name in ("Brücke/Pfeiler Süd.jpg", "Brücke/Straßenüberführung.jpg", "Møn/ark1½.jpg"):
        stored_name = name.encode("cp437" if "ø" not in name else "cp850")
        yield OddFile(name if "ø" not in name else stored_name.decode("cp437"), JPEG, OK, {}, stored_name)
    yield OddFile("dotnet/photo.jpg", JPEG, OK, {}, b"dotnet\\photo.jpg")
    yield OddFile("__MACOSX/dotnet.jpg", JPEG, "skipped: system folder", {}, b"__MACOSX\\dotnet.jpg")
    yield OddFile("UTF-8 ohne Zeichen/Brücke.jpg", JPEG, OK, {}, "UTF-8 ohne Zeichen/Brücke.jpg".encode())


def _with_exif() -> Iterator[OddFile]:
    def photo(name: str, facts: Mapping[str, Any], **directories: Any) -> OddFile:  # noqa: ANN401 - as `make_exif`
        return OddFile(f"exif/{name}.jpg", encode(WALL, "JPEG", exif=make_exif(**directories)), OK, facts)

    place = {2: degrees(47, 30, 0), 4: degrees(8, 15, 0)}
    north_east = place | {1: ascii_text("N"), 3: ascii_text("E")}
    yield photo("nul", {"camera": "DJI FC6310"}, base={271: ascii_text("DJI"), 272: ascii_text(b"FC6310\0\1\x02x")})
    yield photo("make in model", {"camera": "Canon EOS R5"},
                base={271: ascii_text("Canon"), 272: ascii_text("Canon EOS R5")})  # fmt: skip
    yield photo("utf-8", {"camera": "Kamera-Süd K1"},
                base={271: Value(129, "Kamera-Süd\0".encode()), 272: Value(129, b"K1\0")})  # fmt: skip
    yield photo("sound", {"latitude": 47.5, "longitude": 8.25}, gps=north_east)
    yield photo("no hemisphere", {"latitude": None, "longitude": None}, gps=place)
    yield photo("spelled out", {"latitude": -47.5, "longitude": -8.25},
                gps=place | {1: ascii_text("South"), 3: ascii_text("West")})  # fmt: skip
    yield photo("null island", {"latitude": None, "longitude": None},
                gps=north_east | {2: degrees(0, 0, 0), 4: degrees(0, 0, 0)})  # fmt: skip
    yield photo("below the sea", {"altitude_m": -12.5}, gps=north_east | {5: ascii_text("1"), 6: rationals((25, 2))})
    yield photo(
        "no such height", {"altitude_m": None}, gps=north_east | {5: Value(1, (0,)), 6: rationals((9 * 10**6, 1))}
    )
    yield photo("iso", {"captured_at": datetime(2026, 5, 6, 7, 8, 9)},  # noqa: DTZ001 - EXIF has no zone
                details={36867: ascii_text("2026-05-06T07:08:09+02:00")})  # fmt: skip
    yield photo("blank, then another", {"captured_at": datetime(2026, 5, 6, 7, 8, 9)},  # noqa: DTZ001
                base={306: ascii_text("2026:05:06 07:08:09")},
                details={36867: ascii_text("    :  :     :  :  "),
                         36868: ascii_text("0000:00:00 00:00:00")})  # fmt: skip
    yield photo("year 1", {"captured_at": None}, details={36867: ascii_text("0001:01:01 00:00:00")})


def _left_out() -> Iterator[OddFile]:
    for folder in ("@eaDir/a.jpg", "#recycle", "$RECYCLE.BIN/S-1-5-21", "__MACOSX", "System Volume Information"):
        yield OddFile(f"{folder}/thumb.jpg", JPEG, "skipped: system folder")
    yield OddFile("left out/IMG_1.JPG_original", JPEG, "skipped: backup copy")
    yield OddFile("left out/photo.jpg~", JPEG, "skipped: backup copy")
    yield OddFile("left out/._photo.jpg", b"\0\5\x16\7", "skipped: hidden")
    yield OddFile(".thumbs/photo.jpg", JPEG, "skipped: hidden")
    yield OddFile("left out/notes.txt", b"Dear colleagues", "skipped: .txt")
    yield OddFile("left out/flight.mp4", _MOVIE, "skipped: .mp4")
    yield OddFile("left out/README", b"read me", "skipped: no ending")


def _archives() -> Iterator[OddFile]:
    """Yield archives in the archive; the outcomes of their photos are in `NESTED`."""
    members = [("one.jpg", JPEG), ("@eaDir/one.jpg", JPEG), ("two.jpg", JPEG[: len(JPEG) // 2] + b"\xff\xd9")]
    yield OddFile("archives/in.zip", pack_zip(members), "")
    yield OddFile("archives/in.tar", pack_tar(members), "")
    yield OddFile("archives/cut.tar", pack_tar(members)[:-9_000], "")
    for name, start in {"a.7z": b"7z\xbc\xaf\x27\x1c", "b.rar": b"Rar!\x1a\7\0", "c.tar.lz4": b"\x04\x22\x4d\x18",
                        "d.zip.001": b"PK\3\4", "e.tar.Z": b"\x1f\x9d\x90", "f.iso": bytes(64)}.items():  # fmt: skip
        yield OddFile(f"archives/{name}", start + bytes(200), "")


NESTED = {
    "archives/in.zip!/one.jpg": OK,
    "archives/in.zip!/two.jpg": "truncated_image",
    "archives/in.tar!/one.jpg": OK,
    "archives/in.tar!/two.jpg": "truncated_image",
    "archives/cut.tar!/one.jpg": OK,
    "archives/cut.tar!/": "archive_truncated",
    **{
        f"archives/{name}!/": "archive_unreadable"
        for name in ("a.7z", "b.rar", "c.tar.lz4", "d.zip.001", "e.tar.Z", "f.iso")
    },
}
"""Photos of the archives in the zip, and archives that cannot be opened, with their outcomes."""

NESTED_SKIPPED = {"system folder": 3}
"""Files of the archives in the zip that are left out, by kind."""
