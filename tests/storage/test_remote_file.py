"""A remote file reads like a local one, with few requests."""

import io

from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.remote_file import FIRST_BYTES, MOST_BYTES, RemoteFile

DATA = bytes(range(256)) * 4_000


class _Store:
    """Bytes by range, with a record of the requested ranges."""

    def __init__(self, size_bytes: int = len(DATA)) -> None:
        self.size_bytes = size_bytes
        self.ranges: list[tuple[int, int]] = []

    def read_range(self, start: int, end: int) -> bytes:
        """Return a range of the data."""
        assert 0 <= start < end <= self.size_bytes
        self.ranges.append((start, end))
        return bytes(end - start) if self.size_bytes > len(DATA) else DATA[start:end]


STEPS = st.lists(st.tuples(st.sampled_from(["seek", "from the end", "on", "read"]), st.integers(0, 1_100_000)))


@given(STEPS)
def test_it_reads_as_bytes_in_memory(steps: list[tuple[str, int]]) -> None:
    """Any order of seeking and reading gives the same result."""
    store, memory = _Store(), io.BytesIO(DATA)
    file = io.BufferedReader(RemoteFile(store.read_range, store.size_bytes), 1 << 16)
    for step, number in steps:
        if step == "seek":
            assert file.seek(number) == memory.seek(number)
        elif step == "from the end":
            assert file.seek(-min(number, len(DATA)), io.SEEK_END) == memory.seek(-min(number, len(DATA)), io.SEEK_END)
        elif step == "on":
            assert file.seek(number, io.SEEK_CUR) == memory.seek(number, io.SEEK_CUR)
        else:
            assert file.read(number) == memory.read(number)


def test_a_stream_takes_large_requests() -> None:
    """Each is twice the one before, up to the limit; together they cover the file once."""
    store = _Store(100 << 20)
    file = io.BufferedReader(RemoteFile(store.read_range, store.size_bytes), 1 << 16)

    while file.read(1 << 20):
        pass

    assert [end - start for start, end in store.ranges[:6]] == [FIRST_BYTES << step for step in range(5)] + [MOST_BYTES]
    assert [start for start, _ in store.ranges[1:]] == [end for _, end in store.ranges[:-1]]
    assert len(store.ranges) < 20


def test_a_jump_takes_a_small_request() -> None:
    """A footer costs one small request, and seeking costs none."""
    store = _Store(100 << 20)
    file = io.BufferedReader(RemoteFile(store.read_range, store.size_bytes), 1 << 16)

    file.seek(-8, io.SEEK_END)
    assert store.ranges == []
    file.read(8)
    file.seek(50 << 20)
    file.read(10)

    assert [end - start for start, end in store.ranges] == [8, FIRST_BYTES]
