"""Zips as other tools write them: with sizes behind the members, zip64 headers, or names in other encodings."""

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PackZip = Callable[[list[tuple[str, bytes]], int], bytes]


UTF8_FLAG = 0x800
FAT, UNIX = 0, 3
"""Systems that make zips, by their numbers."""


@dataclass(frozen=True)
class RawMember:
    """A member of a zip, with headers as some tool writes them."""

    name: bytes
    """In the directory."""
    content: bytes
    local_name: bytes | None = None
    """In the local header; None for the same name."""
    flags: int = 0
    host: int = FAT
    extra: bytes = b""
    """In the directory."""
    local_extra: bytes = b""
    is_deflated: bool = False


def pack_raw_zip(members: Sequence[RawMember]) -> bytes:
    """Pack a zip whose headers say what the members say."""
    data, records = bytearray(), bytearray()
    for member in members:
        local_name = member.name if member.local_name is None else member.local_name
        stored = _deflate(member.content) if member.is_deflated else member.content
        crc32, method = zlib.crc32(member.content), 8 if member.is_deflated else 0
        facts = struct.pack("<HH4xLLL", member.flags, method, crc32, len(stored), len(member.content))
        made = struct.pack("<BBH", 20, member.host, 20)
        lengths = struct.pack("<HH10xL", len(member.name), len(member.extra), len(data))
        records += b"PK\1\2" + made + facts + lengths + member.name + member.extra
        data += b"PK\3\4" + struct.pack("<H", 20) + facts + struct.pack("<HH", len(local_name), len(member.local_extra))
        data += local_name + member.local_extra + stored
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(members), len(members), len(records), len(data), 0)
    return bytes(data + records) + end


def pack_unicode_path(name: bytes, unicode_name: str) -> bytes:
    """Pack the extra field in which Info-ZIP keeps the name in UTF-8."""
    encoded = unicode_name.encode()
    return struct.pack("<HHBL", 0x7075, 5 + len(encoded), 1, zlib.crc32(name)) + encoded


def append_to_zip(data: bytes, name: str, content: bytes) -> bytes:
    """Append a member with Python, which rewrites the directory with names in UTF-8."""
    buffer = io.BytesIO(data)
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def _deflate(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


class WriteOnlyStream(io.RawIOBase):
    """A stream that cannot seek: `zipfile` then writes sizes behind the members."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        """Tell that it is writable."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Append data."""
        self.written += data
        return len(data)


def pack_piped_zip(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """Pack a zip whose local headers contain no sizes."""
    pipe = WriteOnlyStream()
    with warnings.catch_warnings(), zipfile.ZipFile(pipe, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that repeat
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return bytes(pipe.written)


def pack_zip64(files: list[tuple[str, bytes]], method: int) -> bytes:
    """Pack a zip whose local headers are zip64."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, data in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(data)
    return buffer.getvalue()
