"""A tar that is listed in many places at once has the listing that one reader gives, whatever is in it."""

import io
import tarfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.archives.members import Entry
from pipeline.archives.tar_ahead import (
    LEAST_PART_BYTES,
    HeadersAhead,
    RangeCursor,
    Spread,
    choose_spread,
    read_headers_ahead,
)
from pipeline.archives.tar_headers import BLOCK_BYTES, read_header
from pipeline.archives.tar_reader import TarReader
from pipeline.core.errors import StorageError
from pipeline.storage.byte_ranges import ByteRange, BytesRangeReader, RangeReader
from tests.helpers.fake_sources import CountingReader, FlippingReader, list_until_damage
from tests.helpers.packing import pack_tar
from tests.helpers.tar_forms import make_header, make_member, pack_members

END = bytes(1024)
LONG = "folder/" * 20 + "long.jpg"
SPREADS = st.builds(
    Spread,
    part_bytes=st.integers(1, 12).map(lambda blocks: blocks * BLOCK_BYTES),
    threads=st.integers(1, 6),
    most_waiting=st.sampled_from([1, 3, 1_000]),
)
NAMES = st.sampled_from(["a.jpg", "b.jpg", "d/c.jpg", LONG, "ü.jpg"])
BODIES = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 5_000).map(bytes),
    st.integers(0, 5_000).map(lambda size: b"x" * size),
    st.just(make_header("fake.jpg", tarfile.REGTYPE, b"", size=700) * 3),
    st.just(make_header("fake.jpg", tarfile.REGTYPE, b"", size=1 << 40)),
    st.just(pack_tar([("in.jpg", b"inner"), (LONG, bytes(1_500))])),
)


def make_file(name: str, body: bytes, form: Literal[1, 2]) -> bytes:
    """Make a file with the headers of one form, which needs more of them for a long name."""
    header = tarfile.TarInfo(name)
    header.size = len(body)
    return header.tobuf(form) + body.ljust(-(-len(body) // BLOCK_BYTES) * BLOCK_BYTES, b"\0")


def make_sparse(name: str, more_maps: int) -> bytes:
    """Make a file as GNU stores it without its zeros, with further blocks that say where it has data."""
    block = bytearray(make_header(name, tarfile.GNUTYPE_SPARSE, b"", size=600)[:BLOCK_BYTES])
    block[482] = more_maps > 0
    block[148:156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:]))
    maps = [bytes(504) + bytes([number < more_maps - 1]) + bytes(7) for number in range(more_maps)]
    return bytes(block) + b"".join(maps) + b"s" * 2 * BLOCK_BYTES


def make_link(name: str, target: str) -> bytes:
    """Make a hard link."""
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.LNKTYPE, target
    return link.tobuf(tarfile.GNU_FORMAT)


MEMBERS = st.one_of(
    st.builds(make_file, NAMES, BODIES, st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])),
    st.builds(make_sparse, NAMES, st.integers(0, 3)),
    st.builds(make_link, NAMES, NAMES),
    st.just(make_header("d", tarfile.DIRTYPE, b"")),
    st.just(make_header("pax", tarfile.XGLTYPE, b"20 comment=of a git\n")),
    st.just(make_header("pax", tarfile.XHDTYPE, b"13 path=z.jpg\n")),  # damaged: it claims a byte too few
    st.just(make_header("x", tarfile.GNUTYPE_LONGNAME, make_header("fake.jpg", tarfile.REGTYPE, b"f"))),
)


@dataclass(frozen=True)
class Damage:
    """What happens to some bytes of a tar."""

    kind: str
    at: float
    """From 0, its beginning, to 1, its end."""

    def __call__(self, data: bytearray) -> None:
        """Do it."""
        place = int(self.at * (len(data) - 1))
        block = place // BLOCK_BYTES * BLOCK_BYTES
        if self.kind == "cut":
            del data[place:]
        elif self.kind == "flipped":
            data[place] ^= 4
        elif self.kind == "zeroed":
            data[block : block + BLOCK_BYTES] = bytes(len(data[block : block + BLOCK_BYTES]))
        else:
            data[block : block + BLOCK_BYTES] = make_header("put.jpg", tarfile.REGTYPE, b"", size=900)


