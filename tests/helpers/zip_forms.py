"""Zips as other tools write them: with sizes behind the members, or in the large form."""

import io
import warnings
import zipfile
from collections.abc import Callable

Packed = Callable[[list[tuple[str, bytes]], int], bytes]


class Pipe(io.RawIOBase):
    """A place that cannot be gone back in: `zipfile` then writes sizes behind the members."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        """It can be written."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Take more in."""
        self.written += data
        return len(data)


def piped(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip whose local headers tell no sizes."""
    pipe = Pipe()
    with warnings.catch_warnings(), zipfile.ZipFile(pipe, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that repeat
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return bytes(pipe.written)


def with_zip64(files: list[tuple[str, bytes]], method: int) -> bytes:
    """A zip whose local headers have the large form."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, data in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(data)
    return buffer.getvalue()
