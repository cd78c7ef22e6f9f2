"""When a watch looks, and until when."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.watch.schedule import Clock, Schedule, parse_until

NOW = datetime(2026, 11, 30, 22, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine stand in Berlin: an hour ahead in winter, two in summer."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("06:00", "2026-12-01T05:00"),
        ("6:00", "2026-12-01T05:00"),
        ("23:30", "2026-11-30T22:30"),
        ("23:00", "2026-12-01T22:00"),  # it is 23:00 there now
        ("22:30Z", "2026-11-30T22:30"),
        ("2026-12-24T18:00", "2026-12-24T17:00"),
        ("2026-12-24T18:00+00:00", "2026-12-24T18:00"),
    ],
)
def test_a_time_is_that_of_this_machine(text: str, utc: str) -> None:
    """A time of day is the next one; a time zone may be given."""
    assert parse_until(text, NOW) == datetime.fromisoformat(f"{utc}+00:00")


def test_the_night_in_which_clocks_change_has_its_morning() -> None:
    """The wall clock counts: on the last Sunday of March, 06:00 comes an hour sooner."""
    assert parse_until("06:00", datetime(2026, 3, 28, 21, 0, tzinfo=UTC)) == datetime(2026, 3, 29, 4, 0, tzinfo=UTC)


@given(st.times(), st.integers(0, 3_000_000_000))
def test_a_time_of_day_comes_within_a_day(at: object, now_s: int) -> None:
    """Always later, at most 25 hours: the longest day."""
    moment = datetime.fromtimestamp(now_s, timezone(timedelta(hours=3)))
    assert moment < parse_until(str(at), moment) <= moment + timedelta(hours=25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("25:00", "--until is '25:00'; expected a time such as 06:00 or 2026-11-30T06:00 (in a YAML file, in quotes)."),
        ("1320", "--until is '1320'; expected a time such as 06:00 or 2026-11-30T06:00 (in a YAML file, in quotes)."),
        ("2026-11-30T06:00", "--until 2026-11-30T06:00 is over already; it is 2026-11-30 23:00."),
    ],
)
def test_what_is_no_time_or_over_is_refused(text: str, message: str) -> None:
    """YAML makes a number of 22:00 without quotes."""
    with pytest.raises(UsageError) as refused:
        parse_until(text, NOW)
    assert str(refused.value) == message


@pytest.mark.parametrize("every_s", [0.0, -1.0, float("nan"), float("inf")])
def test_looks_have_time_between_them(every_s: float) -> None:
    """A second at least."""
    with pytest.raises(UsageError, match="expected seconds between two looks, at least 1"):
        Schedule(every_s)


def test_the_clock_is_that_of_this_machine() -> None:
    """It goes on while one sleeps."""
    clock = Clock()
    before, now = clock.monotonic(), clock.now()
    clock.sleep(0.01)
    assert clock.monotonic() > before
    assert clock.now() > now
    assert os.environ["TZ"] == "Europe/Berlin"
