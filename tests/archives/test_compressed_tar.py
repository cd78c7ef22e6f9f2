"""Compressed tars give their files in one pass, whatever is wanted of them."""

import bz2
import gzip
import lzma
import random
import shutil
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.archives.compressed_tar import CompressedTarReader
from pipeline.archives.members import DAMAGED, Content, Entry, Limits
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import BytesRangeReader, FileRangeReader
from tests.helpers.fake_sources import Counted, Flipping, streamed
from tests.helpers.packing import packed_tar
from tests.helpers.tar_forms import TOOLS, compressed, info, packed

_rng = random.Random(0)
SMALL = [("a.jpg", b"first photo"), ("b.jpg", _rng.randbytes(900)), ("c.jpg", b""), ("a.jpg", b"again")]
Compress = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    """As the library does it."""
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKS: dict[str, Compress] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}
LINKED = packed(
    [
        info("a.jpg", b"photo a"),
        info("z.jpg", type=tarfile.LNKTYPE, linkname="nowhere.jpg"),
        info("b.jpg", b"photo b"),
        info("y.jpg", type=tarfile.LNKTYPE, linkname="b.jpg"),
        info("x.jpg", type=tarfile.LNKTYPE, linkname="a.jpg"),
        info("w.jpg", type=tarfile.LNKTYPE, linkname="b.jpg"),
        info("s.jpg", type=tarfile.SYMTYPE, linkname="b.jpg"),
    ]
)


def passed(data: bytes, wanted: set[str]) -> list[tuple[str, Content | None]]:
    """All files of a stream, of which some are wanted."""
    reader = CompressedTarReader(BytesRangeReader("a.tgz", data))
    return [(entry.path, content) for entry, content in reader.stream(lambda entry: entry.path in wanted, Limits())]


@settings(max_examples=40)
@given(
    files=st.lists(st.tuples(st.text("abc.jpg", min_size=1, max_size=200), st.binary(max_size=2_000)), max_size=6),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    pack=st.sampled_from([*PACKS.values()]),
)
def test_what_was_packed_comes_back(files: list[tuple[str, bytes]], form: int, pack: Compress) -> None:
    """Names, order and contents."""
    assert streamed(pack(packed_tar(files, form))) == (files, None)


@pytest.mark.parametrize("tool", TOOLS)
def test_what_the_commands_write_comes_back(tool: str, tmp_path: Path) -> None:
    """From disk, too."""
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool} here")
    path = tmp_path / "a.tar.x"
    path.write_bytes(compressed(packed_tar(SMALL), tool))
    assert streamed(FileRangeReader(storage.canonical(str(path)), path.stat().st_size)) == (SMALL, None)


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_a_stream_cut_anywhere_yields_what_stands_before_the_cut(pack: Compress) -> None:
    """The file that was cut is left out, and the damage is told, down to the last byte."""
    data = pack(packed_tar(SMALL))
    for length in range(len(data)):
        came, damage = streamed(data[:length])
        assert came == SMALL[: len(came)], length
        assert damage is not None, length


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_no_damaged_byte_passes_in_silence(kind: str) -> None:
    """The checksum at the end tells of it, at the latest; photos before may then be damaged, and one row warns."""
    data = bytearray(PACKS[kind](packed_tar(SMALL)))
    for place in range(len(data)):
        data[place] ^= 16
        came, damage = streamed(bytes(data))
        data[place] ^= 16
        assert damage is not None or came == SMALL, place


def test_a_tar_in_which_a_header_is_damaged_is_told() -> None:
    """The compression is sound, what is in it is not."""
    data = bytearray(packed_tar(SMALL))
    data[data.index(b"b.jpg")] ^= 1
    came, damage = streamed(gzip.compress(bytes(data)))
    assert came == SMALL[:1]
    assert str(damage) == "bad checksum at byte 1,024"


def test_only_what_is_wanted_has_content() -> None:
    """All files are listed; their numbers do not depend on what is wanted."""
    data = gzip.compress(packed_tar(SMALL))
    assert passed(data, {"b.jpg"}) == [("a.jpg", None), ("b.jpg", SMALL[1][1]), ("c.jpg", None), ("a.jpg", None)]
    assert passed(data, set()) == [(name, None) for name, _ in SMALL]


