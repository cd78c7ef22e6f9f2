"""Zips as other tools write them: with sizes behind the members, or with zip64 headers."""

import io
import warnings
import zipfile
from collections.abc import Callable

PackZip = Callable[[list[tuple[str, bytes]], int], bytes]


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
