"""`decompress` gives the original data, and raises for damaged and cut files."""

import bz2
import gzip
import io
import lzma
import random
import shutil

import pyarrow as pa
import pytest

from pipeline.archives.compressed_tar import decompress
from pipeline.archives.members import DAMAGED
from tests.helpers.packing import pack_tar
from tests.helpers.tar_forms import TOOLS, compress_with

DATA = random.Random(0).randbytes(3_000) + bytes(200_000)
PACKED = {
    "gzip": gzip.compress(DATA),
    "bzip2": bz2.compress(DATA),
    "xz": lzma.compress(DATA),
    "zstd": bytes(pa.compress(DATA, codec="zstd", asbytes=True)),
}


def decompress_all(data: bytes) -> bytes:
    """Decompress, in pieces of an odd length."""
    file = decompress(io.BytesIO(data))
    return b"".join(iter(lambda: file.read(1_234), b""))


@pytest.mark.parametrize("kind", PACKED)
def test_compressed_data_are_read_unchanged(kind: str) -> None:
    """A file may have one compressed stream or several, as parallel compressors and `cat` write."""
    assert decompress_all(PACKED[kind]) == DATA
    assert decompress_all(PACKED[kind] * 3) == DATA * 3


def test_skippable_frames_of_zstd_are_skipped() -> None:
    """`pzstd` begins with one, others end with one; RFC 8878 allows sixteen numbers."""
    for number in range(16):
        skipped = bytes([0x50 + number]) + b"\x2a\x4d\x18\x04\0\0\0size"
        assert decompress_all(skipped + PACKED["zstd"] + skipped) == DATA
    with pytest.raises(OSError, match="not as a gzip"):
        decompress_all(b"\x60\x2a\x4d\x18\x04\0\0\0size" + PACKED["zstd"])


@pytest.mark.parametrize("tool", TOOLS)
def test_files_of_the_commands_are_read(tool: str) -> None:
    """They contain checksums."""
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool} here")
    assert decompress_all(compress_with(DATA, tool)) == DATA


@pytest.mark.parametrize("kind", PACKED)
def test_a_cut_file_is_damaged(kind: str) -> None:
    """Wherever the cut is; the data before it are right."""
    data = PACKED[kind]
    for length in [*range(40), *range(40, len(data), 97), *range(len(data) - 20, len(data))]:
        file, found = None, b""
        with pytest.raises(DAMAGED):  # noqa: PT012 - opening may raise, or reading
            file = decompress(io.BytesIO(data[:length]))
            while piece := file.read(1_000):
                found += piece
        assert DATA.startswith(found)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_damaged_byte_is_reported(kind: str) -> None:
    """The checksum at the end of each stream shows it; zstd has one only if its command wrote the file."""
    data, reported = bytearray(PACKED[kind]), 0
    for place in range(len(data) // 2, len(data), 31):
        data[place] ^= 1
        try:
            assert decompress_all(bytes(data)) == DATA
        except DAMAGED:
            reported += 1
        data[place] ^= 1
    assert reported > 10


def test_padding_between_and_after_streams_of_xz_is_skipped() -> None:
    """The format allows zeros there, and the `xz` command accepts them."""
    assert decompress_all(PACKED["xz"] + bytes(8) + PACKED["xz"] + bytes(200_000)) == DATA * 2


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd"])
def test_garbage_after_the_data_is_damage(kind: str) -> None:
    """It may have been photos."""
    with pytest.raises(DAMAGED):
        decompress_all(PACKED[kind] + b"garbage")


def test_a_file_that_requests_much_memory_is_refused() -> None:
    """An xz file states how much its decoder needs."""
    file = io.BytesIO(lzma.compress(b"x", preset=9))
    with pytest.raises(lzma.LZMAError, match="Memory usage limit"):
        decompress(file, max_dictionary_bytes=8 << 20).read()


def test_a_plain_tar_stays_as_it_is() -> None:
    """Its first header tells; zeros alone, as of a download that never ended, are no tar."""
    data = pack_tar([("a.jpg", b"photo")])
    assert decompress_all(data) == data
    with pytest.raises(OSError, match="not as a gzip"):
        decompress_all(bytes(len(data)))


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"a plain file"])
def test_uncompressed_files_are_refused(data: bytes) -> None:
    """The message has the first bytes."""
    with pytest.raises(OSError, match=r"^it begins with b'.*', not as a gzip, bzip2, xz or zstd file does$"):
        decompress(io.BytesIO(data))


def test_a_failing_disk_is_not_a_damaged_file() -> None:
    """Errors of the compressed file pass unchanged."""

    class BadDisk(io.BytesIO):
        """A file whose first bytes alone can be read."""

        def read(self, size: int | None = -1) -> bytes:
            """Fail after the first block."""
            if self.tell() > 100:
                raise RuntimeError("bad disk")
            return super().read(size)

    noise = random.Random(1).randbytes(300_000)
    zstd = bytes(pa.compress(noise, codec="zstd", asbytes=True))
    for data in [gzip.compress(noise), bz2.compress(noise), lzma.compress(noise), zstd]:
        with pytest.raises(RuntimeError, match="bad disk"):
            decompress(BadDisk(data)).read()