def test_hard_links_come_last_in_the_order_of_their_files() -> None:
    """Whatever is wanted; one that leads nowhere is where it stands in the stream."""
    data = gzip.compress(LINKED)
    names = ["a.jpg", "b.jpg", "s.jpg", "x.jpg", "z.jpg", "y.jpg", "w.jpg"]
    assert [name for name, _ in passed(data, set())] == names
    came = passed(data, {"x.jpg", "y.jpg", "w.jpg", "z.jpg"})
    assert [name for name, _ in came] == names
    contents = dict(came)
    assert (contents["a.jpg"], contents["b.jpg"]) == (None, None)
    assert (contents["x.jpg"], contents["y.jpg"], contents["w.jpg"]) == (b"photo a", b"photo b", b"photo b")
    assert str(contents["z.jpg"]) == "The hard link leads to 'nowhere.jpg', which does not stand before it in the tar."


def test_a_second_pass_is_made_for_wanted_links_only() -> None:
    """And ends at the last file that they lead to."""
    noise = packed([info("a.jpg", b"photo a"), info("l.jpg", type=tarfile.LNKTYPE, linkname="a.jpg")])
    source = Counted(gzip.compress(noise))
    for wanted, times in [({"a.jpg"}, 1), ({"l.jpg"}, 2)]:
        source.requests.clear()
        came = dict(CompressedTarReader(source).stream(lambda entry, names=wanted: entry.path in names, Limits()))  # type: ignore[misc]
        assert [content for content in came.values() if content is not None] == [b"photo a"]
        assert sum(start == 0 for start, _ in source.requests) == times


def test_links_before_a_damage_come() -> None:
    """The files that they lead to are sound."""
    came, damage = streamed(gzip.compress(LINKED)[:-6])
    assert dict(came)["y.jpg"] == b"photo b"
    assert damage is not None


def test_links_of_one_name_are_asked_for_one_after_the_other() -> None:
    """Whether a photo is wanted may depend on what came before it: names are counted."""
    link = [info("l.jpg", type=tarfile.LNKTYPE, linkname=name) for name in ("b.jpg", "a.jpg")]
    data = gzip.compress(packed([info("a.jpg", b"photo a"), info("b.jpg", b"photo b"), *link]))
    seen: list[str] = []

    def wanted(entry: Entry) -> bool:
        return (entry.path, seen.count(entry.path)) == ("l.jpg", 1)

    came: list[Content] = []
    for entry, content in CompressedTarReader(BytesRangeReader("a.tgz", data)).stream(wanted, Limits()):
        seen.append(entry.path)
        came += [content] if content is not None else []
    assert came == [b"photo b"]


def test_a_photo_too_large_is_not_held(tmp_path: Path) -> None:
    """It goes by in pieces; the next one is read."""
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(packed_tar([("large.jpg", _rng.randbytes(20 << 20)), ("b.jpg", b"next")]), 1))
    tracemalloc.start()
    source = FileRangeReader(storage.canonical(str(path)), path.stat().st_size)
    came, damage = streamed(source, Limits(photo_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(came[0][1], DataError)
    assert (came[0][1].kind, came[1], damage) == ("too_large", ("b.jpg", b"next"), None)
    assert peak < 10 << 20


def test_a_bomb_stops() -> None:
    """A stream that grows two hundred times and more is none of photos: this bounds the time that it takes."""
    data = gzip.compress(packed_tar([("a.jpg", b"photo"), ("bomb", bytes(100 << 20)), ("c.jpg", b"more")]), 1)
    came, damage = streamed(data)
    assert came == [("a.jpg", b"photo")]
    assert damage is not None
    assert str(damage).endswith("over 200 times as many: a decompression bomb")


def test_an_unprotected_stream_is_read_twice() -> None:
    """Not all of its photos come before its checksum does."""
    data = gzip.compress(packed_tar(SMALL))
    for place in range(0, len(data), 7):
        assert streamed(Flipping(data, place, times=1, is_protected=False)) == (SMALL, None), place


@settings(max_examples=100)
@given(data=st.data())
def test_mutations_end_in_damage_or_in_files(data: st.DataObject) -> None:
    """Whatever is done to a stream: nothing but the errors of damaged archives comes out."""
    stream = bytearray(data.draw(st.sampled_from([*PACKS.values()]))(LINKED))
    for place in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=4)):
        stream[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=8))
    came, _ = streamed(bytes(stream))
    assert all(isinstance(content, DataError | bytes) for _, content in came)


def test_what_is_no_archive_is_told() -> None:
    """Nothing comes."""
    came, damage = streamed(b"garbage" * 100)
    assert came == []
    assert isinstance(damage, DAMAGED)
