"""Reading on takes few requests if the positions are near, and few bytes if they are far."""

import random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.byte_ranges import AHEAD_BYTES, MOST_AHEAD_BYTES, Ahead, ReadAhead
from tests.helpers.fake_sources import CountingReader

DATA = random.Random(0).randbytes(300_000)


@given(places=st.lists(st.tuples(st.integers(0, 310_000), st.integers(0, 70_000)), max_size=20))
def test_any_position_returns_its_bytes(places: list[tuple[int, int]]) -> None:
    """It may go back, beyond the end, and ask for more than is read ahead."""
    ahead = ReadAhead(CountingReader(DATA))
    assert [ahead.read_at(start, length) for start, length in places] == [
        DATA[start : start + length] for start, length in places
    ]


def test_near_positions_come_with_few_requests() -> None:
    """A hundred megabytes of small files take a few large requests."""
    counted = CountingReader(bytes(100 << 20))
    ahead = ReadAhead(counted)
    for position in range(0, counted.size_bytes, 60_000):
        assert len(ahead.read_at(position, 512)) == 512
    assert counted.calls <= 16
    assert max(end - start for start, end in counted.requests) <= MOST_AHEAD_BYTES


def test_far_positions_come_with_few_bytes() -> None:
    """It does not read the gaps."""
    counted = CountingReader(bytes(100 << 20))
    ahead = ReadAhead(counted)
    for position in range(0, counted.size_bytes, 5 << 20):
        ahead.read_at(position, 512)
    assert counted.read_bytes <= 21 * AHEAD_BYTES


def test_one_of_many_readers_holds_little() -> None:
    """After a jump it reads a few bytes, and near positions double that up to its own limit."""
    counted = CountingReader(DATA)
    ahead = ReadAhead(counted, Ahead(jump_bytes=100, most_bytes=400, near_bytes=50))
    for position in range(0, 3_000, 10):
        assert ahead.read_at(position, 10) == DATA[position : position + 10]
    assert max(end - start for start, end in counted.requests) == 400
    ahead.read_at(9_000, 10)
    assert counted.requests[-1] == (9_000, 9_100)
