"""A time of capture is what the camera's clock showed, where that is clear and credible."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images.capture_time import find_time

TODAY = datetime(2025, 6, 1, 12)  # noqa: DTZ001 - a camera's clock has no zone

ARABIC_DIGITS = {ord("0") + digit: 0x660 + digit for digit in range(10)}
"""What some phones that are set to Arabic write."""


@pytest.mark.parametrize(
    "text",
    [
        "2024:05:01 10:20:30",
        "2024:05:01 10:20:30\0",
        b"2024:05:01 10:20:30\0garbage",
        ("2024:05:01 10:20:30",),
        "2024-05-01T10:20:30",
        "2024-05-01t10:20:30z",
        "2024-05-01T10:20:30+02:00",
        "2024-05-01T10:20:30.123-0730",
        "2024-05-01 10:20:30 +02",
        "2024:05:01 10:20:30 UTC",
        "2024/05/01 10:20:30,5",
        "2024.05.01 10.20.30",
        "2024:5:1  10:20:30",
        "2024:05:01:10:20:30",
        "2024-05-01T10-20-30",
        "2024:05:01 10:20:30 AM",
        "2024:05:01 10:20:30".translate(ARABIC_DIGITS).encode(),
    ],
)
def test_a_clear_time_is_read_in_any_spelling(text: object) -> None:
    """Fractions and offsets are dropped: the column is the camera's own clock, to the second."""
    assert find_time([text], TODAY) == datetime(2024, 5, 1, 10, 20, 30)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("2024:05:01 10:20", (1, 10, 20, 0)),
        ("2024:05:01 10:20:  ", (1, 10, 20, 0)),
        ("2024-05-01T10:20-02:00", (1, 10, 20, 0)),
        ("2024:05:01 10:20:60", (1, 10, 21, 0)),
        ("2024:05:01 23:59:60", (2, 0, 0, 0)),
        ("2024:05:01 24:00:00", (2, 0, 0, 0)),
        ("2024:05:01 12:20:30 AM", (1, 0, 20, 30)),
        ("2024:05:01 12:20:30 pm", (1, 12, 20, 30)),
        ("2024:05:01 10:20:30 p.m.", (1, 22, 20, 30)),
    ],
)
def test_odd_clocks_are_read_where_they_are_clear(text: str, clock: tuple[int, int, int, int]) -> None:
    """Unknown seconds, leap seconds, midnight at the end of a day, and twelve hours."""
    assert find_time([text], TODAY) == datetime(2024, 5, *clock)  # noqa: DTZ001


@pytest.mark.parametrize(
    "text",
    [
        None, "", " ", "\0", 0, 20240501, "    :  :     :  :  ", "0000:00:00 00:00:00", "0000-00-00T00:00:00Z",
        "yesterday", "2024:05:01", "10:20:30", "2024:05", "01.05.2024 10:20:30", "05/01/2024 10:20:30",
        "24:05:01 10:20:30", "2024:13:01 10:20:30", "2024:02:30 10:20:30", "2023:02:29 10:20:30", "2024:05:00 10:20:30",
        "2024:05:01 25:00:00", "2024:05:01 24:00:01", "2024:05:01 10:60:00", "2024:05:01 10:20:61",
        "2024:05:01 13:20:30 PM", "2024:05:01 00:20:30 AM", "2024-05:01 10:20:30", "2024:05:01 10:20:30 and more",
    ],
)  # fmt: skip
def test_what_is_no_time_or_could_be_two_is_none(text: object) -> None:
    """A day alone would become a midnight, and the first of May a fifth of January."""
    assert find_time([text], TODAY) is None


@pytest.mark.parametrize(
    ("text", "is_credible"),
    [("0001:01:01 00:00:00", False), ("1970:01:01 00:00:00", False), ("1980:01:01 00:00:00", False),
     ("1989:12:31 23:59:59", False), ("1990:01:01 00:00:00", True), ("2026:06:02 12:00:00", True),
     ("2026:06:02 12:00:01", False), ("2099:12:31 23:59:59", False), ("9999:12:31 24:00:00", False)],
)  # fmt: skip
def test_no_clock_runs_before_1990_or_over_a_year_ahead(text: str, is_credible: bool) -> None:  # noqa: FBT001
    """A clock set to the wrong year at New Year is still a clock."""
    assert (find_time([text], TODAY) is not None) == is_credible


def test_today_is_the_machines() -> None:
    """Unless a test says otherwise."""
    now = datetime.now().replace(microsecond=0)  # noqa: DTZ005 - a camera's clock has no zone

    assert find_time([f"{now:%Y:%m:%d %H:%M:%S}"]) == now
    assert find_time([f"{now + timedelta(days=400):%Y:%m:%d %H:%M:%S}"]) is None


@pytest.mark.parametrize(
    "first", [None, "", "    :  :     :  :  ", "0000:00:00 00:00:00", "1970:01:01 00:00:00", "?", 7]
)
def test_a_time_that_is_none_hides_none_behind_it(first: object) -> None:
    """The first credible candidate counts."""
    assert find_time([first, "2024:05:02 10:20:30", "2024:05:03 10:20:30"], TODAY) == datetime(2024, 5, 2, 10, 20, 30)  # noqa: DTZ001


SPELLINGS = ["%Y:%m:%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f+02:00", "%Y/%m/%d %I:%M:%S %p"]


@given(st.datetimes(datetime(1990, 1, 1), TODAY), st.sampled_from(SPELLINGS))  # noqa: DTZ001
def test_every_credible_time_is_read_as_it_was_written(time: datetime, spelling: str) -> None:
    """To the second."""
    assert find_time([time.strftime(spelling)], TODAY) == time.replace(microsecond=0)


@given(st.text(st.sampled_from("0129:-/.T +ZAPM\0")) | st.binary() | st.text())
def test_no_text_raises_and_every_time_is_credible(text: str | bytes) -> None:
    """Whatever a tag holds."""
    found = find_time([text], TODAY)

    assert found is None or (datetime(1990, 1, 1) <= found <= TODAY + timedelta(days=366) and found.tzinfo is None)  # noqa: DTZ001
