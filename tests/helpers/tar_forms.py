"""Tars with more in them than files: links, folders, devices, and headers as other tools write them."""

import io
import subprocess
import tarfile
from collections.abc import Sequence

FORMS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
TOOLS = ["gzip", "bzip2", "xz", "zstd"]
"""Commands that compress; not each machine has all of them."""


def info(name: str, data: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    """A header and the data that follow it."""
    header = tarfile.TarInfo(name)
    header.size = len(data)
    for fact, value in facts.items():
        setattr(header, fact, value)
    return header, data


def packed(members: Sequence[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of headers and data."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for header, data in members:
            archive.addfile(header, io.BytesIO(data) if data else None)
    return buffer.getvalue()


def compressed(data: bytes, tool: str) -> bytes:
    """What a command makes of it."""
    return subprocess.run([tool, "-c"], input=data, capture_output=True, check=True).stdout


def header_of(name: str, type_: bytes, data: bytes, size: int | None = None) -> bytes:
    """One header with data behind it, as it lies in a tar; the size may be another."""
    header = tarfile.TarInfo(name)
    header.type, header.size = type_, len(data) if size is None else size
    return header.tobuf(tarfile.GNU_FORMAT) + data.ljust(-(-len(data) // 512) * 512, b"\0")
