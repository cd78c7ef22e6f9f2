"""Compressed tars give their files in one pass, whichever files are wanted."""

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
from tests.helpers.fake_sources import CountingReader, FlippingReader, read_stream
from tests.helpers.packing import pack_tar
from tests.helpers.tar_forms import TOOLS, compress_with, make_member, pack_members

_rng = random.Random(0)
SMALL = [("a.jpg", b"first photo"), ("b.jpg", _rng.randbytes(900)), ("c.jpg", b""), ("a.jpg", b"again")]
Compress = Callable[[bytes], bytes]


def compress_zstd(data: bytes) -> bytes:
    """Compress as zstd, without checksum."""
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKS: dict[str, Compress] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": compress_zstd}
LINKED = pack_members(
    [
        make_member("a.jpg", b"photo a"),
        make_member("z.jpg", type=tarfile.LNKTYPE, linkname="nowhere.jpg"),
        make_member("b.jpg", b"photo b"),
        make_member("y.jpg", type=tarfile.LNKTYPE, linkname="b.jpg"),
        make_member("x.jpg", type=tarfile.LNKTYPE, linkname="a.jpg"),
        make_member("w.jpg", type=tarfile.LNKTYPE, linkname="b.jpg"),
        make_member("s.jpg", type=tarfile.SYMTYPE, linkname="b.jpg"),
    ]
)


def stream(data: bytes, wanted: set[str]) -> list[tuple[str, Content | None]]:
    """Return all files of a stream, with the content of the wanted ones."""
    reader = CompressedTarReader(BytesRangeReader("a.tgz", data))
    return [(entry.path, content) for entry, content in reader.stream(lambda entry: entry.path in wanted, Limits())]


@settings(max_examples=40)
@given(
    files=st.lists(st.tuples(st.text("abc.jpg", min_size=1, max_size=200), st.binary(max_size=2_000)), max_size=6),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    pack=st.sampled_from([*PACKS.values()]),
)
def test_packed_files_are_read_unchanged(files: list[tuple[str, bytes]], form: int, pack: Compress) -> None:
    """Names, order and contents are the same."""
    assert read_stream(pack(pack_tar(files, form))) == (files, None)


@pytest.mark.parametrize("tool", TOOLS)
def test_files_of_the_commands_are_read(tool: str, tmp_path: Path) -> None:
    """The reader reads them from disk."""
    if not shutil.which(tool):
        pytest.skip(f"there is no {tool} here")
    path = tmp_path / "a.tar.x"
    path.write_bytes(compress_with(pack_tar(SMALL), tool))
    assert read_stream(FileRangeReader(storage.canonical(str(path)), path.stat().st_size)) == (SMALL, None)


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_a_stream_cut_anywhere_yields_the_files_before_the_cut(pack: Compress) -> None:
    """The cut file is left out, and the damage is reported, even if only the last byte is missing."""
    data = pack(pack_tar(SMALL))
    for length in range(len(data)):
        found, damage = read_stream(data[:length])
        assert found == SMALL[: len(found)], length
        assert damage is not None, length


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_every_damaged_byte_is_reported(kind: str) -> None:
    """The checksum at the end shows it, at the latest; photos before it may be damaged, and one failed row warns."""
    data = bytearray(PACKS[kind](pack_tar(SMALL)))
    for place in range(len(data)):
        data[place] ^= 16
        found, damage = read_stream(bytes(data))
        data[place] ^= 16
        assert damage is not None or found == SMALL, place


def test_a_damaged_header_in_a_sound_stream_is_reported() -> None:
    """The compression is sound, the tar in it is not."""
    data = bytearray(pack_tar(SMALL))
    data[data.index(b"b.jpg")] ^= 1
    found, damage = read_stream(gzip.compress(bytes(data)))
    assert found == SMALL[:1]
    assert str(damage) == "bad checksum at byte 1,024"


def test_only_wanted_files_have_content() -> None:
    """All files are listed, whichever are wanted."""
    data = gzip.compress(pack_tar(SMALL))
    assert stream(data, {"b.jpg"}) == [("a.jpg", None), ("b.jpg", SMALL[1][1]), ("c.jpg", None), ("a.jpg", None)]
    assert stream(data, set()) == [(name, None) for name, _ in SMALL]


def test_hard_links_come_last_in_the_order_of_their_targets() -> None:
    """Whichever files are wanted; a link without a target has its own position in the stream."""
    data = gzip.compress(LINKED)
    names = ["a.jpg", "b.jpg", "s.jpg", "x.jpg", "z.jpg", "y.jpg", "w.jpg"]
    assert [name for name, _ in stream(data, set())] == names
    found = stream(data, {"x.jpg", "y.jpg", "w.jpg", "z.jpg"})
    assert [name for name, _ in found] == names
    contents = dict(found)
    assert (contents["a.jpg"], contents["b.jpg"]) == (None, None)
    assert (contents["x.jpg"], contents["y.jpg"], contents["w.jpg"]) == (b"photo a", b"photo b", b"photo b")
    assert str(contents["z.jpg"]) == "The hard link leads to 'nowhere.jpg', which does not stand before it in the tar."


