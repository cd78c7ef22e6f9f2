"""Every kind of source gives the bytes of its range, with few requests."""

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
    open_reader,
    read_together,
    read_whole,
    spans,
)
from tests.helpers.fake_sources import Counted

DATA = random.Random(0).randbytes(5_000)
PLACES = st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 6_000)).map(sorted).map(tuple), max_size=20)


@pytest.fixture(scope="module", params=["stored", "window", "bytes"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RangeReader:
    """The same bytes, kept in each of the three ways."""
    if request.param == "bytes":
        return BytesRangeReader("data", DATA)
    path: Path = tmp_path_factory.mktemp("sources") / "data"
    path.write_bytes(DATA if request.param == "stored" else b"before" + DATA + b"after")
    stored = FileRangeReader(storage.canonical(str(path)), path.stat().st_size)
    return stored if request.param == "stored" else Window(stored, 6, 6 + len(DATA), "data")


@given(places=PLACES)
def test_a_source_gives_what_lies_in_each_range(source: RangeReader, places: list[tuple[int, int]]) -> None:
    """In the order asked for; a range that reaches beyond the end gives what is there, and nothing beside a window."""
    assert source.read(places) == [DATA[start:end] for start, end in places]
    assert (source.name, source.size_bytes, source.is_protected) == ("data", len(DATA), True)


@given(steps=st.lists(st.tuples(st.sampled_from(["read", "seek"]), st.integers(0, 6_000)), max_size=20))
def test_an_opened_source_is_a_file(source: RangeReader, steps: list[tuple[str, int]]) -> None:
    """Reading and seeking give what a plain file would."""
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
def test_neighbours_read_together_come_as_if_read_alone(places: list[tuple[int, int]]) -> None:
    """Whatever overlaps or repeats."""
    counted = Counted(DATA)
    assert [*read_together(counted, sorted(places))] == [DATA[start:end] for start, end in sorted(places)]
    assert counted.calls <= 1


@given(
    places=st.lists(st.tuples(st.integers(0, 1 << 28), st.integers(0, 20 << 20)), max_size=30).map(
        lambda pairs: sorted((start, start + length) for start, length in pairs)
    )
)
def test_spans_hold_every_place_and_are_bounded(places: list[tuple[int, int]]) -> None:
    """Each place lies in one span; a span is longer than a request only where its one place is."""
    found = [*spans(places)]
    assert [place for span in found for place in span.places] == places
    for span in found:
        assert span.start == min(start for start, _ in span.places)
        assert span.end == max(end for _, end in span.places)
        assert len(span.places) == 1 or span.end - span.start <= REQUEST_BYTES


def test_places_join_over_a_small_gap_only() -> None:
    """What lies between is read in vain, and costs less than asking again, up to a length."""
    near, far = [(0, 10), (10 + GAP_BYTES, 20 + GAP_BYTES)], [(0, 10), (11 + GAP_BYTES, 20 + GAP_BYTES)]
    assert [len(span.places) for span in spans(near)] == [2]
    assert [len(span.places) for span in spans(far)] == [1, 1]


def test_a_long_place_is_read_in_parts_side_by_side() -> None:
    """One call, no request longer than the most."""
    counted = Counted(bytes(3 * REQUEST_BYTES + 5))
    assert len(read_whole(counted, 0, counted.size_bytes)) == counted.size_bytes
    assert counted.calls == 1
    assert max(end - start for start, end in counted.requests) == REQUEST_BYTES


def test_what_is_held_at_a_time_is_bounded() -> None:
    """Far more than a batch is read in several calls, far places in the same one."""
    length, step = 1 << 20, 2 << 20
    counted = Counted(bytes(64 * step))
    places = [(start, start + length) for start in range(0, 64 * step, step)]
    first = next(read_together(counted, places))
    assert len(first) == length
    assert counted.calls == 1
    assert counted.read_bytes == BATCH_BYTES
