"""Broken archives and bombs: truncated ones, and members that are unreadable, overlap, or grow to gigabytes."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from typing import NamedTuple

from tests.helpers.packing import Files, pack_tar, pack_zip

_BLOCK_BYTES = 16 << 20
"""Zeros that are compressed once and then repeated."""


class HeaderFacts(NamedTuple):
    """Values for the headers of a zip member, true or not."""

    flags: int
    method: int
    size_bytes: int


def pack_hostile_zip(files: Files) -> bytes:
    """Pack a deflated zip; as in a tar, lone surrogates in names stand for bytes that are not UTF-8."""
    spelled = {name: "".join("Q" if "\udc80" <= letter <= "\udcff" else letter for letter in name) for name, _ in files}
    data = pack_zip([(spelled[name], content) for name, content in files], zipfile.ZIP_DEFLATED)
    for name, plain in spelled.items():
        if name != plain:
            data = data.replace(plain.encode(), name.encode("utf-8", "surrogateescape"))
    return data


def forge_headers(data: bytes, facts: dict[str, HeaderFacts]) -> bytes:
    """Replace header values of some members of a zip."""
    changed = bytearray(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        record = archive.start_dir
        for info in archive.infolist():
            if forged := facts.get(info.filename):
                for header, fields in ((info.header_offset, 6), (record, 8)):
                    struct.pack_into("<HH", changed, header + fields, forged.flags, forged.method)
                    struct.pack_into("<L", changed, header + fields + 16, forged.size_bytes)
            record += 46 + len(info.filename.encode()) + len(info.extra) + len(info.comment)
    return bytes(changed)


def make_refused_zip(photo: bytes) -> bytes:
    """Make a zip with an encrypted member, one of an unknown method, and a sound one."""
    data = pack_zip([(name, photo) for name in ("locked.jpg", "zstd.jpg", "sound.jpg")])
    return forge_headers(
        data, {"locked.jpg": HeaderFacts(1, 0, len(photo)), "zstd.jpg": HeaderFacts(0, 93, len(photo))}
    )


def make_bomb_zip(photo: bytes) -> bytes:
    """Make a zip with members of 3 GiB, of nearly 1 GiB, of 3 GiB that claim to be 1,000 bytes, and a sound one."""
    huge, grows = deflate_zeros(192), deflate_zeros(63)
    data = pack_zip(
        [("huge.png", huge), ("grows.png", grows), ("lies.png", huge), ("in.zip", huge), ("sound.jpg", photo)]
    )
    sizes = {
        "huge.png": 192 * _BLOCK_BYTES,
        "grows.png": 63 * _BLOCK_BYTES,
        "lies.png": 1_000,
        "in.zip": 192 * _BLOCK_BYTES,
    }
    return forge_headers(data, {name: HeaderFacts(0, 8, size_bytes) for name, size_bytes in sizes.items()})


def deflate_zeros(blocks: int) -> bytes:
    """Compress blocks of zeros to a thousandth."""
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = deflater.compress(bytes(_BLOCK_BYTES)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return block * blocks + deflater.flush(zlib.Z_FINISH)


def make_bomb_tgz(photo: bytes) -> bytes:
    """Make a compressed tar of a sound photo and one of 3 GiB."""
    front = pack_tar([("sound.jpg", photo)])[: 512 + -(-len(photo) // 512) * 512]
    header = tarfile.TarInfo("bomb.png")
    header.size = 192 * _BLOCK_BYTES
    return gzip.compress(front + header.tobuf(tarfile.GNU_FORMAT)) + gzip.compress(bytes(_BLOCK_BYTES)) * 192


def make_overlapping_zip(photo: bytes, times: int) -> bytes:
    """Make a zip whose directory lists one member many times."""
    data = pack_zip([("a.jpg", photo)])
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    records = data[start:end] * times
    return data[:start] + records + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, times, times, len(records), start, 0)


def truncate_last_file(files: Files, suffix: str) -> bytes:
    """Make an archive that ends in the middle of its last file."""
    data = pack_zip(files) if suffix == "zip" else pack_tar(files)
    cut = data[: data.rindex(files[-1][1]) + len(files[-1][1]) // 2]
    if suffix != "tgz":
        return cut
    whole = gzip.compress(data)
    return whole[: len(whole) * len(cut) // len(data)]
