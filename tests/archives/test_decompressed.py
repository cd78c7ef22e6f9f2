"""Compressed files give what was put in, and tell where they are damaged or cut short."""

import bz2
import gzip
import io
import lzma
import random
import shutil

import pyarrow as pa
import pytest

from pipeline.archives import compressed_tar as module
from pipeline.archives.compressed_tar import decompress
from pipeline.archives.members import DAMAGED
from tests.helpers.tar_forms import TOOLS, compressed

DATA = random.Random(0).randbytes(3_000) + bytes(200_000)
PACKED = {
    "gzip": gzip.compress(DATA),
    "bzip2": bz2.compress(DATA),
    "xz": lzma.compress(DATA),
    "zstd": bytes(pa.compress(DATA, codec="zstd", asbytes=True)),
}


def whole(data: bytes) -> bytes:
    """All that comes out, in pieces of an odd length."""
    file = decompress(io.BytesIO(data))
    return b"".join(iter(lambda: file.read(1_234), b""))


@pytest.mark.parametrize("kind", PACKED)
def test_what_was_packed_comes_out(kind: str) -> None:
    """In one piece, or in several one after the other, as parallel compressors and `cat` leave them."""
    assert whole(PACKED[kind]) == DATA
    assert whole(PACKED[kind] * 3) == DATA * 3


def test_frames_of_zstd_that_hold_no_data_are_passed_over() -> None:
    """`pzstd` begins with one, others end with one; which numbers they may have is laid down."""
    for number in range(16):
        skipped = bytes([0x50 + number]) + b"\x2a\x4d\x18\x04\0\0\0size"
        assert whole(skipped + PACKED["zstd"] + skipped) == DATA
    with pytest.raises(OSError, match="not as a gzip"):
        whole(b"\x60\x2a\x4d\x18\x04\0\0\0size" + PACKED["zstd"])


@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_commands_write_comes_out(tool: str) -> None:
    """With the checksums that they add."""
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool} here")
    assert whole(compressed(DATA, tool)) == DATA


@pytest.mark.parametrize("kind", PACKED)
def test_a_cut_is_told(kind: str) -> None:
    """Wherever it is; what came before it is right."""
    data = PACKED[kind]
    for length in [*range(40), *range(40, len(data), 97), *range(len(data) - 20, len(data))]:
        file, came = None, b""
        with pytest.raises(DAMAGED):  # noqa: PT012 - opening may tell, or reading
            file = decompress(io.BytesIO(data[:length]))
            while piece := file.read(1_000):
                came += piece
        assert DATA.startswith(came)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_damaged_byte_is_told(kind: str) -> None:
    """By the checksum at the end of each, if it changed anything; zstd has one where its command wrote it."""
    data, told = bytearray(PACKED[kind]), 0
    for place in range(len(data) // 2, len(data), 31):
        data[place] ^= 1
        try:
            assert whole(bytes(data)) == DATA
        except DAMAGED:
            told += 1
        data[place] ^= 1
    assert told > 10


def test_padding_between_and_after_streams_of_xz_is_passed() -> None:
    """The format allows zeros there, and the `xz` command takes them."""
    assert whole(PACKED["xz"] + bytes(8) + PACKED["xz"] + bytes(200_000)) == DATA * 2


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd"])
def test_garbage_behind_the_data_is_told(kind: str) -> None:
    """It may have been the photos of another piece."""
    with pytest.raises(DAMAGED):
        whole(PACKED[kind] + b"garbage")


def test_a_file_that_asks_for_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An xz file tells how much its decoder needs."""
    monkeypatch.setattr(module, "MOST_DICTIONARY_BYTES", 8 << 20)
    with pytest.raises(lzma.LZMAError, match="Memory usage limit"):
        whole(lzma.compress(b"x", preset=9))


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"a plain file"])
def test_what_is_not_compressed_is_told(data: bytes) -> None:
    """With how it begins."""
    with pytest.raises(OSError, match=r"^it begins with b'.*', not as a gzip, bzip2, xz or zstd file does$"):
        decompress(io.BytesIO(data))


def test_a_failing_disk_is_not_a_damaged_file() -> None:
    """Errors of the file below come out as they are."""

    class BadDisk(io.BytesIO):
        """A file of which only the first bytes can be read."""

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
