"""Where nothing protects a connection, bytes are believed when two readings agree."""

import random

import pytest

from pipeline.core.errors import StorageError
from pipeline.storage.byte_ranges import double_checked
from tests.helpers.fake_sources import Counted, Flipping

DATA = random.Random(0).randbytes(1_000)


def test_a_protected_source_is_read_once() -> None:
    """It is taken as it is."""
    source = Counted(DATA)
    assert double_checked(source) is source


@pytest.mark.parametrize("times", [0, 1])
def test_one_damaged_reading_is_outvoted(times: int) -> None:
    """Two readings where they agree, and a third where not."""
    source = Flipping(DATA, at=300, times=times, is_protected=False)
    sure = double_checked(source)
    assert sure.read([(0, 200), (250, 400)]) == [DATA[:200], DATA[250:400]]
    assert len(source.requests) == 4 + times
    assert (sure.name, sure.size_bytes, sure.is_protected) == ("counted", 1_000, True)


def test_a_connection_that_never_says_the_same_stops_the_run() -> None:
    """No photo can be blamed for it."""
    source = Flipping(DATA, at=300, times=3, is_protected=False)
    with pytest.raises(StorageError, match=r"^counted could not be read: its bytes 250 to 400 came differently"):
        double_checked(source).read([(250, 400)])