DAMAGES = st.lists(
    st.builds(Damage, st.sampled_from(["cut", "flipped", "zeroed", "replaced"]), st.floats(0, 1)), max_size=2
)


def list_all(source: RangeReader, spread: Spread | None = None) -> tuple[list[Entry], str]:
    """List a tar; failures and the damage as texts, which can be compared."""
    entries, damage = list_until_damage(TarReader(source, spread))
    comparable = [entry._replace(failure=str(entry.failure)) for entry in entries]  # type: ignore[arg-type]
    return comparable, repr(damage)


@settings(max_examples=300)
@given(
    members=st.lists(MEMBERS, max_size=12), padding=st.sampled_from([0, 512, 9_000]), damages=DAMAGES, spread=SPREADS
)
def test_many_readers_list_what_one_lists(
    members: list[bytes], padding: int, damages: list[Damage], spread: Spread
) -> None:
    """Every entry and every error is the same: long names and sparse files at borders, tars in the tar, any damage."""
    data = bytearray(b"".join(members) + END + bytes(padding))
    for damage in damages:
        if data:
            damage(data)
    source = BytesRangeReader("a.tar", bytes(data))
    assert list_all(source, spread) == list_all(source)


@settings(max_examples=100)
@given(
    files=st.lists(st.tuples(NAMES, BODIES), min_size=1, max_size=8),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    cut=st.floats(0, 1),
    spread=SPREADS,
)
def test_the_listing_is_that_of_tarfile(files: list[tuple[str, bytes]], form: int, cut: float, spread: Spread) -> None:
    """Of a tar that was cut, `tarfile` also lists the file at the cut, which is not all there."""
    data = pack_tar(files, form)
    data = data[: round(cut * len(data))]
    expected = list[tuple[str, int, int]]()
    with suppress(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected.extend((info.name, info.offset_data, info.size) for info in archive)  # up to where it raises
    entries, _ = list_until_damage(TarReader(BytesRangeReader("a.tar", data), spread))
    found = [(entry.path, entry.position, entry.size_bytes) for entry in entries]
    assert found == [(name, at, size) for name, at, size in expected if at + size <= len(data)]


@pytest.mark.parametrize("blocks", range(1, 9))
def test_a_border_may_be_anywhere_in_a_chain_of_headers(blocks: int) -> None:
    """Between a long name, its header and its data a part begins with what looks like a file of its own."""
    data = b"".join(make_file(LONG + str(number), b"x" * 600, tarfile.PAX_FORMAT) for number in range(9)) + END
    source = BytesRangeReader("a.tar", data)
    entries, damage = list_until_damage(TarReader(source, Spread(blocks * BLOCK_BYTES, threads=3)))
    assert [entry.path for entry in entries] == [LONG + str(number) for number in range(9)]
    assert damage is None


def test_the_files_of_a_tar_in_the_tar_are_not_listed() -> None:
    """Its headers are sound, and most parts begin in it."""
    inner = pack_tar([(f"in{number}.jpg", bytes(700)) for number in range(40)])
    data = pack_tar([("a.jpg", b"a"), ("inner.tar", inner), ("z.jpg", b"z")])
    entries, damage = list_until_damage(TarReader(BytesRangeReader("a.tar", data), Spread(5 * BLOCK_BYTES, threads=4)))
    assert [entry.path for entry in entries] == ["a.jpg", "inner.tar", "z.jpg"]
    assert damage is None


def test_a_link_in_one_part_finds_its_file_in_another() -> None:
    """Links are resolved when the headers are in order: the last file of that name before them."""
    members = [make_member("a.jpg", bytes([number]) * 3_000) for number in range(6)]
    data = pack_members([*members, make_member("l.jpg", type=tarfile.LNKTYPE, linkname="a.jpg")])
    entries, _ = list_until_damage(TarReader(BytesRangeReader("a.tar", data), Spread(1024, threads=4)))
    assert (entries[-1].path, entries[-1].position) == ("l.jpg", entries[-2].position)


def wait_for_threads() -> list[threading.Thread]:
    """Wait for the end of all threads that read ahead; return those that go on nevertheless."""
    threads = [thread for thread in threading.enumerate() if thread.name == "tar-ahead"]
    for thread in threads:
        thread.join(60)
    return [thread for thread in threads if thread.is_alive()]


class MeetingReader(CountingReader):
    """Bytes in memory that count how many requests are under way at once."""

    is_concurrent = True

    def __init__(self, data: bytes, awaited: int) -> None:
        super().__init__(data)
        self.most = 0
        self._under_way, self._awaited = 0, awaited
        self._changed = threading.Condition()

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Answer when as many requests have met as are awaited, once, or have not in a while."""
        with self._changed:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            self._changed.notify_all()
            if ranges[0][0] > 0:  # the first header is read alone
                self._changed.wait_for(lambda: self.most >= self._awaited, timeout=20)
            self._under_way -= 1
            return super().read(ranges)


def test_headers_are_read_in_many_places_at_once() -> None:
    """As many requests are under way as there are threads, and most headers are read once."""
    data = pack_tar([(f"{number}.jpg", bytes(300_000)) for number in range(40)])
    source = MeetingReader(data, awaited=8)
    entries, damage = list_until_damage(TarReader(source, Spread(1 << 20, threads=8)))
    assert (len(entries), damage) == (40, None)
    assert source.most >= 8
    assert source.calls < 40 + 3 * 12 + 10


def test_an_unprotected_tar_is_read_twice_by_all_threads() -> None:
    """A byte that is damaged on its way changes no listing."""
    data = pack_tar([(f"{number}.jpg", bytes(900)) for number in range(12)])
    expected = list_all(BytesRangeReader("a.tar", data))
    for place in range(0, len(data), 331):
        source = FlippingReader(data, place, times=1, is_protected=False)
        assert list_all(source, Spread(2048, threads=3)) == expected, place


class FailingReader(CountingReader):
    """Bytes in memory that a store refuses to give to the threads, or to anybody."""

    def __init__(self, data: bytes, *, always: bool) -> None:
        super().__init__(data)
        self._always = always

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Raise, but for the first header."""
        if ranges[0][0] > 0 and (self._always or threading.current_thread().name == "tar-ahead"):
            raise StorageError("out of order")
        return super().read(ranges)


def test_what_the_threads_cannot_read_is_read_without_them() -> None:
    """A listing fails only of what one reader alone would meet."""
    data = pack_tar([(f"{number}.jpg", bytes(90_000)) for number in range(9)])
    spread = Spread(100 * BLOCK_BYTES, threads=3)
    assert list_all(FailingReader(data, always=False), spread) == list_all(BytesRangeReader("a.tar", data))
    with pytest.raises(StorageError, match="out of order"):
        list_until_damage(TarReader(FailingReader(data, always=True), spread))


class BrokenReader(CountingReader):
    """Bytes in memory with a fault of the program in the threads."""

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Raise what nobody expects."""
        if threading.current_thread().name == "tar-ahead":
            raise AssertionError("a fault")
        return super().read(ranges)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_stops_no_listing() -> None:
    """The reader goes on alone and never waits for the dead."""
    data = pack_tar([(f"{number}.jpg", bytes(900)) for number in range(12)])
    assert list_all(BrokenReader(data), Spread(1024, threads=3)) == list_all(BytesRangeReader("a.tar", data))
    wait_for_threads()


def test_threads_end_with_the_listing() -> None:
    """Nobody reads on for a caller that has left."""
    data = pack_tar([(f"{number}.jpg", bytes(900)) for number in range(90)])
    headers = read_headers_ahead(BytesRangeReader("a.tar", data), Spread(1024, threads=4, most_waiting=2))
    assert [next(headers).name, next(headers).name] == ["0.jpg", "1.jpg"]
    assert any(thread.name == "tar-ahead" for thread in threading.enumerate())
    headers.close()
    assert wait_for_threads() == []


def test_few_headers_wait_for_a_slow_reader() -> None:
    """Threads that are far ahead wait; the limit may be passed by one header a thread."""
    data = pack_tar([(f"{number}.jpg", b"x") for number in range(400)])
    source = CountingReader(data)
    with HeadersAhead(source, Spread(8 * 1024, threads=4, most_waiting=10)) as ahead:
        first = ahead.take(0)
        assert first is not None
        second = ahead.take(first.next_position)
        assert second is not None
        assert len(ahead) <= 10 + 8 + 4  # and the reader's own part


class GatedReader(CountingReader):
    """Bytes in memory whose beginning comes at once, and the rest when the gate is open."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.gate = threading.Event()

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Wait at the gate."""
        if ranges[0][0] > 0:
            self.gate.wait(60)
        return super().read(ranges)


def test_threads_rest_while_the_reader_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """They read on in its own part alone, and elsewhere only while it asks."""
    monkeypatch.setattr("pipeline.archives.tar_ahead.AWAY_S", -1.0)  # away between any two headers
    data = pack_tar([(f"{number}.jpg", bytes(900)) for number in range(90)])
    source, spread = GatedReader(data), Spread(16 * BLOCK_BYTES, threads=4)
    with HeadersAhead(source, spread) as ahead:
        first = ahead.take(0)
        source.gate.set()
        for thread in [thread for thread in threading.enumerate() if thread.name == "tar-ahead"]:
            thread.join(0.1)
        assert len(ahead) <= 6 + 3  # those of its own part, and what was under way
        assert first is not None
        assert ahead.take(first.next_position) is not None
    assert list_all(source, spread) == list_all(BytesRangeReader("a.tar", data))


@pytest.mark.parametrize("data", [b"", b"garbage" * 3_000, END], ids=["nothing", "text", "zeros"])
def test_what_is_no_tar_starts_no_thread(data: bytes) -> None:
    """The first header is read alone."""
    source = CountingReader(data)
    assert list_all(source, Spread(512)) == list_all(BytesRangeReader("a.tar", data))
    assert source.calls <= 2


def test_only_large_tars_on_a_store_are_spread() -> None:
    """A disk answers at once; parts are larger in a larger tar, and are whole blocks."""

    @dataclass(frozen=True)
    class Source(BytesRangeReader):
        size_bytes: int = 0
        is_concurrent: bool = True

    assert choose_spread(Source("a", b"", size_bytes=1 << 40, is_concurrent=False)) is None
    assert choose_spread(Source("a", b"", size_bytes=2 * LEAST_PART_BYTES - 1)) is None
    small, large = (
        choose_spread(Source("a", b"", size_bytes=1 << 30)),
        choose_spread(Source("a", b"", size_bytes=10**12)),
    )
    assert small is not None
    assert large is not None
    assert small.part_bytes == LEAST_PART_BYTES
    assert large.part_bytes > 1 << 30
    assert large.part_bytes % BLOCK_BYTES == 0


def test_a_header_depends_on_nothing_before_it() -> None:
    """That is why headers may be read in any order."""
    data = make_file(LONG, b"x" * 600, tarfile.PAX_FORMAT) + make_file("b.jpg", b"", tarfile.GNU_FORMAT) + END
    source = BytesRangeReader("a.tar", data)
    cursor = RangeCursor(source)
    first = read_header(cursor)
    assert first is not None
    cursor.skip_to(first.next_position)
    again = RangeCursor(source)
    again.skip_to(first.next_position)
    assert read_header(cursor) == read_header(again)
