"""Over an unprotected connection, bytes count when two readings agree."""

import random

import pytest

from pipeline.core.errors import StorageError
from pipeline.storage.byte_ranges import double_check
from tests.helpers.fake_sources import CountingReader, FlippingReader

DATA = random.Random(0).randbytes(1_000)


def test_a_protected_source_is_read_once() -> None:
    """`double_check` returns the source itself."""
    source = CountingReader(DATA)
    assert double_check(source) is source


@pytest.mark.parametrize("times", [0, 1])
def test_one_damaged_reading_is_outvoted(times: int) -> None:
    """Two readings suffice if they agree; a third decides if they differ."""
    source = FlippingReader(DATA, at=300, times=times, is_protected=False)
    checked = double_check(source)
    assert checked.read([(0, 200), (250, 400)]) == [DATA[:200], DATA[250:400]]
    assert len(source.requests) == 4 + times
    assert (checked.name, checked.size_bytes, checked.is_protected) == ("counted", 1_000, True)


def test_readings_that_always_differ_stop_the_run() -> None:
    """The connection is at fault, not a photo."""
    source = FlippingReader(DATA, at=300, times=3, is_protected=False)
    with pytest.raises(StorageError, match=r"^counted could not be read: its bytes 250 to 400 came differently"):
        double_check(source).read([(250, 400)])
