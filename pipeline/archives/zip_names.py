"""What the bytes of a zip member's name mean: their encoding, and which of them separate folders.

`zip_directory` and `zip_salvage` find the bytes. Sources: PKWARE's APPNOTE.TXT, sections 4.4.2 and D.1, and Info-ZIP's
`extract.c` and its extra field 0x7075.
"""

import re
import struct
import zlib

UTF8_FLAG = 0x800
"""Bit 11 of the general purpose flags: the name is UTF-8."""

_UNICODE_PATH = 0x7075
_WINDOWS_HOSTS = {0, 10, 11, 14}
"""Systems whose file names contain no backslash: FAT, NTFS in two numbers, VFAT."""

_SEPARATOR = re.compile(rb"(?<![\x80-\xff])\\|\\(?!\.)")
r"""A backslash; but not in `\x94\x5c.jpg`, where it is half of a Japanese letter and would hide the photo."""


def decode_name(name: bytes, extra: bytes, flags: int, host: int | None) -> str:
    """Decode a member's name; folders are separated by `/`.

    Names without the flag are code page 437, unless they are UTF-8, as macOS and many others write without the flag.
    Where the flag is wrong, bytes that are not UTF-8 become lone surrogates.

    Args:
        name: as in the header.
        extra: the extra fields of the header.
        flags: the general purpose flags of the header.
        host: the system that made the member; None if that is lost.
    """
    if b"up" in extra:
        unicode_name = find_extra_field(extra, _UNICODE_PATH)
        if unicode_name[:5] == b"\1" + zlib.crc32(name).to_bytes(4, "little"):
            name, flags = unicode_name[5:], flags | UTF8_FLAG
    is_utf8 = True
    try:
        text = name.decode()
    except UnicodeDecodeError:
        is_utf8 = bool(flags & UTF8_FLAG)
        text = name.decode("utf-8", "surrogateescape") if is_utf8 else name.decode("cp437")
    if "\\" not in text or "/" in text or not (host is None or host in _WINDOWS_HOSTS):
        return text
    return text.replace("\\", "/") if is_utf8 else _SEPARATOR.sub(b"/", name).decode("cp437")


def find_extra_field(extra: bytes, header_id: int) -> bytes:
    """Return one of the extra fields, empty if it is missing."""
    at = 0
    while at + 4 <= len(extra):
        found_id, length = struct.unpack_from("<HH", extra, at)
        if found_id == header_id:
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return b""
