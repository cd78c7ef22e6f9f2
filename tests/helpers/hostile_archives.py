"""Archives that are broken or bombs: cut short, with members that cannot be read, overlap, or grow to gigabytes."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from typing import NamedTuple

from tests.helpers.packing import Files, packed_tar, packed_zip

_BLOCK_BYTES = 16 << 20
"""Zeros that are compressed once, and then repeated."""


class Facts(NamedTuple):
    """What the headers of a zip's member tell, true or not."""

    flags: int
    method: int
    size_bytes: int


def zip_of(files: Files) -> bytes:
    """A deflated zip; lone surrogates in names stand for bytes that are not UTF-8, as they do in a tar."""
    spelled = {name: "".join("Q" if "\udc80" <= letter <= "\udcff" else letter for letter in name) for name, _ in files}
    data = packed_zip([(spelled[name], content) for name, content in files], zipfile.ZIP_DEFLATED)
    for name, plain in spelled.items():
        if name != plain:
            data = data.replace(plain.encode(), name.encode("utf-8", "surrogateescape"))
    return data


def with_facts(data: bytes, facts: dict[str, Facts]) -> bytes:
    """A zip whose headers tell other things of some members."""
    changed = bytearray(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        record = archive.start_dir
        for info in archive.infolist():
            if told := facts.get(info.filename):
                for header, fields in ((info.header_offset, 6), (record, 8)):
                    struct.pack_into("<HH", changed, header + fields, told.flags, told.method)
                    struct.pack_into("<L", changed, header + fields + 16, told.size_bytes)
            record += 46 + len(info.filename.encode()) + len(info.extra) + len(info.comment)
    return bytes(changed)


def refused(photo: bytes) -> bytes:
    """A zip with a member behind a password, one of an unknown method, and a sound one."""
    data = packed_zip([(name, photo) for name in ("locked.jpg", "zstd.jpg", "sound.jpg")])
    return with_facts(data, {"locked.jpg": Facts(1, 0, len(photo)), "zstd.jpg": Facts(0, 93, len(photo))})


def bombs(photo: bytes) -> bytes:
    """A zip with members of 3 GiB, of a little under 1 GiB, of 3 GiB that claim to be 1,000 bytes, and a sound one."""
    huge, grows = deflated_zeros(192), deflated_zeros(63)
    data = packed_zip(
        [("huge.png", huge), ("grows.png", grows), ("lies.png", huge), ("in.zip", huge), ("sound.jpg", photo)]
    )
    sizes = {
        "huge.png": 192 * _BLOCK_BYTES,
        "grows.png": 63 * _BLOCK_BYTES,
        "lies.png": 1_000,
        "in.zip": 192 * _BLOCK_BYTES,
    }
    return with_facts(data, {name: Facts(0, 8, size_bytes) for name, size_bytes in sizes.items()})


def deflated_zeros(blocks: int) -> bytes:
    """So many blocks of zeros, compressed to a thousandth."""
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = deflater.compress(bytes(_BLOCK_BYTES)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return block * blocks + deflater.flush(zlib.Z_FINISH)


def streamed_bomb(photo: bytes) -> bytes:
    """A compressed tar of a sound photo and one of 3 GiB."""
    front = packed_tar([("sound.jpg", photo)])[: 512 + -(-len(photo) // 512) * 512]
    header = tarfile.TarInfo("bomb.png")
    header.size = 192 * _BLOCK_BYTES
    return gzip.compress(front + header.tobuf(tarfile.GNU_FORMAT)) + gzip.compress(bytes(_BLOCK_BYTES)) * 192


def overlapping(photo: bytes, times: int) -> bytes:
    """A zip whose directory lists one member many times."""
    data = packed_zip([("a.jpg", photo)])
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    records = data[start:end] * times
    return data[:start] + records + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, times, times, len(records), start, 0)


def cut_in_the_last(files: Files, suffix: str) -> bytes:
    """An archive that ends in the middle of its last file."""
    data = packed_zip(files) if suffix == "zip" else packed_tar(files)
    cut = data[: data.rindex(files[-1][1]) + len(files[-1][1]) // 2]
    if suffix != "tgz":
        return cut
    whole = gzip.compress(data)
    return whole[: len(whole) * len(cut) // len(data)]
