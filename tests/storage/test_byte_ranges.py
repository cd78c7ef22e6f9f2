"""Every kind of reader returns the bytes of its range, with few requests."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.storage.byte_ranges import (
    BATCH_BYTES,
    GAP_BYTES,
    REQUEST_BYTES,
    BytesRangeReader,
    FileRangeReader,
    RangeReader,
    Window,
    join_neighbours,
    open_reader,
    read_together,
    read_whole,
)
from tests.helpers.fake_sources import CountingReader

DATA = random.Random(0).randbytes(5_000)
PLACES = st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 6_000)).map(sorted).map(tuple), max_size=20)


@pytest.fixture(scope="module", params=["stored", "window", "bytes"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RangeReader:
    """The same bytes, stored in each of the three ways."""
    if request.param == "bytes":
        return BytesRangeReader("data", DATA)
    path: Path = tmp_path_factory.mktemp("sources") / "data"
    path.write_bytes(DATA if request.param == "stored" else b"before" + DATA + b"after")
    stored = FileRangeReader(storage.canonical(str(path)), path.stat().st_size)
    return stored if request.param == "stored" else Window(stored, 6, 6 + len(DATA), "data")


@given(places=PLACES)
def test_a_source_returns_each_range(source: RangeReader, places: list[tuple[int, int]]) -> None:
    """It keeps their order, ends where the data end, and reads nothing outside a window."""
    assert source.read(places) == [DATA[start:end] for start, end in places]
    assert (source.name, source.size_bytes, source.is_protected) == ("data", len(DATA), True)


@given(steps=st.lists(st.tuples(st.sampled_from(["read", "seek"]), st.integers(0, 6_000)), max_size=20))
def test_an_opened_source_is_a_file(source: RangeReader, steps: list[tuple[str, int]]) -> None:
    """Reading and seeking work as on a plain file."""
    position = 0
    with open_reader(source) as file:
        for what, number in steps:
            if what == "seek":
                position = file.seek(number)
            else:
                assert file.read(number) == DATA[position : position + number]
                position = min(position + number, max(position, len(DATA)))
            assert file.tell() == position


@given(places=PLACES)
def test_reading_together_returns_the_same_bytes(places: list[tuple[int, int]]) -> None:
    """Ranges may overlap and repeat."""
    counted = CountingReader(DATA)
    assert [*read_together(counted, sorted(places))] == [DATA[start:end] for start, end in sorted(places)]
    assert counted.calls <= 1


@given(
    places=st.lists(st.tuples(st.integers(0, 1 << 28), st.integers(0, 20 << 20)), max_size=30).map(
        lambda pairs: sorted((start, start + length) for start, length in pairs)
    )
)
def test_spans_hold_every_range_and_are_bounded(places: list[tuple[int, int]]) -> None:
    """Each range is in one span; a span exceeds a request only if its single range does."""
    found = [*join_neighbours(places)]
    assert [place for span in found for place in span.ranges] == places
    for span in found:
        assert span.start == min(start for start, _ in span.ranges)
        assert span.end == max(end for _, end in span.ranges)
        assert len(span.ranges) == 1 or span.end - span.start <= REQUEST_BYTES


def test_ranges_join_over_a_small_gap_only() -> None:
    """Up to a length, reading the gap costs less than another request."""
    near, far = [(0, 10), (10 + GAP_BYTES, 20 + GAP_BYTES)], [(0, 10), (11 + GAP_BYTES, 20 + GAP_BYTES)]
    assert [len(span.ranges) for span in join_neighbours(near)] == [2]
    assert [len(span.ranges) for span in join_neighbours(far)] == [1, 1]


def test_a_long_range_is_read_in_parallel_parts() -> None:
    """One call reads it, and no request exceeds the limit."""
    counted = CountingReader(bytes(3 * REQUEST_BYTES + 5))
    assert len(read_whole(counted, 0, counted.size_bytes)) == counted.size_bytes
    assert counted.calls == 1
    assert max(end - start for start, end in counted.requests) == REQUEST_BYTES


def test_memory_is_bounded() -> None:
    """Data beyond a batch take several calls; distant ranges share one."""
    length, step = 1 << 20, 2 << 20
    counted = CountingReader(bytes(64 * step))
    places = [(start, start + length) for start in range(0, 64 * step, step)]
    first = next(read_together(counted, places))
    assert len(first) == length
    assert counted.calls == 1
    assert counted.read_bytes == BATCH_BYTES