def test_a_second_pass_is_made_for_wanted_links_only() -> None:
    """Without wanted links, the stream is read once."""
    photo = _rng.randbytes(2_000)
    noise = pack_members([make_member("a.jpg", photo), make_member("l.jpg", type=tarfile.LNKTYPE, linkname="a.jpg")])
    source = CountingReader(gzip.compress(noise))
    for wanted, times in [({"a.jpg"}, 1), ({"l.jpg"}, 2)]:
        source.requests.clear()
        found = dict(CompressedTarReader(source).stream(lambda entry, names=wanted: entry.path in names, Limits()))  # type: ignore[misc]
        assert [content for content in found.values() if content is not None] == [photo]
        assert sum(start == 0 for start, _ in source.requests) == times


def test_links_before_damage_are_read() -> None:
    """Their targets are sound."""
    found, damage = read_stream(gzip.compress(LINKED)[:-6])
    assert dict(found)["y.jpg"] == b"photo b"
    assert damage is not None


def test_links_of_one_name_are_wanted_one_by_one() -> None:
    """Whether a photo is wanted may depend on the photos before it, since occurrences of a name are counted."""
    link = [make_member("l.jpg", type=tarfile.LNKTYPE, linkname=name) for name in ("b.jpg", "a.jpg")]
    data = gzip.compress(pack_members([make_member("a.jpg", b"photo a"), make_member("b.jpg", b"photo b"), *link]))
    seen: list[str] = []

    def is_wanted(entry: Entry) -> bool:
        return (entry.path, seen.count(entry.path)) == ("l.jpg", 1)

    found: list[Content] = []
    for entry, content in CompressedTarReader(BytesRangeReader("a.tgz", data)).stream(is_wanted, Limits()):
        seen.append(entry.path)
        found += [content] if content is not None else []
    assert found == [b"photo b"]


def test_a_photo_too_large_does_not_fill_the_memory(tmp_path: Path) -> None:
    """The reader skips it in pieces and reads the next photo."""
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(pack_tar([("large.jpg", _rng.randbytes(20 << 20)), ("b.jpg", b"next")]), 1))
    tracemalloc.start()
    source = FileRangeReader(storage.canonical(str(path)), path.stat().st_size)
    found, damage = read_stream(source, Limits(photo_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found[0][1], DataError)
    assert (found[0][1].kind, found[1], damage) == ("too_large", ("b.jpg", b"next"), None)
    assert peak < 10 << 20


def test_a_bomb_stops() -> None:
    """A stream that grows more than 200 times holds no photos; the limit bounds the time."""
    data = gzip.compress(pack_tar([("a.jpg", b"photo"), ("bomb", bytes(100 << 20)), ("c.jpg", b"more")]), 1)
    found, damage = read_stream(data)
    assert found == [("a.jpg", b"photo")]
    assert damage is not None
    assert str(damage).endswith("over 200 times as many: a decompression bomb")


def test_an_unprotected_stream_is_read_twice() -> None:
    """Some photos are read before the checksum at the end."""
    data = gzip.compress(pack_tar(SMALL))
    for place in range(0, len(data), 7):
        assert read_stream(FlippingReader(data, place, times=1, is_protected=False)) == (SMALL, None), place


@settings(max_examples=100)
@given(data=st.data())
def test_a_mutated_stream_gives_files_or_damage(data: st.DataObject) -> None:
    """Whatever the mutation, the reader raises only errors of damaged archives."""
    mutated = bytearray(data.draw(st.sampled_from([*PACKS.values()]))(LINKED))
    for place in data.draw(st.lists(st.integers(0, len(mutated) - 1), max_size=4)):
        mutated[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=8))
    found, _ = read_stream(bytes(mutated))
    assert all(isinstance(content, DataError | bytes) for _, content in found)


@settings(max_examples=20)
@given(files=st.lists(st.tuples(st.text("abc", min_size=1), st.binary(max_size=2_000)), min_size=1, max_size=4))
def test_a_plain_tar_is_read_as_it_is(files: list[tuple[str, bytes]]) -> None:
    """Whatever its name says: a browser that unpacks what it downloads keeps the name."""
    data = pack_tar(files)
    assert read_stream(data) == (files, None)
    found, damage = read_stream(data[: len(data) - 9_800])
    assert found == files[: len(found)]
    assert damage is not None or found == files


def test_other_files_are_no_archive() -> None:
    """They give no files, and the reader raises."""
    found, damage = read_stream(b"garbage" * 100)
    assert found == []
    assert isinstance(damage, DAMAGED)
