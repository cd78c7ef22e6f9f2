"""Tars with links, folders and devices, and with headers as other tools write them."""

import io
import subprocess
import tarfile
from collections.abc import Sequence

FORMS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
TOOLS = ["gzip", "bzip2", "xz", "zstd"]
"""Commands that compress; some machines lack some."""


def make_member(name: str, data: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    """Make a header and the data that follow it."""
    header = tarfile.TarInfo(name)
    header.size = len(data)
    for fact, value in facts.items():
        setattr(header, fact, value)
    return header, data


def pack_members(members: Sequence[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Pack a tar of headers and data."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for header, data in members:
            archive.addfile(header, io.BytesIO(data) if data else None)
    return buffer.getvalue()


def compress_with(data: bytes, tool: str) -> bytes:
    """Compress data with a command."""
    return subprocess.run([tool, "-c"], input=data, capture_output=True, check=True).stdout


def make_header(name: str, type_: bytes, data: bytes, size: int | None = None) -> bytes:
    """Make a header with data behind it, as in a tar; the header may claim another size."""
    header = tarfile.TarInfo(name)
    header.type, header.size = type_, len(data) if size is None else size
    return header.tobuf(tarfile.GNU_FORMAT) + data.ljust(-(-len(data) // 512) * 512, b"\0")
