"""An account adds up what comes in, and shows each piece once."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pipeline.cluster.session import Node
from pipeline.monitoring.run_stats import RunStats, Totals, count_rows, spent
from tests.monitoring.test_totals import END, FAILED, OK, STEP


class Heard:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.made: list[Totals] = []
        self.timed: list[Mapping[str, Any]] = []
        self.waiting: list[int] = []

    def count(self, made: Totals) -> None:
        """Keep it."""
        self.made.append(made)

    def time(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep them."""
        self.timed += rows

    def waits(self, photos: int) -> None:
        """Keep it."""
        self.waiting.append(photos)


def test_what_comes_in_is_added_and_shown_once() -> None:
    """What comes before work begins is added and not shown; times are those of photos that were scored."""
    account, heard = RunStats(), Heard()
    account.spend("list", STEP)
    account.work_begins((Node(2),), heard)
    account.take([OK, FAILED])
    account.take([END])
    account.spend("write", STEP)
    account.waits(3)
    assert account.tally == count_rows([OK, FAILED, END]) + spent("list", STEP) + spent("write", STEP)
    assert sum(heard.made, Totals()) == count_rows([OK, FAILED, END]) + spent("write", STEP)
    assert (heard.timed, heard.waiting, account.nodes) == ([OK], [3], (Node(2),))


def test_the_first_photo_is_timed() -> None:
    """From the beginning of the run; the end of a stream and a listing are none."""
    account = RunStats()
    account.spend("list", STEP)
    account.take([END])
    assert account.first_photo_s is None
    account.take([OK])
    first_s = account.first_photo_s
    account.take([OK | {"score_effort": asdict(STEP)}])
    assert first_s is not None
    assert 0 < first_s == account.first_photo_s <= account.wall_s
